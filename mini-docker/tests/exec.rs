//! `mini-docker exec`: further processes in a running container.

use std::{fs, process::Stdio};

use nix::{
    sys::{
        ptrace,
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::Pid,
};
use tests::{
    engine::{Engine, eventually},
    leaks,
};

/// An engine with the container `c1`, which sleeps.
fn engine() -> Engine {
    with(&[])
}

fn with(flags: &[&str]) -> Engine {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&[&["run", "-d", "--name", "c1"], flags, &["bb", "sleep", "1000"]].concat()).ok();
    engine
}

#[test]
fn exit_codes_are_dockers() {
    let engine = engine();
    let code = |arguments: &[&str]| engine.run(&[&["exec"], arguments].concat()).code;
    assert_eq!(code(&["c1", "true"]), 0);
    assert_eq!(code(&["c1", "sh", "-c", "exit 23"]), 23);
    assert_eq!(code(&["c1", "sh", "-c", "kill -9 $$"]), 137);
    let unknown = engine.run(&["exec", "c1", "nosuch"]).refused(127);
    assert!(unknown.contains("not found in $PATH"), "{unknown}");
    engine.run(&["exec", "c1", "/bin/nosuch"]).refused(127);
    engine.run(&["exec", "c1", "/etc"]).refused(126);
    engine.run(&["exec", "-u", "nosuch", "c1", "true"]).refused(126);
    let directory = engine.run(&["exec", "-w", "/nosuch", "c1", "true"]).refused(126);
    assert!(directory.contains("/nosuch"), "{directory}");
    engine.run(&["exec", "-w", "etc", "c1", "true"]).refused(126);
    engine.run(&["exec", "-d", "c1", "nosuch"]).refused(127);
    engine.run(&["exec", "nosuch", "true"]).refused(1);
    engine.run(&["kill", "c1"]).ok();
    engine.run(&["wait", "c1"]).ok();
    let stopped = engine.run(&["exec", "c1", "true"]).refused(1);
    assert!(stopped.contains("not running"), "{stopped}");
}

#[test]
fn it_is_in_the_container_as_its_first_process_is() {
    let engine = with(&["--ulimit", "nofile=123:456", "-w", "/tmp", "-e", "A=1", "-e", "B=2"]);
    let script = "for n in /proc/self/ns/*; do readlink $n; done | sort; cat /proc/self/cgroup; pwd; \
        grep -E '^(Cap|NoNew|Seccomp|Groups|Umask)' /proc/self/status; cat /proc/self/limits | grep -E 'open files'";
    let joined = engine.run(&["exec", "c1", "sh", "-c", script]).ok();
    let first = script.replace("/proc/self", "/proc/1").replace("pwd", "readlink /proc/1/cwd");
    assert_eq!(joined, engine.run(&["exec", "c1", "sh", "-c", &first]).ok());
    assert!(joined.contains("\n/tmp\n") && joined.contains("Seccomp:\t2"), "{joined}");

    // By the host's view too: the cgroup is the container's in every hierarchy that it is in.
    let mut sleeper = engine.command(&["exec", "c1", "sleep", "999"]).spawn().unwrap();
    let first = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap();
    let cgroups = |pid: i64| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    // Between the two is who waits for it.
    let child = || child_of(child_of(sleeper.id())?).filter(|&pid| command(pid.into()) == "sleep\x00999\x00");
    eventually("the process runs", || child().is_some());
    assert_eq!(cgroups(child().unwrap().into()), cgroups(first));
    // Whose command line was covered while it was born.
    let own = command(i64::from(sleeper.id()));
    assert!(own.ends_with("exec\x00c1\x00sleep\x00999\x00"), "{own:?}");
    let id = engine.inspect("c1")["Id"].as_str().unwrap()[..12].to_owned();
    let waiter = command(child_of(sleeper.id()).unwrap().into());
    assert_eq!(waiter.trim_end_matches('\0'), format!("mini-docker exec {id}"));
    engine.run(&["kill", "c1"]).ok();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&sleeper.wait().unwrap()), None);
    assert_eq!(sleeper.wait().unwrap().code(), Some(137));
}

fn child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn command(pid: i64) -> String {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}

/// By ^Z, or because nobody reads what it writes.
#[test]
fn a_command_that_stands_still_keeps_no_container_from_ending() {
    let engine = with(&[]);
    let mut stopped = engine.command(&["exec", "c1", "sleep", "999"]).spawn().unwrap();
    let mut unread = engine.command(&["exec", "c1", "cat", "/bin/busybox"]).stdout(Stdio::piped()).spawn().unwrap();
    let runs = |name: &str| engine.run(&["top", "c1", "-o", "pid,comm"]).out.lines().any(|line| line.ends_with(name));
    eventually("both are in the container", || runs("sleep") && runs("cat"));
    kill(Pid::from_raw(stopped.id().cast_signed()), Signal::SIGSTOP).unwrap();
    engine.run(&["stop", "-t", "0", "c1"]).ok();
    engine.run(&["rm", "c1"]).ok();
    kill(Pid::from_raw(stopped.id().cast_signed()), Signal::SIGCONT).unwrap();
    assert_eq!(stopped.wait().unwrap().code(), Some(137));
    drop(unread.stdout.take());
    unread.wait().unwrap();
}

#[test]
fn environment_user_and_directory_are_the_containers_unless_asked_for() {
    let engine = with(&["-e", "HOME=/root", "-e", "A=1", "-e", "A=2", "-u", "7:8"]);
    let file = engine.path("env");
    fs::write(&file, "F=file\n# none\nA=3\n").unwrap();
    let flags = ["-e", "B=x", "-e", "CALLER", "-e", "NOSUCH", "--env-file", file.to_str().unwrap()];
    let mut exec = engine.command(&[&["exec"], &flags[..], &["c1", "env"]].concat());
    let out = exec.env("CALLER", "here").env("SECRET", "host's").output().unwrap();
    let mut env: Vec<_> =
        str::from_utf8(&out.stdout).unwrap().lines().filter(|v| !v.starts_with("HOSTNAME=")).collect();
    env.sort_unstable();
    let path = format!("PATH={}", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    assert_eq!(env, ["A=3", "B=x", "CALLER=here", "F=file", "HOME=/root", &path]);
    let id = |flags: &[&str]| engine.run(&[&["exec"], flags, &["c1", "id"]].concat()).ok();
    assert!(id(&[]).starts_with("uid=7 gid=8"), "{}", id(&[]));
    assert!(id(&["-u", "0"]).starts_with("uid=0(root) gid=0(root)"), "{}", id(&["-u", "0"]));
    assert!(id(&["-u", "5:6"]).starts_with("uid=5 gid=6"), "{}", id(&["-u", "5:6"]));
    assert_eq!(engine.run(&["exec", "-w", "/etc", "c1", "pwd"]).ok(), "/etc\n");
}

#[test]
fn privileged_has_all_capabilities() {
    let engine = engine();
    let effective = |flags: &[&str]| {
        let arguments = [&["exec"], flags, &["c1", "grep", "CapEff", "/proc/self/status"]].concat();
        let line = engine.run(&arguments).ok();
        u64::from_str_radix(line.trim_end().rsplit('\t').next().unwrap(), 16).unwrap()
    };
    let all = capabilities::CapabilitySet::available().unwrap().bits();
    assert_eq!(effective(&["--privileged"]), all);
    assert_ne!(effective(&[]), all);
    assert_eq!(effective(&["--privileged", "-u", "7"]), 0);
}

#[test]
fn streams_are_apart_and_input_only_comes_with_i() {
    let engine = engine();
    let said = engine.run(&["exec", "c1", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (7, "out\n", "err\n"));
    assert_eq!(engine.run_with(&["exec", "c1", "cat"], b"data").ok(), "");
    assert_eq!(engine.run_with(&["exec", "-i", "c1", "cat"], b"data").ok(), "data");
    let large = vec![b'x'; 3 << 20];
    assert_eq!(
        engine.run_with(&["exec", "-i", "c1", "sh", "-c", "cat; cat /bin/busybox >/dev/null"], &large).ok().len(),
        3 << 20
    );
    // One that does not read to the end does not keep the command waiting.
    assert_eq!(engine.run_with(&["exec", "-i", "c1", "head", "-c", "1"], &large).ok(), "x");
    // Nor does what it leaves in the background.
    assert_eq!(engine.run(&["exec", "c1", "sh", "-c", "sleep 1000 & echo done"]).ok(), "done\n");
    assert_eq!(engine.run(&["exec", "c1", "sh", "-c", "yes & exec true"]).code, 0);
}

#[test]
fn a_terminal_is_the_containers_own() {
    let engine = engine();
    let script = "test -t 0 && test -t 1 && test -t 2 && tty; echo $TERM; test -e /dev/console || echo no console";
    assert_eq!(engine.run(&["exec", "-t", "c1", "sh", "-c", script]).ok(), "/dev/pts/0\r\nxterm\r\nno console\r\n");
    let refused = engine.run_with(&["exec", "-it", "c1", "true"], b"").refused(1);
    assert!(refused.contains("not a TTY"), "{refused}");
    assert_eq!(engine.run(&["exec", "c1", "sh", "-c", "test -t 1 || echo none"]).ok(), "none\n");
}

#[test]
fn detached_it_runs_on_and_its_end_is_told() {
    let engine = engine();
    for options in [&["-d"][..], &["-d", "-t"]] {
        let events = || engine.run(&["events", "--since", "0", "--until", "0s", "-f", "event=exec_die"]).ok();
        let told = events().lines().count();
        engine.run(&[&["exec"], options, &["c1", "sh", "-c", "mkfifo /end; echo x >/end; exit 3"]].concat()).ok();
        assert_eq!(events().lines().count(), told);
        eventually("it runs", || engine.run(&["exec", "c1", "cat", "/end"]).out == "x\n");
        // The programs that look are told of, too.
        let is_told = || events().lines().skip(told).any(|line| line.contains("exitCode=3"));
        eventually("its end is told", is_told);
        engine.run(&["exec", "c1", "rm", "/end"]).ok();
    }
    let refused = engine.run(&["exec", "-d", "c1", "nothing"]).refused(127);
    assert!(refused.contains("nothing"), "{refused}");
    // Whoever looks after it may be killed: then it runs on, and its container ends all the same.
    engine.run(&["exec", "-d", "c1", "sleep", "999"]).ok();
    let is_it = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x00999\x00");
    let pid = leaks::processes(&engine.root()).into_iter().find(is_it).unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap();
    kill(Pid::from_raw(parent.parse().unwrap()), Signal::SIGKILL).unwrap();
    assert!(engine.run(&["top", "c1"]).ok().contains("sleep 999"));
    engine.run(&["rm", "-f", "c1"]).ok();
}

#[test]
fn signals_are_passed_on() {
    let engine = engine();
    let script = "trap 'echo got; exit 5' TERM; echo ready; while true; do sleep 0.05; done";
    let mut command = engine.command(&["exec", "c1", "sh", "-c", script]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!((line.as_str(), child.wait().unwrap().code()), ("ready\ngot\n", Some(5)));
}

#[test]
fn nothing_of_the_host_comes_in() {
    let engine = engine();
    let secret = fs::File::open("/etc/hosts").unwrap();
    nix::fcntl::fcntl(&secret, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    // Descriptors, the directory, the mask of modes, what is blocked or ignored.
    let said = |arguments: &[&str]| {
        let mut command = engine.command(&[&["exec", "c1"], arguments].concat());
        String::from_utf8(command.current_dir("/etc").output().unwrap().stdout).unwrap()
    };
    assert_eq!(said(&["sh", "-c", "ls /proc/$$/fd; readlink /proc/$$/cwd; umask"]), "0\n1\n2\n/\n0022\n");
    let none = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n";
    assert_eq!(said(&["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]), none);
}

#[test]
fn a_hostile_list_of_users_is_only_read() {
    let engine = engine();
    // A link out of the container leads to the container's own file; a pipe, a directory and a device are refused.
    engine.run(&["exec", "c1", "sh", "-c", "mkdir -p /in; echo evil:x:42:43::/:/bin/sh >/in/passwd; mkdir -p /up; rm -f /etc/passwd; ln -s ../../../../../../in/passwd /etc/passwd"]).ok();
    assert!(engine.run(&["exec", "-u", "evil", "c1", "id"]).ok().starts_with("uid=42"));
    for make in
        ["mkfifo /etc/passwd", "mkdir /etc/passwd", "ln -s /dev/zero /etc/passwd", "ln -s /proc/1/fd/0 /etc/passwd"]
    {
        engine.run(&["exec", "-u", "0", "c1", "true"]);
        let script = format!("rm -f /etc/passwd; {make}");
        let made = engine.run(&["exec", "c1", "sh", "-c", &script]);
        let refused = engine.run(&["exec", "-u", "evil", "c1", "true"]).refused(126);
        assert!(refused.contains("/etc/passwd"), "{make}: {made:?} {refused}");
        // Nobody could repair it by exec now; the next round begins with a container of its own.
        engine.run(&["rm", "-f", "c1"]).ok();
        engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    }
}

#[test]
fn a_process_on_its_way_in_cannot_be_looked_into() {
    let engine = engine();
    // The container's root looks at all that is born in there: programs, directories, open files.
    let watch = "while true; do for p in /proc/[0-9]*; do readlink $p/exe; readlink $p/cwd; readlink $p/root; \
        readlink $p/fd/*; done; done >/seen 2>/dev/null";
    engine.run(&["exec", "-d", "c1", "sh", "-c", watch]).ok();
    eventually("it watches", || engine.run(&["exec", "c1", "cat", "/seen"]).out.contains("busybox"));
    for _ in 0..20 {
        engine.run(&["exec", "c1", "true"]).ok();
    }
    let seen = engine.run(&["exec", "c1", "sort", "-u", "/seen"]).ok();
    let inside = |line: &&str| {
        line.starts_with("/bin/") || ["/", "/seen", "/dev/null"].contains(line) || line.starts_with("pipe:")
    };
    let foreign: Vec<_> = seen.lines().filter(|line| !inside(line)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

/// Its first process has no files any more, and waits for one that somebody keeps from its end.
#[test]
fn one_that_is_just_ending_does_not_run() {
    let engine = engine();
    engine.run(&["exec", "-d", "c1", "sleep", "999"]).ok();
    let is_it = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == b"sleep\x00999\x00");
    let last = leaks::processes(&engine.root()).into_iter().find(is_it).map(Pid::from_raw).unwrap();
    let first = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap();
    ptrace::seize(last, ptrace::Options::PTRACE_O_TRACEEXIT).unwrap();
    kill(Pid::from_raw(first as i32), Signal::SIGKILL).unwrap();
    waitpid(last, Some(WaitPidFlag::__WALL)).unwrap();
    eventually("it has no root", || fs::read_link(format!("/proc/{first}/root")).is_err());
    let refused = engine.run(&["exec", "c1", "true"]).refused(1);
    assert!(refused.contains("c1 is not running"), "{refused}");
    // Who wants its files waits for its end.
    let mut copy = engine.command(&["cp", "c1:/bin/busybox", "-"]);
    let copy = copy.stdout(Stdio::piped()).spawn().unwrap();
    ptrace::detach(last, None).unwrap();
    let copied = copy.wait_with_output().unwrap();
    assert!(copied.status.success() && copied.stdout.len() > 4096, "{:?}", copied.status);
}
