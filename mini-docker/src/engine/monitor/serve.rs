//! The monitor's loop.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use process::sys;

use super::{
    Buffer, Monitor, adopt,
    client::{self, Client, Input, MOST_WAITING},
    frame::{self, INPUT, Kind},
    health::{self, Checker},
    life::Life,
    restart::{Late, Next},
};
use crate::engine::{
    container::UNSEEN,
    error::{Error, Result},
    log::Stream,
    network::Attendance,
};

/// What there is to wait for.
#[derive(Clone, Copy)]
enum Source {
    Listener,
    Client(usize),
    Output(usize),
    Input,
    Oom,
    Health,
    Network,
    End,
}

impl Monitor<'_> {
    // ANCHOR: run
    /// Serves until the container has ended for good, settles its affairs each time, and tells those who wait. Without
    /// a `life` it begins with a restart.
    pub(super) fn run(mut self, mut life: Option<Life>) -> Result<()> {
        let failed = |e: Errno| Error::system("monitor the container", &e.into());
        loop {
            let Some(mut this) = life.take() else {
                match self.restart()? {
                    Some(next) => life = Some(next),
                    None => return self.farewell(None, Late::default()),
                }
                continue;
            };
            while !self.turn(Some(&mut this), None).map_err(failed)? {}
            // All processes inside ended with the first: what they wrote is in the pipes, and then they end.
            let mut buffer = std::mem::take(&mut self.buffer);
            for output in &mut this.outputs {
                while self.pump(output, &mut buffer) {}
            }
            self.buffer = buffer;
            let _ = self.log.finish();
            let pidfd = this.child.pidfd.as_fd();
            let code = sys::wait_exit(pidfd).ok().or_else(|| adopt::exit_code(pidfd)).unwrap_or(UNSEEN);
            self.count_kills(&mut this.oom);
            health::abandon(&mut this.health);
            // Who sees that it has ended finds its ports free; and nothing of ours keeps its network alive.
            this.network = Attendance::default();
            let next = self.settle(code)?;
            // By now it may be one that stays.
            let mounts = this.mounts.take().filter(|_| self.container.config.auto_remove);
            self.clients.iter_mut().for_each(|client| client.dismiss(code));
            if let Next::End(late) = next {
                return self.farewell(mounts, late);
            }
        }
    }
    // ANCHOR_END: run

    /// Stays for those who read slowly; there is nothing else left to do.
    fn farewell(mut self, mounts: Option<File>, late: Late) -> Result<()> {
        self.clients.iter_mut().for_each(|client| client.dismiss(self.status.exit_code));
        // Nobody has to wait for this.
        drop(mounts);
        let swept = self.engine.sweep_ports();
        let cleared = late.clear().and(swept);
        self.clients.retain(|client| !client.gone);
        while !self.clients.is_empty() {
            let turned = self.turn(None, None);
            turned.map_err(|e| Error::system("monitor the container", &e.into()))?;
            self.clients.iter_mut().for_each(|client| client.dismiss(self.status.exit_code));
        }
        cleared
    }

    /// Waits for something to happen, at most `limit`, and deals with it. True when the container has ended.
    pub(super) fn turn(&mut self, mut life: Option<&mut Life>, limit: Option<Duration>) -> nix::Result<bool> {
        let patience = client::lose_patience(&mut self.clients);
        let check = life.as_ref().and_then(|life| life.health.as_ref()).map(Checker::left);
        let names = life.as_ref().and_then(|life| life.network.deadline());
        let names = names.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let settles = self.settles.map(|at| at.saturating_duration_since(Instant::now()));
        let limit = [limit, patience, check, names, settles].into_iter().flatten().min();
        let ready = self.wait(life.as_deref(), limit)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut ended = false;
        let asked = ready.iter().any(|source| matches!(source, Source::Network));
        for source in ready {
            match (source, life.as_deref_mut()) {
                (Source::Listener, _) => {
                    if let Ok((stream, _)) = self.listener.accept() {
                        self.clients.extend(Client::new(stream, 0));
                    }
                }
                (Source::Client(number), life) => {
                    self.clients[number].flush();
                    self.receive(number, life.map(|life| &mut life.input), &mut buffer);
                }
                (Source::Output(number), Some(life)) => drop(self.pump(&mut life.outputs[number], &mut buffer)),
                (Source::Oom, Some(life)) => self.count_kills(&mut life.oom),
                (Source::End, Some(_)) => ended = true,
                (
                    Source::Input | Source::Output(_) | Source::Oom | Source::Health | Source::Network | Source::End,
                    _,
                ) => {}
            }
        }
        if let Some(life) = life {
            life.input.flush();
            if asked || life.network.deadline().is_some_and(|deadline| deadline <= Instant::now()) {
                life.network.handle();
            }
            if !ended {
                self.check_health(&mut life.health, &mut buffer);
            }
        }
        self.buffer = buffer;
        self.clients.retain(|client| !client.gone);
        if self.settles.take_if(|at| *at <= Instant::now()).is_some() {
            self.buffer = Buffer::default();
            sys::trim_memory();
        }
        Ok(ended)
    }

    /// What is ready, in the order in which it is dealt with.
    fn wait(&self, life: Option<&Life>, limit: Option<Duration>) -> nix::Result<Vec<Source>> {
        let take_input = life.is_none_or(|life| life.input.waiting.len() < MOST_WAITING);
        let flags = |wanted: bool, flag| if wanted { flag } else { PollFlags::empty() };
        let (mut fds, mut sources) = (Vec::new(), Vec::new());
        let mut add = |source, fd, flags| {
            fds.push(PollFd::new(fd, flags));
            sources.push(source);
        };
        for (number, client) in self.clients.iter().enumerate() {
            let waits = flags(!client.waiting.is_empty(), PollFlags::POLLOUT);
            add(Source::Client(number), client.stream.as_fd(), flags(take_input, PollFlags::POLLIN) | waits);
        }
        if let Some(life) = life {
            if client::keep_up(&self.clients) {
                for (number, (file, _)) in life.outputs.iter().enumerate() {
                    if let Some(file) = file {
                        add(Source::Output(number), file.as_fd(), PollFlags::POLLIN);
                    }
                }
            }
            if let Some(fd) = life.input.fd.as_ref().filter(|_| !life.input.waiting.is_empty()) {
                add(Source::Input, fd.as_fd(), PollFlags::POLLOUT);
            }
            if let Some((fd, flags)) = life.oom.as_ref().map(super::oom::Oom::fd) {
                add(Source::Oom, fd, flags);
            }
            for fd in life.health.iter().flat_map(Checker::fds) {
                add(Source::Health, fd, PollFlags::POLLIN);
            }
            for fd in life.network.fds() {
                add(Source::Network, fd, PollFlags::POLLIN);
            }
            add(Source::End, life.child.pidfd.as_fd(), PollFlags::POLLIN);
        }
        // Last: it changes the clients' numbers.
        add(Source::Listener, self.listener.as_fd(), PollFlags::POLLIN);
        // Rounded up, or the last millisecond would be spent turning; longer than poll takes: in pieces.
        let timeout = limit.map_or(PollTimeout::NONE, |limit| {
            PollTimeout::try_from(limit.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Err(Errno::EINTR) => return Ok(Vec::new()),
            polled => polled?,
        };
        let ready = fds.iter().zip(sources).filter(|(fd, _)| fd.any().unwrap_or(false));
        Ok(ready.map(|(_, source)| source).collect())
    }

    /// Moves one chunk of output to the log and to all who want it; false when there is nothing (more).
    fn pump(&mut self, output: &mut (Option<File>, Stream), buffer: &mut Buffer) -> bool {
        let (Some(file), stream) = (&mut output.0, output.1) else {
            return false;
        };
        let length = match file.read(buffer.bytes()) {
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
        let bytes = &buffer.bytes()[..length];
        let _ = self.log.write(stream, bytes);
        let kind = if stream == Stream::Stdout { Kind::Stdout } else { Kind::Stderr };
        for client in self.clients.iter_mut().filter(|client| client.wants(stream)) {
            client.send(kind, bytes);
        }
        true
    }

    fn receive(&mut self, number: usize, mut input: Option<&mut Input>, buffer: &mut Buffer) {
        let client = &mut self.clients[number];
        match client.stream.read(buffer.bytes()) {
            Ok(length) if length > 0 => client.received.extend_from_slice(&buffer.bytes()[..length]),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return;
            }
            _ => client.gone = true,
        }
        loop {
            match frame::take(&mut self.clients[number].received) {
                Ok(Some((kind, payload))) => self.obey(number, input.as_deref_mut(), kind, &payload),
                Ok(None) => break,
                Err(_) => {
                    self.clients[number].gone = true;
                    break;
                }
            }
        }
        let client = &self.clients[number];
        if client.gone && client.wants & INPUT != 0 {
            self.end_input(input);
        }
    }

    fn obey(&mut self, number: usize, input: Option<&mut Input>, kind: Kind, payload: &[u8]) {
        let client = &mut self.clients[number];
        match (kind, payload, input) {
            (Kind::Hello, [wants], _) => client.wants = *wants,
            (Kind::Look, ..) => self.look = true,
            (Kind::Stdin, [], input) => {
                client.wants &= !INPUT;
                self.end_input(input);
            }
            (Kind::Stdin, bytes, Some(input)) => input.waiting.extend_from_slice(bytes),
            (Kind::Resize, &[a, b, c, d], Some(input)) => {
                if let Some(terminal) = &input.fd {
                    let size = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                    // Not a terminal: nothing to resize.
                    let _ = sys::set_window_size(terminal.as_fd(), size);
                }
            }
            _ => {}
        }
    }

    fn end_input(&self, input: Option<&mut Input>) {
        let config = &self.container.config;
        if let Some(input) = input {
            input.ended |= config.stdin_once && !config.tty;
        }
    }
}
