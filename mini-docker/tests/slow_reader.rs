//! Output for those who take their time.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
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

#[test]
fn too_few_words_are_told_in_dockers_words() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let said = engine.run(&["exec", "c1"]).refused(1);
    assert!(said.contains("requires at least 2 arguments: <CONTAINER> <COMMAND>...; see"), "{said}");
}
