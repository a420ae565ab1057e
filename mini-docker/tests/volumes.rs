//! What is mounted in containers: `-v`, `--mount`, `--tmpfs` and their kin, by the kernel's effect.

use std::{fs, os::unix::fs::symlink, path::PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde_json::json;
use tests::engine::Engine;

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// A directory of the test's own with a file `f`, and its path.
fn directory(engine: &Engine) -> (PathBuf, String) {
    let path = engine.path("data");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("f"), "of the host\n").unwrap();
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

/// Runs a shell script in a container with these flags.
fn sh(engine: &Engine, flags: &[&str], script: &str) -> tests::engine::Said {
    engine.run(&[&["run", "--rm"], flags, &["bb", "sh", "-c", script]].concat())
}

/// The options and the optional fields of the mount at `path`, as the kernel has them.
fn mount_options(engine: &Engine, flags: &[&str], path: &str) -> (Vec<String>, Vec<String>) {
    let table = sh(engine, flags, "cat /proc/self/mountinfo").ok();
    let line = table.lines().find(|line| line.split(' ').nth(4) == Some(path));
    let fields: Vec<_> = line.unwrap_or_else(|| panic!("no {path} in {table}")).split(' ').map(str::to_owned).collect();
    let options = fields[5].split(',').map(str::to_owned).collect();
    (options, fields[6..].iter().take_while(|field| *field != "-").cloned().collect())
}

#[test]
fn a_read_only_root_is_read_only_and_what_the_program_needs_is_not() {
    let engine = engine();
    let script = "for d in / /etc /sys /dev /dev/shm /proc; do touch $d/x 2>/dev/null && echo $d; done; pwd; touch x";
    let said = sh(&engine, &["--read-only", "-w", "/made/for/it"], script);
    assert_eq!(said.out, "/dev\n/dev/shm\n/made/for/it\n", "{said:?}");
    assert!(said.err.contains("Read-only file system"), "{said:?}");
    assert!(mount_options(&engine, &["--read-only"], "/").0.contains(&"ro".to_owned()));
    let writable = sh(
        &engine,
        &["--read-only", "--tmpfs", "/run", "-v", "data:/d"],
        "echo x > /run/f; echo y > /d/f; cat /run/f /d/f",
    );
    assert_eq!(writable.ok(), "x\ny\n");
}

#[test]
fn shared_memory_is_as_large_as_asked_for() {
    let engine = engine();
    for (flag, kilobytes) in [("--shm-size=1m", "1024"), ("--shm-size=0", "65536"), ("--shm-size=128k", "128")] {
        let script = "df -k /dev/shm | tail -n 1 | awk '{print $1, $2}'";
        assert_eq!(sh(&engine, &[flag], script).ok().trim_end(), format!("shm {kilobytes}"));
    }
    engine.run(&["run", "--rm", "--shm-size=much", "bb", "true"]).refused(125);
}

#[test]
fn a_bind_shows_the_hosts_files_both_ways() {
    let engine = engine();
    let (path, text) = directory(&engine);
    assert_eq!(
        sh(&engine, &["-v", &format!("{text}:/deep/er/d")], "cat /deep/er/d/f; echo in > /deep/er/d/new").ok(),
        "of the host\n"
    );
    assert_eq!(fs::read_to_string(path.join("new")).unwrap(), "in\n");
    let file = format!("{text}/f:/etc/made/file");
    assert_eq!(sh(&engine, &["-v", &file], "cat /etc/made/file; echo more >> /etc/made/file").ok(), "of the host\n");
    assert_eq!(fs::read_to_string(path.join("f")).unwrap(), "of the host\nmore\n");
    // A link of the host leads where it leads on the host.
    symlink(&path, engine.path("link")).unwrap();
    let link = format!("{}:/d", engine.path("link").display());
    assert_eq!(sh(&engine, &["-v", &link], "cat /d/new").ok(), "in\n");
    // A path from here.
    let mut command = engine.command(&[
        "run",
        "--rm",
        "-v",
        "./data:/d",
        "--mount",
        "type=bind,src=./data/f,dst=/m,ro",
        "bb",
        "cat",
        "/d/new",
        "/m",
    ]);
    let output = command.current_dir(path.parent().unwrap()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "in\nof the host\nmore\n");
}

#[test]
fn a_missing_source_is_made_for_v_and_an_error_for_mount() {
    let engine = engine();
    let missing = engine.path("not/yet");
    let (short, long) = (format!("{}:/d", missing.display()), format!("type=bind,src={},dst=/d", missing.display()));
    let refused = engine.run(&["run", "--rm", "--mount", &long, "bb", "true"]).refused(125);
    assert!(refused.contains("bind source path does not exist"), "{refused}");
    assert!(!missing.exists());
    sh(&engine, &["-v", &short], "echo x > /d/f").ok();
    assert_eq!(fs::read_to_string(missing.join("f")).unwrap(), "x\n");
    // Between create and start it may go.
    fs::remove_dir_all(engine.path("not")).unwrap();
    fs::create_dir_all(&missing).unwrap();
    engine.run(&["create", "--name", "c1", "--mount", &long, "bb", "true"]).ok();
    fs::remove_dir_all(engine.path("not")).unwrap();
    engine.run(&["run", "-d", "--volumes-from", "c1", "bb", "true"]).refused(125);
}

#[test]
fn read_only_holds_for_what_is_mounted_below_too() {
    let engine = engine();
    let (path, text) = directory(&engine);
    let below = path.join("below");
    fs::create_dir(&below).unwrap();
    mount(Some("none"), &below, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    let script = "for d in /d /d/below; do touch $d/new 2>/dev/null && rm $d/new && echo $d; done; true";
    let bind = format!("type=bind,src={text},dst=/d");
    let says = |flags: &[&str]| sh(&engine, flags, script);
    let all = [
        says(&["-v", &format!("{text}:/d:ro")]),
        says(&["--mount", &format!("{bind},ro")]),
        says(&["--mount", &format!("{bind},readonly=true,bind-propagation=rprivate,bind-recursive=readonly")]),
        says(&["--mount", &format!("{bind},ro,bind-recursive=writable")]),
        says(&["--mount", &format!("{bind},ro=false")]),
    ];
    let without = sh(&engine, &["--mount", &format!("{bind},bind-nonrecursive")], "ls /d/below | wc -l");
    umount2(&below, MntFlags::MNT_DETACH).unwrap();
    assert_eq!(all.map(|said| said.out), ["", "", "", "/d/below\n", "/d\n/d/below\n"]);
    assert_eq!(without.out.trim(), "0");
}

#[test]
fn mounts_are_passed_on_as_the_propagation_says() {
    let engine = engine();
    let (path, text) = directory(&engine);
    let tmpfs = |at: &PathBuf| mount(Some("none"), at, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    tmpfs(&path);
    // As what it is in, which most machines share.
    mount(None::<&str>, &path, None::<&str>, MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    let below = path.join("below");
    fs::create_dir(&below).unwrap();
    let bind = |how: &str| format!("{text}:/d:{how}");
    let refused = engine.run(&["run", "--rm", "-v", &bind("rshared"), "bb", "true"]).refused(125);
    assert!(refused.contains("but it is not a shared mount"), "{refused}");
    mount(None::<&str>, &path, None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
    for how in ["private", "rslave", "rshared"] {
        engine.run(&["run", "-d", "--name", how, "-v", &bind(how), "bb", "sleep", "1000"]).ok();
    }
    tmpfs(&below);
    let seen = ["private", "rslave", "rshared"].map(|name| {
        let pid = engine.inspect(name)["State"]["Pid"].as_i64().unwrap();
        let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        table.lines().any(|line| line.split(' ').nth(4) == Some("/d/below"))
    });
    let tags = mount_options(&engine, &["-v", &bind("rshared")], "/d").1;
    engine.run(&["rm", "-f", "private", "rslave", "rshared"]).ok();
    umount2(&below, MntFlags::MNT_DETACH).unwrap();
    umount2(&path, MntFlags::MNT_DETACH).unwrap();
    assert_eq!(seen, [false, true, true]);
    assert!(tags.iter().any(|tag| tag.starts_with("shared:")), "{tags:?}");
}

#[test]
fn a_tmpfs_has_its_options_and_the_mode_of_what_it_covers() {
    let engine = engine();
    let options = |flag: &str, value: &str| {
        let said = sh(&engine, &[flag, value], "grep ' /t ' /proc/mounts; stat -c %a /t").ok();
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = options("--tmpfs", "/t:size=64m,mode=1700,exec,uid=5");
    // The kernel shows the owner's id outside.
    assert!(lines[0].starts_with("tmpfs /t tmpfs rw,nosuid,nodev,relatime,size=65536k,mode=1700,uid="), "{lines:?}");
    assert_eq!(sh(&engine, &["--tmpfs", "/t:uid=5"], "stat -c %u /t").ok(), "5\n");
    let lines = options("--tmpfs", "/t:ro");
    assert!(lines[0].starts_with("tmpfs /t tmpfs ro,nosuid,nodev,noexec,relatime") && lines[1] == "1777", "{lines:?}");
    let lines = options("--mount", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770,ro");
    assert!(lines[0].contains("ro,") && lines[0].contains("size=1024k,mode=1770"), "{lines:?}");
    assert_eq!(
        sh(&engine, &["--tmpfs", "/home"], "stat -c %a /home; ls /home | wc -l")
            .ok()
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["755", "0"]
    );
    assert_eq!(sh(&engine, &["--tmpfs", "/root:mode=700"], "stat -c %a /root").ok(), "700\n");
    let refused = engine.run(&["run", "--rm", "--tmpfs", "/t:bogus", "bb", "true"]).refused(125);
    assert!(refused.contains("invalid tmpfs option [\"bogus\"]"), "{refused}");
    // In the place of what every container has there.
    assert_eq!(
        sh(&engine, &["--tmpfs", "/dev/shm:size=4k"], "df -k /dev/shm | tail -n 1 | awk '{print $2}'").ok(),
        "4\n"
    );
}

#[test]
fn volumes_come_from_another_container() {
    let engine = engine();
    let (_, text) = directory(&engine);
    engine
        .run(&["create", "--name", "c1", "-v", "vol:/v", "-v", &format!("{text}:/b:ro"), "-v", "/anon", "bb", "true"])
        .ok();
    let script = "cat /b/f; for d in /v /b /anon; do touch $d/x 2>/dev/null && echo $d; done; true";
    assert_eq!(sh(&engine, &["--volumes-from", "c1"], script).ok(), "of the host\n/v\n/anon\n");
    assert_eq!(sh(&engine, &["--volumes-from", "c1:ro"], script).ok(), "of the host\n");
    // What the user asks for himself comes before.
    assert_eq!(
        sh(&engine, &["--volumes-from", "c1", "--tmpfs", "/v", "-v", "other:/b"], "ls /v /b | wc -w").ok().trim(),
        "2"
    );
    for (from, why) in
        [("nope", "No such container"), ("c1:bad", "invalid mode: bad"), ("", "cannot be an empty string")]
    {
        let refused = engine.run(&["run", "--rm", "--volumes-from", from, "bb", "true"]).refused(125);
        assert!(refused.contains(why), "{refused}");
    }
    // It was made for the first, which is still there.
    assert_eq!(sh(&engine, &["--volumes-from", "c1"], "ls /anon").ok(), "x\n");
}

#[test]
fn twice_the_same_is_once_and_relative_is_below_the_root() {
    let engine = engine();
    let (_, text) = directory(&engine);
    let bind = format!("{text}:/b:ro");
    let said =
        sh(&engine, &["-v", &bind, "-v", &bind, "-v", "anon", "-v", "anon"], "cat /b/f; mount | grep -c ' /anon '");
    assert_eq!(said.ok(), "of the host\n1\n");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let engine = engine();
    for (flags, why) in [
        (&["-v", "/:/"][..], "destination can't be '/'"),
        (&["-v", "a/b:/m"], "includes invalid characters for a local volume name"),
        (&["-v", "a:/m"], "volume name is too short"),
        (&["-v", ""], "invalid empty volume spec"),
        (&["-v", "vv:/m:bogus"], "invalid mode: bogus"),
        (&["-v", "/etc/passwd"], "cannot mount volume over existing file, file exists /etc/passwd"),
        (&["-v", "vv::/m"], "empty section between colons"),
        (&["-v", "vv:/x", "-v", "/tmp:/x"], "Duplicate mount point: /x"),
        (&["-v", "vv:/x", "--tmpfs", "/x/"], "Duplicate mount point: /x"),
        (&["--mount", "src=vv,dst=/x", "-v", "/tmp:/x"], "Duplicate mount point: /x"),
        (&["--mount", "dst=/m,bogus=1"], "unexpected key 'bogus' in 'bogus=1'"),
        (&["--mount", "dst=/m,volume-driver=nope"], "plugin \"nope\" not found"),
        (&["--mount", "dst=/m,volume-opt=foo=bar"], "invalid option: \"foo\""),
        (&["--volume-driver", "nope", "-v", "vv:/m"], "plugin \"nope\" not found"),
        (&["--storage-opt", "size=1g"], "--storage-opt size=1g"),
        (&["-v", "/etc/passwd:/etc"], "vice-versa"),
        (&["-v", "/tmp:/proc"], "nothing is mounted inside /proc"),
        (&["-v", "/tmp:/proc/self/attr"], "nothing is mounted inside /proc"),
    ] {
        let refused = engine.run(&[&["run", "--rm"], flags, &["bb", "true"]].concat()).refused(125);
        assert!(refused.contains(why), "{flags:?}: {refused}");
    }
}

#[test]
fn inspect_tells_what_was_asked_for_and_what_it_came_to() {
    let engine = engine();
    let (_, text) = directory(&engine);
    let bind = format!("{text}:/b:ro");
    let mount = format!("type=bind,src={text},dst=/b2,ro,bind-propagation=rprivate");
    let flags =
        ["-v", "vv:/n", "-v", &bind, "-v", "/anon", "--mount", &mount, "--mount", "type=tmpfs,dst=/t,tmpfs-size=1m"];
    let more = ["--tmpfs", "/tt:size=1m", "--read-only", "--shm-size", "1m"];
    engine.run(&[&["create", "--name", "c1"], &flags[..], &more, &["bb", "true"]].concat()).ok();
    let document = engine.inspect("c1");
    let points = document["Mounts"].as_array().unwrap();
    let at = |place: &str| points.iter().find(|point| point["Destination"] == place).unwrap();
    assert_eq!(
        *at("/b"),
        json!({"Type": "bind", "Source": text, "Destination": "/b", "Mode": "ro", "RW": false, "Propagation": "rprivate"})
    );
    let data = engine.root().join("volumes/vv/_data");
    assert_eq!(
        *at("/n"),
        json!({"Type": "volume", "Name": "vv", "Source": data, "Destination": "/n", "Driver": "local", "Mode": "z", "RW": true, "Propagation": ""})
    );
    assert_eq!((&at("/anon")["Type"], at("/anon")["Name"].as_str().unwrap().len()), (&json!("volume"), 64));
    assert_eq!(
        *at("/t"),
        json!({"Type": "tmpfs", "Source": "", "Destination": "/t", "Mode": "", "RW": true, "Propagation": ""})
    );
    let host = &document["HostConfig"];
    assert_eq!(host["Binds"], json!(["vv:/n", bind]));
    assert_eq!(
        host["Mounts"],
        json!([
            {"Type": "bind", "Source": text, "Target": "/b2", "ReadOnly": true, "BindOptions": {"Propagation": "rprivate"}},
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1_048_576}},
        ])
    );
    assert_eq!(
        (&host["Tmpfs"], &host["ReadonlyRootfs"], &host["ShmSize"]),
        (&json!({"/tt": "size=1m"}), &json!(true), &json!(1_048_576))
    );
    assert_eq!(document["Config"]["Volumes"], json!({"/anon": {}}));
    engine.run(&["create", "--name", "c2", "bb", "true"]).ok();
    let plain = engine.inspect("c2");
    assert_eq!(
        (&plain["Mounts"], &plain["HostConfig"]["Binds"], &plain["HostConfig"]["ShmSize"]),
        (&json!([]), &json!(null), &json!(64 << 20))
    );
}

#[test]
fn a_volume_outlives_its_containers_and_an_anonymous_one_does_not() {
    let engine = engine();
    let volumes = || fs::read_dir(engine.root().join("volumes")).unwrap().count();
    sh(&engine, &["-v", "keep:/d", "-v", "/anon"], "echo kept > /d/f; echo gone > /anon/f").ok();
    assert_eq!(volumes(), 1);
    assert_eq!(sh(&engine, &["-v", "keep:/d"], "cat /d/f").ok(), "kept\n");
    engine.run(&["run", "--name", "c1", "-v", "/anon", "-v", "keep:/d", "bb", "true"]).ok();
    engine.run(&["rm", "c1"]).ok();
    assert_eq!(volumes(), 2, "without -v it stays");
    engine.run(&["run", "--name", "c2", "-v", "/anon", "-v", "keep:/d", "bb", "true"]).ok();
    engine.run(&["rm", "-v", "c2"]).ok();
    assert_eq!(volumes(), 2);
    // A container that is not made leaves none behind.
    engine.run(&["run", "--rm", "-v", "/anon", "--volumes-from", "nope", "bb", "true"]).refused(125);
    engine.run(&["run", "--rm", "-v", "/anon", "--mount", "dst=/x,volume-driver=nope", "bb", "true"]).refused(125);
    assert_eq!(volumes(), 2);
    assert_eq!(sh(&engine, &["-v", "keep:/d"], "cat /d/f").ok(), "kept\n");
}
