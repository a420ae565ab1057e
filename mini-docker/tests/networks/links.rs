//! Links from one container to another, and the /etc/hosts that they are written to.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use nix::fcntl::{Flock, FlockArg};
use tests::engine::eventually;

use crate::{address, engine, server};

#[test]
fn a_link_to_who_has_gone_is_in_nobodys_way_but_a_starts() {
    let engine = engine();
    server(&engine, "web", &[]);
    engine.run(&["run", "-d", "--name", "me", "--link", "web:w", "bb", "sleep", "1000"]).ok();
    assert_eq!(engine.inspect("me")["HostConfig"]["Links"], serde_json::json!(["/web:/me/w"]));
    let web = engine.inspect("web")["Id"].as_str().unwrap().to_owned();
    for gone in [&["stop", "-t", "0", "web"][..], &["rm", "web"]] {
        engine.run(gone).ok();
        engine.run(&["exec", "me", "true"]).ok();
    }
    engine.run(&["stop", "-t", "0", "me"]).ok();
    let said = engine.run(&["start", "me"]);
    assert!(said.code == 1 && said.err.contains(&format!("No such container: {web}")), "{said:?}");
    // As it says.
    assert!(said.err.contains("mini-docker rm --link me/w"), "{said:?}");
    engine.run(&["rm", "--link", "me/w"]).ok();
    engine.run(&["start", "me"]).ok();
}

#[test]
fn links_of_the_default_network_follow_who_is_linked_to() {
    let engine = engine();
    server(&engine, "web", &[]);
    engine.run(&["run", "-d", "--name", "me", "--link", "/web:w", "bb", "sleep", "1000"]).ok();
    engine.run(&["create", "--name", "later", "--link", "web", "bb", "cat", "/etc/hosts"]).ok();
    let old = address(&engine, "web", "bridge");
    // Somebody takes its address, and it another one.
    engine.run(&["stop", "-t", "0", "web"]).ok();
    server(&engine, "other", &[]);
    engine.run(&["start", "web"]).ok();
    let new = address(&engine, "web", "bridge");
    assert_ne!(old, new);
    let hosts = |container: &str| engine.run(&["exec", container, "cat", "/etc/hosts"]).ok();
    let host = engine.inspect("web")["Config"]["Hostname"].as_str().unwrap().to_owned();
    assert!(hosts("me").contains(&format!("{new}\tw {host} web\n")) && !hosts("me").contains(&format!("{old}\tw")));
    // A new name is the link's, whoever is linked; and the container moves again.
    engine.run(&["rename", "web", "net"]).ok();
    assert_eq!(engine.inspect("me")["HostConfig"]["Links"], serde_json::json!(["/net:/me/w"]));
    assert_eq!(engine.inspect("later")["HostConfig"]["Links"], serde_json::json!(["/net:/later/web"]));
    assert!(engine.run(&["start", "-a", "later"]).ok().contains(&format!("{new}\tweb {host} net\n")));
    let lines = || hosts("me").lines().filter(|line| line.contains("\tw ")).map(str::to_owned).collect::<Vec<_>>();
    for away in [&["stop", "-t", "0", "net"][..], &["network", "disconnect", "bridge", "net"]] {
        engine.run(away).ok();
        let name = format!("filler-{}", away[0]);
        server(&engine, &name, &[]);
        let back = if away[0] == "stop" { &["start", "net"][..] } else { &["network", "connect", "bridge", "net"] };
        engine.run(back).ok();
        assert_eq!(lines(), [format!("{}\tw {host} net", address(&engine, "net", "bridge"))]);
    }
    engine.run(&["restart", "-t", "0", "me"]).ok();
    assert_eq!(lines(), [format!("{}\tw {host} net", address(&engine, "net", "bridge"))]);
    assert!(engine.run(&["rm", "--link", "me/x"]).refused(1).contains("link x"));
    engine.run(&["rm", "-f", "net"]).ok();
    engine.run(&["rm", "--link", "/me/w"]).ok();
    assert_eq!(lines(), [""; 0]);
    assert!(engine.inspect("me")["HostConfig"]["Links"].is_null());
}

#[test]
fn what_a_container_makes_of_its_hosts_is_in_nobody_s_way() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    server(&engine, "web", &[]);
    let flood = "head -c 2000000 /dev/zero | tr '\\0' '\\377' > /etc/hosts; exec sleep 1000";
    engine.run(&["run", "-d", "--name", "me", "--link", "web", "bb", "sh", "-c", flood]).ok();
    let size = || engine.run(&["exec", "me", "stat", "-c", "%s", "/etc/hosts"]).out;
    eventually("it has done that", || size() == "2000000\n");
    // It could lock its file, for ever.
    let file = fs::File::open(engine.inspect("me")["HostsPath"].as_str().unwrap()).unwrap();
    let _locked = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, e)| e).unwrap();
    engine.run(&["restart", "-t", "0", "web"]).ok();
    engine.run(&["network", "connect", "blue", "me"]).ok();
    engine.run(&["network", "disconnect", "blue", "me"]).ok();
    assert_eq!(size(), "2000000\n");
    engine.run(&["exec", "me", "sh", "-c", "printf '1.2.3.4\tn\\377\\n' > /etc/hosts"]).ok();
    engine.run(&["network", "connect", "blue", "me"]).ok();
    let hosts = engine.run(&["exec", "me", "cat", "/etc/hosts"]).ok();
    assert!(hosts.starts_with("1.2.3.4\tn") && hosts.lines().count() == 2, "{hosts:?}");
    engine.run(&["rm", "-f", "me", "web"]).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}

/// Has a lease on its /etc/hosts, and does not give it back when somebody opens the file.
const LEASE: &str = "
    #define _GNU_SOURCE
    #include <fcntl.h>
    #include <signal.h>
    #include <unistd.h>
    int main(void) {
        signal(SIGIO, SIG_IGN);
        int file = open(\"/etc/hosts\", O_RDWR);
        if (file < 0 || fcntl(file, F_SETLEASE, F_WRLCK)) return 1;
        write(1, \"held\\n\", 5);
        for (;;) pause();
    }";

#[test]
fn a_lease_on_a_containers_hosts_holds_nobody_up() {
    let engine = engine();
    let (source, program) = (engine.path("lease.c"), engine.path("lease"));
    fs::write(&source, LEASE).unwrap();
    assert!(Command::new("cc").args(["-static", "-o"]).arg(&program).arg(source).status().unwrap().success(), "cc");
    server(&engine, "web", &[]);
    let mount = format!("{}:/lease:ro", program.display());
    engine.run(&["run", "-d", "--name", "me", "--link", "web", "-v", &mount, "bb", "/lease"]).ok();
    eventually("it has the lease", || engine.run(&["logs", "me"]).ok() == "held\n");
    engine.run(&["restart", "-t", "0", "web"]).ok();
    // The kernel takes it away after a while: who had waited for it would have waited until then.
    let file = fs::metadata(engine.inspect("me")["HostsPath"].as_str().unwrap()).unwrap().ino();
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let is_asked_for =
        |line: &str| line.contains("LEASE") && line.contains("BREAKING") && line.contains(&format!(":{file} "));
    assert!(locks.lines().any(is_asked_for), "{locks}");
    engine.run(&["rm", "-f", "me", "web"]).ok();
}

#[test]
fn links_lead_nowhere_from_where_there_is_no_network_in_common() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    engine.run(&["run", "-d", "--name", "hosts", "--network", "host", "bb", "sleep", "1000"]).ok();
    engine.run(&["run", "-d", "--name", "apart", "--network", "blue", "bb", "sleep", "1000"]).ok();
    let refused = |to: &str| engine.run(&["run", "--rm", "--link", to, "bb", "true"]);
    assert!(refused("hosts:h").err.contains("host type networking can't be used with links"));
    assert!(refused("apart:a").err.contains("not attached to default bridge network"));
    engine.run(&["rm", "-f", "hosts", "apart"]).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}

#[test]
fn links_of_user_defined_networks_lead_to_who_comes_later() {
    let engine = engine();
    for network in ["blue", "green"] {
        engine.run(&["network", "create", network]).ok();
    }
    let sleeper = ["run", "-d", "--name", "me", "--network", "blue", "--link", "later:db", "bb", "sleep", "1000"];
    engine.run(&sleeper).ok();
    engine.run(&["network", "connect", "--link", "there:far", "green", "me"]).ok();
    assert!(engine.run(&["network", "connect", "--link", "a:b:c", "green", "me"]).refused(1).contains("bad format"));
    server(&engine, "later", &["--network", "blue"]);
    server(&engine, "there", &["--network", "green"]);
    let hear = |name: &str| engine.run(&["exec", "me", "sh", "-c", &format!("nc -w 2 {name} 80 </dev/null")]).out;
    assert_eq!((hear("db"), hear("far")), ("later\n".to_owned(), "there\n".to_owned()));
    let document = engine.inspect("me");
    assert!(document["HostConfig"]["Links"].is_null());
    assert_eq!(document["NetworkSettings"]["Networks"]["blue"]["Links"], serde_json::json!(["later:db"]));
    assert_eq!(document["NetworkSettings"]["Networks"]["green"]["Links"], serde_json::json!(["there:far"]));
    engine.run(&["restart", "-t", "0", "me"]).ok();
    assert_eq!((hear("db"), hear("far")), ("later\n".to_owned(), "there\n".to_owned()));
    // A link goes with its network.
    engine.run(&["network", "disconnect", "green", "me"]).ok();
    assert_eq!((hear("db"), hear("far")), ("later\n".to_owned(), String::new()));
    engine.run(&["rm", "-f", "me", "later", "there"]).ok();
    for network in ["blue", "green"] {
        engine.run(&["network", "rm", network]).ok();
    }
}

#[test]
fn links_are_described_as_docker_does() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    for network in ["bridge", "blue"] {
        let all = ["--network", network, "--hostname", "box", "-e", "A=b c", "--expose", "90/udp", "--expose", "80"];
        server(&engine, &format!("web-{network}"), &all);
    }
    let ask = |network: &str| {
        let link = format!("web-{network}:d-b");
        let script = "grep d-b /etc/hosts; env | grep ^D_B | sort";
        engine
            .run(&["run", "--rm", "--name", "me", "--network", network, "--link", &link, "bb", "sh", "-c", script])
            .ok()
    };
    let ip = address(&engine, "web-bridge", "bridge");
    let expected = format!(
        "{ip}\td-b box web-bridge\nD_B_ENV_A=b c\nD_B_NAME=/me/d-b\nD_B_PORT=tcp://{ip}:80\n\
        D_B_PORT_80_TCP=tcp://{ip}:80\nD_B_PORT_80_TCP_ADDR={ip}\nD_B_PORT_80_TCP_PORT=80\nD_B_PORT_80_TCP_PROTO=tcp\n\
        D_B_PORT_90_UDP=udp://{ip}:90\nD_B_PORT_90_UDP_ADDR={ip}\nD_B_PORT_90_UDP_PORT=90\nD_B_PORT_90_UDP_PROTO=udp\n"
    );
    assert_eq!(ask("bridge"), expected);
    // There the resolver alone knows.
    assert_eq!(ask("blue"), "");
    engine.run(&["rm", "-f", "web-blue", "web-bridge"]).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}
