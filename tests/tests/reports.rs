//! Every real primitive that fails for a real reason is named in the parent with its step and errno, and leaves nothing.

mod full;

use std::{cell::Cell, fs, path::Path, rc::Rc};

use full::Failure;
use nix::{sys::wait::waitpid, unistd::Pid};
use process::{Child, Container, Errno, Host, Journal, Primitive, Result, spawn};
use tests::container::{image, with_init};

/// Tells which process was the container's.
struct Witness(Rc<Cell<Option<Pid>>>);

impl Primitive for Witness {
    fn name(&self) -> &'static str {
        "witness"
    }

    fn attach(&mut self, _: &mut Host, child: &Child) -> Result<()> {
        self.0.set(Some(child.pid));
        Ok(())
    }
}

fn entries(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn check(failure: Failure, traced: bool) {
    let Failure { mut container, mut process, primitive, doing, errno } = failure;
    let child = Rc::default();
    container.insert(0, Box::new(Witness(Rc::clone(&child))));
    let mut host = Host::new(Journal::in_memory());
    if traced {
        host.explain();
    }
    let error = match spawn(&mut Container(container), &mut process, &mut host) {
        Ok(child) => {
            let code = process::sys::wait_exit(std::os::fd::AsFd::as_fd(&child.pidfd));
            panic!("{primitive}, {doing}: it ran ({code:?})");
        }
        Err(error) => error,
    };
    assert_eq!((error.primitive, error.errno), (primitive, errno), "{error}, not {doing}");
    assert!(error.doing.starts_with(&doing), "{error:?}, not {doing}");
    assert_eq!(host.journal.mark(), 0, "{error}: nothing is left to undo");
    if let Some(pid) = child.get() {
        assert_eq!(waitpid(pid, None), Err(Errno::ECHILD), "{error}: the child is reaped");
    }
}

#[test]
fn every_primitive_reports_its_own_name_step_and_errno() {
    for (traced, init) in [(false, false), (true, false), (false, true), (true, true)] {
        let (image, scratch) = (image(), tempfile::tempdir().unwrap());
        let failures = full::failures(image.path(), scratch.path());
        let before = (entries(image.path()), entries(scratch.path()));
        for failure in failures {
            let process = if init { with_init(failure.process) } else { failure.process };
            check(Failure { process, ..failure }, traced);
        }
        assert_eq!((entries(image.path()), entries(scratch.path())), before, "no file stays");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(scratch.path().to_str().unwrap()), "no mount stays");
    }
}
