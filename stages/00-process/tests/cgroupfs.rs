//! The end of a cgroup: nothing in it lives on, nothing outside is touched.

use std::{
    fs,
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use process::{Journal, Undo};
use tests::cgroups;

/// A cgroup of its own in each hierarchy of this machine.
fn each(test: impl Fn(&Path)) {
    let mounts = cgroups::mounts();
    assert!(!mounts.is_empty(), "no cgroup filesystem is mounted");
    for mount in mounts {
        // Fresh ones of cpuset have no processors, so that nothing can enter.
        if mount.ends_with("cpuset") {
            continue;
        }
        let directory = mount.join(cgroups::name().strip_prefix("/").unwrap());
        fs::create_dir(&directory).unwrap();
        test(&directory);
        assert!(!directory.exists(), "{}", directory.display());
    }
}

fn sleeper_in(directory: &Path) -> Child {
    let sleeper = Command::new("sleep").arg("20").process_group(0).spawn().unwrap();
    fs::write(directory.join("cgroup.procs"), sleeper.id().to_string()).unwrap();
    sleeper
}

fn remove(directory: &Path) -> std::io::Result<()> {
    Undo::RemoveCgroup(directory.to_owned()).perform()
}

#[test]
fn what_is_in_it_and_below_it_is_killed_and_all_of_them_are_removed() {
    each(|directory| {
        let below = directory.join("made/inside");
        fs::create_dir_all(&below).unwrap();
        let mut sleepers = [sleeper_in(directory), sleeper_in(&below)];
        remove(directory).unwrap();
        for sleeper in &mut sleepers {
            assert!(!sleeper.wait().unwrap().success(), "it was killed");
        }
        remove(directory).expect("a second time there is nothing to do");
    });
}

#[test]
fn processes_that_stand_still_are_killed() {
    each(|directory| {
        let mut sleeper = sleeper_in(directory);
        let files = [("cgroup.freeze", "1"), ("freezer.state", "FROZEN")];
        for (file, text) in files {
            if directory.join(file).exists() {
                fs::write(directory.join(file), text).unwrap();
            }
        }
        remove(directory).unwrap();
        sleeper.wait().unwrap();
    });
}

#[test]
fn a_fork_bomb_is_outrun() {
    each(|directory| {
        // Eight, each replaced by another all the time, for some thousand generations.
        let script = "f() { [ $1 -gt 0 ] && sleep 0.001 && f $(($1 - 1)) & }; read go; \
                      for i in 1 2 3 4 5 6 7 8; do f 4000; done; exec sleep 20";
        let mut bomb = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
        fs::write(directory.join("cgroup.procs"), bomb.id().to_string()).unwrap();
        bomb.stdin.take().unwrap().write_all(b"go\n").unwrap();
        while fs::read_to_string(directory.join("cgroup.procs")).unwrap().lines().count() < 4 {
            std::thread::yield_now();
        }
        remove(directory).unwrap();
        bomb.wait().unwrap();
    });
}

#[test]
fn what_is_no_cgroup_or_holds_the_whole_machine_is_left_alone() {
    let outside = tempfile::tempdir().unwrap();
    let mount = cgroups::mounts().remove(0);
    let dots = mount.join("missing/..");
    let link = outside.path().join("link");
    each(|directory| {
        std::os::unix::fs::symlink(directory, &link).unwrap();
        assert!(remove(&link).is_err(), "a link is followed");
        assert!(directory.exists());
        fs::remove_file(&link).unwrap();
        remove(directory).unwrap();
    });
    let mut wrong: Vec<PathBuf> = cgroups::mounts();
    wrong.extend([outside.path().to_owned(), dots, PathBuf::from("relative"), PathBuf::from("/")]);
    for path in wrong {
        assert!(remove(&path).is_err(), "{}", path.display());
    }
    assert!(outside.path().exists());
    remove(&mount.join("missing-one")).expect("nothing is there");
}

#[test]
fn the_step_survives_its_writer() {
    each(|directory| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("undo");
        Journal::open(&path).unwrap().record(Undo::RemoveCgroup(directory.to_owned())).unwrap();
        Journal::open(&path).unwrap().undo_all().unwrap();
    });
}
