//! The compiler against what profiles mean.

use crate::{
    compile::{balanced, filter, linear},
    interpret::{Data, run},
    load::{DEFAULT_PROFILE, Seccomp},
    names::{Arch, X32_BIT},
    profile::{Context, Profile},
    rules::{Action, Policy, Resolved},
};

const AMD64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const ARM64: u32 = 0xc000_00b7;
const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const EPERM: u32 = libc::SECCOMP_RET_ERRNO + 1;
const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO + 38;

fn context<'a>(capabilities: &'a [&'a str]) -> Context<'a> {
    Context { capabilities, kernel: (6, 1), arch: Arch::X8664 }
}

fn policy(json: &str, context: &Context) -> Policy {
    Profile::parse(json).unwrap().resolve(context).unwrap().policy()
}

fn error(json: &str) -> String {
    let resolve = |json: &str| -> Result<(), crate::ProfileError> {
        Profile::parse(json)?.resolve(&context(&[])).map(|_: Resolved| ())
    };
    resolve(json).expect_err(json).to_string()
}

/// What a profile says of a call on x86-64, by the compiled filter.
fn decides(json: &str, number: u32, args: [u64; 6]) -> u32 {
    let program = filter(&policy(json, &context(&[])), balanced);
    run(&program, &Data { number, arch: AMD64, args }).0
}

/// One xorshift step: the same numbers in every run.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Arguments at the edges, and any.
fn arguments(state: &mut u64) -> [u64; 6] {
    const EDGES: [u64; 16] =
        [0, 1, 2, 7, 8, 9, 37, 38, 39, 40, 41, 0x20008, 0x7e02_0000, 0xffff_ffff, 0x1_0000_0028, u64::MAX];
    std::array::from_fn(|_| match random(state) % 4 {
        0 => random(state),
        1 => EDGES[(random(state) % 16) as usize] << 32 | random(state) & 0xffff_ffff,
        _ => EDGES[(random(state) % 16) as usize],
    })
}

/// Balanced, linear and the policy itself say the same of every number that matters.
fn agree(policy: &Policy, rounds: usize) {
    let (tree, list) = (filter(policy, balanced), filter(policy, linear));
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let mut numbers: Vec<u32> = (0..=1024).chain(X32_BIT..=X32_BIT + 1024).collect();
    numbers.extend([2047, 4096, X32_BIT - 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX]);
    let edges = policy.0.iter().flat_map(|(_, ranges)| ranges.iter().map(|range| range.first));
    numbers.extend(edges.flat_map(|first| [first.wrapping_sub(1), first, first + 1]));
    for arch in [AMD64, I386, ARM64, 0, u32::MAX, 0x4000_0028] {
        for &number in &numbers {
            for _ in 0..rounds {
                let args = arguments(&mut state);
                let expected = policy.decide(arch, number, args).0;
                let data = Data { number, arch, args };
                assert_eq!(run(&tree, &data).0, expected, "the tree of {data:?}");
                assert_eq!(run(&list, &data).0, expected, "the list of {data:?}");
            }
        }
    }
    for program in [&tree, &list] {
        for (at, step) in program.iter().enumerate() {
            let furthest = if step.code & 7 == 5 && step.code != 5 { usize::from(step.jt.max(step.jf)) } else { 0 };
            assert!(at + furthest + 1 < program.len() || step.code == 6, "a jump out of the program at {at}");
        }
    }
}

#[test]
fn the_default_means_the_same_as_a_tree_and_as_a_list() {
    for capabilities in [&[][..], &["CAP_SYS_ADMIN"], &["CAP_SYS_PTRACE", "CAP_BPF", "CAP_SYS_TIME"]] {
        agree(&policy(DEFAULT_PROFILE, &context(capabilities)), 3);
    }
    let arm = Context { capabilities: &[], kernel: (6, 1), arch: Arch::Aarch64 };
    agree(&policy(DEFAULT_PROFILE, &arm), 2);
}

/// Profiles nobody would write: long sections, every comparison, every action.
#[test]
fn other_profiles_mean_the_same_as_a_tree_and_as_a_list() {
    const NAMES: [&str; 40] = [
        "read",
        "write",
        "open",
        "close",
        "stat",
        "fstat",
        "lstat",
        "poll",
        "lseek",
        "mmap",
        "mprotect",
        "munmap",
        "brk",
        "rt_sigaction",
        "ioctl",
        "pread64",
        "readv",
        "access",
        "pipe",
        "select",
        "dup",
        "pause",
        "getpid",
        "socket",
        "clone",
        "execve",
        "exit",
        "kill",
        "uname",
        "semget",
        "fcntl",
        "flock",
        "fsync",
        "rename",
        "mkdir",
        "rmdir",
        "link",
        "personality",
        "mseal",
        "statx",
    ];
    const OPS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    const ACTIONS: [&str; 6] = ["ALLOW", "LOG", "TRAP", "KILL", "KILL_PROCESS", "TRACE"];
    let mut state = 42;
    for round in 0..27 {
        let mut rules = Vec::new();
        for _ in 0..random(&mut state) % 90 {
            let name = NAMES[(random(&mut state) % 40) as usize];
            let action = ACTIONS[(random(&mut state) % 6) as usize];
            let first = random(&mut state) % 6;
            let args: Vec<String> = (0..random(&mut state) % 5)
                .map(|at| {
                    let op = OPS[(random(&mut state) % 7) as usize];
                    let values = arguments(&mut state);
                    let index = (first + at) % 6;
                    format!(
                        r#"{{"index":{index},"value":{},"valueTwo":{},"op":"SCMP_CMP_{op}"}}"#,
                        values[0], values[1]
                    )
                })
                .collect();
            let args = args.join(",");
            rules.push(format!(r#"{{"names":["{name}"],"action":"SCMP_ACT_{action}","args":[{args}]}}"#));
        }
        let arches = ["", r#""SCMP_ARCH_X86""#, r#""SCMP_ARCH_X32","SCMP_ARCH_X86""#][round % 3];
        let default = ["ERRNO", "ALLOW", "KILL_PROCESS"][round / 3 % 3];
        let rules = rules.join(",");
        let json =
            format!(r#"{{"defaultAction":"SCMP_ACT_{default}","architectures":[{arches}],"syscalls":[{rules}]}}"#);
        agree(&policy(&json, &context(&[])), 2);
    }
}

#[test]
fn the_tree_is_low() {
    let policy = policy(DEFAULT_PROFILE, &context(&[]));
    let tree = filter(&policy, balanced);
    for (arch, ranges) in &policy.0 {
        let most = (0..1024).chain([X32_BIT, u32::MAX]).map(|number| {
            // 41: a plain family, which passes all checks of socket.
            run(&tree, &Data { number, arch: *arch, args: [41; 6] }).1
        });
        // Thirteen questions about socket's arguments.
        let checks = 2 + 13 * 5;
        let depth = ranges.len().next_power_of_two().ilog2() as usize;
        let steps = most.max().unwrap();
        assert!(steps <= 6 + depth + checks, "{steps} steps over {} ranges", ranges.len());
        let getpid = if *arch == AMD64 { 39 } else { 20 };
        let (_, steps) = run(&tree, &Data { number: getpid, arch: *arch, args: [0; 6] });
        assert!(steps <= 6 + depth, "{steps} steps to allow getpid");
    }
    assert!(tree.len() < 500, "{} instructions", tree.len());
}

#[test]
fn the_default_allows_and_refuses() {
    let nr = |name: &str| Arch::X8664.number(crate::names::find(name).unwrap()).unwrap();
    let program = filter(&policy(DEFAULT_PROFILE, &context(&[])), balanced);
    let says =
        |name: &str, first: u64| run(&program, &Data { number: nr(name), arch: AMD64, args: [first, 0, 0, 0, 0, 0] }).0;
    for name in
        "read write mmap execve openat2 futex epoll_pwait2 statx rseq clone fork vfork ptrace seccomp".split(' ')
    {
        assert_eq!(says(name, 0), ALLOW, "{name}");
    }
    for name in
        "mount umount2 unshare setns keyctl add_key request_key bpf perf_event_open io_uring_setup io_uring_enter \
                 io_uring_register kexec_load kexec_file_load init_module finit_module delete_module reboot swapon \
                 userfaultfd open_by_handle_at fsopen move_mount pivot_root chroot settimeofday iopl syslog kcmp acct \
                 quotactl nfsservctl move_pages personality"
            .split_whitespace()
    {
        assert_eq!(says(name, 1), EPERM, "{name}");
    }
    assert_eq!(says("clone3", 0), ENOSYS);
    for namespace in [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
        assert_eq!(says("clone", namespace | 0x11), EPERM);
    }
    for (family, expected) in [(1, ALLOW), (2, ALLOW), (10, ALLOW), (16, ALLOW), (38, EPERM), (39, ALLOW), (40, EPERM)]
    {
        assert_eq!(says("socket", family), expected, "family {family}");
        assert_eq!(says("socket", family | 1 << 32), expected, "family {family} behind other bits");
        assert_eq!(says("socket", family | 0xffff_ffff << 32), expected);
    }
    for (value, expected) in
        [(0, ALLOW), (8, ALLOW), (0x20000, ALLOW), (0x20008, ALLOW), (0xffff_ffff, ALLOW), (0x40000, EPERM)]
    {
        assert_eq!(says("personality", value), expected, "personality {value:#x}");
    }
    let at = |number, arch| run(&program, &Data { number, arch, args: [0; 6] }).0;
    assert_eq!(at(20, I386), ALLOW, "getpid of a 32-bit program");
    assert_eq!(at(21, I386), EPERM, "mount");
    assert_eq!(at(X32_BIT + 39, AMD64), EPERM, "x32");
    assert_eq!(at(u32::MAX, AMD64), EPERM);
    assert_eq!(at(600, AMD64), ENOSYS, "a call that is newer than the profile");
    assert_eq!(at(39, ARM64), KILL, "another machine");
}

#[test]
fn capabilities_open_what_belongs_to_them() {
    let nr = |name: &str| Arch::X8664.number(crate::names::find(name).unwrap()).unwrap();
    let says = |capability: &str, name: &str| {
        let capabilities = [capability];
        let program = filter(&policy(DEFAULT_PROFILE, &context(&capabilities)), balanced);
        run(&program, &Data { number: nr(name), arch: AMD64, args: [0x1000_0000, 0, 0, 0, 0, 0] }).0
    };
    for (capability, name) in [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_ADMIN", "clone"),
        ("CAP_SYS_ADMIN", "clone3"),
        ("CAP_SYS_ADMIN", "unshare"),
        ("CAP_SYS_PTRACE", "kcmp"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_TIME", "settimeofday"),
        ("CAP_SYS_MODULE", "init_module"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        ("CAP_SYS_NICE", "mbind"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
        ("CAP_SYSLOG", "syslog"),
    ] {
        assert_eq!(says(capability, name), ALLOW, "{name} with {capability}");
        assert_ne!(says("CAP_CHOWN", name), ALLOW, "{name} without {capability}");
    }
    assert_eq!(says("CAP_SYS_ADMIN", "io_uring_setup"), EPERM);
}

/// Without `CAP_NET_RAW` in the profile's eyes: what `ping` takes, and nothing else that the capability is good for.
#[test]
fn raw_sockets_are_for_ping() {
    const SOCK_RAW: u64 = 3;
    const FLAGS: u64 = 0o2_004_000; // SOCK_CLOEXEC | SOCK_NONBLOCK
    let (socket, setsockopt) = (crate::names::find("socket").unwrap(), crate::names::find("setsockopt").unwrap());
    let program = |capabilities: &[&str]| filter(&policy(DEFAULT_PROFILE, &context(capabilities)), balanced);
    let (ping, all) = (program(&[]), program(&["CAP_NET_RAW"]));
    for (arch, audit) in [(Arch::X8664, AMD64), (Arch::X86, I386)] {
        let says = |program: &[libc::sock_filter], row, args: [u64; 3]| {
            let number = arch.number(row).unwrap();
            run(program, &Data { number, arch: audit, args: [args[0], args[1], args[2], 0, 0, 0] }).0
        };
        for (what, family, kind, protocol, expected) in [
            ("ICMP", 2, SOCK_RAW, 1, ALLOW),
            ("ICMPv6, which neighbours believe", 10, SOCK_RAW, 58, EPERM),
            ("headers of one's own", 2, SOCK_RAW, 255, EPERM),
            ("UDP", 2, SOCK_RAW, 17, EPERM),
            ("TCP of IPv6", 10, SOCK_RAW, 6, EPERM),
            ("packets", 17, SOCK_RAW, 0x0300, EPERM),
            ("packets without headers", 17, 2, 0x0300, EPERM),
            ("packets by the old name", 2, 10, 0x0300, EPERM),
            ("XDP", 44, SOCK_RAW, 0, EPERM),
            ("netlink", 16, SOCK_RAW, 0, ALLOW),
            ("local ones, where raw means datagrams", 1, SOCK_RAW, 0, ALLOW),
            ("CAN", 29, SOCK_RAW, 1, ALLOW),
            ("ping without rights", 2, 2, 1, ALLOW),
            ("a stream", 2, 1, 0, ALLOW),
        ] {
            let high = 0xffff_ffff << 32;
            for args in [[family, kind, protocol], [family | high, kind | FLAGS | high, protocol | high]] {
                assert_eq!(says(&ping, socket, args), expected, "{what}");
                assert_eq!(says(&all, socket, args), ALLOW, "{what}, with the capability");
            }
        }
        for (what, level, option, expected) in [
            ("IP_HDRINCL", 0, 3, EPERM),
            ("IP_TRANSPARENT", 0, 19, EPERM),
            ("IPV6_HDRINCL", 41, 36, EPERM),
            ("IPV6_TRANSPARENT", 41, 75, EPERM),
            ("IP_TTL", 0, 2, ALLOW),
            ("SO_TYPE", 1, 3, ALLOW),
            ("IPV6_RECVPKTINFO", 41, 49, ALLOW),
        ] {
            assert_eq!(says(&ping, setsockopt, [9, level, option]), expected, "{what}");
            assert_eq!(says(&all, setsockopt, [9, level, option]), ALLOW, "{what}, with the capability");
        }
    }
    // The call that holds those of sockets for 32-bit programs.
    let many = Arch::X86.number(crate::names::find("socketcall").unwrap()).unwrap();
    let says = |program: &[libc::sock_filter], first| {
        run(program, &Data { number: many, arch: I386, args: [first, 0, 0, 0, 0, 0] }).0
    };
    assert_eq!([1, 2, 14, 0xe | 1 << 32].map(|first| says(&ping, first)), [EPERM, ALLOW, EPERM, EPERM]);
    assert_eq!([1, 2, 14].map(|first| says(&all, first)), [EPERM, ALLOW, ALLOW]);
}

#[test]
fn conditions_are_docker_s() {
    let with = |condition: &str, context: &Context| {
        let json = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read"],"action":"SCMP_ACT_ALLOW",{condition}}}]}}"#
        );
        policy(&json, context).decide(AMD64, 0, [0; 6]) == Action::ALLOW
    };
    let both = ["CAP_BPF", "CAP_KILL"];
    for (condition, expected) in [
        (r#""includes":{"caps":["CAP_BPF"]}"#, true),
        (r#""includes":{"caps":["CAP_BPF","CAP_SYS_ADMIN"]}"#, false),
        (r#""excludes":{"caps":["CAP_SYS_ADMIN"]}"#, true),
        (r#""excludes":{"caps":["CAP_SYS_ADMIN","CAP_KILL"]}"#, false),
        (r#""includes":{"arches":["arm64","amd64"]}"#, true),
        (r#""includes":{"arches":["x86"]}"#, false),
        (r#""excludes":{"arches":["s390x"]}"#, true),
        (r#""excludes":{"arches":["amd64"]}"#, false),
        (r#""includes":{"minKernel":"6.1"}"#, true),
        (r#""includes":{"minKernel":"6.2"}"#, false),
        (r#""includes":{"minKernel":"5.15"}"#, true),
        (r#""excludes":{"minKernel":"4.8"}"#, false),
        (r#""excludes":{"minKernel":"7.0"}"#, true),
        (r#""includes":{},"excludes":null,"args":null,"comment":"""#, true),
    ] {
        assert_eq!(with(condition, &context(&both)), expected, "{condition}");
    }
}

#[test]
fn rules_for_one_call_are_weighed_as_by_libseccomp() {
    let rules = |rules: &str| format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{rules}]}}"#);
    let one = r#"{"name":"read","action":"SCMP_ACT_KILL","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}"#;
    let plain = r#"{"names":["read","no_such_call"],"action":"SCMP_ACT_ALLOW"}"#;
    let same = r#"{"names":["read"],"action":"SCMP_ACT_ERRNO"}"#;
    // One without checks wins, wherever it stands; one that repeats the default is none.
    for order in [format!("{one},{plain}"), format!("{plain},{one}"), format!("{same},{plain}")] {
        assert_eq!(decides(&rules(&order), 0, [1, 0, 0, 0, 0, 0]), ALLOW, "{order}");
    }
    let twice = r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":5,"op":"SCMP_CMP_EQ"},
                   {"index":0,"value":7,"op":"SCMP_CMP_EQ"}]}"#;
    let says = |first: u64, second: u64, json: &str| decides(&rules(json), 0, [first, second, 0, 0, 0, 0]);
    assert_eq!([says(5, 0, twice), says(6, 0, twice), says(7, 0, twice)], [ALLOW, EPERM, ALLOW], "either");
    let two = r#"{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":5,"op":"SCMP_CMP_EQ"},
                 {"index":1,"value":7,"op":"SCMP_CMP_GT"}]}"#;
    assert_eq!([says(5, 7, two), says(5, 8, two), says(4, 8, two)], [EPERM, ALLOW, EPERM], "both");
}

#[test]
fn actions_and_architectures_are_those_of_the_profile() {
    let default = |action: &str| decides(&format!(r#"{{"defaultAction":"SCMP_ACT_{action}"}}"#), 1, [0; 6]);
    assert_eq!(default("ALLOW"), ALLOW);
    assert_eq!(default("KILL"), 0);
    assert_eq!(default("KILL_PROCESS"), KILL);
    assert_eq!(default("LOG"), libc::SECCOMP_RET_LOG);
    assert_eq!(default("ERRNO\",\"defaultErrnoRet\":99,\"x\":\""), libc::SECCOMP_RET_ERRNO + 99);
    let allow = |arches: &str| policy(&format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW",{arches}}}"#), &context(&[]));
    let native = allow(r#""architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_S390X"]"#);
    assert_eq!(native.decide(I386, 20, [0; 6]), Action::KILL_PROCESS);
    assert_eq!(native.decide(AMD64, X32_BIT + 39, [0; 6]).0, ENOSYS);
    let map = r#""archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"]},
                 {"architecture":"SCMP_ARCH_AARCH64","subArchitectures":["SCMP_ARCH_ARM"]}]"#;
    let three = allow(map);
    assert_eq!(three.decide(I386, 20, [0; 6]), Action::ALLOW);
    assert_eq!(three.decide(AMD64, X32_BIT + 39, [0; 6]), Action::ALLOW);
    assert_eq!(three.decide(ARM64, 1, [0; 6]), Action::KILL_PROCESS);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let call = |fields: &str| {
        format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["read"],"action":"SCMP_ACT_LOG"}},{{{fields}}}]}}"#
        )
    };
    let arg = |fields: &str| call(&format!(r#""names":["read"],"action":"SCMP_ACT_LOG","args":[{{{fields}}}]"#));
    for (json, words) in [
        ("{".to_owned(), "line 1 column 1"),
        ("[]".to_owned(), "expected struct"),
        ("{}".to_owned(), "defaultAction: it is missing"),
        (r#"{"defaultAction":"ALLOW"}"#.to_owned(), "defaultAction: unknown action \"ALLOW\""),
        (r#"{"defaultAction":7}"#.to_owned(), "defaultAction: invalid type"),
        (r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#.to_owned(), "no listener"),
        (r#"{"defaultAction":"SCMP_ACT_KILL","defaultErrnoRet":1}"#.to_owned(), "defaultErrnoRet: SCMP_ACT_KILL returns no"),
        (r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}"#.to_owned(), "4096 is too large"),
        (r#"{"defaultAction":"SCMP_ACT_LOG","flags":["SECCOMP_FILTER_FLAG_NEW_LISTENER"]}"#.to_owned(), "flags[0]: "),
        (r#"{"defaultAction":"SCMP_ACT_LOG","architectures":["SCMP_ARCH_VAX"]}"#.to_owned(), "architectures[0]: unknown"),
        (r#"{"defaultAction":"SCMP_ACT_LOG","architectures":[3]}"#.to_owned(), "architectures[0]: invalid type"),
        (
            r#"{"defaultAction":"SCMP_ACT_LOG","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86"}]}"#.to_owned(),
            "archMap: it stands beside",
        ),
        (r#"{"defaultAction":"SCMP_ACT_LOG","syscalls":{}}"#.to_owned(), "syscalls: invalid type"),
        (call(r#""names":[],"action":"SCMP_ACT_LOG""#), "syscalls[1].names: it is missing"),
        (call(r#""names":["a"],"name":"b","action":"SCMP_ACT_LOG""#), "syscalls[1].name: it stands beside"),
        (call(r#""names":["a",5],"action":"SCMP_ACT_LOG""#), "syscalls[1].names[1]: invalid type"),
        (call(r#""names":["a"]"#), "syscalls[1]: missing field `action`"),
        (call(r#""names":["a"],"action":"SCMP_ACT_PERHAPS""#), "syscalls[1].action: unknown action"),
        (call(r#""names":["a"],"action":"SCMP_ACT_ALLOW","errnoRet":1"#), "syscalls[1].errnoRet: SCMP_ACT_ALLOW returns"),
        (call(r#""names":["a"],"action":"SCMP_ACT_ALLOW","arsg":[]"#), "syscalls[1]: unknown field `arsg`"),
        (call(r#""names":["a"],"action":"SCMP_ACT_ALLOW","includes":{"minKernel":"new"}"#), "syscalls[1].includes.minKernel: "),
        (arg(r#""index":6,"value":1,"op":"SCMP_CMP_EQ""#), "syscalls[1].args[0].index: 6: a system call"),
        (arg(r#""index":0,"value":1,"op":"EQ""#), "syscalls[1].args[0].op: \"EQ\""),
        (arg(r#""index":0,"value":-1,"op":"SCMP_CMP_EQ""#), "syscalls[1].args[0].value: invalid value"),
        (arg(r#""index":0,"op":"SCMP_CMP_EQ""#), "syscalls[1].args[0]: missing field `value`"),
    ] {
        let error = error(&json);
        assert!(error.starts_with("seccomp profile: ") && error.contains(words), "{json}: {error}");
    }
}

#[test]
fn a_profile_too_long_for_the_kernel_is_refused() {
    let arg = r#"{"index":0,"value":1,"op":"SCMP_CMP_LE"}"#;
    let rule = format!(r#"{{"names":["read"],"action":"SCMP_ACT_LOG","args":[{arg}]}}"#);
    let json = format!(r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{}]}}"#, vec![rule; 1000].join(","));
    let error = Seccomp::new(&Profile::parse(&json).unwrap(), &context(&[])).err().expect("too long").to_string();
    assert!(error.contains("the kernel takes 4096"), "{error}");
}
