//! A disk that is full, or broken: each command says so, loses nothing, and works when that is over.

use std::{fs, process::Command};

use nix::{errno::Errno, libc};
use tests::{
    disk::Disk,
    engine::Engine,
    tracer::{Act, Call, Traced, trace},
};

use crate::{
    cases::{self, Case},
    sample::{report, sample},
    world::World,
};

fn all_cases() -> impl Iterator<Item = &'static Case> {
    let only = std::env::var("MINI_DOCKER_FAULTS_ONLY").unwrap_or_default();
    let all = [cases::CONTAINERS, cases::IMAGES, cases::OTHERS].into_iter().flatten();
    all.filter(move |case| case.command.contains(&only))
}

/// Whether the command makes room, and so has to work where there is none.
fn frees(case: &Case) -> bool {
    let words: Vec<_> = case.command.split(' ').collect();
    ["rm", "rmi", "stop", "kill", "down", "prune"].iter().any(|word| words.contains(word))
}

const FREE: [u64; 8] = [4 << 10, 8 << 10, 16 << 10, 64 << 10, 0, 256 << 10, 1 << 20, 3 << 20];

impl World {
    fn survives_a_full_disk(&self, disk: &Disk, case: &Case, free: u64) -> Result<bool, String> {
        self.before(case)?;
        disk.fill(free);
        let said = self.run(case.command);
        disk.empty();
        if said.code != 0 && frees(case) {
            return Err(format!("it makes room, and does not work without: {said:?}"));
        }
        if said.code != 0 && !said.err.contains("No space left on device") {
            return Err(format!("it does not say what is wrong: {said:?}"));
        }
        self.next_command_works(case, said.code == 0, true)?;
        self.kept()?;
        Ok(said.code != 0)
    }

    /// Fails the `number`th of the calls that write; whether there was one, and how many there were.
    fn survives_a_failing_write(&self, case: &Case, number: usize, errno: Errno) -> Result<(bool, usize), String> {
        self.before(case)?;
        let command = self.command(case.command);
        let (traced, count) = self.host.run(move || fail(&command, number, errno));
        if traced.said.code != 0 && traced.said.err.is_empty() && traced.said.code < 128 {
            return Err(format!("it says nothing: {:?}", traced.said));
        }
        if traced.said.err.contains("panicked") {
            return Err(format!("it panics: {:?}", traced.said));
        }
        self.next_command_works(case, traced.said.code == 0, false)?;
        Ok((traced.struck, count))
    }
}

/// Fails the `number`th of a command's calls that write; with how many there were until then.
fn fail(command: &Command, number: usize, errno: Errno) -> (Traced, usize) {
    let mut count = 0;
    let traced = trace(command, |call| {
        if !writes(call) {
            return Act::Go;
        }
        count += 1;
        if count == number { Act::Fail(errno) } else { Act::Go }
    });
    (traced, count)
}

/// Calls that change a filesystem.
fn writes(call: Call) -> bool {
    const CALLS: [i64; 17] = [
        libc::SYS_write,
        libc::SYS_pwrite64,
        libc::SYS_writev,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_syncfs,
        libc::SYS_rename,
        libc::SYS_renameat,
        libc::SYS_renameat2,
        libc::SYS_link,
        libc::SYS_linkat,
        libc::SYS_unlink,
        libc::SYS_unlinkat,
        libc::SYS_mkdir,
        libc::SYS_mkdirat,
        libc::SYS_ftruncate,
        libc::SYS_copy_file_range,
    ];
    call.which().is_some_and(|which| CALLS.contains(&which))
}

#[test]
fn a_full_disk_loses_nothing() {
    let Some(disk) = Disk::new(64) else { return };
    let mut failures = Vec::new();
    {
        let world = World::on(&disk.path());
        let cases: Vec<_> = all_cases().collect();
        // A disk takes long to fill.
        for case in sample(cases.len(), 6).into_iter().map(|number| cases[number - 1]) {
            let (mut refused, mut tried, mut survived) = (0, 0, 0);
            for number in sample(FREE.len(), 1) {
                let free = FREE[number - 1];
                tried += 1;
                match world.survives_a_full_disk(&disk, case, free) {
                    Ok(was_refused) => (survived, refused) = (survived + 1, refused + usize::from(was_refused)),
                    Err(why) => {
                        failures.push(format!("{}: {free} bytes free: {why}", case.command));
                        println!("{}", failures.last().unwrap());
                        let _ = world.after(case);
                    }
                }
            }
            report(&format!("full disk ({refused} refused): {}", case.command), survived, tried, FREE.len());
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_write_that_fails_loses_nothing() {
    let mut failures = Vec::new();
    let world = World::new();
    for case in all_cases() {
        let (_, total) = world.survives_a_failing_write(case, 0, Errno::EIO).expect(case.command);
        let (mut struck, mut survived) = (0, 0);
        for number in sample(total, 1) {
            let errno = if number % 2 == 0 { Errno::EIO } else { Errno::ENOSPC };
            match world.survives_a_failing_write(case, number, errno) {
                Ok((was_struck, _)) => {
                    (struck, survived) = (struck + usize::from(was_struck), survived + usize::from(was_struck));
                }
                Err(why) => {
                    struck += 1;
                    failures.push(format!("{}: write {number} of {total} fails with {errno}: {why}", case.command));
                    println!("{}", failures.last().unwrap());
                    let _ = world.after(case);
                }
            }
        }
        report(&format!("failing write: {}", case.command), survived, struck, total);
        world.kept().unwrap();
    }
    assert!(failures.is_empty(), "{failures:#?}");
    world.assert_ends_empty("at the end");
}

/// Whatever cannot be written: who is still there is there by its name.
#[test]
fn a_removal_that_fails_can_be_made_again() {
    let world = World::new();
    let case = cases::CONTAINERS.iter().find(|case| case.command == "rm box").unwrap();
    for number in 1.. {
        world.before(case).unwrap();
        let removal = world.command(case.command);
        let traced = world.host.run(move || fail(&removal, number, Errno::EIO).0);
        if !world.ok("ps -aq --filter name=box").is_empty() {
            world.ok("rm box");
        }
        world.ok("volume rm data");
        world.whole().unwrap();
        if !traced.struck {
            break;
        }
    }
}

/// An engine on a disk of its own, with the image `bb`.
fn on(disk: &Disk) -> Engine {
    let engine = Engine::empty_in(env!("CARGO_BIN_EXE_mini-docker"), &disk.path());
    engine.import_busybox();
    engine
}

#[test]
fn what_ends_while_the_disk_is_full_is_known_and_can_be_removed() {
    let Some(disk) = Disk::new(24) else { return };
    let engine = on(&disk);
    let ended = |name: &str| {
        let state = &engine.inspect(name)["State"];
        (state["Status"].as_str().unwrap().to_owned(), state["ExitCode"].as_i64().unwrap())
    };
    let exited = |code| ("exited".to_owned(), code);
    for name in ["web", "again", "bare"] {
        let restart = if name == "again" { "always" } else { "no" };
        let run = ["run", "-d", "--network", "none", "--restart", restart, "--name", name];
        engine.run(&[&run[..], &["bb", "sleep", "1000"]].concat()).ok();
    }
    // As where there was no room for it when it started.
    let bare = engine.inspect("bare")["Id"].as_str().unwrap().to_owned();
    fs::remove_file(engine.root().join("containers").join(&bare).join("status.room")).unwrap();
    let fill = "dd if=/dev/zero of=/big bs=64k; dd if=/dev/zero of=/rest bs=512; exit 7";
    let said = engine.run(&["run", "--network", "none", "--name", "filler", "bb", "sh", "-c", fill]);
    assert!(said.code == 7 && said.err.contains("No space left on device"), "{said:?}");
    assert_eq!(ended("filler"), exited(7));
    engine.run(&["kill", "web"]).ok();
    engine.run(&["stop", "-t", "0", "again"]).ok();
    engine.run(&["kill", "bare"]).ok();
    for (name, code) in [("web", 137), ("again", 137), ("bare", 255)] {
        assert_eq!(ended(name), exited(code), "{name}");
    }
    let looks: [&[&str]; 6] = [
        &["ps", "-a"],
        &["logs", "filler"],
        &["system", "df"],
        &["stats", "-a", "--no-stream"],
        &["wait", "bare"],
        &["image", "prune", "-f"],
    ];
    for look in looks {
        engine.run(look).ok();
    }
    let refused = engine.run(&["start", "bare"]);
    assert!(refused.code == 1 && refused.err.contains("No space left on device"), "{refused:?}");
    engine.run(&["rm", "-f", "bare", "again"]).ok();
    engine.run(&["container", "prune", "-f"]).ok();
    assert_eq!(engine.run(&["ps", "-aq"]).ok(), "");
    engine.run(&["run", "--rm", "--network", "none", "bb", "true"]).ok();
}

#[test]
fn nothing_claims_to_have_changed_what_cannot_be_written_to() {
    let Some(disk) = Disk::new(64) else { return };
    let engine = on(&disk);
    engine.run(&["run", "--network", "none", "--name", "old", "bb", "true"]).ok();
    let remount = |how: &str| {
        assert!(Command::new("mount").args(["-o", how]).arg(disk.path()).status().unwrap().success(), "{how}");
    };
    remount("remount,ro");
    let changes: [&[&str]; 5] = [
        &["rm", "old"],
        &["rm", "-f", "old"],
        &["rename", "old", "new"],
        &["start", "old"],
        &["container", "prune", "-f"],
    ];
    for change in changes {
        let said = engine.run(change);
        assert!(said.code == 1 && said.err.contains("Read-only file system"), "{change:?}: {said:?}");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let archive = elsewhere.path().join("bb.tar");
    let looks: [&[&str]; 4] = [&["ps", "-a"], &["save", "-o", archive.to_str().unwrap(), "bb"], &["check"], &["leaks"]];
    for look in looks {
        engine.run(look).ok();
    }
    remount("remount,rw");
    assert_eq!(engine.inspect("old")["State"]["ExitCode"], 0);
}
