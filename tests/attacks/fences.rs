//! What root in a container reaches for: devices, mounts, the kernel's settings, the host's processes and sockets.

use std::{
    io::Write,
    net::TcpListener,
    os::linux::net::SocketAddrExt,
    os::unix::net::{SocketAddr, UnixListener},
    process::Command,
    thread,
};

use tests::engine::{output, said};

use crate::attack::{Attack, Outcome, SECRET, Scene};

/// A script that prints `OUT` where it gets what it wants, with flags that let it: name, CVE, script, flags.
const SCRIPTS: [(&str, &str, &str, &[&str]); 25] = [
    (
        "a disk of the host is read by its number",
        "",
        "IFS=: read major minor </sys/block/$(ls /sys/block | head -n1)/dev && mknod /tmp/d b $major $minor &&
         dd if=/tmp/d bs=512 count=1 of=/dev/null && echo OUT",
        &["--privileged"],
    ),
    (
        "the kernel's memory is read",
        "",
        "[ -e /sys/class/mem/mem ] || echo ABSENT; mknod /tmp/m c 1 1; head -c 1 /tmp/m >/dev/null && echo OUT",
        &["--privileged"],
    ),
    (
        "the kernel's log is written",
        "",
        "mknod /tmp/k c 1 11; : >>/tmp/k && [ -c /tmp/k ] && echo OUT",
        &["--privileged"],
    ),
    ("a filesystem is mounted", "", "mount -t tmpfs none /tmp && echo OUT", &["--cap-add", "SYS_ADMIN"]),
    (
        "cgroups are mounted, with a program of the host's at their end (release_agent)",
        "CVE-2022-0492",
        "mkdir /tmp/c; mount -t cgroup -o pids none /tmp/c && [ -d /tmp/c ] && echo OUT ||
         { mount -t cgroup2 none /tmp/c && echo OUT; }",
        &["--privileged"],
    ),
    (
        "a user namespace gives the rights to mount",
        "CVE-2022-0492",
        "unshare -r -m mount -t tmpfs none /tmp && echo OUT",
        &["--security-opt", "seccomp=unconfined"],
    ),
    ("what runs when a program crashes is set", "", ": >>/proc/sys/kernel/core_pattern && echo OUT", &["--privileged"]),
    (
        "what runs for a new device is set",
        "",
        "[ -e /sys/kernel/uevent_helper ] || echo ABSENT; : >>/sys/kernel/uevent_helper && echo OUT",
        &["--privileged"],
    ),
    (
        "the machine is restarted by a file",
        "",
        "[ -e /proc/sysrq-trigger ] || echo ABSENT; : >>/proc/sysrq-trigger && echo OUT",
        &["--privileged"],
    ),
    (
        "kernel memory is read as a file",
        "",
        "[ -e /proc/kcore ] || echo ABSENT; [ -n \"$(head -c 4 /proc/kcore)\" ] && echo OUT",
        &["--privileged"],
    ),
    (
        "a setting of the kernel's is opened for writing",
        "",
        "find /proc/[a-z]* /sys -path /proc/self -prune -o -path /proc/thread-self -prune -o -path '/proc/sys/net/*' -prune -o \
         -type f -perm /222 -print 2>/dev/null | { while read -r f; do : >>$f && echo OUT $f && exit; done; } 2>/dev/null",
        &["--privileged"],
    ),
    (
        "the machine's memory is counted page by page",
        "",
        "[ -e /proc/kpagecount ] || echo ABSENT; [ \"$(head -c 8 /proc/kpagecount | wc -c)\" = 8 ] && echo OUT",
        &["--privileged"],
    ),
    (
        "what the kernel has allocated is listed",
        "",
        "[ -e /proc/vmallocinfo ] || echo ABSENT; [ -n \"$(head -c 9 /proc/vmallocinfo)\" ] && echo OUT",
        &["--privileged"],
    ),
    ("keys are listed", "CVE-2014-9529", "[ -n \"$(cat /proc/keys)\" ] && echo OUT", &["--privileged"]),
    ("timers are listed", "", "[ -n \"$(head -c 9 /proc/timer_list)\" ] && echo OUT", &["--privileged"]),
    (
        "interrupts are counted",
        "CVE-2015-3630",
        "[ -n \"$(head -c 9 /proc/interrupts)\" ] && echo OUT",
        &["--privileged"],
    ),
    ("the firmware's tables are read", "", "[ -n \"$(ls /sys/firmware)\" ] && echo OUT", &["--privileged"]),
    ("the kernel's log is read", "", "[ -n \"$(dmesg)\" ] && echo OUT", &["--privileged"]),
    (
        "the limits of its cgroup are lifted",
        "",
        "for f in $(find /sys/fs/cgroup -name pids.max); do echo max >$f && echo OUT; done",
        &["--privileged"],
    ),
    (
        "all of the machine's processes are used up",
        "",
        "i=0; while [ $i -lt 3000 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null; echo OUT",
        &["--pids-limit", "4000"],
    ),
    (
        "a program of root's makes root of a user",
        "",
        "[ \"$(/suid/probe uid)\" = 0 ] && echo OUT",
        &["--security-opt", "no-new-privileges=false"],
    ),
    (
        "capabilities come to all programs by inheritance",
        "CVE-2022-24769",
        "grep -q 'CapInh:.*[1-9a-f]' /proc/self/status && echo OUT",
        &[],
    ),
    (
        "ambient capabilities come to a user's programs",
        "CVE-2016-8867",
        "grep -q 'CapAmb:.*[1-9a-f]' /proc/self/status && echo OUT",
        &[],
    ),
    ("the caller's environment comes along", "", "grep -q ATTACKED /proc/1/environ && echo OUT", &["-e", "ATTACKED=1"]),
    ("routes and addresses are changed", "", "ip link set lo down && echo OUT", &["--cap-add", "NET_ADMIN"]),
];

const FAMILY: &str = "fences";

pub(crate) fn attacks() -> Vec<Attack> {
    let mut all: Vec<Attack> = SCRIPTS.iter().map(|script| scripted(*script)).collect();
    let attack = |name: &str, cve, off, act: fn(&Scene) -> Outcome| Attack::new((FAMILY, name), cve, off, act);
    all.extend([
        attack("a server on the host's own address is asked", "CVE-2020-15257", "--network host", local_server),
        attack("a server in the abstract namespace is asked", "CVE-2020-15257", "--network host", abstract_server),
        attack("shared memory of the host is listed", "", "--ipc host", shared_memory),
        attack("processes of the host are seen", "", "--pid host", processes),
        attack(
            "a file of the host is opened by its handle",
            "\"Shocker\"",
            "--userns host --cap-add DAC_READ_SEARCH",
            by_handle,
        ),
        attack("it walks out of its root", "", "chroot(2) alone", out_of_root),
        attack(
            "commands are typed into the caller's terminal",
            "CVE-2017-5226",
            "a program on the terminal itself",
            inject,
        ),
    ]);
    all
}

fn scripted((name, cve, script, flags): (&'static str, &'static str, &'static str, &'static [&'static str])) -> Attack {
    let off = match flags {
        [] => "the same on the host, with inheritable and ambient capabilities",
        ["-e", ..] => "-e",
        ["--privileged", ..] => "--privileged",
        [_, flag] => flag,
        _ => flags[0],
    };
    Attack::new((FAMILY, name), cve, off, move |scene| {
        if !scene.is_on() && flags.is_empty() {
            let mut outside = Command::new("setpriv");
            outside.args(["--inh-caps=+chown", "--ambient-caps=+chown", "sh", "-c", script]);
            let said = said(&output(outside, b""));
            return Outcome::of(said.out.contains("OUT"), said.out + &said.err);
        }
        let user: &[&str] = if script.contains("/suid") { &["-u", "1000"] } else { &[] };
        let flags = [user, if scene.is_on() { &[] } else { flags }].concat();
        let said = if user.is_empty() {
            scene.run(&flags, &["sh", "-c", script])
        } else if scene.target.is_engine() {
            let image = crate::files::image(scene, "suid", |maker| {
                let probe = std::fs::read(scene.target.rootfs().join("attack/probe")).expect("the program");
                maker.directory("suid").edited(tar::EntryType::Regular, "suid/probe", "", &probe, |header| {
                    header.set_mode(0o4755);
                    header.set_uid(0);
                    header.set_gid(0);
                })
            });
            Some(scene.target.engine(&[&["run", "--rm"], &flags[..], &[&image, "sh", "-c", script]].concat()))
        } else {
            None
        };
        match said {
            None => Outcome::Not("it has no such flags".to_owned()),
            Some(said) if said.out.contains("ABSENT") => Outcome::Not("this kernel has none".to_owned()),
            Some(said) => Outcome::of(said.out.contains("OUT"), said.out + &said.err),
        }
    })
}

/// Runs a command in a container with `off` where the defence is off.
fn with(scene: &Scene, off: &[&str], command: &[&str]) -> Outcome {
    match scene.run(if scene.is_on() { &[] } else { off }, command) {
        None => Outcome::Not("it has no such flags".to_owned()),
        Some(said) => Outcome::of(Scene::tells(&said.out) || said.out.contains("OUT"), said.out + &said.err),
    }
}

fn local_server(scene: &Scene) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = listener.local_addr().expect("an address").port().to_string();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = connection.write_all(SECRET.as_bytes());
        }
    });
    with(scene, &["--network", "host"], &["sh", "-c", &format!("nc 127.0.0.1 {port} </dev/null")])
}

fn abstract_server(scene: &Scene) -> Outcome {
    let name = format!("mini-docker-attack-{}-{}", std::process::id(), scene.id);
    let address = SocketAddr::from_abstract_name(name.as_bytes()).expect("an address");
    let listener = UnixListener::bind_addr(&address).expect("bind");
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let _ = connection.write_all(SECRET.as_bytes());
        }
    });
    with(scene, &["--network", "host"], &["/attack/probe", "abstract", &name])
}

fn shared_memory(scene: &Scene) -> Outcome {
    let made = Command::new("ipcmk").args(["-M", "4096"]).output().expect("ipcmk");
    let text = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    let id = text.rsplit(' ').next().expect("an id");
    let outcome =
        with(scene, &["--ipc", "host"], &["sh", "-c", &format!("grep -w {id} /proc/sysvipc/shm && echo OUT")]);
    let _ = Command::new("ipcrm").args(["-m", id]).status();
    outcome
}

fn processes(scene: &Scene) -> Outcome {
    let mut canary = Command::new("sh").args(["-c", "sleep 30; : secret-argument"]).spawn().expect("sh");
    let outcome = with(
        scene,
        &["--pid", "host"],
        &["sh", "-c", "grep -l secret-[a]rgument /proc/[0-9]*/cmdline 2>/dev/null | grep -q . && echo OUT"],
    );
    let _ = canary.kill();
    let _ = canary.wait();
    outcome
}

fn by_handle(scene: &Scene) -> Outcome {
    let mut encode = Command::new(scene.target.rootfs().join("attack/probe"));
    encode.arg("encode").arg(scene.canary().join("secret"));
    let handle = said(&output(encode, b"")).out;
    if handle.is_empty() {
        return Outcome::Not("the filesystem of /tmp has no handles".to_owned());
    }
    // A file of the host's filesystem, for its mount.
    let file = scene.path("mount");
    std::fs::write(&file, "").expect("write");
    let bind = format!("{}:/mount", file.display());
    let off: &[&str] = if scene.is_on() { &[] } else { &["--userns", "host", "--cap-add", "DAC_READ_SEARCH"] };
    match scene.run(&[&["-v", &bind], off].concat(), &["/attack/probe", "decode", &handle, "/mount"]) {
        None => Outcome::Not("it has no such flags".to_owned()),
        Some(said) => Outcome::of(Scene::tells(&said.out), said.out + &said.err),
    }
}

fn out_of_root(scene: &Scene) -> Outcome {
    let secret = scene.canary().join("secret");
    let secret = secret.to_str().expect("a UTF-8 path");
    if scene.is_on() {
        return with(scene, &[], &["/attack/probe", "chroot", secret]);
    }
    let mut chroot = Command::new("chroot");
    chroot.arg(scene.target.rootfs()).args(["/attack/probe", "chroot", secret]);
    let said = said(&output(chroot, b""));
    Outcome::of(Scene::tells(&said.out), said.out + &said.err)
}

/// The engine on a terminal of the caller's, which the program of the container does not get.
fn inject(scene: &Scene) -> Outcome {
    if !scene.target.is_engine() {
        return Outcome::Not("it hands on what it is given".to_owned());
    }
    let command = if scene.is_on() {
        let command = scene.target.command(&["run", "--rm", "-i", "bb", "/attack/probe", "inject"]);
        let words = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        let environment = command
            .get_envs()
            .map(|(key, value)| format!("{}={}", key.to_string_lossy(), value.unwrap_or_default().to_string_lossy()));
        let environment = environment.collect::<Vec<_>>().join(" ");
        format!("env {environment} {} {words}", command.get_program().to_string_lossy())
    } else {
        format!("{} inject", scene.target.rootfs().join("attack/probe").display())
    };
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).stdin(std::process::Stdio::null());
    let said = said(&output(script, b""));
    if !scene.is_on() && said.out.contains("refused") {
        return Outcome::Not("this kernel has no TIOCSTI (dev.tty.legacy_tiocsti)".to_owned());
    }
    Outcome::of(said.out.contains("OUT") || said.out.contains("#injected"), said.out + &said.err)
}
