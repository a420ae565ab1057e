//! All 128 subsets of seven namespaces start, and exactly those asked for differ from the host's.

use cgroupns::CgroupNamespace;
use ipc::Ipc;
use network::Network;
use nix::libc;
use pid::PidNamespace;
use process::{CloneArgs, Primitive};
use tests::container::{List, command, namespace, own_namespace, start};
use user::User;
use uts::Uts;

/// Only the namespace, without the root and the mounts that the stage puts into it.
struct MountNamespace;

impl Primitive for MountNamespace {
    fn name(&self) -> &'static str {
        "mount"
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(libc::CLONE_NEWNS);
    }
}

/// By the names in /proc/PID/ns, in the order of entering.
const KINDS: [&str; 7] = ["user", "cgroup", "uts", "pid", "ipc", "net", "mnt"];

fn primitive(kind: &str) -> Box<dyn Primitive> {
    match kind {
        "user" => Box::new(User::single()),
        "cgroup" => Box::new(CgroupNamespace),
        "uts" => Box::new(Uts::new("container")),
        "pid" => Box::new(PidNamespace),
        "ipc" => Box::new(Ipc),
        "net" => Box::new(Network),
        _ => Box::new(MountNamespace),
    }
}

#[test]
fn every_subset_differs_from_the_host_in_what_was_asked_for_and_nothing_else() {
    let host = KINDS.map(own_namespace);
    for subset in 0_u8..128 {
        let asked = |number: usize| subset & (1 << number) != 0;
        let list: List = (0..KINDS.len()).filter(|n| asked(*n)).map(|n| primitive(KINDS[n])).collect();
        let running = start(list, command(&["sleep", "20"])).unwrap_or_else(|e| panic!("{subset:07b}: {e}"));
        for (number, kind) in KINDS.iter().enumerate() {
            let differs = namespace(running.child.pid, kind) != host[number];
            assert_eq!(differs, asked(number), "{kind} in {subset:07b}");
        }
    }
    assert_eq!(KINDS.map(own_namespace), host, "the starter stays where it was");
}
