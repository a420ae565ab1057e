//! Networks: addresses, names and ports, as containers and their neighbours see them.

mod cables;
mod drivers;
mod firewall;
mod killed;
mod links;
mod manage;
mod matrix;
mod names;
mod plugin;
mod relay;
mod walls;

use tests::{engine::Engine, machine::Machine};

pub(crate) fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// A program that says `word` to whoever connects to port 80.
pub(crate) fn says(word: &str) -> String {
    format!("while :; do echo {word} | nc -l -p 80; done")
}

/// Starts a container that says its name at port 80, on these networks.
pub(crate) fn server(engine: &Engine, name: &str, arguments: &[&str]) {
    start(engine, None, name, arguments);
}

/// The same of another image.
pub(crate) fn server_of(engine: &Engine, image: &str, name: &str, arguments: &[&str]) {
    let program = says(name);
    engine.run(&[&["run", "-d", "--name", name], arguments, &[image, "sh", "-c", &program]].concat()).ok();
}

pub(crate) fn start(engine: &Engine, machine: Option<&Machine>, name: &str, arguments: &[&str]) {
    let program = says(name);
    let all = [&["run", "-d", "--name", name], arguments, &["bb", "sh", "-c", &program]].concat();
    match machine {
        Some(machine) => engine.run_on(machine, &all).ok(),
        None => engine.run(&all).ok(),
    };
}

/// A container's address on one of its networks.
pub(crate) fn address(engine: &Engine, name: &str, network: &str) -> String {
    let settings = engine.inspect(name)["NetworkSettings"]["Networks"][network].clone();
    settings["IPAddress"].as_str().unwrap_or_default().to_owned()
}

/// What a new container on `network` hears at `address`.
pub(crate) fn heard(engine: &Engine, network: &str, address: &str) -> String {
    let script = format!("nc -w 2 {address} 80 </dev/null");
    engine.run(&["run", "--rm", "--network", network, "bb", "sh", "-c", &script]).out
}

/// The first free port of the host's.
pub(crate) fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}
