//! Networks are made, joined, left and removed; ports are published.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{engine::eventually, machine::read_from};

use crate::{engine, free_port, heard, server, server_of};

#[test]
fn networks_are_made_and_removed_as_with_docker() {
    let engine = engine();
    let id = engine.run(&["network", "create", "--internal", "--label", "a=b", "one"]).ok();
    for (arguments, words) in [
        (&["network", "create", "one"][..], "network with name one already exists"),
        (&["network", "create", "bridge"], "predefined bridge network"),
        (&["network", "create", "default"], "predefined default network"),
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
fn a_network_is_made_of_the_description_of_another() {
    let engine = engine();
    let mtu = "com.docker.network.driver.mtu=1400";
    let described = ["--subnet", "10.213.7.0/24", "--gateway", "10.213.7.9", "-o", mtu, "--label", "a=b"];
    engine.run(&[&["network", "create", "--config-only"], &described[..], &["plan"]].concat()).ok();
    let shown = |name: &str| {
        let fields = "{{.Driver}} {{.ConfigOnly}} {{json .ConfigFrom}} {{json .IPAM.Config}} {{.Options}} {{.Labels}}";
        engine.run(&["network", "inspect", "-f", fields, name]).ok()
    };
    let same = "[{\"Subnet\":\"10.213.7.0/24\",\"Gateway\":\"10.213.7.9\"}] map[com.docker.network.driver.mtu:1400] map[a:b]\n";
    assert_eq!(shown("plan"), format!("null true {{\"Network\":\"\"}} {same}"));
    assert!(
        engine.run(&["run", "--network", "plan", "bb", "true"]).refused(125).contains("configuration-only network")
    );
    engine.run(&["network", "create", "--config-from", "plan", "made"]).ok();
    assert_eq!(shown("made"), format!("bridge false {{\"Network\":\"plan\"}} {same}"));
    let look = ["run", "--rm", "--network", "made", "bb", "cat", "/sys/class/net/eth0/mtu"];
    assert_eq!(engine.run(&look).ok(), "1400\n");
    for (flags, says) in [
        (&["--config-from", "made"][..], "configuration network \"made\" does not exist"),
        (&["--config-from", "plan", "--subnet", "10.1.1.0/24"], "user specified configurations are not supported"),
        (&["--config-from", "plan", "-o", "a=b"], "driver options are not supported"),
        (&["--config-only", "--config-from", "plan"], "cannot depend on another"),
        (&["--config-only", "--internal"], "can only contain network specific fields"),
    ] {
        let said = engine.run(&[&["network", "create"], flags, &["other"]].concat()).refused(1);
        assert!(said.contains(says), "{flags:?}: {said}");
    }
    assert!(engine.run(&["network", "rm", "plan"]).refused(1).contains("configuration network \"plan\" is in use"));
    assert_eq!(engine.run(&["network", "prune", "-f"]).ok(), "Deleted Networks:\nmade\n\n");
    assert_eq!(engine.run(&["network", "rm", "plan"]).ok(), "plan\n");
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
    let both = format!("0.0.0.0:{port}\n[::]:{port}\n");
    assert!(
        listed.starts_with(&format!("80/tcp -> 0.0.0.0:{port}\n80/tcp -> [::]:{port}\n81/udp -> 0.0.0.0:")),
        "{listed}"
    );
    assert_eq!(engine.run(&["port", "web", "80"]).ok(), both);
    assert!(engine.run(&["port", "web", "82"]).refused(1).contains("no public port '82/tcp' published for web"));
    // From a container: another one, and itself.
    let script = format!("nc -w 2 {gateway} {port} </dev/null");
    assert_eq!(engine.run(&["run", "--rm", "bb", "sh", "-c", &script]).ok(), "web\n");
    let taken = engine.run(&["run", "-d", "--name", "second", "-p", &format!("{port}:80"), "bb", "true"]).refused(125);
    assert!(taken.contains("already allocated"), "{taken}");
    let state = engine.inspect("second")["State"].clone();
    assert_eq!((&state["Status"], &state["ExitCode"]), (&"created".into(), &128.into()), "{state}");
    let on_host = engine.run(&["run", "--rm", "--network", "host", "-p", "80:80", "bb", "true"]);
    assert_eq!(on_host.err, "WARNING: Published ports are discarded when using host network mode\n");
    engine.run(&["rm", "-f", "web"]).ok();
    engine.run(&["run", "--rm", "-p", &format!("{port}:80"), "bb", "true"]).ok();
    for wrong in ["70000:80", "abc", "1.2.3:80:80", "80/foo", "9000-9005:8080-8081"] {
        engine.run(&["create", "-p", wrong, "bb", "true"]).refused(125);
    }
}

/// Every form of ranges, and what images expose.
#[test]
fn ranges_and_exposed_ports_get_ports_of_the_host() {
    let engine = engine();
    engine.run(&["create", "--name", "source", "bb", "true"]).ok();
    let expose = ["--change", "EXPOSE 80 90-91/udp", "--change", "EXPOSE 7000"];
    engine.run(&[&["commit"], &expose[..], &["source", "exposing"]].concat()).ok();
    server_of(&engine, "exposing", "web", &["-P", "--expose", "100-102", "--expose", "80/tcp"]);
    let listed = engine.run(&["port", "web"]).ok();
    let inside =
        |listed: &str| listed.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    let mut names = inside(&listed);
    names.dedup();
    let all = ["100/tcp", "101/tcp", "102/tcp", "7000/tcp", "80/tcp", "90/udp", "91/udp"];
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(sorted, all, "{listed}");
    let at = engine.run(&["port", "web", "80/tcp"]).ok();
    let port = at.lines().next().unwrap().rsplit(':').next().unwrap().to_owned();
    let local = format!("127.0.0.1:{port}");
    eventually("the exposed port", || read_from(&local) == Ok("web\n".to_owned()));
    let exposed = engine.inspect("web")["Config"]["ExposedPorts"].clone();
    assert_eq!(exposed.as_object().unwrap().len(), 7, "{exposed}");
    // Without -P they are known, and lead nowhere.
    server_of(&engine, "exposing", "quiet", &["-p", "80"]);
    let quiet = engine.inspect("quiet")["NetworkSettings"]["Ports"].clone();
    assert!(quiet["7000/tcp"].is_null() && quiet["80/tcp"].is_array(), "{quiet}");
    // A range of the container's on ports of the kernel's choice; one of the host's to choose from.
    let run = |arguments: &[&str]| {
        engine.run(&[&["run", "-d", "--name", "box"], arguments, &["bb", "sleep", "100"]].concat())
    };
    run(&["-p", "80-82", "-p", "127.0.0.1::53/udp"]).ok();
    let mut names = inside(&engine.run(&["port", "box"]).ok());
    names.dedup();
    assert_eq!(names, ["53/udp", "80/tcp", "81/tcp", "82/tcp"]);
    engine.run(&["rm", "-f", "box"]).ok();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let first = taken.local_addr().unwrap().port().min(65_500);
    let range = format!("127.0.0.1:{first}-{}:80", first + 20);
    run(&["-p", &range]).ok();
    let chosen = engine.run(&["port", "box", "80"]).ok();
    let chosen: u16 = chosen.trim().rsplit(':').next().unwrap().parse().unwrap();
    assert!(chosen > first && chosen <= first + 20, "{chosen}");
    engine.run(&["rm", "-f", "box"]).ok();
    for (publish, words) in [("80/sctp", "SCTP"), ("0.0.0.0:80-82:80-81", "ranges"), ("1-70000:80", "hostPort")] {
        let said = engine.run(&["run", "--rm", "-p", publish, "bb", "true"]);
        assert!(said.code == 125 && said.err.contains(words), "{publish}: {}", said.err);
    }
}

/// Who is killed by the test's end, whatever its end.
struct Visitor(Child);

impl Drop for Visitor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_container_that_is_dying_comes_to_a_network_with_its_next_start() {
    let engine = engine();
    for name in ["blue", "green"] {
        engine.run(&["network", "create", name]).ok();
    }
    engine.run(&["run", "-d", "--name", "box", "--network", "green", "bb", "sleep", "1000"]).ok();
    let pid = engine.inspect("box")["State"]["Pid"].to_string();
    // Who is not reaped keeps the first process from ending.
    let mut command = Command::new("nsenter");
    command.args(["--target", &pid, "--pid", "sleep", "1000"]).stdin(Stdio::null()).stdout(Stdio::null());
    let visitor = Visitor(command.spawn().expect("start nsenter"));
    let parent = Pid::from_raw(visitor.0.id().cast_signed());
    let children = format!("/proc/{parent}/task/{parent}/children");
    eventually("it is inside", || fs::read_to_string(&children).is_ok_and(|text| !text.is_empty()));
    kill(parent, Signal::SIGSTOP).unwrap();
    kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
    eventually("it has no network", || fs::metadata(format!("/proc/{pid}/ns/net")).is_err());
    engine.run(&["network", "connect", "blue", "box"]).ok();
    engine.run(&["network", "disconnect", "green", "box"]).ok();
    assert_eq!(engine.inspect("box")["State"]["Status"], "running");
    drop(visitor);
    engine.run(&["wait", "box"]).ok();
    engine.run(&["start", "box"]).ok();
    let networks = engine.inspect("box")["NetworkSettings"]["Networks"].clone();
    assert_eq!(networks.as_object().unwrap().keys().collect::<Vec<_>>(), ["blue"]);
}

#[test]
fn a_container_can_forget_a_network_that_is_gone() {
    let engine = engine();
    engine.run(&["network", "create", "gone"]).ok();
    engine.run(&["create", "--name", "me", "--network", "gone", "bb", "true"]).ok();
    engine.run(&["network", "rm", "gone"]).ok();
    assert!(engine.run(&["start", "me"]).err.contains("gone"));
    assert!(engine.run(&["network", "disconnect", "gone", "me"]).refused(1).contains("not found"));
    assert!(engine.run(&["network", "disconnect", "-f", "nosuch", "me"]).refused(1).contains("is not connected"));
    engine.run(&["network", "disconnect", "-f", "gone", "me"]).ok();
    engine.run(&["network", "connect", "bridge", "me"]).ok();
    engine.run(&["start", "-a", "me"]).ok();
}
