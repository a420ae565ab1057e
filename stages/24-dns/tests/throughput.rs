//! How many questions about our own names one container gets answered in a second.
//!
//! A measurement, not a test: `cargo test --release -p stage-24-dns --test throughput -- --ignored --nocapture`.

mod setup;

use std::{
    net::UdpSocket,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use dns::{Networks, message::kind};
use setup::{Setup, limit, query};

/// Keeps `window` questions on their way from each socket for a second; returns how many were answered.
fn per_second(sockets: &[UdpSocket], window: usize) -> u64 {
    let packet = query("web", kind::A).write(512);
    let (answered, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let start = Instant::now();
    thread::scope(|scope| {
        for socket in sockets {
            scope.spawn(|| {
                socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
                let mut buffer = [0; 512];
                for _ in 0..window {
                    socket.send(&packet).unwrap();
                }
                while !over.load(Ordering::Relaxed) {
                    if socket.recv(&mut buffer).is_ok() {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    socket.send(&packet).unwrap();
                }
            });
        }
        thread::sleep(Duration::from_secs(1));
        over.store(true, Ordering::Relaxed);
    });
    answered.load(Ordering::Relaxed) * 1000 / start.elapsed().as_millis() as u64
}

#[test]
#[ignore = "a measurement, for a quiet machine and a release build"]
fn questions_per_second() {
    let dir = tempfile::tempdir().unwrap();
    let host = r#"{"network":"net","addresses":["10.0.0.2"],"names":["web"]}"#;
    std::fs::write(dir.path().join("1"), host).unwrap();
    let setup = Setup::new(Networks::new([dir.path().to_owned()]), &[], limit());
    for (clients, window) in [(1, 1), (1, 8), (1, 32), (1, 100), (2, 32), (4, 32)] {
        let sockets: Vec<_> = (0..clients).map(|_| setup.client()).collect();
        let rate = per_second(&sockets, window);
        println!("{clients} clients with {window:3} questions on their way each: {rate} answers a second");
    }
    // What the kernel takes for two wake-ups and four calls, which is the most that any server of one question at a
    // time could reach.
    let echo = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(echo.local_addr().unwrap()).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = echo.recv_from(&mut buffer) {
            let _ = echo.send_to(&buffer[..length], from);
        }
    });
    for window in [1, 32] {
        println!(
            "a bare echo server, {window:3} on their way: {} a second",
            per_second(std::slice::from_ref(&client), window)
        );
    }
}
