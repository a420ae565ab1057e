//! SIGKILL before every system call of every command that changes something: to the command, to what it has made, and to
//! the monitor and the first process of the container that it is about.

use nix::unistd::Pid;
use tests::tracer::{Act, GENERATIONS, Traced, trace};

use crate::{
    cases::{self, Case},
    sample::{report, sample},
    world::World,
};

/// Who dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// Who makes the call: the command, or what it has made.
    Generation(usize),
    /// The container's monitor, at a call of the command's.
    Monitor,
    /// The container's first process, at a call of the command's.
    Init,
}

const VICTIMS: [(Victim, &str); 5] = [
    (Victim::Generation(0), "the command"),
    (Victim::Generation(1), "what it makes"),
    (Victim::Generation(2), "what that makes"),
    (Victim::Monitor, "the monitor"),
    (Victim::Init, "init"),
];

impl World {
    /// The first process and the monitor of the container that the case is about, if it runs.
    fn processes(&self) -> Option<(Pid, Pid)> {
        let pid = |name| self.run(&format!("inspect -f {{{{.State.Pid}}}} {name}")).out.trim().parse().ok();
        let init: i32 = ["box", "shop-web-1"].into_iter().find_map(|name| pid(name).filter(|&pid| pid > 0))?;
        let status = std::fs::read_to_string(format!("/proc/{init}/status")).ok()?;
        let monitor = status.lines().find_map(|line| line.strip_prefix("PPid:\t"))?.parse().ok()?;
        Some((Pid::from_raw(init), Pid::from_raw(monitor)))
    }

    /// The case's command, with a death before the call `number`; with 0 none.
    fn kill_at(&self, case: &Case, victim: Victim, number: usize) -> Option<Traced> {
        let (generation, pid) = match victim {
            Victim::Generation(generation) => (generation, None),
            Victim::Monitor => (0, Some(self.processes()?.1)),
            Victim::Init => (0, Some(self.processes()?.0)),
        };
        let command = self.command(case.command);
        Some(self.host.run(move || {
            trace(&command, |call| {
                let is_it = call.generation == generation && call.number == number;
                if is_it { Act::Kill(pid.unwrap_or(call.process)) } else { Act::Go }
            })
        }))
    }

    /// One death, and what has to hold after it. Whether there was one.
    fn survives(&self, case: &Case, victim: Victim, number: usize) -> Result<bool, String> {
        self.before(case)?;
        let Some(traced) = self.kill_at(case, victim, number) else {
            return self.after(case).map(|()| false);
        };
        let acknowledged = traced.said.code == 0;
        // Whoever kills a container's own program ends it.
        let stands = !matches!(victim, Victim::Init | Victim::Generation(2));
        self.next_command_works(case, acknowledged, stands).map(|()| traced.struck)
    }
}

/// Each case with each victim: `few` deaths of each, or as many as are asked for.
fn kill_everywhere(cases: &[Case], few: usize) {
    let only = std::env::var("MINI_DOCKER_FAULTS_ONLY").unwrap_or_default();
    let world = World::new();
    let mut failures = Vec::new();
    for case in cases.iter().filter(|case| case.command.contains(&only)) {
        world.before(case).unwrap();
        let whole = world.kill_at(case, Victim::Generation(0), 0).expect("a command");
        assert_eq!(whole.said.code, 0, "{}: {:?}", case.command, whole.said);
        world.next_command_works(case, true, true).unwrap();
        for (victim, who) in VICTIMS {
            let total = match victim {
                Victim::Generation(generation) => whole.calls[generation.min(GENERATIONS - 1)],
                Victim::Monitor | Victim::Init => whole.calls[0],
            };
            let (mut struck, mut survived) = (0, 0);
            for number in sample(total, few) {
                match world.survives(case, victim, number) {
                    Ok(was_struck) => {
                        (struck, survived) = (struck + usize::from(was_struck), survived + usize::from(was_struck));
                    }
                    Err(why) => {
                        struck += 1;
                        failures.push(format!("{}: {who} killed at call {number} of {total}: {why}", case.command));
                        println!("{}", failures.last().unwrap());
                        let _ = world.after(case);
                    }
                }
            }
            report(&format!("kill {who}: {}", case.command), survived, struck, total);
        }
        world.kept().unwrap();
    }
    assert!(failures.is_empty(), "{failures:#?}");
    world.assert_ends_empty("at the end");
}

#[test]
fn commands_about_containers_can_be_killed_at_every_call() {
    kill_everywhere(cases::CONTAINERS, 1);
}

#[test]
fn commands_about_images_can_be_killed_at_every_call() {
    kill_everywhere(cases::IMAGES, 2);
}

#[test]
fn commands_about_volumes_and_networks_can_be_killed_at_every_call() {
    kill_everywhere(cases::OTHERS, 1);
}
