//! Traffic for benches/networks.sh: run on either side of a network, it prints one figure.
//!
//! ```text
//! traffic sink ADDRESS              takes what anybody sends, until it is killed
//! traffic pour ADDRESS SECONDS      Gbit/s to a sink
//! traffic connect ADDRESS COUNT     the median of a new connection, in µs
//! traffic ask NAME SECONDS          answers per second of the resolver at 127.0.0.11, 32 questions on their way
//! traffic wait NAME COUNT           the median of one answer, in µs
//! traffic echo ADDRESS              sends back what anybody sends over UDP, until it is killed
//! traffic bounce ADDRESS COUNT      the median of one echo, in µs: what an answer takes at least
//! ```
#![forbid(unsafe_code)]

use std::{
    env,
    error::Error,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

const RESOLVER: &str = "127.0.0.11:53";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sink", address] => sink(&TcpListener::bind(address)?),
        ["pour", address, seconds] => println!("{:.1}", pour(address, Duration::from_secs(seconds.parse()?))?),
        ["connect", address, count] => {
            println!("{:.0}", median(count.parse()?, || TcpStream::connect(address).map(drop))?);
        }
        ["ask", name, seconds] => println!("{:.0}", ask(&question(name), Duration::from_secs(seconds.parse()?))?),
        ["wait", name, count] => println!("{:.0}", wait(&connected(RESOLVER)?, &question(name), count.parse()?)?),
        ["echo", address] => echo(&UdpSocket::bind(address)?)?,
        ["bounce", address, count] => {
            println!("{:.0}", wait(&connected(address)?, &question("bounce"), count.parse()?)?);
        }
        _ => return Err("usage: traffic sink|pour|connect|ask|wait|echo|bounce …".into()),
    }
    Ok(())
}

fn sink(listener: &TcpListener) {
    for mut stream in listener.incoming().flatten() {
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
        });
    }
}

/// Gbit/s.
fn pour(address: &str, time: Duration) -> std::io::Result<f64> {
    let mut stream = TcpStream::connect(address)?;
    let buffer = vec![0; 1 << 20];
    let (start, mut sent) = (Instant::now(), 0.0);
    while start.elapsed() < time {
        sent += f64::from(u32::try_from(stream.write(&buffer)?).unwrap_or(u32::MAX));
    }
    Ok(sent * 8.0 / start.elapsed().as_secs_f64() / 1e9)
}

/// The median of `count` times, in µs.
fn median(count: usize, mut once: impl FnMut() -> std::io::Result<()>) -> std::io::Result<f64> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count.max(1) {
        let start = Instant::now();
        once()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// The median of an answer to `packet`, in µs.
fn wait(socket: &UdpSocket, packet: &[u8], count: usize) -> std::io::Result<f64> {
    let mut buffer = [0; 512];
    median(count, || socket.send(packet).and_then(|_| socket.recv(&mut buffer)).map(drop))
}

fn echo(socket: &UdpSocket) -> std::io::Result<()> {
    let mut buffer = [0; 512];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        socket.send_to(&buffer[..length], from)?;
    }
}

fn connected(address: &str) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    Ok(socket)
}

/// A question for the IPv4 address of `name` (RFC 1035).
fn question(name: &str) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        packet.push(label.len() as u8);
        packet.extend_from_slice(label.as_bytes());
    }
    packet.extend_from_slice(&[0, 0, 1, 0, 1]);
    packet
}

/// Answers per second.
fn ask(packet: &[u8], time: Duration) -> std::io::Result<f64> {
    let socket = connected(RESOLVER)?;
    for _ in 0..32 {
        socket.send(packet)?;
    }
    let (start, mut answers, mut buffer) = (Instant::now(), 0_u32, [0; 512]);
    while start.elapsed() < time {
        // What was lost is asked again.
        answers += u32::from(socket.recv(&mut buffer).is_ok());
        socket.send(packet)?;
    }
    Ok(f64::from(answers) / start.elapsed().as_secs_f64())
}
