//! Beside other people's rules: a running Docker's, an administrator's, and who flushes all of them.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tests::{
    engine::{Engine, output},
    machine::Machine,
};

use crate::{engine, start};

/// Has nft(8) do something on a machine, and returns what it says.
pub(crate) fn nft(machine: &Machine, script: impl Into<String>) -> String {
    let script = script.into();
    machine.run(move || {
        let mut command = Command::new("nft");
        command.args(["-f", "-"]);
        command.stdin(Stdio::piped());
        let done = output(command, script.as_bytes());
        assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    })
}

/// What a running Docker has: its chain FORWARD drops what none of its rules accepts, in both families.
const DOCKER: &str = "
    table ip filter {
        chain DOCKER-USER { }
        chain FORWARD {
            type filter hook forward priority filter; policy drop;
            jump DOCKER-USER
            oifname docker0 ct state related,established accept
            iifname docker0 accept
        }
    }
    table ip6 filter {
        chain DOCKER-USER { }
        chain FORWARD { type filter hook forward priority filter; policy drop; jump DOCKER-USER; }
    }
";

struct World {
    engine: Engine,
    host: Machine,
    outside: Machine,
}

impl World {
    fn new() -> Self {
        let (engine, host, outside) = (engine(), Machine::new(), Machine::new());
        host.connect("wire", "192.0.2.1/24", &outside, "192.0.2.2/24");
        outside.tell_the_source_at("192.0.2.2:99");
        Self { engine, host, outside }
    }

    fn server(&self, name: &str, publish: &str) {
        start(&self.engine, Some(&self.host), name, &["--network", "blue", "-p", publish]);
    }

    fn run(&self, arguments: &[&str]) -> String {
        self.engine.run_on(&self.host, arguments).ok()
    }

    /// A container reaches outside, and outside what it publishes.
    #[track_caller]
    fn works(&self, at: &str, name: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut heard = self.outside.read_from(at);
        while heard.is_err() && Instant::now() < deadline {
            heard = self.outside.read_from(at);
        }
        assert_eq!(heard, Ok(format!("{name}\n")), "{at}");
        let script = "nc -w 2 192.0.2.2 99 </dev/null";
        assert_eq!(self.run(&["run", "--rm", "--network", "blue", "bb", "sh", "-c", script]), "192.0.2.1");
    }

    fn end(self) {
        let ids = self.run(&["ps", "-q"]);
        let ids: Vec<&str> = ids.lines().collect();
        self.run(&[&["rm", "-f"], &ids[..]].concat());
        self.run(&["network", "rm", "blue"]);
    }
}

/// A Docker that was there before, one that comes later, and one that is started anew.
#[test]
fn containers_reach_and_are_reached_beside_a_docker_that_drops_what_is_forwarded() {
    let world = World::new();
    nft(&world.host, DOCKER);
    world.run(&["network", "create", "blue"]);
    world.server("first", "8080:80");
    world.works("192.0.2.1:8080", "first");
    // Its rules are flushed and made again, without ours: the next command mends them.
    nft(&world.host, "delete table ip filter; delete table ip6 filter;");
    nft(&world.host, DOCKER);
    assert!(world.outside.read_from("192.0.2.1:8080").is_err());
    world.run(&["ps"]);
    world.works("192.0.2.1:8080", "first");
    world.server("second", "8081:80");
    world.works("192.0.2.1:8081", "second");
    // One pair for each bridge and family, however many containers there are; and none when the network has gone.
    let rules = |host: &Machine| nft(host, "list ruleset").matches("mini-docker: br-").count();
    assert_eq!(rules(&world.host), 4);
    let host = Machine::beside(&world.host);
    world.end();
    assert_eq!(rules(&host), 0);
}

#[test]
fn all_rules_flushed_are_mended_by_the_next_command_and_by_network_reload() {
    let world = World::new();
    world.run(&["network", "create", "blue"]);
    world.server("web", "8080:80");
    world.works("192.0.2.1:8080", "web");
    let alone = ["run", "--rm", "--network", "none", "bb", "true"];
    for command in [&["ps"][..], &["network", "reload"], &["run", "--rm", "bb", "true"], &alone] {
        nft(&world.host, "flush ruleset");
        assert!(world.outside.read_from("192.0.2.1:8080").is_err(), "nothing leads there");
        world.run(command);
        world.works("192.0.2.1:8080", "web");
    }
    assert_eq!(nft(&world.host, "list tables").lines().count(), 1);
    world.end();
}

#[test]
fn a_table_of_an_older_program_is_replaced() {
    let world = World::new();
    world.run(&["network", "create", "blue"]);
    world.server("web", "8080:80");
    let table = format!("inet mini-docker-{}", crate::walls::table_key(&world.engine));
    let older = [
        // One without a layout, whose sets have other keys, and one of another layout.
        format!(
            "delete table {table}; table {table} {{ set bridges {{ type ipv4_addr; }}; chain forward {{ type filter hook forward priority 0; policy drop; }}; }}"
        ),
        format!("delete table {table}; table {table} {{ comment \"layout 0\"; }}"),
    ];
    for (number, older) in older.into_iter().enumerate() {
        nft(&world.host, older);
        assert!(world.outside.read_from("192.0.2.1:8080").is_err(), "nothing leads there");
        world.server(&format!("next{number}"), &format!("{}:80", 8081 + number));
        world.works("192.0.2.1:8080", "web");
        world.works(&format!("192.0.2.1:{}", 8081 + number), &format!("next{number}"));
    }
    world.end();
}
