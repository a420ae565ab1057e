//! The monitor's loop.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
};
use process::sys;

use super::{
    Monitor, Streams, adopt,
    frame::{self, INPUT, Kind, STREAMS},
};
use crate::engine::{
    container::{State, UNSEEN},
    error::{Error, Result},
    log::Stream,
    network::Attendance,
    store::Garbage,
};

/// With more than this waiting for somebody, the container waits too: nothing is lost, and nothing grows.
const MOST_WAITING: usize = 1 << 20;
/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// Somebody who has attached.
struct Client {
    stream: UnixStream,
    wants: u8,
    received: Vec<u8>,
    waiting: Vec<u8>,
    gone: bool,
}

impl Client {
    fn new(stream: UnixStream, wants: u8) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, wants, received: Vec::new(), waiting: Vec::new(), gone: false })
    }

    fn send(&mut self, kind: Kind, payload: &[u8]) {
        frame::push(&mut self.waiting, kind, payload);
        self.flush();
    }

    fn flush(&mut self) {
        while !self.waiting.is_empty() && !self.gone {
            match self.stream.write(&self.waiting) {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
    }
}

/// The container's standard input and what waits to go into it.
#[derive(Default)]
struct Input {
    fd: Option<File>,
    waiting: Vec<u8>,
    /// Nothing more will come: close it when all is written.
    ended: bool,
}

impl Input {
    fn flush(&mut self) {
        while let Some(fd) = &mut self.fd {
            if self.waiting.is_empty() {
                break;
            }
            match fd.write(&self.waiting) {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.fd = None,
            }
        }
        if self.ended || self.fd.is_none() {
            self.fd = None;
            self.waiting.clear();
        }
    }
}

impl Monitor<'_> {
    /// Serves until the container has ended, settles its affairs, and tells those who wait. `first` is the line to the
    /// one who started it, and what he wants.
    pub(super) fn serve(mut self, first: Option<(UnixStream, u8)>, streams: Streams) -> Result<()> {
        let failed = |e: io::Error| Error::system("monitor the container", &e);
        let mut clients = Vec::new();
        if let Some((line, wants)) = first {
            clients.push(Client::new(line, wants).map_err(failed)?);
        }
        let mut input = Input { fd: streams.stdin.map(File::from), ..Input::default() };
        let mut outputs =
            [(streams.stdout.map(File::from), Stream::Stdout), (streams.stderr.map(File::from), Stream::Stderr)];
        let mut buffer = vec![0; CHUNK];
        while !self.turn(&mut clients, &mut input, &mut outputs, &mut buffer).map_err(|e| failed(e.into()))? {
            clients.retain(|client| !client.gone);
        }
        // All processes inside ended with the first: what they wrote is in the pipes, and then they end.
        for output in &mut outputs {
            while self.pump(output, &mut clients, &mut buffer) {}
        }
        let pidfd = self.child.pidfd.as_fd();
        let code = sys::wait_exit(pidfd).ok().or_else(|| adopt::exit_code(pidfd)).unwrap_or(UNSEEN);
        let garbage = self.settle(code)?;
        for client in &mut clients {
            client.send(Kind::Exit, &code.to_be_bytes());
            // A slow reader gets the rest; there is nothing else left to do.
            let _ = client.stream.set_nonblocking(false);
            client.flush();
        }
        // Nobody has to wait for this.
        drop(self.mounts.take());
        let swept = self.engine.sweep_ports();
        garbage.map_or(Ok(()), Garbage::clear).and(swept)
    }

    /// Waits for something to happen and deals with it. True when the container has ended.
    fn turn(
        &mut self,
        clients: &mut Vec<Client>,
        input: &mut Input,
        outputs: &mut [(Option<File>, Stream); 2],
        buffer: &mut [u8],
    ) -> nix::Result<bool> {
        let flags = |wanted: bool, flag| if wanted { flag } else { PollFlags::empty() };
        let keep_up = clients.iter().all(|client| client.waiting.len() < MOST_WAITING);
        let take_input = input.waiting.len() < MOST_WAITING;
        let mut fds = vec![
            PollFd::new(self.child.pidfd.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        for client in &*clients {
            let waits = flags(!client.waiting.is_empty(), PollFlags::POLLOUT);
            fds.push(PollFd::new(client.stream.as_fd(), flags(take_input, PollFlags::POLLIN) | waits));
        }
        let polled: Vec<usize> = (0..2).filter(|&i| keep_up && outputs[i].0.is_some()).collect();
        for &i in &polled {
            fds.extend(outputs[i].0.as_ref().map(|file| PollFd::new(file.as_fd(), PollFlags::POLLIN)));
        }
        let resolver = fds.len();
        fds.extend(self.network.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let asked = fds.len() > resolver;
        if !input.waiting.is_empty() {
            fds.extend(input.fd.as_ref().map(|file| PollFd::new(file.as_fd(), PollFlags::POLLOUT)));
        }
        match poll(&mut fds, dns::time_left(self.network.deadline())) {
            Err(Errno::EINTR) => return Ok(false),
            polled => polled?,
        };
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        drop(fds);
        if asked {
            self.network.handle();
        }
        let first_output = 2 + clients.len();
        for (client, _) in clients.iter_mut().zip(&ready[2..]).filter(|(_, ready)| **ready) {
            client.flush();
            self.receive(client, input, buffer);
        }
        for (number, &i) in polled.iter().enumerate() {
            if ready[first_output + number] {
                self.pump(&mut outputs[i], clients, buffer);
            }
        }
        input.flush();
        if ready[1]
            && let Ok((stream, _)) = self.listener.accept()
        {
            clients.extend(Client::new(stream, 0));
        }
        Ok(ready[0])
    }

    /// Moves one chunk of output to the log and to all who want it; false when there is nothing (more).
    fn pump(&mut self, output: &mut (Option<File>, Stream), clients: &mut [Client], buffer: &mut [u8]) -> bool {
        let (Some(file), stream) = (&mut output.0, output.1) else {
            return false;
        };
        let length = match file.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return true,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
            // EIO: nobody has the terminal open any more.
            Ok(0) | Err(_) => {
                output.0 = None;
                return false;
            }
            Ok(length) => length,
        };
        // A full disk must not stop the container; its log has a gap then.
        let _ = self.log.write(stream, &buffer[..length]);
        let kind = if stream == Stream::Stdout { Kind::Stdout } else { Kind::Stderr };
        for client in clients.iter_mut().filter(|client| client.wants & STREAMS != 0) {
            client.send(kind, &buffer[..length]);
        }
        true
    }

    fn receive(&mut self, client: &mut Client, input: &mut Input, buffer: &mut [u8]) {
        match client.stream.read(buffer) {
            Ok(length) if length > 0 => client.received.extend_from_slice(&buffer[..length]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return;
            }
            _ => client.gone = true,
        }
        loop {
            match frame::take(&mut client.received) {
                Ok(Some((kind, payload))) => self.obey(client, input, kind, &payload),
                Ok(None) => break,
                Err(_) => {
                    client.gone = true;
                    break;
                }
            }
        }
        if client.gone && client.wants & INPUT != 0 {
            self.end_input(input);
        }
    }

    fn obey(&self, client: &mut Client, input: &mut Input, kind: Kind, payload: &[u8]) {
        match (kind, payload) {
            (Kind::Hello, [wants]) => client.wants = *wants,
            (Kind::Stdin, []) => {
                client.wants &= !INPUT;
                self.end_input(input);
            }
            (Kind::Stdin, bytes) => input.waiting.extend_from_slice(bytes),
            (Kind::Resize, &[a, b, c, d]) => {
                if let Some(terminal) = &input.fd {
                    let size = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                    // Not a terminal: nothing to resize.
                    let _ = sys::set_window_size(terminal.as_fd(), size);
                }
            }
            _ => {}
        }
    }

    fn end_input(&self, input: &mut Input) {
        let config = &self.container.config;
        input.ended |= config.stdin_once && !config.tty;
    }

    /// Writes down how it ended, and takes apart what was made for it.
    fn settle(&mut self, code: i32) -> Result<Option<Garbage>> {
        let _ = self.log.finish();
        let engine = self.engine;
        let config = &self.container.config;
        let _lock = engine.lock_container(&config.id);
        self.status.end(State::Exited, code);
        engine.emit_container(config, "die", &[("exitCode", &code.to_string())]);
        // Who sees that it has ended finds its ports and its addresses free; and nothing of ours keeps its network alive.
        self.network = Attendance::default();
        let left = engine.leave_networks(&config.id);
        let written = if config.auto_remove { Ok(()) } else { engine.write_status(config, &self.status) };
        // What cannot be undone now stays in the journal, and what it has of networks beside it.
        let _ =
            left.and_then(|()| std::mem::take(&mut self.journal).undo_all().map_err(|e| Error::system("clean up", &e)));
        let _ = engine.release_volumes(config);
        if config.auto_remove {
            return engine.take_apart(config, true).map(Some);
        }
        written.map(|()| None)
    }
}
