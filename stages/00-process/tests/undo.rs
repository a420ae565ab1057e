//! Undo is data: it can be replayed by another process, twice, after a crash, and takes back no more than was done.

use std::{
    fs,
    os::{fd::AsFd, unix::fs::symlink},
    path::Path,
    process::Command,
};

use nix::{
    mount::{MsFlags, mount},
    poll::{PollFd, PollFlags, poll},
    unistd::Pid,
};
use process::{Journal, Undo, start_time, sys};
use tempfile::{TempDir, tempdir};

/// A journal with a file, and the path of the file.
fn journal() -> (TempDir, std::path::PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("undo");
    (dir, path)
}

fn recorded(path: &Path, steps: &[Undo]) -> Journal {
    let mut journal = Journal::open(path).unwrap();
    for step in steps {
        journal.record(step.clone()).unwrap();
    }
    journal
}

#[test]
fn kill_ends_the_process_and_waits_for_its_end() {
    let mut sleeper = Command::new("sleep").arg("20").spawn().unwrap();
    let pid = sleeper.id().cast_signed();
    let pidfd = sys::pidfd_open(Pid::from_raw(pid)).unwrap();
    let start_time = start_time(Pid::from_raw(pid)).unwrap();
    Undo::Kill { pid, start_time }.perform().unwrap();
    let ended = poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], 0_u8);
    assert_eq!(ended, Ok(1), "it has ended when the undo returns");
    sleeper.wait().unwrap();
    Undo::Kill { pid, start_time }.perform().expect("killing it again does nothing");
}

#[test]
fn kill_spares_a_later_process_of_the_same_pid() {
    let mut later = Command::new("sleep").arg("20").spawn().unwrap();
    let pid = later.id().cast_signed();
    let start_time = start_time(Pid::from_raw(pid)).unwrap() - 1;
    Undo::Kill { pid, start_time }.perform().unwrap();
    assert!(later.try_wait().unwrap().is_none(), "it lives");
    later.kill().unwrap();
    later.wait().unwrap();
}

#[test]
fn the_start_time_is_read_past_any_program_name() {
    let dir = tempdir().unwrap();
    let odd = dir.path().join(") R 1 (x");
    tests::rootfs::copy_program("/bin/sleep", &odd);
    let mut plain = Command::new("sleep").arg("20").spawn().unwrap();
    let mut odd = Command::new(&odd).arg("20").spawn().unwrap();
    let time = |child: &std::process::Child| start_time(Pid::from_raw(child.id().cast_signed())).unwrap();
    // 100 ticks a second: the two were started within the same minute.
    assert!(time(&odd).abs_diff(time(&plain)) < 6000);
    for child in [&mut plain, &mut odd] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn remove_tree_follows_no_link_and_asks_nobody() {
    let outside = tempdir().unwrap();
    fs::write(outside.path().join("kept"), "").unwrap();
    let dir = tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    symlink(outside.path(), tree.join("a/link")).unwrap();
    Undo::RemoveTree(tree.clone()).perform().unwrap();
    assert!(!tree.exists());
    assert!(outside.path().join("kept").exists());
    // The tree itself may have become a link.
    symlink(outside.path(), &tree).unwrap();
    let _ = Undo::RemoveTree(tree).perform();
    assert!(outside.path().join("kept").exists());
}

#[test]
fn unmount_takes_one_mount_and_leaves_what_is_none() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("below"), "").unwrap();
    mount(Some("none"), dir.path(), Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    assert!(!dir.path().join("below").exists());
    Undo::Unmount(dir.path().to_owned()).perform().unwrap();
    assert!(dir.path().join("below").exists());
    Undo::Unmount(dir.path().to_owned()).perform().expect("no mount is there any more");
    Undo::Unmount(dir.path().join("missing")).perform().expect("nothing is there");
}

#[test]
fn steps_are_replayed_newest_first() {
    let (dir, path) = journal();
    let [outer, inner] = ["outer", "outer/inner"].map(|name| dir.path().join(name));
    // A mount under a tree: removing the tree first would fail on the mount point, which is busy.
    fs::create_dir_all(&inner).unwrap();
    let steps = [Undo::RemoveTree(outer.clone()), Undo::Unmount(inner.clone())];
    let journal = recorded(&path, &steps);
    mount(Some("none"), &inner, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    journal.undo_all().unwrap();
    assert!(!outer.exists());
}

#[test]
fn another_process_finds_the_steps_and_leaves_no_file() {
    let (dir, path) = journal();
    let made = dir.path().join("made");
    fs::write(&made, "").unwrap();
    drop(recorded(&path, &[Undo::RemoveFile(made.clone())]));
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.entries(), [Undo::RemoveFile(made.clone())]);
    journal.undo_all().unwrap();
    assert!(!made.exists());
    assert!(!path.exists());
    Journal::open(&path).unwrap().undo_all().expect("replaying an empty journal");
    assert!(!path.exists());
}

#[test]
fn a_torn_last_line_is_a_step_that_never_came() {
    let (dir, path) = journal();
    let step = Undo::RemoveFile(dir.path().join("ä"));
    drop(recorded(&path, std::slice::from_ref(&step)));
    let whole = fs::read(&path).unwrap();
    for length in 1..whole.len() {
        fs::write(&path, [&whole, &whole[..length]].concat()).unwrap();
        assert_eq!(Journal::open(&path).unwrap().entries(), std::slice::from_ref(&step), "torn after {length} bytes");
    }
}

#[test]
fn what_is_recorded_after_a_torn_line_is_not_lost() {
    let (dir, path) = journal();
    let [first, second] = ["a", "b"].map(|name| Undo::RemoveFile(dir.path().join(name)));
    drop(recorded(&path, std::slice::from_ref(&first)));
    let mut torn = fs::read_to_string(&path).unwrap();
    torn.push_str("{\"remove_f");
    fs::write(&path, torn).unwrap();
    drop(recorded(&path, std::slice::from_ref(&second)));
    assert_eq!(Journal::open(&path).unwrap().entries(), [first, second]);
}

#[test]
fn a_step_that_fails_stays_and_stops_no_other() {
    let (dir, path) = journal();
    let directory = dir.path().join("directory");
    fs::create_dir(&directory).unwrap();
    let files = ["first", "last"].map(|name| dir.path().join(name));
    for file in &files {
        fs::write(file, "").unwrap();
    }
    let stuck = Undo::RemoveFile(directory.clone());
    let steps = [Undo::RemoveFile(files[0].clone()), stuck.clone(), Undo::RemoveFile(files[1].clone())];
    let error = recorded(&path, &steps).undo_all().expect_err("a directory is no file");
    assert!(error.to_string().contains("directory"), "{error}");
    assert!(files.iter().all(|file| !file.exists()));
    let again = Journal::open(&path).unwrap();
    assert_eq!(again.entries(), [stuck]);
    fs::remove_dir(directory).unwrap();
    again.undo_all().unwrap();
    assert!(!path.exists());
}

#[test]
fn marks_divide_what_goes_from_what_stays() {
    let (dir, path) = journal();
    let files = ["a", "b", "c"].map(|name| dir.path().join(name));
    for file in &files {
        fs::write(file, "").unwrap();
    }
    let steps = files.clone().map(Undo::RemoveFile);
    let mut journal = recorded(&path, &steps);
    journal.keep_from(2).unwrap();
    journal.undo_to(1).unwrap();
    assert_eq!(files.each_ref().map(|file| file.exists()), [true, false, true]);
    assert_eq!(Journal::open(&path).unwrap().entries(), &steps[..1]);
}

#[test]
fn a_journal_that_was_emptied_takes_steps_again() {
    let (dir, path) = journal();
    let step = Undo::RemoveFile(dir.path().join("a"));
    let mut journal = recorded(&path, std::slice::from_ref(&step));
    journal.undo_to(0).unwrap();
    assert!(!path.exists());
    journal.record(step.clone()).unwrap();
    assert_eq!(Journal::open(&path).unwrap().entries(), [step]);
}
