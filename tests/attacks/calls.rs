//! System calls that no container needs: the kernel's surface.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use nix::libc;

use crate::attack::{Attack, Defence, Outcome, Scene};

/// As programs/calls.c prints them.
const CALLS: [(&str, &str); 69] = [
    ("socket(AF_ALG)", "CVE-2026-31431"),
    ("socket(AF_ALG + 2^32)", "CVE-2026-31431"),
    ("socket(AF_VSOCK)", ""),
    ("socket(AF_PACKET)", "CVE-2020-14386"),
    ("socket(AF_INET, SOCK_PACKET)", ""),
    ("socket(SOCK_RAW, IPPROTO_RAW)", ""),
    ("socket(SOCK_RAW, IPPROTO_ICMPV6)", "CVE-2020-10749"),
    ("setsockopt(IP_HDRINCL)", ""),
    ("setsockopt(IP_TRANSPARENT)", ""),
    ("io_uring_setup", ""),
    ("io_uring_enter", ""),
    ("userfaultfd", ""),
    ("bpf", ""),
    ("perf_event_open", ""),
    ("keyctl", "CVE-2014-9529"),
    ("add_key", ""),
    ("request_key", ""),
    ("unshare(CLONE_NEWUSER)", "CVE-2022-0185"),
    ("unshare(CLONE_NEWNS)", "CVE-2022-0492"),
    ("unshare(CLONE_NEWNET)", ""),
    ("clone(CLONE_NEWUSER)", "CVE-2022-0185"),
    ("clone3(CLONE_NEWUSER)", "CVE-2022-0185"),
    ("mount", ""),
    ("umount2", ""),
    ("fsopen", "CVE-2022-0185"),
    ("open_tree(OPEN_TREE_CLONE)", ""),
    ("move_mount", ""),
    ("mount_setattr", ""),
    ("pivot_root", ""),
    ("setns", ""),
    ("open_by_handle_at", "\"Shocker\""),
    ("init_module", ""),
    ("finit_module", ""),
    ("delete_module", ""),
    ("kexec_load", ""),
    ("reboot", ""),
    ("clock_settime", ""),
    ("settimeofday", ""),
    ("swapon", ""),
    ("swapoff", ""),
    ("acct", ""),
    ("quotactl", ""),
    ("syslog", ""),
    ("personality(ADDR_NO_RANDOMIZE)", ""),
    ("kcmp", ""),
    ("pidfd_getfd", ""),
    ("move_pages", ""),
    ("mbind", ""),
    ("fanotify_init", ""),
    ("lookup_dcookie", ""),
    ("fspick", ""),
    ("kexec_file_load", ""),
    ("quotactl_fd", ""),
    ("lsm_set_self_attr", ""),
    ("open_tree_attr", ""),
    ("listns", ""),
    ("getpid of x32", ""),
    ("io_uring_setup of x32", ""),
    ("iopl", ""),
    ("ioperm", ""),
    ("socket(AF_ALG) of i386", "CVE-2026-31431"),
    ("socket(AF_VSOCK) of i386", ""),
    ("socketcall(SYS_SOCKET, AF_ALG) of i386", "CVE-2026-31431"),
    ("socketcall(SYS_SOCKET, AF_VSOCK) of i386", ""),
    ("socketcall(SYS_SETSOCKOPT, IP_HDRINCL) of i386", ""),
    ("keyctl of i386", ""),
    ("unshare(CLONE_NEWUSER) of i386", ""),
    ("io_uring_setup of i386", ""),
    ("mount of i386", ""),
];

/// What the program printed, by engine and defence: it is run once each.
type Answers = Arc<Mutex<BTreeMap<(&'static str, bool), BTreeMap<String, i32>>>>;

pub(crate) fn attacks() -> Vec<Attack> {
    let answers = Answers::default();
    let attack = |(name, cve): (&'static str, &'static str)| {
        let answers = Arc::clone(&answers);
        Attack::new(("calls", name), cve, "--privileged", move |scene| {
            // While one asks, the others wait for the same answers.
            let mut answers = answers.lock().expect("a lock");
            let all = answers.entry((scene.target.name(), scene.is_on())).or_insert_with(|| ask(scene));
            match (all.get(name), scene.defence) {
                (None, _) => Outcome::Not("a call of another machine".to_owned()),
                (Some(0), _) => Outcome::Through("it is made".to_owned()),
                (Some(&errno @ (libc::EPERM | libc::ENOSYS)), Defence::On) => Outcome::Stopped(named(errno)),
                // Nothing of ours stands before it there.
                (Some(&(libc::ENOSYS | libc::EAFNOSUPPORT)), Defence::Off) => {
                    Outcome::Not("this kernel has none".to_owned())
                }
                (Some(&libc::EPERM), Defence::Off) => Outcome::Stopped("EPERM".to_owned()),
                (Some(&errno), _) => Outcome::Through(format!("the kernel itself answers: {}", named(errno))),
            }
        })
    };
    CALLS.map(attack).into()
}

fn ask(scene: &Scene) -> BTreeMap<String, i32> {
    let flags: &[&str] = if scene.is_on() { &[] } else { &["--privileged"] };
    let said = scene.run(flags, &["/attack/calls"]).expect("all engines run programs");
    let line = |line: &str| {
        let (name, errno) = line.rsplit_once(' ')?;
        Some((name.to_owned(), errno.parse().ok()?))
    };
    said.ok().lines().filter_map(line).collect()
}

fn named(errno: i32) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(errno))
}
