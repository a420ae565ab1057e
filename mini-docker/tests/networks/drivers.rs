//! Drivers that share a wire of the host's.

use process::netlink::{Socket, route};
use tests::{engine::eventually, machine::Machine};

use crate::{engine, start};

#[test]
fn a_macvlan_is_on_the_wire_of_its_parent() {
    let engine = engine();
    let (host, outside) = (Machine::new(), Machine::new());
    host.connect("wire", "192.0.2.1/24", &outside, "192.0.2.2/24");
    outside.tell_the_source_at("192.0.2.2:99");
    let on_host = |arguments: &[&str]| engine.run_on(&host, arguments);
    let create = ["network", "create", "-d", "macvlan", "--subnet", "192.0.2.0/24", "--ip-range", "192.0.2.128/25"];
    on_host(&[&create[..], &["--gateway", "192.0.2.2", "-o", "parent=wire", "lan"]].concat()).ok();
    start(
        &engine,
        Some(&host),
        "web",
        &["--network", "lan", "--ip", "192.0.2.77", "--mac-address", "92:d0:c6:0a:29:33"],
    );
    let said = || outside.read_from("192.0.2.77:80");
    eventually("the wire reaches the container", || said() == Ok("web\n".to_owned()));
    // Under its own address, by the wire's router, and by name among neighbours.
    let script =
        "ip route; cat /sys/class/net/eth0/address; nc -w 2 192.0.2.2 99 </dev/null; echo; nc -w 2 web 80 </dev/null";
    let seen = on_host(&["run", "--rm", "--network", "lan", "bb", "sh", "-c", script]).ok();
    for part in ["default via 192.0.2.2 dev eth0", "02:42:c0:00:02:80", "192.0.2.128\n", "web\n"] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    let format = "{{.Driver}} {{.Options.parent}} {{.Internal}}";
    assert_eq!(on_host(&["network", "inspect", "-f", format, "lan"]).ok(), "macvlan wire false\n");
    // While it runs: off, and on again.
    on_host(&["network", "disconnect", "lan", "web"]).ok();
    assert!(said().is_err());
    on_host(&["network", "connect", "--ip", "192.0.2.77", "lan", "web"]).ok();
    eventually("the wire reaches the container again", || said() == Ok("web\n".to_owned()));
    on_host(&["rm", "-f", "web"]).ok();
    on_host(&["network", "rm", "lan"]).ok();
    host.run(|| assert!(route::link(&Socket::route().unwrap(), "wire").unwrap().is_some(), "the parent is the user's"));
}

#[test]
fn a_macvlan_without_a_parent_is_cut_off_and_takes_its_own_with_it() {
    let engine = engine();
    let host = Machine::new();
    let on_host = |arguments: &[&str]| engine.run_on(&host, arguments);
    let links = |prefix: &'static str| {
        host.run(move || {
            let links = route::links(&Socket::route().unwrap()).unwrap();
            links.iter().filter(|link| link.name.starts_with(prefix)).count()
        })
    };
    let id = on_host(&["network", "create", "-d", "macvlan", "--subnet", "10.127.215.0/24", "alone"]).ok();
    assert_eq!(on_host(&["network", "inspect", "-f", "{{.Internal}}", "alone"]).ok(), "true\n");
    assert_eq!(links("dm-"), 1);
    start(&engine, Some(&host), "web", &["--network", "alone"]);
    let script = "ip route; nc -w 2 web 80 </dev/null";
    let ask = || on_host(&["run", "--rm", "--network", "alone", "bb", "sh", "-c", script]).out;
    eventually("neighbours reach each other", || ask().contains("web\n"));
    assert!(!ask().contains("default"));
    assert!(on_host(&["network", "rm", "alone"]).refused(1).contains("active endpoints"));
    // A restart of the machine takes it: the next start makes it again.
    on_host(&["rm", "-f", "web"]).ok();
    let parent = format!("dm-{}", &id[..12]);
    host.run(move || Socket::route().unwrap().request(&[route::delete_link(&parent)]).unwrap());
    on_host(&["run", "--rm", "--network", "alone", "bb", "true"]).ok();
    assert_eq!(links("dm-"), 1);
    on_host(&["network", "rm", "alone"]).ok();
    assert_eq!(links("d"), 0, "parent and its other end");
}

#[test]
fn parents_and_modes_are_checked() {
    let engine = engine();
    let (host, outside) = (Machine::new(), Machine::new());
    host.connect("wire", "192.0.2.1/24", &outside, "192.0.2.2/24");
    let on_host = |arguments: &[&str]| engine.run_on(&host, arguments);
    for (options, words) in [
        (&["-d", "macvlan", "-o", "parent=nosuch"][..], "does not exist on the host"),
        (&["-d", "macvlan", "-o", "parent=nosuch.10"], "does not exist on the host"),
        (&["-d", "macvlan", "-o", "parent=wire.5000"], "does not exist on the host"),
        (&["-d", "macvlan", "-o", "parent=wire", "-o", "macvlan_mode=x"], "bad value"),
        (&["-d", "ipvlan", "-o", "parent=wire", "-o", "ipvlan_mode=l4"], "bad value"),
        (&["-d", "ipvlan", "-o", "parent=wire", "-o", "ipvlan_flag=x"], "bad value"),
        (&["-d", "ipvlan", "-o", "parent=wire", "-o", "macvlan_mode=bridge"], "no such option"),
        (&["-d", "bridge", "-o", "parent=wire"], "no such option"),
    ] {
        let all = [&["network", "create", "--subnet", "10.127.216.0/24"], options, &["n"]].concat();
        assert!(on_host(&all).refused(1).contains(words), "{options:?}");
    }
    let create = ["network", "create", "-d", "ipvlan", "--subnet", "192.0.2.0/24", "--gateway", "192.0.2.2"];
    on_host(&[&create[..], &["-o", "parent=wire", "-o", "ipvlan_mode=l2", "flat"]].concat()).ok();
    let mac = ["run", "--rm", "--network", "flat", "--mac-address", "92:d0:c6:0a:29:33", "bb", "true"];
    assert!(on_host(&mac).refused(125).contains("do not support custom mac address"));
    // A kernel without it says so; one with it puts the container on the wire.
    outside.tell_the_source_at("192.0.2.2:99");
    let script = "nc -w 2 192.0.2.2 99 </dev/null; cat /sys/class/net/eth0/address";
    let run = on_host(&["run", "--rm", "--network", "flat", "--ip", "192.0.2.77", "bb", "sh", "-c", script]);
    if run.code == 0 {
        assert!(run.out.starts_with("192.0.2.77"), "{}", run.out);
    } else {
        assert!(run.refused(125).contains("modprobe ipvlan"));
    }
    on_host(&["network", "rm", "flat"]).ok();
}
