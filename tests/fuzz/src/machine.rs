//! Files that the engine reads back: logs and users of images; and profiles of system calls.

use std::{fs, path::Path};

use mini_docker::{
    engine::{
        container::{Config, Status},
        log::Reader,
        monitor::frame,
    },
    fuzz,
};
use seccomp::Seccomp;

use crate::{one_line, text};

/// Docker's profiles: what is read compiles, to a program that a kernel takes.
pub(crate) fn seccomp(data: &[u8]) {
    let Some(source) = text(data) else { return };
    match Seccomp::profile(source, &["CAP_CHOWN", "CAP_SYS_ADMIN"]) {
        // BPF_MAXINSNS of linux/bpf_common.h.
        Ok(program) => assert!((1..=4096).contains(&program.len()), "{} instructions", program.len()),
        Err(error) => one_line(&error.to_string()),
    }
}

/// A log, from its beginning and from its end; frames of an attached stream; state files; users.
pub(crate) fn log(data: &[u8]) {
    let directory = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let path = directory.path().join("log.json");
    fs::write(&path, data).expect("write the log");
    let all = entries(&path, None);
    for tail in [0, 1, 3] {
        let last = entries(&path, Some(tail));
        assert_eq!(last, all[all.len() - last.len()..], "the last {tail} lines");
    }
    let mut buffer = data.to_vec();
    let mut from = data;
    while let Ok(Some(taken)) = frame::take(&mut buffer) {
        assert_eq!(frame::read(&mut from).ok().flatten(), Some(taken), "the same frame");
    }
    let Some(source) = text(data) else { return };
    if let Ok(config) = serde_json::from_str::<Config>(source) {
        serde_json::to_vec(&config).expect("write a configuration");
    }
    if let Ok(status) = serde_json::from_str::<Status>(source) {
        serde_json::to_vec(&status).expect("write a status");
    }
    let (passwd, group) = source.split_once("\n\n").unwrap_or((source, source));
    for name in ["", "root", "web", "web:www", "33", "4294967295", "-1"] {
        match fuzz::user(passwd, group, name) {
            Ok((uid, gid, groups, home)) => {
                assert!(groups.iter().chain([&uid, &gid]).all(|id| i32::try_from(*id).is_ok()), "{groups:?}");
                assert!(home.is_absolute(), "{}", home.display());
            }
            Err(error) => one_line(&error),
        }
    }
}

fn entries(path: &Path, tail: Option<usize>) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(path, tail).expect("open the log");
    let mut entries = Vec::new();
    while let Some(entry) = reader.take().expect("read the log") {
        entries.push(entry.bytes());
    }
    entries
}
