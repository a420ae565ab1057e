//! `mini-docker volume`, and what volumes stand for.

use std::{fs, path::Path};

use serde_json::json;
use tests::engine::{Engine, eventually};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

fn names(engine: &Engine, flags: &[&str]) -> Vec<String> {
    let out = engine.run(&[&["volume", "ls", "-q"], flags].concat()).ok();
    out.lines().map(str::to_owned).collect()
}

/// Whether something is mounted at a path of the host.
fn is_mounted(path: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    table.lines().any(|line| line.split(' ').nth(4) == path.to_str())
}

#[test]
fn a_volume_is_made_listed_inspected_and_removed() {
    let engine = engine();
    assert_eq!(engine.run(&["volume", "create", "--label", "a", "--label", "b=c", "vol"]).ok(), "vol\n");
    assert_eq!(engine.run(&["volume", "create", "vol"]).ok(), "vol\n", "what is there is good");
    assert_eq!(engine.run(&["volume", "ls"]).ok(), "DRIVER    VOLUME NAME\nlocal     vol\n");
    let document: serde_json::Value = serde_json::from_str(&engine.run(&["volume", "inspect", "vol"]).ok()).unwrap();
    let created = document[0]["CreatedAt"].clone();
    assert!(created.as_str().unwrap().len() == 20, "{created}");
    let data = engine.root().join("volumes/vol/_data");
    assert_eq!(
        document,
        json!([{
            "CreatedAt": created, "Driver": "local", "Labels": {"a": "", "b": "c"}, "Mountpoint": data,
            "Name": "vol", "Options": null, "Scope": "local",
        }])
    );
    assert_eq!(
        engine.run(&["volume", "inspect", "-f", "{{.Labels.b}} {{.Mountpoint}}", "vol"]).ok(),
        format!("c {}\n", data.display())
    );
    let format = "{{.Name}}|{{.Driver}}|{{.Labels}}|{{.Scope}}|{{.Links}}|{{.Size}}|{{.Label \"b\"}}";
    assert_eq!(engine.run(&["volume", "ls", "--format", format]).ok(), "vol|local|a=,b=c|local|N/A|N/A|c\n");
    assert!(engine.run(&["inspect", "-f", "{{.Mountpoint}}", "vol"]).ok().contains("volumes/vol/_data"));
    assert!(engine.run(&["inspect", "--type", "volume", "vol"]).ok().contains("\"Name\": \"vol\""));
    let made_up = engine.run(&["volume", "create"]).ok();
    assert_eq!(made_up.trim_end().len(), 64);
    assert_eq!(engine.run(&["volume", "rm", "vol", made_up.trim_end()]).ok(), format!("vol\n{made_up}"));
    assert_eq!(names(&engine, &[]), [""; 0]);
    assert!(!data.exists());
    let missing = engine.run(&["volume", "rm", "vol"]).refused(1);
    assert!(missing.contains("no such volume"), "{missing}");
    assert_eq!(engine.run(&["volume", "rm", "-f", "vol"]).ok(), "vol\n");
    let nothing = engine.run(&["volume", "inspect", "vol"]);
    assert!(
        nothing.code == 1 && nothing.out == "[]\n" && nothing.err.contains("get vol: no such volume"),
        "{nothing:?}"
    );
}

#[test]
fn names_drivers_and_options_are_dockers() {
    let engine = engine();
    for (arguments, why) in [
        (&["a/b"][..], "includes invalid characters for a local volume name"),
        (&["../../etc"], "includes invalid characters for a local volume name"),
        (&["a"], "volume name is too short"),
        (&["-d", "nope", "xx"], "error looking up volume plugin nope: plugin \"nope\" not found"),
        (&["-o", "foo=bar", "xx"], "create xx: invalid option: \"foo\""),
        (&["-o", "type=tmpfs", "xx"], "create xx: missing required option: \"device\""),
        (&["--name", "a", "b"], "conflicting options"),
    ] {
        let refused = engine.run(&[&["volume", "create"], arguments].concat()).refused(1);
        assert!(refused.contains(why), "{refused}");
    }
    let long = "x".repeat(256);
    engine.run(&["volume", "create", &long]).refused(1);
    engine.run(&["volume", "rm", "../../etc"]).refused(1);
    assert_eq!(names(&engine, &[]), [""; 0]);
}

#[test]
fn filters_choose_volumes() {
    let engine = engine();
    engine.run(&["volume", "create", "--label", "t=1", "--label", "two", "free-1"]).ok();
    engine.run(&["volume", "create", "free-2"]).ok();
    engine.run(&["create", "--name", "c1", "-v", "used:/d", "bb", "true"]).ok();
    for (filters, expected) in [
        (&["dangling=true"][..], &["free-1", "free-2"][..]),
        (&["dangling=0"], &["used"]),
        (&["name=free"], &["free-1", "free-2"]),
        (&["name=^u.*d$"], &["used"]),
        (&["label=t=1"], &["free-1"]),
        (&["label=two", "label=t"], &["free-1"]),
        (&["label=t=2"], &[]),
        (&["label!=two", "dangling=1"], &["free-2"]),
        (&["driver=local", "name=1"], &["free-1"]),
        (&["driver=nfs"], &[]),
    ] {
        let flags: Vec<_> = filters.iter().flat_map(|filter| ["--filter", filter]).collect();
        assert_eq!(names(&engine, &flags), expected, "{filters:?}");
    }
    for bad in ["FOO=123", "dangling=maybe"] {
        assert!(engine.run(&["volume", "ls", "-f", bad]).refused(1).contains("invalid filter"));
    }
}

#[test]
fn a_volume_in_use_stays_until_its_last_container_goes() {
    let engine = engine();
    let id = engine.run(&["create", "--name", "c1", "-v", "vol:/d", "bb", "true"]).ok();
    for flags in [&["volume", "rm"][..], &["volume", "rm", "-f"]] {
        let refused = engine.run(&[flags, &["vol"]].concat()).refused(1);
        assert!(refused.contains(&format!("remove vol: volume is in use - [{}]", id.trim_end())), "{refused}");
    }
    assert_eq!(engine.run(&["volume", "prune", "-af"]).ok(), "Total reclaimed space: 0B\n");
    engine.run(&["create", "--name", "c2", "--volumes-from", "c1", "bb", "true"]).ok();
    engine.run(&["rm", "-v", "c1"]).ok();
    engine.run(&["volume", "rm", "vol"]).refused(1);
    engine.run(&["rm", "c2"]).ok();
    engine.run(&["volume", "rm", "vol"]).ok();
    // An anonymous volume goes with the last that has it, not with the one that it was made for.
    engine.run(&["create", "--name", "c3", "-v", "/d", "bb", "true"]).ok();
    engine.run(&["create", "--name", "c4", "--volumes-from", "c3", "bb", "true"]).ok();
    engine.run(&["rm", "-v", "c3"]).ok();
    assert_eq!(names(&engine, &[]).len(), 1);
    engine.run(&["rm", "-v", "c4"]).ok();
    assert_eq!(names(&engine, &[]), [""; 0]);
}

#[test]
fn prune_removes_what_nobody_uses() {
    let engine = engine();
    let make = |flags: &[&str]| drop(engine.run(&[&["volume", "create"], flags].concat()).ok());
    make(&["--label", "pr=1", "va"]);
    make(&["--label", "keep=1", "vb"]);
    engine.run(&["create", "--name", "c1", "--mount", "source=vc,target=/c", "bb", "true"]).ok();
    engine.run(&["run", "--name", "c2", "-v", "/anon", "bb", "sh", "-c", "head -c 5000 /dev/zero > /anon/f"]).ok();
    engine.run(&["rm", "c2"]).ok();
    let refused = engine.run(&["volume", "prune"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.out.contains("WARNING! This will remove anonymous local volumes") && refused.err.contains("cancelled"),
        "{refused:?}"
    );
    let pruned = engine.run_with(&["volume", "prune"], b"y\n").ok();
    assert!(pruned.ends_with("Total reclaimed space: 5kB\n") && pruned.contains("Deleted Volumes:\n"), "{pruned}");
    assert_eq!(names(&engine, &[]), ["va", "vb", "vc"], "those with a name stay");
    let pruned = engine.run(&["volume", "prune", "-af", "--filter", "label=pr=1"]).ok();
    assert_eq!(pruned, "Deleted Volumes:\nva\n\nTotal reclaimed space: 0B\n");
    engine.run(&["volume", "prune", "-f", "--filter", "foo=x"]).refused(1);
    engine.run(&["volume", "prune", "-f", "--filter", "all=1"]).ok();
    assert_eq!(names(&engine, &[]), ["vc"]);
}

#[test]
fn what_a_volume_stands_for_is_mounted_while_it_is_used() {
    let engine = engine();
    let create = |name: &str, options: &[&str]| {
        let options: Vec<_> = options.iter().flat_map(|option| ["-o", option]).collect();
        engine.run(&[&["volume", "create"], &options[..], &[name]].concat()).ok();
    };
    create("memory", &["type=tmpfs", "device=tmpfs", "o=size=1m,uid=5,nosuid"]);
    let data = engine.root().join("volumes/memory/_data");
    assert!(!is_mounted(&data));
    let script = "grep ' /d ' /proc/mounts | cut -d' ' -f 3,4; stat -c %u /d";
    let said = engine.run(&["run", "--rm", "-v", "memory:/d", "bb", "sh", "-c", script]).ok();
    // Before Linux 6.3 tmpfs cannot be idmapped (mount_setattr(2)), and the owner has no id in the container.
    let release = nix::sys::utsname::uname().unwrap().release().to_str().unwrap().to_owned();
    let version: Vec<u32> = release.split(['.', '-']).map_while(|part| part.parse().ok()).take(2).collect();
    let owner = if version >= vec![6, 3] { "\n5\n" } else { "\n65534\n" };
    assert!(
        said.starts_with("tmpfs rw,nosuid,relatime,") && said.contains("size=1024k,uid=5") && said.ends_with(owner),
        "{said}"
    );
    assert!(!is_mounted(&data), "nobody uses it any more");
    // Two at once have the same; the last of them lets it go.
    engine
        .run(&["run", "-d", "--name", "c1", "-v", "memory:/d", "bb", "sh", "-c", "echo first > /d/f; exec sleep 1000"])
        .ok();
    eventually("the first writes", || data.join("f").exists());
    engine.run(&["run", "-d", "--name", "c2", "-v", "memory:/d", "bb", "sleep", "1000"]).ok();
    engine.run(&["rm", "-f", "c1"]).ok();
    assert!(is_mounted(&data));
    assert_eq!(engine.run(&["run", "--rm", "-v", "memory:/d", "bb", "cat", "/d/f"]).ok(), "first\n");
    engine.run(&["rm", "-f", "c2"]).ok();
    assert!(!is_mounted(&data));
    // A directory of the host.
    let host = engine.path("host");
    fs::create_dir(&host).unwrap();
    create("bound", &["type=none", "o=bind,ro", &format!("device={}", host.display())]);
    fs::write(host.join("f"), "of the host\n").unwrap();
    let said = engine.run(&["run", "--rm", "-v", "bound:/d", "bb", "sh", "-c", "cat /d/f; touch /d/new"]);
    assert!(said.out == "of the host\n" && said.err.contains("Read-only"), "{said:?}");
    engine.run(&["volume", "rm", "bound"]).ok();
    assert!(host.join("f").exists(), "it only stood for it");
    create("nothing", &["type=none", "o=bind", "device=/nonexistent"]);
    let failed = engine.run(&["run", "--rm", "-v", "nothing:/d", "bb", "true"]).refused(125);
    assert!(failed.contains("failed to mount local volume"), "{failed}");
}

#[test]
fn a_volume_that_stands_for_something_is_let_go_after_a_kill_too() {
    let engine = engine();
    engine.run(&["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory"]).ok();
    let data = engine.root().join("volumes/memory/_data");
    engine.run(&["run", "-d", "--name", "c1", "-v", "memory:/d", "bb", "sleep", "1000"]).ok();
    let pid = i32::try_from(engine.inspect("c1")["State"]["Pid"].as_i64().unwrap()).unwrap();
    let monitors = tests::leaks::monitors(&engine.root().canonicalize().unwrap());
    for victim in monitors.into_iter().chain([pid]) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), nix::sys::signal::Signal::SIGKILL);
    }
    eventually("it ends", || !Path::new(&format!("/proc/{pid}")).exists());
    // The next command that looks at the container settles what it left.
    engine.run(&["ps", "-a"]).ok();
    assert!(!is_mounted(&data));
    engine.run(&["rm", "c1"]).ok();
    engine.run(&["volume", "rm", "memory"]).ok();
}

#[test]
fn a_part_of_a_volume_can_be_mounted_alone() {
    let engine = engine();
    let script = "mkdir -p /d/sub/deep; echo below > /d/sub/deep/f; echo above > /d/f; ln -s /etc /d/out; ln -s ../../../../../etc /d/up";
    engine.run(&["run", "--rm", "-v", "vol:/d", "bb", "sh", "-c", script]).ok();
    let part = |sub: &str| format!("src=vol,dst=/m,volume-subpath={sub}");
    assert_eq!(engine.run(&["run", "--rm", "--mount", &part("sub/deep"), "bb", "ls", "/m"]).ok(), "f\n");
    assert_eq!(engine.run(&["run", "--rm", "--mount", &part("sub/deep/f"), "bb", "cat", "/m"]).ok(), "below\n");
    for sub in ["out", "up", "../../..", "/etc", "nowhere"] {
        let refused = engine.run(&["run", "--rm", "--mount", &part(sub), "bb", "ls", "/m"]).refused(125);
        assert!(refused.contains("subpath"), "{sub}: {refused}");
    }
}

#[test]
fn a_volume_never_goes_from_under_a_container_that_is_being_made() {
    let engine = engine();
    for round in 0..12 {
        let (name, own) = (format!("c{round}"), format!("vol{round}:/etc"));
        let making = ["create", "--name", &name, "-v", &own, "-v", "shared:/etc", "-v", "/bin", "bb", "true"];
        // Refused: a place is there twice. Its volume is for the prune.
        engine.run(&making).refused(1);
        let making = ["create", "--name", &name, "-v", &own, "-v", "shared:/home", "-v", "/root", "bb", "true"];
        let mut create = engine.command(&making).stdout(std::process::Stdio::null()).spawn().unwrap();
        let pruned = engine.run(&["volume", "prune", "-af"]);
        assert!(create.wait().unwrap().success());
        pruned.ok();
        let document = engine.inspect(&name);
        for point in document["Mounts"].as_array().unwrap() {
            assert!(Path::new(point["Source"].as_str().unwrap()).exists(), "{point}");
        }
        assert!(engine.root().join(format!("volumes/vol{round}/_data/passwd")).exists());
        engine.run(&["rm", "-v", &name]).ok();
    }
}

#[test]
fn a_container_whose_monitor_was_killed_lends_its_volumes() {
    let engine = engine();
    engine.run(&["run", "-d", "--rm", "--name", "c1", "-v", "/d", "bb", "sleep", "1000"]).ok();
    let pid = i32::try_from(engine.inspect("c1")["State"]["Pid"].as_i64().unwrap()).unwrap();
    for victim in tests::leaks::monitors(&engine.root().canonicalize().unwrap()).into_iter().chain([pid]) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), nix::sys::signal::Signal::SIGKILL);
    }
    eventually("it ends", || !Path::new(&format!("/proc/{pid}")).exists());
    // Taking the first apart while the other is made would be waiting for itself.
    engine.run(&["create", "--name", "c2", "--volumes-from", "c1", "bb", "true"]).ok();
    engine.run(&["ps", "-a"]).ok();
    assert_eq!(names(&engine, &[]).len(), 1);
    engine.run(&["rm", "-v", "c2"]).ok();
    assert_eq!(names(&engine, &[]), [""; 0]);
}
