//! `events` of images and volumes, and a commit that holds its container still.

use std::{fs, process::Stdio};

use nix::libc;
use tests::{
    engine::{Engine, eventually},
    tracer::{Act, trace},
};

fn events(engine: &Engine, kind: &str) -> String {
    let filter = format!("type={kind}");
    engine
        .run(&["events", "--since", "0", "--until", "0s", "-f", &filter, "--format", "{{.Action}} {{.Actor.ID}}"])
        .ok()
}

/// All events that are not in `seen` yet, with numbers in the place of ids: the same for the same id.
fn news(engine: &Engine, seen: &mut usize, ids: &mut Vec<String>) -> String {
    let format = "{{.Type}} {{.Action}} {{.Actor.ID}} {{json .Actor.Attributes}}";
    let said = engine.run(&["events", "--since", "0", "--until", "0s", "--format", format]).ok();
    let fresh: Vec<&str> = said.lines().skip(*seen).collect();
    *seen += fresh.len();
    let mut text = String::new();
    for line in fresh {
        for word in line.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
            let is_id = word.len() >= 64 && word.as_bytes()[..64].iter().all(u8::is_ascii_hexdigit);
            if !is_id {
                text += word;
                continue;
            }
            let at = ids.iter().position(|id| *id == word[..64]).unwrap_or_else(|| {
                ids.push(word[..64].to_owned());
                ids.len() - 1
            });
            text.extend(["#", &at.to_string(), &word[64..]]);
        }
        text.push('\n');
    }
    text
}

/// Compared with those of Docker 20.10.
#[test]
#[allow(clippy::too_many_lines)] // A list.
fn events_are_dockers() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let (mut seen, mut ids) = (0, Vec::new());
    news(&engine, &mut seen, &mut Vec::new());
    let mut after = |arguments: &[&str]| {
        engine.run(arguments);
        news(&engine, &mut seen, &mut ids)
    };
    let own = r#""image":"bb","name":"c1"}"#;
    let start = "network connect #2 {\"container\":\"#1\",\"name\":\"bridge\",\"type\":\"bridge\"}\n\
        volume mount #0 {\"container\":\"#1\",\"destination\":\"/anon\",\"driver\":\"local\",\"propagation\":\"\",\"read/write\":\"true\"}\n\
        volume mount v1 {\"container\":\"#1\",\"destination\":\"/v\",\"driver\":\"local\",\"propagation\":\"\",\"read/write\":\"false\"}\n";
    let end = "network disconnect #2 {\"container\":\"#1\",\"name\":\"bridge\",\"type\":\"bridge\"}\n\
        volume unmount #0 {\"container\":\"#1\",\"driver\":\"local\"}\n\
        volume unmount v1 {\"container\":\"#1\",\"driver\":\"local\"}\n";
    assert_eq!(after(&["volume", "create", "v1"]), "volume create v1 {\"driver\":\"local\"}\n");
    assert_eq!(
        after(&[
            "run",
            "-d",
            "--name",
            "c1",
            "-v",
            "v1:/v:ro",
            "-v",
            "/anon",
            "-v",
            "/tmp:/host",
            "bb",
            "sleep",
            "999"
        ]),
        format!(
            "volume create #0 {{\"driver\":\"local\"}}\ncontainer create #1 {{{own}\n{start}container start #1 {{{own}\n"
        )
    );
    let executed = |command: &str, id: &str| {
        let event = |action: &str| format!("container {action}: {command} #1 {{\"execID\":\"{id}\",{own}\n");
        event("exec_create") + &event("exec_start")
    };
    assert_eq!(
        after(&["exec", "c1", "sh", "-c", "exit 3"]),
        format!(
            "{}container exec_die #1 {{\"execID\":\"#3\",\"exitCode\":\"3\",{own}\n",
            executed("sh -c exit 3", "#3")
        )
    );
    assert_eq!(after(&["exec", "c1", "/nosuch"]), executed("/nosuch ", "#4"));
    let mut told = after(&["exec", "-d", "c1", "true"]);
    // Its end is told by somebody whom nobody waits for.
    eventually("the end is told", || {
        told += &after(&["version"]);
        told.contains("exec_die")
    });
    let end_of_it = format!("container exec_die #1 {{\"execID\":\"#5\",\"exitCode\":\"0\",{own}\n");
    assert_eq!(told, executed("true ", "#5") + &end_of_it);
    assert_eq!(
        after(&["restart", "-t", "0", "c1"]),
        format!(
            "container kill #1 {{{own0},\"signal\":\"15\"}}\ncontainer kill #1 {{{own0},\"signal\":\"9\"}}\n\
             container die #1 {{\"exitCode\":\"137\",{own}\n{end}container stop #1 {{{own}\n\
             {start}container start #1 {{{own}\ncontainer restart #1 {{{own}\n",
            own0 = own.trim_end_matches('}')
        )
    );
    let network = |action: &str, container: &str| {
        format!("network {action} #6 {{{container}\"name\":\"n1\",\"type\":\"bridge\"}}\n")
    };
    assert_eq!(after(&["network", "create", "n1"]), network("create", ""));
    assert_eq!(after(&["network", "connect", "n1", "c1"]), network("connect", "\"container\":\"#1\","));
    assert_eq!(after(&["network", "disconnect", "n1", "c1"]), network("disconnect", "\"container\":\"#1\","));
    assert_eq!(after(&["network", "rm", "n1"]), network("destroy", ""));
    let file = engine.path("file");
    let file = file.to_str().unwrap();
    assert_eq!(after(&["cp", "c1:/bin/busybox", file]), format!("container archive-path #1 {{{own}\n"));
    assert_eq!(after(&["cp", file, "c1:/x"]), format!("container extract-to-dir #1 {{{own}\n"));
    assert_eq!(after(&["export", "-o", file, "c1"]), format!("container export #1 {{{own}\n"));
    assert_eq!(after(&["top", "c1"]), format!("container top #1 {{{own}\n"));
    assert_eq!(
        after(&["rm", "-fv", "c1"]),
        format!(
            "container kill #1 {{{own0},\"signal\":\"9\"}}\ncontainer die #1 {{\"exitCode\":\"137\",{own}\n{end}\
             volume destroy #0 {{\"driver\":\"local\"}}\ncontainer destroy #1 {{{own}\n",
            own0 = own.trim_end_matches('}')
        )
    );
    let image = |action: &str| format!("image {action} sha256:#7 {{\"name\":\"sha256:#7\"}}\n");
    assert_eq!(after(&["save", "-o", file, "bb"]), image("save"));
    assert_eq!(after(&["load", "-i", file]), image("load"));
    let archive = engine.path("bb.tar");
    assert_eq!(
        after(&["import", archive.to_str().unwrap(), "b2"]),
        "image tag sha256:#8 {\"name\":\"b2:latest\"}\nimage import sha256:#8 {\"name\":\"sha256:#8\"}\n"
    );
    engine.run_with(&["build", "-q", "-t", "labelled", "-"], b"FROM bb\nLABEL of=mine\n").ok();
    let tag = |name: &str| format!("image tag sha256:#9 {{\"name\":\"{name}:latest\",\"of\":\"mine\"}}\n");
    assert_eq!(after(&["tag", "labelled", "b3"]), tag("labelled") + &tag("b3"));
    let untagged = "image untag sha256:#9 {\"name\":\"sha256:#9\",\"of\":\"mine\"}\n";
    assert_eq!(after(&["rmi", "b3"]), untagged);
    let gone = after(&["rmi", "labelled"]);
    assert_eq!(gone, format!("{untagged}image delete sha256:#9 {{\"name\":\"sha256:#9\"}}\n"));
    assert_eq!(
        after(&["volume", "prune", "-af"]),
        "volume destroy v1 {\"driver\":\"local\"}\nvolume prune  {\"reclaimed\":\"0\"}\n"
    );
    engine.run(&["network", "create", "n2"]).ok();
    let pruned = after(&["system", "prune", "-f"]);
    for kind in ["container", "network", "image", "builder"] {
        assert!(pruned.contains(&format!("{kind} prune  {{\"reclaimed\":\"0\"}}\n")), "{pruned}");
    }
    assert!(pruned.contains("network destroy") && engine.run(&["network", "inspect", "n2"]).code == 1, "{pruned}");
}

#[test]
fn a_time_that_ends_before_it_begins_is_refused() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let said = engine.run(&["events", "--since", "2100-01-01", "--until", "2000-01-01"]).refused(1);
    assert!(said.contains("cannot be after `until`"), "{said}");
}

#[test]
fn a_kill_is_told_before_what_comes_of_it() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "999"]).ok();
    let mut told = None;
    let traced = trace(&engine.command(&["kill", "-s", "", "c1"]), |call| {
        if call.which() == Some(libc::SYS_pidfd_send_signal) && call.argument(2) == Some(9) {
            told = Some(fs::read_to_string(engine.root().join("events.json")).unwrap());
        }
        Act::Go
    });
    assert_eq!((traced.said.code, &*traced.said.out), (0, "c1\n"), "{:?}", traced.said);
    let told = told.expect("a signal");
    assert!(told.lines().last().unwrap().contains("\"kill\""), "{told}");
}

#[test]
fn images_and_volumes_have_events() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let id = engine.inspect("bb")["Id"].as_str().unwrap().to_owned();
    engine.run(&["tag", "bb", "other:1"]).ok();
    engine.run(&["rmi", "other:1"]).ok();
    engine.run(&["rmi", "bb"]).ok();
    let said = events(&engine, "image");
    assert!(said.ends_with(&format!("tag {id}\nuntag {id}\nuntag {id}\ndelete {id}\n")), "{said}");
    engine.run(&["volume", "create", "data"]).ok();
    engine.run(&["volume", "rm", "data"]).ok();
    assert_eq!(events(&engine, "volume"), "create data\ndestroy data\n");
}

#[test]
fn a_commit_pauses_unless_told_not_to() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&["run", "-d", "--name", "one", "bb", "sleep", "100"]).ok();
    engine.run(&["commit", "--pause=false", "one"]).ok();
    let said = events(&engine, "container");
    assert!(!said.contains("pause") && said.contains("commit "), "{said}");
    engine.run(&["commit", "one"]).ok();
    let said = events(&engine, "container");
    assert!(said.contains("pause ") && said.contains("unpause "), "{said}");
    assert_eq!(engine.inspect("one")["State"]["Status"], "running");
}

#[test]
fn a_commit_that_is_killed_leaves_nothing_paused() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let script = "dd if=/dev/zero of=/large bs=1M count=48; touch /written; sleep 1000";
    let id = engine.run(&["run", "-d", "--name", "one", "bb", "sh", "-c", script]).ok();
    eventually("it has much to commit", || engine.run(&["exec", "one", "ls", "/written"]).code == 0);
    let status = engine.root().join("containers").join(id.trim()).join("status.json");
    let is_paused = || fs::read_to_string(&status).unwrap().contains("\"paused\"");
    // It may be too fast to be seen.
    let killed = (0..20).any(|_| {
        let mut commit = engine.command(&["commit", "one"]).stdout(Stdio::null()).spawn().unwrap();
        while commit.try_wait().unwrap().is_none() && !is_paused() {}
        commit.kill().unwrap();
        commit.wait().unwrap();
        is_paused()
    });
    assert!(killed);
    assert_eq!(engine.inspect("one")["State"]["Status"], "running");
    engine.run(&["exec", "one", "true"]).ok();
    // What the user has paused stays so.
    engine.run(&["pause", "one"]).ok();
    assert_eq!(engine.inspect("one")["State"]["Status"], "paused");
    engine.run(&["check"]).ok();
}

#[test]
fn a_volume_is_created_once() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&["volume", "create", "data"]).ok();
    engine.run(&["volume", "create", "data"]).ok();
    assert_eq!(events(&engine, "volume"), "create data\n");
}
