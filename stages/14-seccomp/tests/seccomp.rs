//! Which system calls reach the kernel. The probes are primitives behind the filter: they make one call each, and its
//! error is the error of the container.
#![allow(unsafe_code)]

use std::{fs, path::Path};

use capabilities::{Capabilities, CapabilitySet};
use ids::Ids;
use nix::libc;
use no_new_privs::NoNewPrivs;
use pid::PidNamespace;
use process::{Errno, Inside, Primitive, Process};
use seccomp::Seccomp;
use tests::container::{List, image, run, script_as_nobody, script_as_root, sh, shell, start, with_init};

const STAGE: &str = env!("CARGO_BIN_EXE_stage-14-seccomp");

/// A system call with arguments, whose success is one of the container.
#[derive(Clone, Copy)]
struct Call(i64, [i64; 5]);

impl Primitive for Call {
    fn name(&self) -> &'static str {
        "call"
    }

    fn enter(&self, _: &Inside) -> Result<(), Errno> {
        let Self(number, args) = *self;
        // SAFETY: the calls below read or write no memory of ours but where they are given a C string.
        let result = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4]) };
        if result == -1 { Err(Errno::last()) } else { Ok(()) }
    }
}

/// What the kernel says to a call behind these primitives: 0 for success.
fn answer(mut primitives: List, call: impl Primitive + 'static) -> i32 {
    primitives.push(Box::new(call));
    match start(vec![Box::new(PidNamespace)], Process { primitives, ..shell("exit 0") }) {
        Ok(running) => {
            if running.finish().code == 128 + libc::SIGSYS {
                -libc::SIGSYS
            } else {
                0
            }
        }
        Err(error) => {
            assert_eq!(error.primitive, "call", "{error}");
            error.errno as i32
        }
    }
}

fn default(capabilities: &[&str]) -> Box<dyn Primitive> {
    Box::new(Seccomp::default_profile(capabilities).unwrap())
}

fn filtered() -> List {
    vec![Box::new(NoNewPrivs), default(&[])]
}

/// Before, each of these reaches the kernel, which does it or finds an argument wrong; after, none does.
#[test]
fn calls_of_the_host_s_business_are_refused() {
    const BAD: i64 = -1;
    let name = c"x".as_ptr() as i64;
    for (what, call) in [
        ("keyctl", Call(libc::SYS_keyctl, [999, 0, 0, 0, 0])),
        ("add_key", Call(libc::SYS_add_key, [0, 0, 0, 0, 0])),
        ("request_key", Call(libc::SYS_request_key, [0, 0, 0, 0, 0])),
        ("mount", Call(libc::SYS_mount, [0, 1, 0, 0, 0])),
        ("umount2", Call(libc::SYS_umount2, [name, BAD, 0, 0, 0])),
        ("bpf", Call(libc::SYS_bpf, [999, 0, 0, 0, 0])),
        ("perf_event_open", Call(libc::SYS_perf_event_open, [1, 0, 0, 0, 0])),
        ("io_uring_setup", Call(libc::SYS_io_uring_setup, [0, 1, 0, 0, 0])),
        ("unshare(NEWUSER)", Call(libc::SYS_unshare, [0x1000_0000, 0, 0, 0, 0])),
        ("unshare(NEWNS)", Call(libc::SYS_unshare, [0x2_0000, 0, 0, 0, 0])),
        ("setns", Call(libc::SYS_setns, [BAD, 0, 0, 0, 0])),
        ("kexec_load", Call(libc::SYS_kexec_load, [0, 99, 0, BAD, 0])),
        ("init_module", Call(libc::SYS_init_module, [0, 0, 0, 0, 0])),
        // The magic numbers are wrong, so that nothing restarts.
        ("reboot", Call(libc::SYS_reboot, [1, 2, 3, 0, 0])),
        ("userfaultfd", Call(libc::SYS_userfaultfd, [BAD, 0, 0, 0, 0])),
        ("open_by_handle_at", Call(libc::SYS_open_by_handle_at, [BAD, 1, 0, 0, 0])),
        ("pivot_root", Call(libc::SYS_pivot_root, [1, 1, 0, 0, 0])),
        ("personality", Call(libc::SYS_personality, [0x004_0000, 0, 0, 0, 0])),
        ("socket(AF_VSOCK)", Call(libc::SYS_socket, [40, 99, 0, 0, 0])),
        ("socket(AF_VSOCK and more bits)", Call(libc::SYS_socket, [0x1_0000_0028, 99, 0, 0, 0])),
        ("socket(AF_ALG)", Call(libc::SYS_socket, [38, 99, 0, 0, 0])),
        ("clone(NEWUSER)", Call(libc::SYS_clone, [0x1000_0000 | 0x0800, 0, 0, 0, 0])),
    ] {
        match answer(vec![], call) {
            libc::EPERM | libc::ENOSYS => {
                println!("skipped: {what} is not to be had on this kernel without a filter either");
            }
            _ => assert_eq!(answer(filtered(), call), libc::EPERM, "{what}"),
        }
    }
    let clone3 = Call(libc::SYS_clone3, [0, 0, 0, 0, 0]);
    assert_eq!(answer(vec![], clone3), libc::EINVAL);
    assert_eq!(answer(filtered(), clone3), libc::ENOSYS, "so that C libraries try clone");
}

#[test]
fn ordinary_calls_are_made() {
    for (what, call) in [
        ("getpid", Call(libc::SYS_getpid, [0; 5])),
        ("personality(query)", Call(libc::SYS_personality, [0xffff_ffff, 0, 0, 0, 0])),
        ("socket(AF_UNIX)", Call(libc::SYS_socket, [1, 1, 0, 0, 0])),
        ("socket(AF_INET6)", Call(libc::SYS_socket, [10, 1, 0, 0, 0])),
        ("socket(AF_NETLINK)", Call(libc::SYS_socket, [16, 3, 0, 0, 0])),
    ] {
        assert_eq!(answer(filtered(), call), 0, "{what}");
    }
    let detach_nobody = Call(libc::SYS_ptrace, [17, i64::from(i32::MAX), 0, 0, 0]);
    assert_eq!(answer(filtered(), detach_nobody), libc::ESRCH, "ptrace");
    let script = "x=$(echo a | cat); test $x = a; sleep 0 & wait $!; setsid true; mkdir /tmp/s.$$; rmdir /tmp/s.$$; date >/dev/null";
    assert_eq!(sh(filtered(), script), "");
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;

    /// A system call by `int 0x80`, with its number of 32-bit x86.
    struct Int80(u32);

    impl Primitive for Int80 {
        fn name(&self) -> &'static str {
            "call"
        }

        fn enter(&self, _: &Inside) -> Result<(), Errno> {
            let mut value = i64::from(self.0);
            // SAFETY: all arguments are 0, of which the calls below make nothing; the kernel changes rax, and r8 to r11.
            unsafe {
                std::arch::asm!(
                    "xchg rsi, {zero}", "push rbx", "xor ebx, ebx", "int 0x80", "pop rbx", "xchg rsi, {zero}",
                    zero = inout(reg) 0_u64 => _, inout("rax") value, in("rcx") 0, in("rdx") 0, in("rdi") 0,
                    out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                );
            }
            let result = value as i32;
            if (-4095..0).contains(&result) { Err(Errno::from_raw(-result)) } else { Ok(()) }
        }
    }

    const MOUNT: u32 = 21;
    const GETPID: u32 = 20;

    #[test]
    fn the_second_way_in_has_the_same_filter() {
        match answer(vec![], Int80(GETPID)) {
            0 => {}
            other => {
                println!("skipped: this kernel takes no 32-bit calls ({})", Errno::from_raw(other.abs()));
                return;
            }
        }
        assert_eq!(answer(filtered(), Int80(GETPID)), 0);
        assert_ne!(answer(vec![], Int80(MOUNT)), libc::EPERM, "it reaches the kernel");
        assert_eq!(answer(filtered(), Int80(MOUNT)), libc::EPERM);
        let native = r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#;
        let native: Box<dyn Primitive> = Box::new(Seccomp::profile(native, &[]).unwrap());
        let killed = answer(vec![Box::new(NoNewPrivs), native], Int80(GETPID));
        assert_eq!(killed, -libc::SIGSYS, "an architecture that the profile does not name");
    }

    #[test]
    fn the_third_way_in_is_closed() {
        let x32 = Call(0x4000_0000 | libc::SYS_getpid, [0; 5]);
        let without = answer(vec![], x32);
        assert!([0, libc::ENOSYS].contains(&without), "{without}");
        assert_eq!(answer(filtered(), x32), libc::EPERM);
        let allows = r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#;
        let allows: Box<dyn Primitive> = Box::new(Seccomp::profile(allows, &[]).unwrap());
        assert_eq!(answer(vec![Box::new(NoNewPrivs), allows], x32), libc::ENOSYS);
    }
}

#[test]
fn capabilities_of_the_container_open_their_calls() {
    let list = |capabilities: &[&str]| -> List { vec![default(capabilities)] };
    let unshare = Call(libc::SYS_unshare, [0x2_0000, 0, 0, 0, 0]);
    assert_eq!(answer(list(&["CAP_SYS_ADMIN"]), unshare), 0);
    assert_eq!(answer(list(&["CAP_CHOWN"]), unshare), libc::EPERM);
    let reboot = Call(libc::SYS_reboot, [1, 2, 3, 0, 0]);
    assert_eq!(answer(list(&["CAP_SYS_ADMIN"]), reboot), libc::EPERM);
}

#[test]
fn a_profile_of_one_s_own_is_in_force() {
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
        "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":122}]}"#;
    let list: List = vec![Box::new(Seccomp::profile(profile, &[]).unwrap())];
    let mkdir = Call(libc::SYS_mkdirat, [-100, 0, 0, 0, 0]);
    assert_eq!(answer(list, mkdir), libc::EDQUOT);
    assert_eq!(answer(vec![], mkdir), libc::EFAULT);
    for (action, code) in [("KILL_PROCESS", 128 + libc::SIGSYS), ("TRAP", 128 + libc::SIGSYS), ("LOG", 0)] {
        let profile = format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{{"name":"uname","action":"SCMP_ACT_{action}"}}]}}"#
        );
        let list: List = vec![Box::new(Seccomp::profile(&profile, &[]).unwrap())];
        let process = Process { primitives: list, ..shell("uname -s >/dev/null; exit $?") };
        assert_eq!(run(vec![], process).code, code, "{action}");
    }
}

/// Without the bit and as root, the filter comes before the ids and the cut; the default lets both through.
#[test]
fn it_can_come_first() {
    let ids = Ids { uid: 1000, gid: 1000, ..Ids::default() };
    let cut = Capabilities { set: CapabilitySet::DEFAULT };
    let list: List = vec![default(&[]), Box::new(ids.clone().keeping_capabilities()), Box::new(cut.clone())];
    let said = sh(list, "id -u; grep -E '^(NoNewPrivs|Seccomp|CapEff):' /proc/self/status");
    assert_eq!(said, "1000\nCapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2\n");
    let primitives: List = vec![Box::new(ids.keeping_capabilities()), Box::new(cut), default(&[])];
    let error = start(vec![], Process { primitives, ..shell("exit 0") }).err().expect("refused");
    assert_eq!((error.primitive, error.errno), ("seccomp", Errno::EACCES));
    assert!(error.to_string().contains("no_new_privs"), "{error}");
}

#[test]
fn init_is_behind_the_filter_and_works() {
    let process = Process { primitives: filtered(), ..shell("echo up; read x; exit 7") };
    let mut running = start(vec![Box::new(PidNamespace)], with_init(process)).unwrap();
    running.wait_for("up");
    let status = fs::read_to_string(format!("/proc/{}/status", running.child.pid)).unwrap();
    assert!(status.contains("Seccomp:\t2"), "{status}");
    assert_eq!(running.finish().code, 7);
}

#[test]
fn the_binary_filters() {
    let image = image();
    let script = "grep Seccomp: /proc/self/status; unshare -r id || exit 7";
    let ran = script_as_root(STAGE, image.path(), script);
    assert!(ran.code == 7 && ran.out.contains("Seccomp:\t2") && ran.out.contains("not permitted"), "{ran:?}");
}

#[test]
fn the_binary_needs_root_and_says_so() {
    let ran = script_as_nobody(STAGE, Path::new("/"), "true");
    assert!(ran.code == 125 && ran.out.contains("needs root"), "{ran:?}");
}

/// Profiles that are older than some of our own calls still start a program.
#[test]
fn a_profile_need_not_know_how_containers_are_made() {
    // Init forgives a refusal; the program without one needs none of them any more.
    for (init, action) in [(false, "KILL_PROCESS"), (true, "ERRNO")] {
        let names = r#"["close_range","clone3","setresuid","capset","openat2","prctl"]"#;
        let rule = format!(r#"{{"names":{names},"action":"SCMP_ACT_{action}"}}"#);
        let profile = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{rule}]}}"#);
        let filter: Box<dyn Primitive> = Box::new(Seccomp::profile(&profile, &[]).unwrap());
        let process = Process { primitives: vec![filter], init, ..tests::container::command(&["true"]) };
        let code = run(vec![Box::new(PidNamespace)], process).code;
        assert_eq!(code, 0, "init: {init}");
    }
}
