//! `mini-docker run`, as its user sees it and as the kernel does.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::fd::AsFd,
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    pty::{OpenptyResult, Winsize, openpty},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::engine::Engine;

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

#[test]
fn output_errors_and_exit_code_come_through_apart() {
    let said = engine().run(&["run", "--rm", "bb", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (7, "out\n", "err\n"));
}

#[test]
fn a_terminal_has_the_users_size_from_the_start() {
    let engine = engine();
    let size = Winsize { ws_row: 41, ws_col: 99, ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master, slave } = openpty(&size, None).unwrap();
    let stream = || Stdio::from(slave.try_clone().unwrap());
    let mut command = engine.command(&["run", "--rm", "-it", "bb", "stty", "size"]);
    let mut child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(fs::File::from(master)).read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), "41 99");
    assert!(child.wait().unwrap().success());
}

#[test]
fn exit_codes_are_dockers() {
    let engine = engine();
    assert_eq!(engine.run(&["run", "--rm", "bb", "true"]).code, 0);
    assert_eq!(engine.run(&["run", "--rm", "bb", "sh", "-c", "kill -9 $$"]).code, 0, "process 1 is safe from itself");
    assert_eq!(engine.run(&["run", "--rm", "--init", "bb", "sh", "-c", "kill -9 $$"]).code, 137);
    let missing = engine.run(&["run", "--rm", "bb", "/bin/nosuch"]).refused(127);
    assert!(missing.contains("No such file"), "{missing}");
    let unknown = engine.run(&["run", "--rm", "bb", "nosuch"]).refused(127);
    assert!(unknown.contains("not found in $PATH"), "{unknown}");
    let directory = engine.run(&["run", "--rm", "bb", "/etc"]).refused(126);
    assert!(directory.contains("Permission denied"), "{directory}");
    engine.run(&["run", "--rm", "bb", "/etc/passwd"]).refused(126);
    engine.run(&["run", "--rm", "--pull", "never", "nosuch", "true"]).refused(125);
    engine.run(&["run", "--nosuch", "bb", "true"]).refused(125);
}

#[test]
fn an_init_shows_nothing_of_the_host_s_command_line() {
    let engine = engine();
    let script = "tr '\\0' ' ' < /proc/1/cmdline; echo; cat /proc/1/comm";
    let run = ["run", "--rm", "--init", "-e", "SECRET=of-the-caller", "bb", "sh", "-c", script];
    assert_eq!(engine.run(&run).ok(), format!("/sbin/docker-init -- sh -c {script} \ndocker-init\n"));
}

#[test]
fn the_container_has_namespaces_of_its_own() {
    let engine = engine();
    let inside = engine
        .run(&["run", "--rm", "bb", "sh", "-c", "cd /proc/self/ns; for n in *; do echo $n $(readlink $n); done"])
        .ok();
    let inside: Vec<(&str, &str)> = inside.lines().filter_map(|line| line.split_once(' ')).collect();
    for name in ["uts", "pid", "mnt", "ipc", "net"] {
        let outside = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        let (_, own) = inside.iter().find(|(n, _)| *n == name).unwrap();
        assert_ne!(outside.to_str(), Some(*own), "{name}");
    }
    let host = engine.run(&["run", "--rm", "--network", "host", "bb", "readlink", "/proc/self/ns/net"]).ok();
    assert_eq!(Some(host.trim_end()), fs::read_link("/proc/self/ns/net").unwrap().to_str());
}

#[test]
fn the_container_sees_nothing_of_the_host() {
    let engine = engine();
    let mounts = engine.run(&["run", "--rm", "bb", "cat", "/proc/self/mountinfo"]).ok();
    for line in mounts.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let (point, source) = (fields[4], fields[fields.iter().position(|f| *f == "-").unwrap() + 1]);
        // Files that the engine makes: as with Docker.
        let made = ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"].contains(&point);
        let known =
            made || ["/", "/proc", "/sys", "/dev"].iter().any(|p| point == *p || (*p != "/" && point.starts_with(p)));
        assert!(known, "{line}");
        assert!(point != "/" || source == "overlay", "{line}");
    }
    let links = engine.run(&["run", "--rm", "bb", "ls", "/sys/class/net"]).ok();
    assert_eq!(links, "eth0\nlo\n");
    let processes = engine.run(&["run", "--rm", "bb", "sh", "-c", "ls /proc | grep -c '^[0-9]'"]).ok();
    assert!(processes.trim_end().parse::<u32>().unwrap() <= 4, "{processes}");
    engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    let pid = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap();
    let open =
        fs::read_dir(format!("/proc/{pid}/fd")).unwrap().map(|fd| fd.unwrap().file_name().into_string().unwrap());
    let mut open: Vec<_> = open.collect();
    open.sort();
    assert_eq!(open, ["0", "1", "2"]);
}

#[test]
fn what_one_container_writes_no_other_sees() {
    let engine = engine();
    engine.run(&["run", "--rm", "bb", "sh", "-c", "echo x > /new; rm -r /etc/passwd /bin/cat"]).ok();
    let said = engine.run(&["run", "--rm", "bb", "sh", "-c", "cat /etc/passwd | head -n 1; ls /new"]);
    assert!(said.out.starts_with("root:x:0:0:") && said.err.contains("No such file"), "{said:?}");
}

#[test]
fn environment_user_directory_and_host_name_are_the_users() {
    let engine = engine();
    let env = engine.run(&["run", "--rm", "-e", "FOO=bar", "-e", "EMPTY=", "-h", "box", "bb", "env"]).ok();
    for line in ["FOO=bar", "EMPTY=", "HOSTNAME=box", "HOME=/root", &format!("PATH={}", process::DEFAULT_PATH)] {
        assert!(env.lines().any(|l| l == line), "{line} not in {env}");
    }
    let mut command = engine.command(&["run", "--rm", "-e", "FROM_HERE", "-e", "NOT_HERE", "bb", "env"]);
    let out = command.env("FROM_HERE", "yes").output().unwrap().stdout;
    let out = String::from_utf8_lossy(&out);
    assert!(out.contains("FROM_HERE=yes\n") && !out.contains("NOT_HERE"), "{out}");
    let id = |user| engine.run(&["run", "--rm", "-u", user, "bb", "sh", "-c", "id -u; id -g; id -G; echo $HOME"]).ok();
    assert_eq!(id("web"), "33\n34\n34 50\n/srv\n");
    assert_eq!(id("1234:5678"), "1234\n5678\n5678\n/\n");
    assert!(engine.run(&["run", "--rm", "-u", "notme", "bb", "id"]).refused(125).contains("notme"));
    let pwd = engine.run(&["run", "--rm", "-w", "/a/../deep/er", "bb", "sh", "-c", "pwd; hostname"]).ok();
    let (pwd, hostname) = pwd.split_once('\n').unwrap();
    assert_eq!((pwd, hostname.trim_end().len()), ("/deep/er", 12));
    assert!(engine.run(&["run", "--rm", "-w", "rel", "bb", "pwd"]).refused(125).contains("absolute"));
    assert!(engine.run(&["run", "--rm", "-w", "/bin/cat", "bb", "pwd"]).refused(125).contains("Not a directory"));
}

#[test]
fn an_entry_point_stands_before_the_command() {
    let engine = engine();
    assert_eq!(engine.run(&["run", "--rm", "--entrypoint", "echo", "bb", "a", "b"]).ok(), "a b\n");
    assert_eq!(engine.run(&["run", "--rm", "--entrypoint", "", "bb", "echo", "bare"]).ok(), "bare\n");
    assert!(engine.run(&["run", "--rm", "bb"]).refused(125).contains("no command specified"));
}

#[test]
fn standard_input_goes_in_only_with_i() {
    let engine = engine();
    assert_eq!(engine.run_with(&["run", "--rm", "-i", "bb", "cat"], b"a\nb\n").ok(), "a\nb\n");
    assert_eq!(engine.run_with(&["run", "--rm", "bb", "cat"], b"a\nb\n").ok(), "");
    let large: Vec<u8> = (0..3_000_000u32).map(|i| b'a' + (i % 23) as u8).collect();
    let back = engine.run_with(&["run", "--rm", "-i", "bb", "cat"], &large).ok();
    assert!(back.as_bytes() == large, "{} of {} bytes came back", back.len(), large.len());
}

#[test]
fn a_terminal_is_the_containers_own() {
    let engine = engine();
    let said =
        engine.run(&["run", "--rm", "-t", "bb", "sh", "-c", "tty; echo $TERM; test -t 2 && echo all; ls /dev/console"]);
    assert_eq!(said.out, "/dev/pts/0\r\nxterm\r\nall\r\n/dev/console\r\n");
    assert!(engine.run_with(&["run", "--rm", "-it", "bb", "sh"], b"").refused(1).contains("not a TTY"));
}

#[test]
fn signals_are_forwarded_to_the_program() {
    let engine = engine();
    for (signal, name) in
        [(Signal::SIGTERM, "TERM"), (Signal::SIGINT, "INT"), (Signal::SIGHUP, "HUP"), (Signal::SIGUSR1, "USR1")]
    {
        let script = format!("trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.01; done");
        let mut child =
            engine.command(&["run", "--rm", "bb", "sh", "-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!((rest, child.wait().unwrap().code()), (format!("got {name}\n"), Some(9)));
    }
}

#[test]
fn explain_lists_the_primitives_in_order() {
    let engine = engine();
    let said = engine.run(&["run", "--rm", "--explain", "bb", "echo", "hello"]);
    assert_eq!((said.code, said.out.as_str()), (0, "hello\n"));
    let first_of = |name: &str| said.err.lines().position(|line| line.starts_with(name));
    // Every descriptor is marked for exec's end first, while system calls are still free.
    let list = ["subids", "idmap", "overlay", "cgroup", "mount", "uts", "pid", "ipc", "network", "process", "cgroupns"];
    let list = [&list[..], &["session", "ids", "capabilities", "no_new_privs", "seccomp"]].concat();
    let mut order: Vec<_> = list.into_iter().map(first_of).collect();
    order.push(said.err.lines().collect::<Vec<_>>().iter().rposition(|line| line.starts_with("exec")));
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}\n{}", said.err);
    for call in [
        "clone3(CLONE_NEWUSER|NEWUTS|NEWPID|NEWNS|NEWIPC|NEWNET)",
        "pivot_root(",
        "sethostname(",
        "execve(\"echo\")",
        "µs",
    ] {
        assert!(said.err.contains(call), "{call} not in\n{}", said.err);
    }
}

#[test]
fn nothing_of_the_callers_open_files_stays_in_the_monitor() {
    let engine = engine();
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut command = engine.command(&["run", "-d", "bb", "sleep", "1000"]);
    // Without close-on-exec, as a shell's `9>lock` is.
    let number = nix::unistd::dup(writer.as_fd()).unwrap();
    assert!(command.output().unwrap().status.success());
    drop((writer, number));
    // The pipe ends: nobody else has it open.
    let mut rest = Vec::new();
    fs::File::from(reader).read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn a_detached_container_lets_go_of_the_callers_output() {
    let engine = engine();
    // `output` reads to the end of both pipes, which comes only when nobody has them open.
    let id = engine.run(&["run", "-d", "bb", "sleep", "1000"]).ok();
    assert!(id.trim_end().len() == 64 && id.trim_end().bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
}

#[test]
fn a_failed_start_keeps_the_container_unless_rm() {
    let engine = engine();
    engine.run(&["run", "--name", "kept", "bb", "/nope"]).refused(127);
    let state = &engine.inspect("kept")["State"];
    assert_eq!((state["Status"].as_str(), state["ExitCode"].as_i64()), (Some("created"), Some(127)));
    engine.run(&["run", "--rm", "--name", "gone", "bb", "/nope"]).refused(127);
    engine.run(&["inspect", "gone"]);
    assert_eq!(engine.run(&["ps", "-aq"]).ok().lines().count(), 1);
}

#[test]
fn what_every_container_has_is_no_part_of_its_configuration() {
    let engine = engine();
    engine.run(&["create", "--name", "c1", "-t", "-h", "there", "-e", "A=1", "bb", "env"]).ok();
    let own = |name: &str| engine.run(&["inspect", "-f", "{{json .Config.Env}}", name]).ok();
    assert_eq!(own("c1"), "[\"A=1\"]\n");
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let said = engine.run(&["start", "-a", "c1"]).ok().replace('\r', "");
    assert_eq!(said, format!("{path}\nHOSTNAME=there\nTERM=xterm\nA=1\nHOME=/root\n"));
    engine.run(&["commit", "-c", "ENV PATH=/x:/bin", "c1", "image"]).ok();
    engine.run(&["create", "--name", "c2", "-e", "HOSTNAME=mine", "image", "env"]).ok();
    assert_eq!(own("c2"), "[\"HOSTNAME=mine\",\"A=1\",\"PATH=/x:/bin\"]\n");
    assert_eq!(engine.run(&["start", "-a", "c2"]).ok(), "PATH=/x:/bin\nHOSTNAME=mine\nA=1\nHOME=/root\n");
}

#[test]
fn a_domain_name_is_what_uname_says_too() {
    let engine = engine();
    let script = "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname";
    let flags = ["run", "--rm", "-h", "here", "--domainname", "example.org", "bb", "sh", "-c", script];
    assert_eq!(engine.run(&flags).ok(), "here\nexample.org\n");
}

#[test]
fn a_container_has_dockers_sign_and_nothing_has_changed_by_it() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let said = engine.run(&[
        "run",
        "--name",
        "c1",
        "bb",
        "sh",
        "-c",
        "[ -e /.dockerenv ] && [ ! -s /.dockerenv ] && echo yes",
    ]);
    assert_eq!(said.ok(), "yes\n");
    assert_eq!(engine.run(&["diff", "c1"]).ok(), "");
    // A store that an older program made has it, too.
    fs::remove_file(engine.root().join("mountpoints/.dockerenv")).unwrap();
    engine.run(&["run", "--rm", "bb", "ls", "/.dockerenv"]).ok();
    engine.run(&["rm", "c1"]).ok();
}

#[test]
fn what_the_umask_lets_others_write_is_not_below_every_container() {
    let engine = engine();
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$@\"", "sh"]);
    let run = engine.command(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]);
    command.arg(run.get_program()).args(run.get_args()).env("MINI_DOCKER_ROOT", engine.root());
    assert!(command.output().unwrap().status.success());
    let open_to_others = |directory: &Path| {
        let mut find = Command::new("find");
        find.arg(directory).args(["-perm", "/022", "!", "-type", "l"]);
        String::from_utf8(find.output().unwrap().stdout).unwrap()
    };
    assert_eq!(open_to_others(&engine.root().join("mountpoints")), "");
    let runs: Vec<_> = tests::leaks::run_directories(&engine.root().canonicalize().unwrap()).collect();
    assert_eq!(runs.len(), 1);
    let id = engine.inspect("c1")["Id"].as_str().unwrap().to_owned();
    assert_eq!(open_to_others(&runs[0].join(id)), "");
}

/// A machine whose hierarchy of pids is not mounted, if this one has one to unmount.
#[test]
fn the_limit_of_processes_that_nobody_asked_for_gives_way_where_none_can_be_set() {
    let engine = engine();
    if !Path::new("/sys/fs/cgroup/pids/cgroup.procs").exists() {
        println!("skipped: no hierarchy of pids of its own here");
        return;
    }
    let run = |flags: &[&str]| {
        let run = engine.command(&[&["run", "--rm"], flags, &["bb", "echo", "it runs"]].concat());
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", "umount -l /sys/fs/cgroup/pids; exec \"$@\"", "sh"]);
        command.arg(run.get_program()).args(run.get_args()).env("MINI_DOCKER_ROOT", engine.root());
        tests::engine::said(&tests::engine::output(command, b""))
    };
    let said = run(&[]);
    assert_eq!((said.code, said.out.as_str()), (0, "it runs\n"), "{said:?}");
    assert!(said.err.contains("without a limit of processes"), "{said:?}");
    assert!(run(&["--pids-limit", "100"]).refused(125).contains("find the controller pids"));
}
