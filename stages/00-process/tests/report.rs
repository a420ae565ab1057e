//! A primitive that fails is named in the parent, with its step and its errno, and nothing of the attempt stays.

use std::{cell::Cell, fs, os::fd::AsFd, path::PathBuf, rc::Rc};

use nix::{
    sys::wait::waitpid,
    unistd::{Pid, dup},
};
use process::{Child, EXEC, Errno, Error, Host, Inside, Journal, Primitive, Result, Undo};
use tests::container::{self, List, command, program, run};

/// Where a [`Probe`] fails.
#[derive(Clone, Copy, PartialEq)]
enum Fails {
    Nowhere,
    Preparing,
    Attaching,
    /// At this step of `enter`, with this errno.
    Entering(usize, Errno),
}

/// A primitive that makes a file in `prepare`, walks through steps in `enter`, and fails where it is told to.
struct Probe {
    name: &'static str,
    fails: Fails,
    file: PathBuf,
    child: Rc<Cell<Option<Pid>>>,
}

const STEPS: usize = 3;

impl Primitive for Probe {
    fn name(&self) -> &'static str {
        self.name
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        host.undo(Undo::RemoveFile(self.file.clone()))?;
        host.act(|| "make".to_owned(), || fs::write(&self.file, "").map_err(|_| Errno::EIO))?;
        host.act(|| "prepare".to_owned(), || if self.fails == Fails::Preparing { Err(Errno::EDOM) } else { Ok(()) })
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        self.child.set(Some(child.pid));
        host.act(|| "attach".to_owned(), || if self.fails == Fails::Attaching { Err(Errno::EDOM) } else { Ok(()) })
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        for step in 0..STEPS {
            inside.at(step);
            if let Fails::Entering(at, errno) = self.fails
                && at == step
            {
                return Err(errno);
            }
        }
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        format!("{}'s step {step}", self.name)
    }

    fn hint(&self, step: u16, errno: Errno) -> Option<String> {
        Some(format!("advice on {errno:?} at {step}"))
    }
}

const NAMES: [&str; 3] = ["first", "second", "third"];

/// Three probes of which the one at `position` fails, and the error that comes of it. Asserts that nothing stays.
fn failure(position: usize, fails: Fails, prepare: impl Fn(&mut Host)) -> Error {
    let scratch = tempfile::tempdir().unwrap();
    let child = Rc::default();
    let probe = |(number, name)| -> Box<dyn Primitive> {
        let fails = if number == position { fails } else { Fails::Nowhere };
        Box::new(Probe { name, fails, file: scratch.path().join(name), child: Rc::clone(&child) })
    };
    let list: List = NAMES.into_iter().enumerate().map(probe).collect();
    let mut host = Host::new(Journal::in_memory());
    prepare(&mut host);
    let mut container = process::Container(list);
    let mut process = command(&["true"]);
    let error = process::spawn(&mut container, &mut process, &mut host).expect_err("a probe fails");
    assert_eq!(host.journal.mark(), 0, "every step is undone");
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "every file is removed");
    if let Some(pid) = child.get() {
        assert_eq!(waitpid(pid, None), Err(Errno::ECHILD), "the child is reaped");
    }
    error
}

#[test]
fn every_position_and_step_of_enter_is_reported() {
    for traced in [false, true] {
        for (position, name) in NAMES.into_iter().enumerate() {
            for (step, errno) in [(0, Errno::EPERM), (1, Errno::ENOSPC), (2, Errno::EXFULL)] {
                let error = failure(position, Fails::Entering(step, errno), |host| {
                    if traced {
                        host.explain();
                    }
                });
                let expected = Error::new(name, format!("{name}'s step {step}"), errno)
                    .hint(format!("advice on {errno:?} at {step}"));
                assert_eq!(error, expected);
            }
        }
    }
}

#[test]
fn prepare_and_attach_are_reported_at_every_position() {
    for (position, name) in NAMES.into_iter().enumerate() {
        assert_eq!(failure(position, Fails::Preparing, |_| ()), Error::new(name, "prepare", Errno::EDOM));
        assert_eq!(failure(position, Fails::Attaching, |_| ()), Error::new(name, "attach", Errno::EDOM));
    }
}

#[test]
fn what_stood_in_the_journal_before_is_kept() {
    let mut journal = Journal::in_memory();
    let before = Undo::RemoveFile("/nonexistent/of-somebody-else".into());
    journal.record(before.clone()).unwrap();
    let mut host = Host::new(journal);
    let (mut container, mut process) = (process::Container::default(), command(&["/nonexistent"]));
    process::spawn(&mut container, &mut process, &mut host).expect_err("no program");
    assert_eq!(host.journal.entries(), [before]);
}

#[test]
fn a_message_names_primitive_act_cause_and_advice() {
    let error = failure(1, Fails::Entering(2, Errno::EPERM), |_| ());
    let text = "second: second's step 2: Operation not permitted (EPERM); advice on EPERM at 2";
    assert_eq!(error.to_string(), text);
}

#[test]
fn the_trace_holds_every_act_in_order() {
    let mut host = Host::new(Journal::in_memory());
    host.explain();
    let scratch = tempfile::tempdir().unwrap();
    let probe =
        Probe { name: "probe", fails: Fails::Nowhere, file: scratch.path().join("probe"), child: Rc::default() };
    let mut running = container::start_on(host, vec![Box::new(probe)], command(&["true"])).unwrap();
    let acts: Vec<_> = running.host.trace().events().iter().map(|e| (e.primitive, e.what.as_str(), e.inside)).collect();
    let expected = [
        ("probe", "make", false),
        ("probe", "prepare", false),
        ("process", "clone3(0)", false),
        ("probe", "attach", false),
        ("process", "open the gate", false),
        ("probe", "probe's step 0", true),
        ("probe", "probe's step 1", true),
        ("probe", "probe's step 2", true),
        ("process", "close_range(3, ~0) but for this line and the streams", true),
        (EXEC, "dup2 standard input, output and errors", true),
        (EXEC, "execve(\"true\")", true),
    ];
    assert_eq!(acts, expected);
    running.host.journal.undo_to(0).unwrap();
    running.finish();
}

/// Hands the read end of a pipe to the parent under each of the names.
struct Sends(std::os::fd::OwnedFd, &'static [&'static str]);

impl Primitive for Sends {
    fn name(&self) -> &'static str {
        "sends"
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        self.1.iter().try_for_each(|name| inside.send_descriptor(name, &self.0))
    }
}

#[test]
fn a_descriptor_from_inside_reaches_the_parent() {
    let (read, write) = nix::unistd::pipe().unwrap();
    let sends = Sends(dup(&read).unwrap(), &["other", "twelve_bytes"]);
    let mut running = container::start(vec![Box::new(sends)], command(&["true"])).unwrap();
    nix::unistd::write(&write, b"x").unwrap();
    let received = running.child.take_descriptor("twelve_bytes").expect("a descriptor");
    assert!(running.child.take_descriptor("twelve_bytes").is_none());
    assert!(running.child.take_descriptor("other").is_some());
    let mut buffer = [0; 2];
    assert_eq!(nix::unistd::read(received.as_fd(), &mut buffer), Ok(1));
    assert_eq!(running.finish().code, 0);
}

#[test]
fn a_descriptor_s_name_is_no_longer_than_its_field() {
    let sends = Sends(nix::unistd::pipe().unwrap().0, &["thirteen_byte"]);
    let error = container::start(vec![Box::new(sends)], command(&["true"])).err().expect("a failure");
    assert_eq!((error.primitive, error.errno), ("sends", Errno::ENAMETOOLONG));
}

#[test]
fn a_traced_failure_is_told_once() {
    let error = failure(0, Fails::Entering(0, Errno::EPERM), Host::explain);
    assert_eq!(error.primitive, "first");
}

#[test]
fn without_primitives_there_is_only_a_process() {
    let ran = run(List::new(), command(&["sh", "-c", "echo out; echo err >&2; exit 3"]));
    assert_eq!((ran.code, ran.out.as_str()), (3, "out\nerr\n"));
    assert!(program(&["true"]).searched());
}
