//! Output for those who take their time, and for what is no file.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileTypeExt, symlink},
    },
    path::Path,
    process::Stdio,
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::pipe2,
};
use tests::engine::{Engine, eventually};

/// What a command writes to a pipe that does not block, and that nobody reads from until it is full.
fn slowly(engine: &Engine, arguments: &[&str]) -> usize {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).unwrap();
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    let theirs: OwnedFd = writer.try_clone().unwrap();
    let mut child = engine.command(arguments).stdout(Stdio::from(theirs)).stdin(Stdio::null()).spawn().unwrap();
    let is_full = || poll(&mut [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)], PollTimeout::ZERO) == Ok(0);
    eventually("the pipe is full", is_full);
    drop(writer);
    let mut all = Vec::new();
    File::from(reader).read_to_end(&mut all).unwrap();
    assert!(child.wait().unwrap().success(), "{arguments:?}");
    all.len()
}

#[test]
fn nothing_is_lost_on_a_pipe_that_does_not_block() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let seq = ["seq", "1", "100000"];
    let (length, with_times) = (588_895, 588_895 + 100_000 * 31);
    assert_eq!(slowly(&engine, &[&["run", "--name", "c1", "bb"], &seq[..]].concat()), length);
    assert_eq!(slowly(&engine, &["logs", "c1"]), length);
    assert_eq!(slowly(&engine, &["logs", "-t", "c1"]), with_times);
    engine.run(&["run", "-d", "--name", "c2", "bb", "sleep", "1000"]).ok();
    assert_eq!(slowly(&engine, &[&["exec", "c2"], &seq[..]].concat()), length);
    assert_eq!(slowly(&engine, &[&["exec", "-t", "c2"], &seq[..]].concat()), length + 100_000);
    for arguments in [&["export", "c1"][..], &["save", "bb"], &["cp", "c1:/bin/busybox", "-"]] {
        assert!(slowly(&engine, arguments) > 500_000, "{arguments:?}");
    }
}

/// The first line of what a command writes, and how it ends when nobody reads the rest.
fn first_line(engine: &Engine, arguments: &[&str]) -> (String, Option<i32>) {
    let mut child = engine.command(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    drop(reader);
    (line, child.wait().unwrap().code())
}

#[test]
fn who_is_not_read_any_more_ends_and_the_container_goes_on() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let endless = ["sh", "-c", "while :; do echo y; sleep 0.01; done"];
    let run = [&["run", "--name", "c1", "bb"], &endless[..]].concat();
    assert_eq!(first_line(&engine, &run), ("y\n".to_owned(), Some(1)));
    assert_eq!(first_line(&engine, &["attach", "c1"]), ("y\n".to_owned(), Some(1)));
    assert_eq!(first_line(&engine, &["logs", "-f", "c1"]).0, "y\n");
    assert_eq!(first_line(&engine, &[&["exec", "c1"], &endless[..]].concat()).0, "y\n");
    assert_eq!(engine.inspect("c1")["State"]["Status"], "running");
    engine.run(&["rm", "-f", "c1"]).ok();
}

#[test]
fn too_few_words_are_told_in_dockers_words() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let said = engine.run(&["exec", "c1"]).refused(1);
    assert!(said.contains("requires at least 2 arguments: <CONTAINER> <COMMAND>...; see"), "{said}");
}

#[test]
fn a_device_that_is_written_to_stays_one() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&["create", "--name", "c1", "bb", "true"]).ok();
    let (null, link, file) = (engine.path("null"), engine.path("link"), engine.path("file"));
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::sys::stat::mknod(&null, nix::sys::stat::SFlag::S_IFCHR, mode, libc::makedev(1, 3)).unwrap();
    fs::write(&file, "old").unwrap();
    symlink("file", &link).unwrap();
    for command in [["save", "bb"], ["export", "c1"]] {
        let write = |path: &Path| engine.run(&[command[0], "-o", path.to_str().unwrap(), command[1]]);
        write(&null).ok();
        assert!(fs::symlink_metadata(&null).unwrap().file_type().is_char_device(), "{command:?}");
        write(&link).ok();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "{command:?}");
        assert!(fs::metadata(&file).unwrap().len() > 500_000, "{command:?}");
        assert!(write(file.parent().unwrap()).refused(1).contains("cannot write to a directory"));
        assert!(write(&engine.path("nosuch/file")).refused(1).contains("nosuch/file"));
    }
    let left = fs::read_dir(file.parent().unwrap()).unwrap().flatten();
    let left: Vec<_> = left.filter(|entry| entry.file_name().to_string_lossy().starts_with(".file")).collect();
    assert!(left.is_empty(), "{left:?}");
}
