//! The power goes: what was acknowledged is on the disk, and the next command after the restart works.
//!
//! The disk is a file. Each time that a command is about to wait for the disk, what has reached it is copied: the kernel
//! writes nothing by itself meanwhile. A copy is mounted in a place of its own, where the machine has another boot id; its
//! journal is replayed, as after a power cut.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use nix::{
    libc,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use tests::{
    disk::Disk,
    engine::eventually,
    leaks,
    machine::Machine,
    tracer::{Act, trace},
};

use crate::{
    cases::{self, Case},
    sample::{report, sample},
    world::World,
};

const SYNCS: [i64; 4] = [libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_syncfs, libc::SYS_sync];

/// The machine after a restart: no links, another boot id; with the disk of `image` at its place, if it has one.
fn restarted(image: Option<(&Path, &Path)>) -> Machine {
    let host = Machine::new();
    let image = image.map(|(image, at)| (image.to_owned(), at.to_owned()));
    host.run(move || {
        // A mount namespace of this thread's own, which is the machine's.
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let boot = tempfile::NamedTempFile::new().unwrap();
        let random = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap();
        fs::write(boot.path(), random).unwrap();
        let place = "/proc/sys/kernel/random/boot_id";
        mount(Some(boot.path()), place, none, MsFlags::MS_BIND, none).unwrap();
        if let Some((image, at)) = image {
            let mounted = Command::new("mount").args(["-o", "loop"]).arg(image).arg(at).output().unwrap();
            assert!(mounted.status.success(), "{mounted:?}");
        }
    });
    host
}

struct Copies {
    directory: tempfile::TempDir,
    /// With what is known at that moment.
    all: Vec<(PathBuf, &'static str)>,
}

impl Copies {
    fn add(&mut self, image: &Path, what: &'static str) {
        let copy = self.directory.path().join(self.all.len().to_string());
        let copied = Command::new("cp").arg("--sparse=always").arg(image).arg(&copy).status().unwrap();
        assert!(copied.success());
        self.all.push((copy, what));
    }
}

impl World {
    /// Runs the case's command, and copies the disk at each moment that counts.
    fn copies(&self, disk: &Disk, case: &Case) -> Result<Copies, String> {
        self.before(case)?;
        let mut copies = Copies { directory: tempfile::tempdir().unwrap(), all: Vec::new() };
        let (command, image) = (self.command(case.command), disk.image());
        let (traced, mut copies) = self.host.run(move || {
            let traced = trace(&command, |call| {
                if call.which().is_some_and(|which| SYNCS.contains(&which)) {
                    copies.add(&image, "on the way");
                }
                Act::Go
            });
            (traced, copies)
        });
        if traced.said.code != 0 {
            return Err(format!("{:?}", traced.said));
        }
        copies.add(&disk.image(), "acknowledged");
        self.after(case)?;
        Ok(copies)
    }

    /// What has to hold on the copy.
    fn survives_a_power_cut(&mut self, at: &Path, case: &Case, copy: &Path, acknowledged: bool) -> Result<(), String> {
        let before = self.move_to(restarted(Some((copy, at))));
        let held = self.holds_after_a_power_cut(case, acknowledged);
        self.move_to(before);
        held
    }

    fn holds_after_a_power_cut(&self, case: &Case, acknowledged: bool) -> Result<(), String> {
        self.try_run("ps -a")?;
        self.whole()?;
        self.try_run("cp keeper:/word {dir}/word")?;
        self.try_run("network inspect kept")?;
        if acknowledged && case.proof.contains("inspect") {
            self.try_run(case.proof).map_err(|e| format!("it was acknowledged: {e}"))?;
        }
        self.after(case)?;
        case.before
            .iter()
            .filter(|line| line.starts_with("create"))
            .try_for_each(|line| self.try_run(line).map(drop))?;
        self.after(case)?;
        self.whole()
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let Some(disk) = Disk::new(64) else { return };
    let mut failures = Vec::new();
    {
        let mut world = World::on(&disk.path());
        let only = std::env::var("MINI_DOCKER_FAULTS_ONLY").unwrap_or_default();
        let all = [cases::CONTAINERS, cases::IMAGES, cases::OTHERS].into_iter().flatten();
        for case in all.filter(|case| case.command.contains(&only)) {
            let copies = match world.copies(&disk, case) {
                Ok(copies) => copies,
                Err(why) => panic!("{}: {why}", case.command),
            };
            let total = copies.all.len();
            // The last one in any case: by then it was acknowledged.
            let mut numbers = sample(total.saturating_sub(1), 1);
            numbers.push(total);
            let mut survived = 0;
            for number in &numbers {
                let (copy, what) = &copies.all[number - 1];
                match world.survives_a_power_cut(&disk.path(), case, copy, *what == "acknowledged") {
                    Ok(()) => survived += 1,
                    Err(why) => {
                        failures.push(format!("{}: power cut {number} of {total}, {what}: {why}", case.command));
                        println!("{}", failures.last().unwrap());
                    }
                }
            }
            report(&format!("power cut: {}", case.command), survived, numbers.len(), total);
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// All processes die at once, the kernel forgets its networks, and there is another boot id.
#[test]
fn a_restart_of_the_machine_leaves_nothing_taken() {
    let mut world = World::new();
    // A file lies over one of /proc's there, so that a user namespace gets no /proc of its own.
    let run = "run -d --userns host --name box --network kept --ip 10.127.214.3 -p 8080:80 --restart always bb:latest sleep 1000";
    world.ok("network rm kept");
    world.ok("network create --subnet 10.127.214.0/24 --label keep=yes kept");
    world.ok(run);
    world.ok("run -d --name gone --rm --network kept bb:latest sleep 1000");
    world.ok("create --name waits bb:latest true");
    let root = world.engine.root().canonicalize().unwrap();
    for pid in leaks::processes(&root) {
        // Some go with others.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    eventually("all processes are gone", || leaks::processes(&root).is_empty());
    // What is in memory goes with it: /run, and cgroups.
    let ids: Vec<_> = leaks::id_ranges(&root).collect();
    for range in ids {
        fs::remove_file(range).unwrap();
    }
    leaks::run_directories(&root).for_each(|run| fs::remove_dir_all(run).unwrap());
    let cgroups: Vec<_> = leaks::cgroups(&root).collect();
    for cgroup in cgroups {
        let removed =
            Command::new("find").arg(&cgroup).args(["-depth", "-type", "d", "-exec", "rmdir", "{}", "+"]).status();
        assert!(removed.unwrap().success(), "{}", cgroup.display());
    }
    let before = world.move_to(restarted(None));
    assert_eq!(world.ok("ps -q"), "");
    assert_eq!(world.ok("inspect -f {{.State.Status}}:{{.State.ExitCode}} box"), "exited:255\n");
    assert_eq!(world.run("inspect gone").code, 1, "it was to go with its end");
    world.whole().unwrap();
    // Its name, its address and its port are its own again, or another's.
    world.ok("start box");
    assert_eq!(world.ok("inspect -f {{.State.Status}} box"), "running\n");
    world.ok("rm -f box");
    world.ok(run);
    world.ok("rm -f box waits");
    world.ok("cp keeper:/word {dir}/word");
    world.whole().unwrap();
    // In the test there are two machines with one store.
    world.move_to(before);
    world.kept().unwrap();
    world.assert_ends_empty("at the end");
}
