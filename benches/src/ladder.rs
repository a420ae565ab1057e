//! The staircase: a container of the stages so far, for each stage.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::{Duration, Instant},
};

use bridge::{Bridge, Veth};
use capabilities::{Capabilities, CapabilitySet};
use cgroup::{Cgroup, Limits};
use cgroupns::CgroupNamespace;
use dns::{ResolvConf, Resolver};
use idmap::Idmap;
use ids::Ids;
use ipc::Ipc;
use macvlan::{Beside, Kind};
use mount::{Mounts, default_table};
use nat::Nat;
use network::Network;
use no_new_privs::NoNewPrivs;
use overlay::Overlay;
use pid::PidNamespace;
use ports::Ports;
use process::{Container, Host, Journal, Primitive, Process, Program, netlink::Prefix, spawn, sys};
use seccomp::Seccomp;
use subids::SubIds;
use time::Time;
use tty::{Session, Terminal};
use user::User;
use uts::Uts;

/// The first id of the containers' range.
pub const FIRST: u32 = 1_800_000_000;

/// Where a container is made.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// A directory with the static program `true`.
    pub rootfs: &'a Path,
    /// The container's own directory: not there yet.
    pub base: &'a Path,
}

/// The bridge of the containers, and the table of its rules: of a network namespace that the caller has made.
const NET: &str = "bench";
/// What stands for the host's wire.
const WIRE: &str = "bench-wire";
/// `MACVLAN_MODE_BRIDGE` of linux/if_link.h.
const BRIDGE_MODE: u32 = 4;
const GATEWAY: Prefix = Prefix { address: IpAddr::V4(Ipv4Addr::new(10, 88, 0, 1)), length: 24 };
const ADDRESS: Prefix = Prefix { address: IpAddr::V4(Ipv4Addr::new(10, 88, 0, 2)), length: 24 };
const OTHER: Prefix = Prefix { address: IpAddr::V4(Ipv4Addr::new(10, 89, 0, 2)), length: 24 };

fn bridge() -> Bridge {
    Bridge { name: NET.to_owned(), gateways: vec![GATEWAY], mtu: None }
}

/// Makes what the stages of networks find on a host, in the network namespace of the caller, which is a new one.
///
/// # Errors
/// Why there is no wire.
pub fn prepare_network() -> Result<(), String> {
    macvlan::make_parent(WIRE).map_err(|refusal| format!("make {WIRE}: {}", refusal.errno))
}

type Make = fn(&Place, &Rung) -> Box<dyn Primitive>;

/// A stage of the staircase.
pub struct Step {
    /// The stage's number.
    pub number: &'static str,
    /// Makes its primitive.
    make: Make,
    /// Whether it belongs to the process.
    of_process: bool,
    /// The stage that replaces it, from which on it is left out.
    until: &'static str,
}

const fn of_container(number: &'static str, make: Make) -> Step {
    Step { number, make, of_process: false, until: "99" }
}

const fn of_process(number: &'static str, make: Make) -> Step {
    Step { number, make, of_process: true, until: "99" }
}

// ANCHOR: ladder
/// Every stage but 00 and 01, in the order in which the child enters it: a new stage is one line in its place.
pub const LADDER: [Step; 24] = [
    Step { until: "04", ..of_container("03", |_, _| Box::new(User::single())) },
    of_container("19", |_, _| Box::new(SubIds::own(FIRST))),
    of_container("20", |_, _| Box::new(Idmap::default())),
    of_container("16", cgroup),
    of_container("17", |_, _| Box::new(CgroupNamespace)),
    of_container("04", |_, _| Box::new(Uts::new("container"))),
    of_container("05", |_, _| Box::new(PidNamespace)),
    of_container("06", |_, _| Box::new(Ipc)),
    of_container("07", |_, _| Box::new(Network)),
    of_container("21", |_, _| Box::new(Veth::new(bridge(), "bench", vec![ADDRESS]))),
    of_container("22", |_, _| Box::new(Nat::new(NET, NET))),
    of_container("23", |_, _| {
        let publish = vec!["80".parse().expect("a port")];
        Box::new(Ports::new(NET, NET, "bench", publish, vec![ADDRESS.address]))
    }),
    of_container("24", |place, _| Box::new(Resolver::new(&place.rootfs.join("resolv.conf"), &ResolvConf::default()))),
    of_container("25", |_, _| {
        let mut beside = Beside::new(WIRE, Kind::Macvlan(BRIDGE_MODE), vec![OTHER]);
        "eth1".clone_into(&mut beside.interface);
        Box::new(beside)
    }),
    Step { until: "03", ..of_container("02", |place, _| Box::new(chroot::Chroot::new(place.rootfs).expect("a path"))) },
    of_container("18", |_, _| Box::new(Time::new(0, 1_000_000_000))),
    of_container("09", overlay),
    of_container("08", mounts),
    of_process("10", |_, rung| if rung.quiet { Box::new(Session) } else { Box::new(Terminal::default()) }),
    of_process("15", |_, _| Box::new(rlimits::Limits(vec!["core=0".parse().expect("a limit")]))),
    of_process("11", |_, rung| {
        let ids = Ids { uid: 1000, gid: 1000, ..Ids::default() };
        Box::new(if rung.has("12") { ids.keeping_capabilities() } else { ids })
    }),
    of_process("12", |_, _| Box::new(Capabilities { set: CapabilitySet::DEFAULT })),
    of_process("13", |_, _| Box::new(NoNewPrivs)),
    of_process("14", |_, _| {
        let names: Vec<_> = CapabilitySet::DEFAULT.names().collect();
        Box::new(Seccomp::default_profile(&names).expect("the default profile"))
    }),
];
// ANCHOR_END: ladder

fn cgroup(place: &Place, _: &Rung) -> Box<dyn Primitive> {
    let name = place.base.file_name().expect("a name").to_string_lossy();
    let path = format!("/bench-{}-{name}", std::process::id());
    let limits = Limits { pids: Some(100), ..Limits::default() };
    Box::new(Cgroup::new(Path::new(&path), limits, &[]).expect("a cgroup"))
}

fn overlay(place: &Place, _: &Rung) -> Box<dyn Primitive> {
    let mut overlay = Overlay::new(vec![place.rootfs.to_owned()], place.base.to_owned());
    // As of containers that are removed when they end: else its end waits for the disk.
    overlay.volatile = true;
    Box::new(overlay)
}

fn mounts(place: &Place, rung: &Rung) -> Box<dyn Primitive> {
    // With idmapped layers the container's directory is closed to its root; without an overlay it is the root itself.
    let at = if rung.upto >= "20" {
        Path::new("/")
    } else if rung.upto >= "09" {
        place.base
    } else {
        place.rootfs
    };
    Box::new(Mounts::new(at, default_table(64 << 20)).expect("a path"))
}

/// How long a container took.
#[derive(Debug, Clone, Copy)]
pub struct Took {
    /// Until its program has ended.
    pub end: Duration,
    /// Until all was taken back.
    pub undone: Duration,
}

/// A container of the stages up to one.
#[derive(Debug, Clone, Copy)]
pub struct Rung {
    /// The last stage in it, by its number.
    pub upto: &'static str,
    /// As the C program: a session without a terminal, and nothing of stages 12 to 18.
    pub quiet: bool,
}

/// The stages that the C program is without.
const NOT_IN_C: std::ops::RangeInclusive<&str> = "12"..="18";

impl Rung {
    /// One for the process alone, and one a stage, by their numbers.
    pub fn all() -> Vec<Self> {
        let mut numbers: Vec<_> = LADDER.iter().map(|step| step.number).collect();
        numbers.push("00");
        numbers.sort_unstable();
        numbers.into_iter().map(|upto| Self { upto, quiet: false }).collect()
    }

    /// The rung that this one is one step above.
    pub fn below(self, all: &[Self]) -> Option<Self> {
        // Stage 02 and 03 are steps from 00: the later ones do without them.
        let before = all.iter().filter(|rung| rung.upto < self.upto && !is_replaced(rung.upto, self.upto));
        before.max_by_key(|rung| rung.upto).copied()
    }

    fn has(self, number: &str) -> bool {
        number <= self.upto && !(self.quiet && NOT_IN_C.contains(&number))
    }

    /// Makes the container, runs `true` in it to its end, and takes it all back.
    ///
    /// # Errors
    /// Why there is no container.
    pub fn run(self, place: &Place) -> process::Result<Took> {
        use std::os::fd::AsFd;
        let start = Instant::now();
        let name = if self.upto < "02" || (self.upto < "08" && self.upto != "02") {
            place.rootfs.join("true").into_os_string()
        } else {
            "/true".into()
        };
        let program = Program::new([name], [""; 0]).expect("no null byte");
        let (mut container, mut process) = (Container::default(), Process::new(program));
        for step in LADDER.iter().filter(|step| self.has(step.number) && self.upto < step.until) {
            let list = if step.of_process { &mut process.primitives } else { &mut container.0 };
            list.push((step.make)(place, &self));
        }
        let mut host = Host::new(Journal::in_memory());
        let child = spawn(&mut container, &mut process, &mut host)?;
        let failed = |errno| process::Error::new("bench", "wait for the program", errno);
        let code = sys::wait_exit(child.pidfd.as_fd()).map_err(failed)?;
        let end = start.elapsed();
        host.root = None;
        host.idmap = None;
        host.journal.undo_to(0).map_err(|e| process::Error::from_io("bench", "clean up", &e))?;
        if code == 0 {
            Ok(Took { end, undone: start.elapsed() })
        } else {
            Err(process::Error::new("bench", format!("true: exit code {code}"), nix::Error::EIO))
        }
    }
}

fn is_replaced(number: &str, by: &str) -> bool {
    LADDER.iter().any(|step| step.number == number && step.until <= by)
}
