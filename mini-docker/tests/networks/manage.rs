//! Networks are made, joined, left and removed; ports are published.

use std::fs;

use tests::{engine::eventually, machine::read_from};

use crate::{engine, free_port, heard, server};

#[test]
fn networks_are_made_and_removed_as_with_docker() {
    let engine = engine();
    let id = engine.run(&["network", "create", "--internal", "--label", "a=b", "one"]).ok();
    for (arguments, words) in [
        (&["network", "create", "one"][..], "network with name one already exists"),
        (&["network", "create", "bridge"], "predefined bridge network"),
        (&["network", "create", "a/b"], "invalid network name"),
        (&["network", "create", "--subnet", "bogus", "two"], "invalid CIDR address: bogus"),
        (&["network", "create", "--subnet", "10.127.9.1/24", "two"], "it should be 10.127.9.0/24"),
        (&["network", "create", "--subnet", "10.127.9.0/24", "--gateway", "10.0.0.1", "two"], "no matching subnet"),
        (&["network", "create", "-d", "nosuch", "two"], "plugin not found"),
        (&["network", "create", "-o", "nonsense=1", "two"], "no such option"),
        (&["network", "create", "-o", "com.docker.network.bridge.name=much-too-long-for-it", "two"], "bad value"),
        (&["network", "rm", "nosuch"], "network nosuch not found"),
        (&["network", "ls", "--filter", "nonsense=1"], "invalid filter 'nonsense'"),
        (&["network", "connect", "nosuch", "nobody"], "network nosuch not found"),
    ] {
        assert!(engine.run(arguments).refused(1).contains(words), "{arguments:?}");
    }
    assert_eq!(engine.run(&["network", "rm", "-f", "nosuch"]).ok(), "");
    assert_eq!(engine.run(&["network", "ls", "-q", "--no-trunc", "--filter", "label=a=b"]).ok(), id);
    assert_eq!(
        engine.run(&["network", "ls", "--filter", "type=builtin", "--format", "{{.Name}}"]).ok(),
        "bridge\nhost\nnone\n"
    );
    server(&engine, "user", &["--network", "one"]);
    assert!(engine.run(&["network", "rm", "one"]).refused(1).contains("active endpoints"));
    assert_eq!(engine.run(&["network", "prune", "-f"]).ok(), "");
    engine.run(&["stop", "-t", "0", "user"]).ok();
    engine.run(&["network", "create", "--label", "keep", "other"]).ok();
    assert_eq!(engine.run(&["network", "prune", "-f", "--filter", "label!=keep"]).ok(), "Deleted Networks:\none\n\n");
    assert!(engine.run(&["start", "user"]).code != 0 || engine.run(&["inspect", "user"]).code == 0);
    assert_eq!(engine.run(&["network", "rm", "other"]).ok(), "other\n");
}

#[test]
fn containers_come_to_networks_and_leave_them_while_they_run() {
    let engine = engine();
    let port = free_port();
    for name in ["blue", "green"] {
        engine.run(&["network", "create", name]).ok();
    }
    server(&engine, "web", &["--network", "blue", "-p", &format!("127.0.0.1:{port}:80")]);
    engine.run(&["network", "connect", "--alias", "www", "green", "web"]).ok();
    assert_eq!(heard(&engine, "green", "www"), "web\n");
    assert_eq!(heard(&engine, "blue", "web"), "web\n");
    assert!(engine.run(&["network", "connect", "green", "web"]).refused(1).contains("already exists"));
    assert!(engine.run(&["network", "connect", "host", "web"]).refused(1).contains("host network"));
    // Its ports and its way out follow it.
    engine.run(&["network", "disconnect", "blue", "web"]).ok();
    assert_eq!(heard(&engine, "blue", "web"), "");
    assert_eq!(heard(&engine, "green", "web"), "web\n");
    let at = format!("127.0.0.1:{port}");
    eventually("the port leads to the other network", || read_from(&at) == Ok("web\n".to_owned()));
    let gateway = engine.inspect("web")["NetworkSettings"]["Networks"]["green"]["Gateway"].as_str().unwrap().to_owned();
    let pid = engine.inspect("web")["State"]["Pid"].to_string();
    let routes = fs::read_to_string(format!("/proc/{pid}/net/route")).unwrap();
    let octets: std::net::Ipv4Addr = gateway.parse().unwrap();
    assert!(routes.contains(&format!("\t00000000\t{:08X}\t", u32::from_le_bytes(octets.octets()))), "{routes}");
    assert!(engine.run(&["network", "disconnect", "blue", "web"]).refused(1).contains("is not connected"));
    engine.run(&["network", "rm", "blue"]).ok();
}

#[test]
fn ports_lead_to_containers_and_are_nobody_else_s() {
    let engine = engine();
    let port = free_port();
    server(&engine, "web", &["-p", &format!("{port}:80"), "-P", "--expose", "81/udp"]);
    let gateway = engine.inspect("web")["NetworkSettings"]["Gateway"].as_str().unwrap().to_owned();
    for host in ["127.0.0.1", &gateway] {
        let at = format!("{host}:{port}");
        eventually(&at, || read_from(&at) == Ok("web\n".to_owned()));
    }
    let listed = engine.run(&["port", "web"]).ok();
    assert!(listed.starts_with(&format!("80/tcp -> 0.0.0.0:{port}\n81/udp -> 0.0.0.0:")), "{listed}");
    assert_eq!(engine.run(&["port", "web", "80"]).ok(), format!("0.0.0.0:{port}\n"));
    assert!(engine.run(&["port", "web", "82"]).refused(1).contains("no public port '82/tcp' published for web"));
    // From a container: another one, and itself.
    let script = format!("nc -w 2 {gateway} {port} </dev/null");
    assert_eq!(engine.run(&["run", "--rm", "bb", "sh", "-c", &script]).ok(), "web\n");
    let taken = engine.run(&["run", "-d", "--name", "second", "-p", &format!("{port}:80"), "bb", "true"]).refused(125);
    assert!(taken.contains("already allocated"), "{taken}");
    engine.run(&["rm", "-f", "web"]).ok();
    engine.run(&["run", "--rm", "-p", &format!("{port}:80"), "bb", "true"]).ok();
    for wrong in ["70000:80", "abc", "1.2.3:80:80", "80/foo", "9000-9005:8080-8081"] {
        engine.run(&["create", "-p", wrong, "bb", "true"]).refused(1);
    }
}
