//! What root may do.

use std::fs;

use capabilities::{Capabilities, CapabilitySet};
use ids::Ids;
use nix::unistd::{Gid, setgid};
use pid::PidNamespace;
use process::{Errno, Inside, Primitive, Process, sys};
use tests::container::{List, Ran, image, run, script_as_nobody, script_as_root, shell, start, with_init};
use user::{IdRange, User};

const STAGE: &str = env!("CARGO_BIN_EXE_stage-12-capabilities");

fn map() -> User {
    let range = vec![IdRange { inside: 0, outside: 0, count: 65536 }];
    User::ranges(range.clone(), range)
}

/// As user `uid`, whose group is the same, with `set`.
fn limited(uid: u32, set: CapabilitySet) -> List {
    let ids = Ids { uid, gid: uid, ..Ids::default() };
    vec![Box::new(ids.keeping_capabilities()), Box::new(Capabilities { set })]
}

fn script(primitives: List, script: &str) -> Ran {
    run(vec![Box::new(map())], Process { primitives, ..shell(script) })
}

/// The five sets in the kernel's words: inheritable, permitted, effective, bounding, ambient.
fn sets(status: &str) -> [u64; 5] {
    ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        u64::from_str_radix(line.trim(), 16).unwrap()
    })
}

const STATUS: &str = "exec cat /proc/self/status";

#[test]
fn root_has_the_set_and_no_more() {
    let set = CapabilitySet::DEFAULT;
    assert_eq!(sets(&script(limited(0, set), STATUS).out), [0, set.bits(), set.bits(), set.bits(), 0]);
    let all = CapabilitySet::of_kernel().bits();
    assert_eq!(sets(&script(vec![], STATUS).out), [0, all, all, all, 0], "without the primitive");
    assert_eq!(sets(&script(limited(0, CapabilitySet::EMPTY), STATUS).out), [0; 5]);
    assert_eq!(sets(&script(limited(0, CapabilitySet::of_kernel()), STATUS).out), [0, all, all, all, 0]);
}

#[test]
fn without_a_user_namespace_it_is_the_same() {
    let set = CapabilitySet::DEFAULT;
    let status = run(vec![], Process { primitives: limited(0, set), ..shell(STATUS) }).out;
    assert_eq!(sets(&status), [0, set.bits(), set.bits(), set.bits(), 0]);
    let status = run(vec![], Process { primitives: limited(1000, set), ..shell(STATUS) }).out;
    assert_eq!(sets(&status), [0, 0, 0, set.bits(), 0]);
}

#[test]
fn an_ordinary_user_has_none_and_cannot_get_others() {
    let set = CapabilitySet::DEFAULT;
    assert_eq!(sets(&script(limited(1000, set), STATUS).out), [0, 0, 0, set.bits(), 0]);
}

/// Makes a capability inheritable and ambient, as a careless caller may have.
struct Ambient;

impl Primitive for Ambient {
    fn name(&self) -> &'static str {
        "ambient"
    }

    fn enter(&self, _: &Inside) -> Result<(), Errno> {
        let sets = sys::capabilities()?;
        sys::set_capabilities(sys::Capabilities { inheritable: sets.permitted, ..sets })
    }
}

#[test]
fn what_was_inherited_is_gone() {
    let with = |mut after: List| -> List {
        let mut list: List = vec![Box::new(Ambient)];
        list.append(&mut after);
        list
    };
    assert_ne!(sets(&script(with(vec![]), STATUS).out)[0], 0, "the caller's set is inherited");
    let set = CapabilitySet::DEFAULT;
    assert_eq!(sets(&script(with(limited(0, set)), STATUS).out)[0], 0);
    assert_eq!(sets(&script(with(limited(1000, set)), STATUS).out), [0, 0, 0, set.bits(), 0]);
}

/// Process 1 is no program of the image: it has never been through exec.
#[test]
fn init_is_cut_too() {
    for uid in [0, 1000] {
        let process =
            with_init(Process { primitives: limited(uid, CapabilitySet::DEFAULT), ..shell("echo up; read x") });
        let container: List = vec![Box::new(map()), Box::new(PidNamespace)];
        let mut running = start(container, process).unwrap();
        running.wait_for("up");
        let set = CapabilitySet::DEFAULT.bits();
        let own = if uid == 0 { set } else { 0 };
        let status = fs::read_to_string(format!("/proc/{}/status", running.child.pid)).unwrap();
        assert_eq!(sets(&status), [0, own, own, set, 0], "user {uid}");
    }
}

/// Tries to be root's group again, in the process that has changed its user.
struct Regain;

impl Primitive for Regain {
    fn name(&self) -> &'static str {
        "regain"
    }

    fn enter(&self, _: &Inside) -> Result<(), Errno> {
        setgid(Gid::from_raw(0))
    }
}

#[test]
fn capabilities_kept_over_the_change_of_ids_are_there_until_the_cut() {
    let keep = || Box::new(Ids { uid: 1000, gid: 1000, ..Ids::default() }.keeping_capabilities());
    let raise = || Box::new(Raise);
    let go = |primitives| start(vec![Box::new(map())], Process { primitives, ..shell("exit 0") });
    let kept = go(vec![keep(), raise(), Box::new(Regain)]).unwrap().finish();
    assert_eq!(kept.code, 0, "kept, they can be made effective");
    let cut = Box::new(Capabilities { set: CapabilitySet::of_kernel() });
    let error = go(vec![keep(), cut, raise(), Box::new(Regain)]).err().expect("they are gone");
    assert_eq!((error.primitive, error.errno), ("regain", Errno::EPERM));
}

/// Makes all that is permitted effective.
struct Raise;

impl Primitive for Raise {
    fn name(&self) -> &'static str {
        "raise"
    }

    fn enter(&self, _: &Inside) -> Result<(), Errno> {
        let sets = sys::capabilities()?;
        sys::set_capabilities(sys::Capabilities { effective: sets.permitted, ..sets })
    }
}

#[test]
fn a_set_user_id_program_brings_no_more_than_the_bounding_set() {
    let image = image();
    let busybox = image.path().join("bin/busybox");
    // `su` of busybox keeps the user that it got by exec, and root has no password here.
    fs::set_permissions(&busybox, std::os::unix::fs::PermissionsExt::from_mode(0o4755)).unwrap();
    fs::write(image.path().join("etc/passwd"), "root::0:0:root:/root:/bin/sh\nu:x:1000:1000::/:/bin/sh\n").unwrap();
    let su = |set| {
        let container: List = vec![Box::new(uts::Uts::new("c")), Box::new(chroot::Chroot::new(image.path()).unwrap())];
        run(container, Process { primitives: limited(1000, set), ..shell("su root -c 'id -u; hostname evil'") })
    };
    let all = su(CapabilitySet::available().unwrap());
    assert_eq!((all.code, all.out.as_str()), (0, "0\n"));
    let few = su(CapabilitySet::DEFAULT);
    assert!(few.code != 0 && few.out.contains("0\n") && few.out.contains("not permitted"), "{few:?}");
}

#[test]
fn to_keep_nothing_over_the_change_of_ids_is_an_error() {
    let ids = Ids { uid: 1000, gid: 1000, ..Ids::default() };
    let primitives: List = vec![Box::new(ids), Box::new(Capabilities { set: CapabilitySet::DEFAULT })];
    let error = start(vec![Box::new(map())], Process { primitives, ..shell("exit 0") }).err().expect("an error");
    assert_eq!((error.primitive, error.errno), ("capabilities", Errno::EPERM));
    assert!(error.to_string().contains("CAP_SETPCAP"), "{error}");
}

#[test]
fn more_than_there_is_cannot_be_given() {
    let primitives: List = vec![
        Box::new(Capabilities { set: CapabilitySet::DEFAULT }),
        Box::new(Capabilities { set: CapabilitySet::named("SYS_ADMIN").unwrap() }),
    ];
    let error = start(vec![], Process { primitives, ..shell("exit 0") }).err().expect("an error");
    assert_eq!((error.primitive, error.errno), ("capabilities", Errno::EPERM));
    assert!(error.to_string().contains("capset(CAP_SYS_ADMIN)"), "{error}");
}

#[test]
fn attacks_of_root_are_refused() {
    let image = image();
    let container = || -> List {
        let root = Box::new(chroot::Chroot::new(image.path()).unwrap());
        vec![Box::new(map()), Box::new(uts::Uts::new("c")), Box::new(network::Network), root]
    };
    for attack in ["hostname evil", "ip link set lo down", "ping -c 1 -w 2 127.0.0.1"] {
        let before = run(container(), shell(attack));
        assert_eq!(before.code, 0, "{attack}: {before:?}");
        let after = run(container(), Process { primitives: limited(0, CapabilitySet::DEFAULT), ..shell(attack) });
        let refused = after.out.contains("not permitted") || after.out.contains("permission denied");
        assert!(after.code != 0 && refused, "{attack}: {after:?}");
        let one = ["SYS_ADMIN", "NET_ADMIN", "NET_RAW"].map(|name| CapabilitySet::named(name).unwrap());
        let all = one.into_iter().fold(CapabilitySet::DEFAULT, CapabilitySet::union);
        let given = run(container(), Process { primitives: limited(0, all), ..shell(attack) });
        assert_eq!(given.code, 0, "{attack}: {given:?}");
    }
}

#[test]
fn the_binary_runs_root_with_little() {
    let image = image();
    let all = "hostname evil; mount -t tmpfs none /mnt; mknod /tmp/null c 1 3; ip link set lo down; id -u; chown 7 /tmp; \
               chroot / true && echo chroot";
    let ran = script_as_root(STAGE, image.path(), all);
    assert_eq!(ran.out.matches("Operation not permitted").count(), 3, "{ran:?}");
    assert!(ran.out.contains("0\r\nchroot\r\n"), "{ran:?}");
}

#[test]
fn the_binary_works_without_root() {
    let image = image();
    let ran = script_as_nobody(STAGE, image.path(), "id -u; hostname evil; grep CapEff /proc/self/status");
    assert!(ran.out.contains("0\r\n") && ran.out.contains("not permitted"), "{ran:?}");
    assert!(ran.out.contains(&format!("{:016x}", CapabilitySet::DEFAULT.bits())), "{ran:?}");
}
