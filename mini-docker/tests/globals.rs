//! Flags before the command, and words after the image that look like flags.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use tests::engine::{Engine, eventually, output, said};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

#[test]
fn what_follows_the_image_is_the_commands() {
    let engine = engine();
    let words = ["-c", "--rm", "-h", "--help", "--", "--name=x", "-d"];
    let run = |before: &[&str]| engine.run(&[before, &words[..]].concat()).ok();
    assert_eq!(run(&["run", "--rm", "--entrypoint", "echo", "bb"]), format!("{}\n", words.join(" ")));
    assert_eq!(run(&["run", "--rm", "--", "bb", "echo"]), format!("{}\n", words.join(" ")));
    run(&["create", "--name", "c1", "bb"]);
    assert_eq!(engine.inspect("c1")["Config"]["Cmd"], serde_json::json!(words));
    engine.run(&["run", "-d", "--name", "c2", "bb", "sleep", "1000"]).ok();
    assert_eq!(engine.run(&["exec", "c2", "echo", "-it", "--", "-u", "x"]).ok(), "-it -- -u x\n");
    // With nothing in between, it is the command itself.
    assert!(engine.run(&["exec", "c2", "-it"]).err.contains("-it"));
    assert_eq!(engine.run(&["run", "--nosuch", "bb"]).code, 125);
    assert_eq!(engine.run(&["exec", "c2"]).code, 1);
    assert_eq!(engine.run(&["run"]).code, 1);
}

#[test]
fn there_is_no_daemon_to_talk_to() {
    let engine = engine();
    for flags in [["-H", "tcp://nosuch:2375"], ["--host", "unix:///x"], ["-c", "other"], ["--context", "other"]] {
        let said = engine.run(&[&flags[..], &["ps"]].concat()).refused(1);
        assert!(said.contains(flags[1]), "{said}");
    }
    for flags in [["-H", ""], ["--context", "default"]] {
        engine.run(&[&flags[..], &["ps"]].concat()).ok();
    }
    assert_eq!(engine.run(&["--tlsverify", "ps"]).code, 125);
}

#[test]
fn debug_says_what_a_command_does() {
    let engine = engine();
    for flags in [&["-D"][..], &["--debug"], &["-l", "debug"], &["--log-level=debug"]] {
        let said = engine.run(&[flags, &["ps", "-q"]].concat());
        assert_eq!((said.code, said.out.as_str()), (0, ""));
        assert!(
            said.err.contains(&engine.root().display().to_string()) && said.err.contains("exit code 0"),
            "{said:?}"
        );
    }
    for level in ["info", "warn", "error", "fatal"] {
        assert_eq!(engine.run(&["--log-level", level, "ps"]).err, "");
    }
    assert_eq!(engine.run(&["-l", "loud", "ps"]).code, 125);
}

#[test]
fn credentials_are_where_config_says() {
    let engine = engine();
    let registry = tests::registry::Registry::start();
    let folder = engine.path("client");
    let flags = ["--config", folder.to_str().unwrap()];
    let login = ["login", "-u", "me", "-p", "secret", &registry.address];
    engine.run(&[&flags[..], &login].concat()).ok();
    let text = fs::read_to_string(folder.join("config.json")).unwrap();
    assert!(text.contains(&registry.address), "{text}");
    assert!(engine.run(&[&flags[..], &["logout", &registry.address]].concat()).ok().starts_with("Removing"));
}

#[test]
fn what_docker_s_config_prefers_is_done() {
    let engine = engine();
    let folder = engine.path("client");
    fs::create_dir(&folder).unwrap();
    let config = serde_json::json!({
        "psFormat": "ps {{.Names}}", "imagesFormat": "images {{.Tag}}", "volumesFormat": "volumes {{.Name}}",
        "networksFormat": "networks {{.Driver}}", "statsFormat": "stats {{.Name}}",
        "pruneFilters": ["label!=keep"], "detachKeys": "ctrl-€",
        "proxies": {"default": {"httpProxy": "http://proxy:3128", "noProxy": "local"}},
    });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let run = |arguments: &[&str]| engine.run(&[&["--config", folder.to_str().unwrap()][..], arguments].concat());
    run(&["volume", "create", "v1"]).ok();
    run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    assert_eq!(run(&["ps"]).ok(), "ps c1\n");
    assert_eq!(run(&["ps", "--format", "{{.Image}}"]).ok(), "bb\n");
    assert_eq!(run(&["ps", "-q"]).ok().trim().len(), 12);
    assert_eq!(run(&["images"]).ok(), "images latest\n");
    assert_eq!(run(&["volume", "ls"]).ok(), "volumes v1\n");
    assert!(run(&["network", "ls"]).ok().contains("networks bridge\n"));
    assert_eq!(run(&["stats", "--no-stream"]).ok(), "stats c1\n");
    // Proxies, where they are not said otherwise.
    let script = "env | grep -i proxy | sort";
    let said = run(&["run", "--rm", "-e", "no_proxy=mine", "bb", "sh", "-c", script]).ok();
    assert_eq!(said, "HTTP_PROXY=http://proxy:3128\nNO_PROXY=local\nhttp_proxy=http://proxy:3128\nno_proxy=mine\n");
    let dockerfile = format!("FROM bb\nRUN {script} > /seen\n");
    let said = engine.run_with(
        &["--config", folder.to_str().unwrap(), "build", "-q", "-t", "seen", "--build-arg", "HTTP_PROXY=x", "-"],
        dockerfile.as_bytes(),
    );
    said.ok();
    let seen = engine.run(&["run", "--rm", "seen", "cat", "/seen"]).ok();
    assert_eq!(seen, "HTTP_PROXY=x\nNO_PROXY=local\nhttp_proxy=http://proxy:3128\nno_proxy=local\n");
    assert_eq!(engine.run(&["run", "--rm", "seen", "sh", "-c", "env | grep -ci proxy"]).out, "0\n");
    // Prunes leave what is to be kept, unless it is asked for.
    run(&["create", "--name", "kept", "--label", "keep", "bb", "true"]).ok();
    run(&["container", "prune", "-f"]).ok();
    assert_eq!(run(&["ps", "-a"]).ok(), "ps kept\nps c1\n");
    run(&["container", "prune", "-f", "--filter", "label=keep"]).ok();
    assert_eq!(run(&["ps", "-a"]).ok(), "ps c1\n");
    // Keys that cannot be typed are said where they are needed, and there alone.
    run(&["start", "c1"]).ok();
    assert!(run(&["run", "--rm", "-i", "bb", "true"]).refused(125).contains("detachKeys"));
    run(&["run", "--rm", "-i", "--detach-keys", "a", "bb", "true"]).ok();
    // A key that is wrong takes no other's meaning away, and one filter that is none is refused.
    fs::write(folder.join("config.json"), r#"{"psFormat": 5, "pruneFilters": ["label!=keep"], "imagesFormat": null}"#)
        .unwrap();
    run(&["volume", "create", "--label", "keep", "v2"]).ok();
    let said = run(&["volume", "prune", "-af"]);
    let warning = format!("WARNING: Error loading config file: {}/config.json: psFormat is no text", folder.display());
    assert!(said.err.starts_with(&warning) && said.code == 0, "{said:?}");
    assert!(engine.run(&["volume", "inspect", "v2"]).code == 0 && engine.run(&["volume", "inspect", "v1"]).code == 1);
    fs::write(folder.join("config.json"), r#"{"pruneFilters": ["lable!=keep"], "psFormat": "mine"}"#).unwrap();
    assert!(run(&["volume", "prune", "-af"]).refused(1).contains("invalid filter 'lable!'"));
    assert_eq!(run(&["ps", "--format", ""]).ok(), "mine\n");
    fs::write(folder.join("config.json"), r#"{"pruneFilters": ["until=24h"]}"#).unwrap();
    engine.run_with(&["build", "-q", "-t", "kept", "-"], b"FROM bb\nRUN true\n").ok();
    engine.run(&["rmi", "-f", "kept"]).ok();
    let removes = |said: &str| said.contains("Deleted build cache objects");
    assert!(!removes(&run(&["builder", "prune", "-af"]).ok()));
    assert!(removes(&engine.run(&["builder", "prune", "-af"]).ok()), "there was one");
    // A file that is damaged is in nobody's way.
    fs::write(folder.join("config.json"), "{").unwrap();
    let said = run(&["ps"]);
    assert!(said.code == 0 && said.err.starts_with("WARNING: Error loading config file: "), "{said:?}");
}

#[test]
fn detach_keys_leave_a_process_that_goes_on() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    let runs = |name: &str| engine.run(&["exec", "c1", "ps"]).ok().lines().any(|line| line.contains(name));
    let program = engine.command(&[]).get_program().to_str().unwrap().to_owned();
    let line = format!("{program} exec -it --detach-keys ctrl-a,x c1 sleep 123");
    let mut command = engine.command(&[]);
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.stdin(Stdio::null());
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    eventually("it runs", || runs("sleep 123"));
    child.stdin.as_mut().unwrap().write_all(b"\x01x").unwrap();
    let ended = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&ended.stdout);
    assert!(!ended.status.success() && text.contains("read escape sequence"), "{text}");
    assert!(runs("sleep 123"), "it goes on");
}

#[test]
fn a_process_with_a_terminal_can_be_left_alone_at_once() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    let script = "test -t 0 && test -t 1 && echo much to say && touch /done; sleep 1000";
    assert_eq!(engine.run(&["exec", "-dt", "c1", "sh", "-c", script]).ok(), "");
    eventually("it has a terminal", || engine.run(&["exec", "c1", "ls", "/done"]).code == 0);
}

#[test]
fn an_output_that_does_not_block_gets_all() {
    let engine = engine();
    engine.run(&["create", "--name", "c1", "bb", "sh", "-c", "yes | head -c 3000000"]).ok();
    // A reader that is late, and a pipe whose writing end does not block.
    let script = "import os,subprocess,sys,time\n\
        r,w=os.pipe(); os.set_blocking(w,False)\n\
        p=subprocess.Popen(sys.argv[1:],stdout=w); os.close(w); time.sleep(0.3)\n\
        n=0\n\
        while True:\n  b=os.read(r,65536)\n  n+=len(b)\n  if not b: break\n\
        print(n,p.wait())";
    let start = engine.command(&["start", "-a", "c1"]);
    let mut command = Command::new("python3");
    command.args(["-c", script]).arg(start.get_program()).args(start.get_args());
    command.envs(start.get_envs().filter_map(|(key, value)| Some((key, value?))));
    assert_eq!(said(&output(command, b"")).ok(), "3000000 0\n");
}

/// Clap takes the documentation of arguments that commands share for the command's own, where they have one.
#[test]
fn each_command_says_what_it_is() {
    let engine = engine();
    let list = engine.run(&["--help"]).ok();
    let commands = list.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  "));
    let mut count = 0;
    for (name, what) in
        commands.filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_lowercase()) && *name != "help")
    {
        let help = engine.run(&[name, "--help"]).ok();
        let first = help.lines().next().unwrap();
        assert!(what.trim().starts_with(first), "{name}: {first:?} is not {what:?}");
        count += 1;
    }
    assert!(count > 40, "{list}");
}

/// Whoever cannot be told is not told; what was to be done is.
#[test]
fn a_full_standard_error_is_in_nobody_s_way() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    for words in [&["--debug", "volume", "create", "data"][..], &["no-such-command"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = engine.command(words).stderr(full).output().unwrap();
        assert_eq!(ended.status.code(), Some(i32::from(words.len() == 1)), "{words:?}: {ended:?}");
    }
    engine.run(&["volume", "inspect", "data"]).ok();
}

/// Runs a command on a terminal, and returns what the terminal got.
fn on_terminal(engine: &Engine, line: &str) -> String {
    let mut command = Command::new("script");
    command.env("MINI_DOCKER_ROOT", engine.root()).env("MD", env!("CARGO_BIN_EXE_mini-docker")).stdin(Stdio::null());
    let output = command.args(["-qec", &format!("\"$MD\" {line}"), "/dev/null"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_strangers_wrote_commands_no_terminal() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let label = "x=a\n2026-01-01 forged \u{1b}[31m";
    let script = "touch \"$(printf '/a\\033[31mb\\nc')\"";
    engine.run(&["run", "--name", "c1", "-l", label, "bb", "sh", "-c", script]).ok();
    assert_eq!(engine.run(&["diff", "c1"]).ok(), "A /a\u{1b}[31mb\nc\n");
    assert_eq!(on_terminal(&engine, "diff c1"), "A /a\\x1b[31mb\\nc\r\n");
    let events = engine.run(&["events", "--since", "0", "--until", "0s"]).ok();
    assert!(events.contains("x=a\\n2026-01-01 forged \u{1b}"), "{events:?}");
    let events = on_terminal(&engine, "events --since 0 --until 0s");
    assert!(events.contains("x=a\\n2026-01-01 forged \\x1b[31m") && !events.contains('\u{1b}'), "{events:?}");
    for (words, code) in [
        (&["run", "--rm", "-u", "a\u{1b}[31mb", "bb", "true"][..], 125),
        (&["kill", "-s", "\u{1b}[31m9", "c1"], 1),
        (&["ps", "--\u{1b}[31m"], 125),
    ] {
        let said = engine.run(words).refused(code);
        assert!(said.contains("\\x1b[31m") && !said.contains('\u{1b}'), "{said:?}");
    }
    let context = engine.path("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), "FROM bb\nRUN false # \u{1b}[31m\n").unwrap();
    let built = engine.run(&["build", "--progress=plain", context.to_str().unwrap()]);
    assert!(built.code == 1 && built.err.contains("false # \\x1b[31m") && !built.err.contains('\u{1b}'), "{built:?}");
}

#[test]
fn output_that_cannot_be_written_is_an_error_once() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&["run", "-d", "--name", "c1", "bb", "sh", "-c", "seq 1000; sleep 1000"]).ok();
    eventually("it has written", || engine.run(&["logs", "c1"]).out.lines().count() == 1000);
    let run = |words: &[&str], to: fs::File| {
        let output = engine.command(words).stdout(to).stderr(Stdio::piped()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let unread = || fs::File::from(std::os::fd::OwnedFd::from(std::io::pipe().unwrap().1));
    let said = "mini-docker: write to standard output: No space left on device";
    for (words, code) in [
        (&["ps"][..], 1),
        (&["images"], 1),
        (&["info"], 1),
        (&["inspect", "c1"], 1),
        (&["logs", "c1"], 1),
        (&["events", "--since", "0", "--until", "0s"], 1),
        // Those of the programs.
        (&["run", "--rm", "bb", "sh", "-c", "seq 1000; exit 7"], 7),
        (&["exec", "c1", "sh", "-c", "echo 1; exit 0"], 0),
    ] {
        let (ended, err) = run(words, full());
        assert_eq!((ended, err.matches(said).count(), err.lines().count()), (Some(code), 1, 1), "{words:?}: {err}");
        if code == 1 {
            assert_eq!(run(words, unread()), (Some(0), String::new()), "{words:?}: a reader who has gone");
        }
    }
}

#[test]
fn a_file_that_may_not_grow_ends_no_command_without_a_word() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let mut command = Command::new("sh");
    let limited = "ulimit -f 0 && exec \"$0\" \"$@\"";
    command.args(["-c", limited, env!("CARGO_BIN_EXE_mini-docker"), "run", "-d", "bb", "sleep", "1000"]);
    command.env("MINI_DOCKER_ROOT", engine.root());
    let refused = said(&output(command, b"")).refused(125);
    assert!(refused.contains("File too large"), "{refused}");
    assert_eq!(engine.run(&["ps", "-aq"]).ok(), "");
}
