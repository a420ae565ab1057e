//! resolv.conf(5), and a network's directory.

use std::{fs, net::SocketAddr};

use dns::{Networks, ResolvConf, Zone};

#[test]
fn the_host_s_file_is_understood_as_the_c_library_understands_it() {
    let text = "# nameserver 1.1.1.1\n;nameserver 1.1.1.2\nnameserver\t127.0.0.53\nnameserver fe80::1%1 # trailing\n\
                nameserver nonsense\ndomain old.example\nsearch a.example  b.example\noptions timeout:1 edns0\n\
                options ndots:2\nnameserver 2001:db8::1\nnameserver 9.9.9.9\nsortlist 10.0.0.0\n nameserver 8.8.8.8\n";
    let conf = ResolvConf::parse(text);
    let servers: Vec<String> = conf.servers.iter().map(SocketAddr::to_string).collect();
    assert_eq!(servers, ["127.0.0.53:53", "[fe80::1%1]:53", "[2001:db8::1]:53"]);
    assert_eq!(conf.search, ["a.example", "b.example"]);
    assert_eq!(conf.options, ["timeout:1", "edns0", "ndots:2"]);
    let inside = conf.for_container().to_string();
    assert_eq!(inside, "search a.example b.example\nnameserver 127.0.0.11\noptions timeout:1 edns0 ndots:2\n");
}

#[test]
fn a_name_without_dots_is_asked_about_as_it_is() {
    assert_eq!(ResolvConf::default().for_container().to_string(), "nameserver 127.0.0.11\noptions ndots:0\n");
}

#[test]
fn interfaces_have_names_and_servers_have_defaults() {
    assert_eq!(dns::server("fe80::1%lo").unwrap().to_string(), "[fe80::1%1]:53");
    assert_eq!(dns::server("fe80::1%nosuch0"), None);
    assert_eq!(dns::server("10.0.0.1%lo"), None);
    let dir = tempfile::tempdir().unwrap();
    let missing = ResolvConf::read(&dir.path().join("resolv.conf")).unwrap();
    assert_eq!(missing.servers, ["127.0.0.1:53".parse().unwrap()], "as the man page says");
    ResolvConf::read(dir.path()).expect_err("a directory is none");
}

#[test]
fn a_network_s_directory_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (blue, red) = (dir.path().join("blue"), dir.path().join("red"));
    let write = |network: &std::path::Path, name: &str, text: &str| {
        fs::create_dir_all(network).unwrap();
        fs::write(network.join(".new"), text).unwrap();
        fs::rename(network.join(".new"), network.join(name)).unwrap();
    };
    let mut zone = Networks::new([blue.clone(), red.clone()]);
    zone.refresh();
    assert!(zone.internal() && zone.lookup("web").is_none(), "where nobody is nothing is passed on");
    write(
        &blue,
        "1",
        r#"{"network":"blue","internal":true,"addresses":["10.0.0.2","fd00::2"],"names":["Web","0a1b"]}"#,
    );
    write(&blue, "2", r#"{"network":"blue","internal":true,"addresses":["10.0.0.3"],"names":["web"]}"#);
    write(&red, "1", r#"{"network":"red","addresses":["10.1.0.2"],"names":["db","web"]}"#);
    zone.refresh();
    let addresses = |zone: &Networks, name: &str| -> Vec<String> {
        zone.lookup(name).unwrap_or_default().iter().map(ToString::to_string).collect()
    };
    assert!(!zone.internal(), "red leads outside");
    assert_eq!(addresses(&zone, "web"), ["10.0.0.2", "fd00::2", "10.0.0.3"], "the first network that knows it");
    assert_eq!(addresses(&zone, "web.red"), ["10.1.0.2"]);
    assert_eq!(addresses(&zone, "0a1b"), ["10.0.0.2", "fd00::2"]);
    assert_eq!(zone.reverse("fd00::2".parse().unwrap()), Some("web.blue"));
    assert_eq!(zone.reverse("10.1.0.2".parse().unwrap()), Some("db.red"));
    write(&blue, "3", "{ damaged");
    write(&blue, ".new-4", r#"{"addresses":["10.0.0.4"],"names":["four"]}"#);
    fs::remove_file(blue.join("2")).unwrap();
    zone.refresh();
    assert_eq!(addresses(&zone, "web"), ["10.0.0.2", "fd00::2"], "one is gone, another one damaged");
    assert_eq!(zone.lookup("four"), None, "who is being written is not there yet");
    fs::remove_dir_all(&red).unwrap();
    zone.refresh();
    assert_eq!(zone.lookup("db"), None, "it is gone at the next question");
    assert!(zone.internal(), "a network that is gone passes nothing on");
}
