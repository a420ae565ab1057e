//! What the kernel takes for each thing that a container is made of: `cargo bench -p benches --bench primitives`, as root.
//!
//! Where a benchmark makes a process, its time is from clone3(2) until it is reaped. Bridges, rules and mounts are of
//! namespaces that this program has for itself.
#![forbid(unsafe_code)]

use std::{
    fs,
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::Duration,
};

use benches::ladder::{Place, Rung, prepare_network};
use bridge::{Bridge, Veth};
use capabilities::CapabilitySet;
use cgroup::{Cgroup, Limits};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dns::{Names, Transport, Turns, decide};
use nat::Nat;
use nix::{
    libc,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    unistd::{chdir, getppid, pivot_root},
};
use ports::Ports;
use process::{
    Container, Host, Journal, Primitive, Process, Program,
    netlink::Prefix,
    spawn,
    sys::{self, Cloned, MountAttr},
};
use seccomp::{Context, Profile, Seccomp};

/// Runs `child` in a process of its own with these namespaces, and waits for its end.
fn in_child(flags: i32, child: impl FnOnce() -> i32) {
    match sys::clone3(flags as u64, None).expect("clone3") {
        Cloned::Child => sys::exit_now(child()),
        Cloned::Parent(_, pidfd) => {
            let code = sys::wait_exit(pidfd.expect("a pidfd").as_fd());
            assert_eq!(code, Ok(0), "the child failed");
        }
    }
}

/// `CLONE_NEWTIME` is a bit that clone(2) has for the signal.
const NEW_TIME: i32 = 0x80;

fn namespaces(c: &mut Criterion) {
    let each = [
        ("none", 0),
        ("uts", libc::CLONE_NEWUTS),
        ("ipc", libc::CLONE_NEWIPC),
        ("pid", libc::CLONE_NEWPID),
        ("mount", libc::CLONE_NEWNS),
        ("cgroup", libc::CLONE_NEWCGROUP),
        ("time", NEW_TIME),
        ("user", libc::CLONE_NEWUSER),
        ("network", libc::CLONE_NEWNET),
    ];
    let all = each.iter().fold(0, |all, (_, flag)| all | flag);
    let mut group = c.benchmark_group("clone");
    for (name, flags) in each.into_iter().chain([("all", all)]) {
        group.bench_function(name, |b| b.iter(|| in_child(flags, || 0)));
    }
    group.finish();
}

fn mounts(c: &mut Criterion) {
    let mut group = c.benchmark_group("mount");
    for kind in [c"tmpfs", c"proc", c"sysfs", c"mqueue", c"devpts"] {
        group.bench_function(kind.to_str().expect("a name"), |b| {
            b.iter(|| {
                let context = sys::fsopen(kind).expect("fsopen");
                sys::fsconfig_create(context.as_fd()).expect("fsconfig");
                sys::fsmount(context.as_fd(), MountAttr::default()).expect("fsmount")
            });
        });
    }
    let root = tempfile::tempdir().expect("a directory");
    // What clone(CLONE_NEWNS) takes is in both: the difference is the pivot.
    let private = || mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>);
    group.bench_function("a namespace made private", |b| {
        b.iter(|| in_child(libc::CLONE_NEWNS, || i32::from(private().is_err())));
    });
    group.bench_function("and pivot_root", |b| {
        b.iter(|| {
            in_child(libc::CLONE_NEWNS, || {
                let pivoted = private()
                    .and_then(|()| mount(Some(root.path()), root.path(), None::<&str>, MsFlags::MS_BIND, None::<&str>))
                    .and_then(|()| chdir(root.path()))
                    .and_then(|()| pivot_root(".", "."))
                    .and_then(|()| umount2(".", MntFlags::MNT_DETACH));
                i32::from(pivoted.is_err())
            });
        });
    });
    group.finish();
}

fn overlays(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let layers: Vec<PathBuf> = (0..300).map(|number| directory.path().join(number.to_string())).collect();
    for layer in &layers {
        fs::create_dir(layer).expect("a layer");
        fs::write(layer.join("file"), layer.to_string_lossy().as_bytes()).expect("a file");
    }
    let base = directory.path().join("base");
    let mut group = c.benchmark_group("overlay of layers");
    for count in [1, 10, 100, 300] {
        group.bench_with_input(BenchmarkId::from_parameter(count), &count, |b, count| {
            b.iter_custom(|times| (0..times).map(|_| on_overlay(&layers[..*count], &base, None)).sum());
        });
    }
    group.finish();
    let mut group = c.benchmark_group("overlay copy-up");
    for size in [4 << 10, 1 << 20, 64 << 20] {
        let lower = directory.path().join(format!("lower-{size}"));
        fs::create_dir(&lower).expect("a layer");
        fs::write(lower.join("file"), vec![7_u8; size]).expect("a file");
        group.throughput(Throughput::Bytes(size as u64));
        group.sample_size(10);
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            let lower = std::slice::from_ref(&lower);
            b.iter_custom(|times| (0..times).map(|_| on_overlay(lower, &base, Some("file"))).sum());
        });
    }
    group.finish();
}

/// How long it takes to mount a container's writable overlay of these layers; or the first open for writing of a file in it, by
/// which all of the file is copied.
fn on_overlay(layers: &[PathBuf], base: &Path, file: Option<&str>) -> Duration {
    let mut overlay = overlay::Overlay::new(layers.to_vec(), base.to_owned());
    overlay.volatile = true;
    let mut host = Host::new(Journal::in_memory());
    let start = std::time::Instant::now();
    host.prepare(&mut overlay).expect("an overlay");
    let mut took = start.elapsed();
    let root = host.root.take().expect("a root");
    if let Some(file) = file {
        let start = std::time::Instant::now();
        let flags = nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_CLOEXEC;
        let opened = nix::fcntl::openat(&root, file, flags, nix::sys::stat::Mode::empty()).expect("openat");
        took = start.elapsed();
        drop(opened);
    }
    drop(root);
    host.journal.undo_to(0).expect("undo");
    took
}

/// A container of these primitives alone, from the first call until `true` has ended and all is undone.
fn container(program: &Path, primitives: Vec<Box<dyn Primitive>>) {
    let program = Program::new([program.as_os_str()], [""; 0]).expect("a program");
    let mut host = Host::new(Journal::in_memory());
    let child = spawn(&mut Container(primitives), &mut Process::new(program), &mut host).expect("a container");
    assert_eq!(sys::wait_exit(child.pidfd.as_fd()), Ok(0));
    host.journal.undo_to(0).expect("undo");
}

/// A directory with the static busybox as `true`.
fn rootfs() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|directory| directory.join("busybox"))
        .find(|path| path.exists())
        .expect("busybox of the package busybox-static");
    fs::copy(found, directory.path().join("true")).expect("a copy");
    directory
}

fn cgroups(c: &mut Criterion) {
    let rootfs = rootfs();
    let program = rootfs.path().join("true");
    let path = PathBuf::from(format!("/bench-{}", std::process::id()));
    let cgroup = || Cgroup::new(&path, Limits { pids: Some(100), ..Limits::default() }, &[]).expect("a cgroup");
    let mut group = c.benchmark_group("cgroup");
    group.bench_function("made and removed", |b| {
        b.iter(|| {
            let mut host = Host::new(Journal::in_memory());
            host.prepare(&mut cgroup()).expect("a cgroup");
            host.journal.undo_to(0).expect("undo");
        });
    });
    group.bench_function("a process without", |b| b.iter(|| container(&program, Vec::new())));
    group.bench_function("a process that enters", |b| b.iter(|| container(&program, vec![Box::new(cgroup())])));
    group.finish();
}

fn filters(c: &mut Criterion) {
    let names: Vec<_> = CapabilitySet::DEFAULT.names().collect();
    let text = seccomp::DEFAULT_PROFILE;
    let mut group = c.benchmark_group("seccomp");
    group.bench_function("compile the default profile", |b| {
        b.iter(|| Seccomp::default_profile(black_box(&names)).expect("a filter"));
    });
    let context = Context::here(&names).expect("a context");
    let profile = Profile::parse(text).expect("a profile");
    let search = Seccomp::new(&profile, &context).expect("a filter");
    let linear = Seccomp::new_linear(&profile, &context).expect("a filter");
    let filters = [("no filter", None), ("binary search", Some(&search)), ("one after another", Some(&linear))];
    for (name, filter) in &filters {
        group.bench_function(format!("a process with {name}"), |b| {
            b.iter(|| in_child(0, || i32::from(filter.is_some_and(|filter| filter.load().is_err()))));
        });
    }
    // The child has the calls made, and tells by its end: so short a call cannot be timed one by one.
    for (name, filter) in &filters {
        group.bench_function(format!("a call through {name}"), |b| {
            b.iter_custom(|times| {
                let start = std::time::Instant::now();
                in_child(0, || {
                    if filter.is_some_and(|filter| filter.load().is_err()) {
                        return 1;
                    }
                    for _ in 0..times {
                        black_box(getppid());
                    }
                    0
                });
                start.elapsed()
            });
        });
    }
    group.finish();
}

const NET: &str = "bench";
const GATEWAY: Prefix = Prefix { address: IpAddr::V4(Ipv4Addr::new(10, 88, 0, 1)), length: 24 };
const ADDRESS: Prefix = Prefix { address: IpAddr::V4(Ipv4Addr::new(10, 88, 0, 2)), length: 24 };

type Make<'a> = &'a dyn Fn() -> Vec<Box<dyn Primitive>>;

fn networks(c: &mut Criterion) {
    let rootfs = rootfs();
    let program = rootfs.path().join("true");
    let veth =
        || Veth::new(Bridge { name: NET.to_owned(), gateways: vec![GATEWAY], mtu: None }, "bench", vec![ADDRESS]);
    let ports = |range: &str| Ports::new(NET, NET, "bench", vec![range.parse().expect("ports")], vec![ADDRESS.address]);
    // Until the program has ended: that the cable goes, the kernel takes its time for.
    let until_end = |primitives: Vec<Box<dyn Primitive>>| {
        let start = std::time::Instant::now();
        container(&program, primitives);
        start.elapsed()
    };
    let mut group = c.benchmark_group("network");
    group.sample_size(20);
    let each: [(&str, Make); 5] = [
        ("a namespace", &|| vec![Box::new(network::Network)]),
        ("and a cable to a bridge", &|| vec![Box::new(network::Network), Box::new(veth())]),
        ("and the way out", &|| vec![Box::new(network::Network), Box::new(veth()), Box::new(Nat::new(NET, NET))]),
        ("and a published port", &|| {
            let nat = Nat::new(NET, NET);
            vec![Box::new(network::Network), Box::new(veth()), Box::new(nat), Box::new(ports("8080:80"))]
        }),
        ("and a thousand", &|| {
            let nat = Nat::new(NET, NET);
            let ports = ports("8000-8999:8000-8999");
            vec![Box::new(network::Network), Box::new(veth()), Box::new(nat), Box::new(ports)]
        }),
    ];
    for (name, make) in each {
        group.bench_function(name, |b| b.iter_custom(|times| (0..times).map(|_| until_end(make())).sum()));
    }
    group.finish();
}

fn names(c: &mut Criterion) {
    let mut group = c.benchmark_group("dns");
    for count in [5_u32, 500] {
        let mut zone = Names::default();
        for number in 0..count {
            zone.add(&format!("web-{number}"), IpAddr::V4(Ipv4Addr::from(0x0a58_0000 + number)));
        }
        let question = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x05web-3\0\0\x01\0\x01";
        let mut turns = Turns::default();
        group.bench_function(format!("an answer about one of {count}"), |b| {
            b.iter(|| decide(black_box(question), Transport::Udp, &zone, &mut turns));
        });
    }
    group.finish();
}

/// The whole: the sum of all that is above is less than this by what a list of primitives costs.
fn whole(c: &mut Criterion) {
    let (rootfs, base) = (rootfs(), tempfile::tempdir().expect("a directory"));
    let base = base.path().join("base");
    c.bench_function("a container of the stages up to 20", |b| {
        let rung = Rung { upto: "20", quiet: false };
        let place = Place { rootfs: rootfs.path(), base: &base };
        b.iter_custom(|times| (0..times).map(|_| rung.run(&place).expect("a container").undone).sum());
    });
}

/// What is made here goes with this program.
fn alone(_: &mut Criterion) {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("unshare(2) takes root");
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).expect("mount");
    prepare_network().expect("a network");
}

criterion_group! {
    name = primitives;
    config = Criterion::default().sample_size(50).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = alone, namespaces, mounts, overlays, cgroups, filters, networks, names, whole
}
criterion_main!(primitives);
