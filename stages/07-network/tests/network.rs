//! A network of the container's own: loopback, up, and nothing else.

use std::{io::Write, net::TcpListener};

use chroot::Chroot;
use network::Network;
use process::{CloneArgs, Primitive};
use tests::container::{List, image, namespace, own_namespace, run, script_as_nobody, sh, shell, start};

/// The namespace alone, as the kernel makes it.
struct Bare;

impl Primitive for Bare {
    fn name(&self) -> &'static str {
        "bare"
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        Network.clone_args(args);
    }
}

#[test]
fn there_is_loopback_and_nothing_else() {
    let interfaces = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '";
    assert_eq!(sh(vec![Box::new(Network)], interfaces), "lo\n");
    assert_eq!(sh(vec![Box::new(Network)], "tail -n +2 /proc/net/route"), "");
    let mut running = start(vec![Box::new(Network)], shell("echo ready; exec sleep 20")).unwrap();
    running.wait_for("ready");
    assert_ne!(namespace(running.child.pid, "net"), own_namespace("net"));
}

#[test]
fn loopback_is_up_and_carries_packets() {
    let image = image();
    let with = |network: Box<dyn Primitive>| -> List { vec![network, Box::new(Chroot::new(image.path()).unwrap())] };
    let link = sh(with(Box::new(Network)), "ip link show lo");
    assert!(link.contains("LOOPBACK,UP"), "{link}");
    let ping = "ping -c 1 -W 5 127.0.0.1";
    assert_eq!(run(with(Box::new(Network)), shell(ping)).code, 0);
    assert_ne!(run(with(Box::new(Bare)), shell(ping)).code, 0, "the kernel leaves it down");
}

#[test]
fn a_server_on_the_host_s_loopback_cannot_be_reached() {
    let image = image();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let attack = format!("nc -w 5 127.0.0.1 {}", server.local_addr().unwrap().port());
    let chroot = || -> Box<dyn Primitive> { Box::new(Chroot::new(image.path()).unwrap()) };
    let refused = run(vec![Box::new(Network), chroot()], shell(&attack));
    assert!(refused.code != 0 && refused.out.contains("refused"), "{refused:?}");
    let serve = std::thread::spawn(move || server.accept().unwrap().0.write_all(b"secret").unwrap());
    assert_eq!(run(vec![chroot()], shell(&attack)).out, "secret", "without the stage it can");
    serve.join().unwrap();
}

#[test]
fn the_binary_works_without_root() {
    let image = image();
    let stage = env!("CARGO_BIN_EXE_stage-07-network");
    let ran = script_as_nobody(stage, image.path(), "ip -o link | wc -l; ip link show lo");
    assert_eq!(ran.code, 0);
    assert!(ran.out.starts_with("1\n") && ran.out.contains("LOOPBACK,UP"), "{}", ran.out);
}
