//! What a cgroup costs a process: the table in README.md. `cargo run --release -p stage-16-cgroup --example cost`
#![forbid(unsafe_code)]

use std::{
    fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use cgroup::{Cgroup, Controller, DEFAULT_DEVICES, Hierarchies, Limits};
use process::{
    Child, CloneArgs, Container, Error, Host, Inside, Journal, Primitive, Process, Program, Result, spawn, sys,
};

/// How the process comes into its cgroup.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// By the stage.
    Stage,
    /// The parent writes its pid into every cgroup.procs.
    Procs,
}

struct Measured {
    cgroup: Cgroup,
    way: Way,
}

impl Primitive for Measured {
    fn name(&self) -> &'static str {
        "cgroup"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        self.cgroup.prepare(host)
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        if self.way == Way::Stage {
            self.cgroup.clone_args(args);
        }
    }

    fn attach(&mut self, _: &mut Host, child: &Child) -> Result<()> {
        for hierarchy in self.cgroup.hierarchies().filter(|_| self.way == Way::Procs) {
            let procs = hierarchy.directory(self.cgroup.path()).join("cgroup.procs");
            fs::write(&procs, child.pid.to_string()).map_err(|e| Error::from_io("cgroup", "move", &e))?;
        }
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), process::Errno> {
        if self.way == Way::Stage { self.cgroup.enter(inside) } else { Ok(()) }
    }
}

/// The start of `true`, and its clean-up, in µs.
fn once(list: Option<(&Limits, &[Controller], Way)>, number: u32) -> [u128; 2] {
    let start = Instant::now();
    let path = PathBuf::from(format!("/cost-{}-{number}", std::process::id()));
    let list = list.map(|(limits, accounting, way)| -> Box<dyn Primitive> {
        Box::new(Measured { cgroup: Cgroup::new(&path, limits.clone(), accounting).unwrap(), way })
    });
    let program = Program::new(["/bin/busybox", "true"], ["PATH=/bin"]).unwrap();
    let mut host = Host::new(Journal::in_memory());
    let mut container = Container(list.into_iter().collect());
    let child = spawn(&mut container, &mut Process::new(program), &mut host).unwrap();
    let started = start.elapsed().as_micros();
    sys::wait_exit(child.pidfd.as_fd()).unwrap();
    let ended = Instant::now();
    host.journal.undo_to(0).unwrap();
    [started, ended.elapsed().as_micros()]
}

/// The medians of `count` runs, `pause` apart.
fn median(list: Option<(&Limits, &[Controller], Way)>, count: u32, pause: Duration) -> String {
    let all: Vec<[u128; 2]> = (0..count)
        .map(|number| {
            sleep(pause);
            once(list, number)
        })
        .collect();
    let middle = |part: usize| {
        let mut times: Vec<u128> = all.iter().map(|run| run[part]).collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    format!("{} | {}", middle(0), middle(1))
}

fn main() {
    assert!(Path::new("/bin/busybox").exists(), "needs busybox-static");
    for hierarchy in Hierarchies::find().unwrap().0 {
        println!("{:?} {}: {}", hierarchy.version, hierarchy.mount.display(), hierarchy.controllers.join(","));
    }
    let pids = Limits { pids: Some(100), ..Limits::default() };
    let usual = Limits { memory: Some(64 << 20), nano_cpus: Some(1_000_000_000), ..pids.clone() };
    let rows: [(&str, Limits, &[Controller]); 5] = [
        ("v2 alone", Limits::default(), &[]),
        ("pids", pids.clone(), &[]),
        ("pids, devices", Limits { access: Some(DEFAULT_DEVICES.to_vec()), ..pids.clone() }, &[]),
        ("pids, memory, cpu", usual.clone(), &[]),
        ("all", Limits { cpuset_mems: Some("0".into()), ..usual }, &Controller::ALL),
    ];
    let times = |list| [(200, 0), (40, 100)].map(|(count, pause)| median(list, count, Duration::from_millis(pause)));
    let none = times(None);
    println!("| none | | {} | {} |", none[0], none[1]);
    for (name, limits, accounting) in &rows {
        for (way, words) in [(Way::Stage, "stage"), (Way::Procs, "cgroup.procs")] {
            let [close, apart] = times(Some((limits, accounting, way)));
            println!("| {name} | {words} | {close} | {apart} |");
        }
    }
}
