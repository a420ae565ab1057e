//! Every primitive of the stages in one container, and one real failure of each.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{fs, path::Path};

use capabilities::{Capabilities, CapabilitySet};
use cgroup::{Cgroup, Controller, DeviceLimit, Limits, Rate};
use cgroupns::CgroupNamespace;
use chroot::Chroot;
use dns::Resolver;
use idmap::Idmap;
use ids::Ids;
use ipc::Ipc;
use mount::{Mount, Mounts, Source, Target, default_table};
use network::Network;
use nix::libc;
use no_new_privs::NoNewPrivs;
use overlay::Overlay;
use pid::PidNamespace;
use process::{CloneArgs, EXEC, Errno, Inside, Primitive, Process, WorkingDirectory, sys::MountAttr};
use seccomp::Seccomp;
use subids::SubIds;
use tests::{
    cgroups,
    container::{List, command, shell},
};
use time::Time;
use tty::{Session, Terminal};
use user::{IdRange, User};
use uts::Uts;

fn map(count: u32) -> User {
    let range = vec![IdRange { inside: 0, outside: 0, count }];
    User::ranges(range.clone(), range)
}

/// Whose ids a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Users {
    /// The host's: it has no user namespace.
    Hosts,
    /// The host's numbers in a user namespace; the child mounts the overlay.
    Mapped,
    /// Its own, with idmapped layers.
    Own,
    /// The same, the layers attached as old kernels want them.
    OwnAttached,
}

impl Users {
    pub(crate) const ALL: [Self; 4] = [Self::Hosts, Self::Mapped, Self::Own, Self::OwnAttached];

    /// The one that is shown so by `Debug`.
    pub(crate) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|users| format!("{users:?}") == name).unwrap()
    }
}

/// All of the container's primitives, over the directory `lower`.
pub(crate) fn container(users: Users, lower: &Path, base: &Path) -> List {
    let user: List = match users {
        Users::Hosts => vec![],
        Users::Mapped => vec![Box::new(map(65536))],
        Users::Own | Users::OwnAttached => vec![Box::new(SubIds::own(700_000)), Box::new(Idmap::default())],
    };
    let at = if matches!(users, Users::Own | Users::OwnAttached) { Path::new("/") } else { base };
    let mounts = Mounts::new(at, default_table(64 << 20)).unwrap();
    let mut overlay = Overlay::new(vec![lower.to_owned()], base.to_owned());
    overlay.attach_layers = users == Users::OwnAttached;
    let limits = Limits { pids: Some(100), nano_cpus: Some(1_000_000_000), ..Limits::default() };
    let cgroup = Cgroup::new(&cgroups::name(), limits, &[Controller::Memory]).unwrap();
    let rest: List = vec![
        Box::new(cgroup),
        Box::new(CgroupNamespace),
        Box::new(Uts::new("container")),
        Box::new(PidNamespace),
        Box::new(Ipc),
        Box::new(Network),
        Box::new(Resolver::default()),
        Box::new(Time::new(1_000_000_000, 1_000_000_000)),
        Box::new(overlay),
        Box::new(mounts),
    ];
    user.into_iter().chain(rest).collect()
}

/// All primitives of a process.
pub(crate) fn process(process: Process) -> Process {
    let primitives: List = vec![
        Box::new(Terminal { size: Some((24, 80)), console: true }),
        Box::new(WorkingDirectory::new(Path::new("/made/for/it")).unwrap()),
        Box::new(rlimits::Limits(vec!["nofile=512:1024".parse().unwrap()])),
        Box::new(Ids { uid: 1000, gid: 1000, groups: vec![1, 2, 3], keep_capabilities: true }),
        Box::new(Capabilities { set: CapabilitySet::DEFAULT }),
        Box::new(NoNewPrivs),
        Box::new(Seccomp::default_profile(&[]).unwrap()),
    ];
    Process { primitives, ..process }
}

/// A primitive that has to fail, and how.
pub(crate) struct Failure {
    pub(crate) container: List,
    pub(crate) process: Process,
    pub(crate) primitive: &'static str,
    /// How the words of the error begin.
    pub(crate) doing: String,
    pub(crate) errno: Errno,
}

/// `enter` alone, without the namespace that it needs.
struct WithoutNamespace<P>(P);

impl<P: Primitive> Primitive for WithoutNamespace<P> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        self.0.enter(inside)
    }

    fn step(&self, step: u16) -> String {
        self.0.step(step)
    }
}

/// Asks for what clone3(2) refuses: a mount namespace and a shared working directory.
struct Contradiction;

impl Primitive for Contradiction {
    fn name(&self) -> &'static str {
        "contradiction"
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(libc::CLONE_NEWNS);
        args.add(libc::CLONE_FS);
    }
}

fn fails<'a>(
    container: List,
    primitives: List,
    (primitive, doing, errno): (&'static str, impl Into<std::borrow::Cow<'a, str>>, Errno),
) -> Failure {
    let process = Process { primitives, ..command(&["true"]) };
    Failure { container, process, primitive, doing: doing.into().into_owned(), errno }
}

/// One failure or more of every primitive. `image` is a root filesystem, `scratch` an empty directory.
pub(crate) fn failures(image: &Path, scratch: &Path) -> Vec<Failure> {
    let mut all = of_containers(image, scratch);
    all.extend(of_cgroups_and_clocks());
    all.extend(of_overlays(image, scratch));
    all.extend(of_processes(image, scratch));
    all
}

fn of_containers(image: &Path, scratch: &Path) -> Vec<Failure> {
    let (missing, file) = (Path::new("/nonexistent"), scratch.join("file"));
    fs::write(&file, "").unwrap();
    let chroot = |path: &Path| -> List { vec![Box::new(Chroot::new(path).unwrap())] };
    let mounts = |at: &Path, table| -> Box<dyn Primitive> { Box::new(Mounts::new(at, table).unwrap()) };
    let one = |source| Mount::new(Path::new("/mnt"), Target::Directory, source, MountAttr::default()).unwrap();
    let bind = one(Source::Bind(c"/nonexistent".to_owned()));
    let odd = one(Source::Filesystem(c"tmpfs", vec![(c"size", c"much".to_owned())]));
    let nobody = User::ranges(vec![IdRange { inside: 0, outside: 0, count: 0 }], vec![]);
    vec![
        fails(chroot(missing), vec![], ("chroot", "chroot(\"/nonexistent\")", Errno::ENOENT)),
        fails(chroot(&file), vec![], ("chroot", "chroot(", Errno::ENOTDIR)),
        fails(vec![Box::new(nobody)], vec![], ("user", "write(\"/proc/", Errno::EINVAL)),
        fails(vec![Box::new(SubIds::own(u32::MAX))], vec![], ("subids", "uid_map: 0 4294967295 65536", Errno::EINVAL)),
        fails(vec![Box::new(Idmap::default())], vec![], ("idmap", "find the maps", Errno::EINVAL)),
        fails(vec![Box::new(Uts::new("x".repeat(65)))], vec![], ("uts", "sethostname(\"xxx", Errno::EINVAL)),
        fails(
            vec![Box::new(User::single()), Box::new(WithoutNamespace(Uts::new("stolen")))],
            vec![],
            ("uts", "sethostname(\"stolen\")", Errno::EPERM),
        ),
        fails(
            vec![Box::new(User::single()), Box::new(WithoutNamespace(Network))],
            vec![],
            ("network", "ioctl(SIOCSIFFLAGS", Errno::EPERM),
        ),
        fails(
            vec![Box::new(User::single()), Box::new(WithoutNamespace(Mounts::new(image, vec![]).unwrap()))],
            vec![],
            ("mount", "mount(\"/\", MS_REC|MS_PRIVATE)", Errno::EPERM),
        ),
        fails(vec![mounts(missing, vec![])], vec![], ("mount", "move_mount(root, \"/nonexistent\")", Errno::ENOENT)),
        fails(vec![mounts(&file, vec![])], vec![], ("mount", "pivot_root(\".\", \".\")", Errno::ENOTDIR)),
        fails(vec![mounts(image, vec![bind])], vec![], ("mount", "open_tree(\"/nonexistent\"", Errno::ENOENT)),
        fails(vec![mounts(image, vec![odd])], vec![], ("mount", "fsmount(tmpfs, size=much", Errno::EINVAL)),
        fails(vec![Box::new(Contradiction)], vec![], ("process", "clone3(CLONE_NEWNS)", Errno::EINVAL)),
    ]
}

fn of_cgroups_and_clocks() -> Vec<Failure> {
    let cpus = Limits { cpuset_cpus: Some("4095".to_owned()), ..Limits::default() };
    let far = Limits { devices: vec![NOWHERE], ..Limits::default() };
    let cgroup = |limits| -> List { vec![Box::new(Cgroup::new(&cgroups::name(), limits, &[]).unwrap())] };
    vec![
        fails(cgroup(cpus), vec![], ("cgroup", "limit to cpuset cpus \"4095\"", Errno::EINVAL)),
        fails(cgroup(far), vec![], ("cgroup", "write(\"/sys/fs/cgroup/", Errno::ENODEV)),
        fails(vec![Box::new(Time::new(-(1 << 100), 0))], vec![], ("time", "set monotonic by -", Errno::ERANGE)),
        // By somebody who has no rights any more.
        fails(
            vec![Box::new(Ids { uid: 1000, gid: 1000, groups: vec![], ..Ids::default() }), Box::new(Time::new(1, 1))],
            vec![],
            ("time", "unshare(CLONE_NEWTIME)", Errno::EPERM),
        ),
        fails(
            vec![Box::new(Ids { uid: 1000, gid: 1000, groups: vec![], ..Ids::default() }), Box::new(CgroupNamespace)],
            vec![],
            ("cgroupns", "unshare(CLONE_NEWCGROUP)", Errno::EPERM),
        ),
    ]
}

/// A device that no machine has.
const NOWHERE: DeviceLimit = DeviceLimit { device: (4000, 77), rate: Rate::ReadBytes, most: 1 << 20 };

fn of_overlays(image: &Path, scratch: &Path) -> Vec<Failure> {
    let overlay = |lower: &Path, base: &str| -> Box<dyn Primitive> {
        Box::new(Overlay::new(vec![lower.to_owned()], scratch.join(base)))
    };
    let missing = Path::new("/nonexistent/lower");
    let words = |lower: &Path| format!("fsmount(overlay, lowerdir={}", lower.display());
    let bad = scratch.join("bad-work");
    fs::create_dir(&bad).unwrap();
    fs::write(bad.join("work"), "").unwrap();
    // The upper directory would be its own lower one.
    let same = scratch.join("same/upper");
    fs::create_dir_all(&same).unwrap();
    let mut all = Vec::new();
    for user in [false, true] {
        let list = |overlay| -> List {
            let user: Option<Box<dyn Primitive>> = user.then(|| -> Box<dyn Primitive> { Box::new(map(65536)) });
            let mounts: Box<dyn Primitive> = Box::new(Mounts::new(image, vec![]).unwrap());
            user.into_iter().chain([overlay, mounts]).collect()
        };
        all.push(fails(list(overlay(missing, "base")), vec![], ("overlay", words(missing), Errno::ENOENT)));
        all.push(fails(list(overlay(image, "no/parent")), vec![], ("overlay", "mkdir(", Errno::ENOENT)));
        all.push(fails(list(overlay(image, "bad-work")), vec![], ("overlay", words(image), Errno::ENOTDIR)));
        all.push(fails(list(overlay(&same, "same")), vec![], ("overlay", words(&same), Errno::ELOOP)));
    }
    all
}

fn of_processes(image: &Path, scratch: &Path) -> Vec<Failure> {
    let chroot = |path: &Path| -> List { vec![Box::new(Chroot::new(path).unwrap())] };
    let ids = |uid, gid, groups: &[u32]| -> List {
        vec![Box::new(Ids { uid, gid, groups: groups.to_vec(), ..Ids::default() })]
    };
    let mapped = || -> List { vec![Box::new(map(10))] };
    let file = scratch.join("file");
    let directory = |path: &Path| -> List { vec![Box::new(WorkingDirectory::new(path).unwrap())] };
    vec![
        fails(chroot(image), vec![Box::new(Terminal::default())], ("tty", "open(\"/dev/pts/ptmx\")", Errno::ENOENT)),
        fails(vec![], vec![Box::new(Session), Box::new(Session)], ("session", "setsid()", Errno::EPERM)),
        fails(vec![], directory(&file), ("directory", "chdir(", Errno::ENOTDIR)),
        fails(vec![], directory(Path::new("/proc/missing")), ("directory", "mkdir -p", Errno::ENOENT)),
        fails(mapped(), ids(0, 0, &[10]), ("ids", "setgroups([10])", Errno::EINVAL)),
        fails(mapped(), ids(0, 10, &[]), ("ids", "setresgid(10, 10, 10)", Errno::EINVAL)),
        fails(mapped(), ids(10, 0, &[]), ("ids", "setresuid(10, 10, 10)", Errno::EINVAL)),
        fails(vec![Box::new(User::single())], ids(0, 0, &[]), ("ids", "setgroups([])", Errno::EPERM)),
        Failure {
            process: command(&["/bin/missing"]),
            ..fails(chroot(image), vec![], (EXEC, "execve(\"/bin/missing\")", Errno::ENOENT))
        },
        Failure {
            process: Process { init: true, ..command(&["/etc/passwd"]) },
            ..fails(chroot(image), vec![], (EXEC, "execve(\"/etc/passwd\")", Errno::EACCES))
        },
    ]
}

/// A shell behind an init or without one.
pub(crate) fn script(script: &str, init: bool) -> Process {
    Process { init, ..shell(script) }
}
