//! Questions that are on their way to an upstream server.

use std::{
    collections::BTreeMap,
    net::SocketAddrV4,
    time::{Duration, Instant},
};

use process::Errno;

use crate::{
    answer::{Transport, failure, truncated},
    frame::{Came, Framed},
    message::{Malformed, Question, code, flag, read_head},
    poller::{Poller, Token},
    upstream::Upstreams,
};

/// Questions on their way at one time, as Docker's; at one more, the oldest fails.
const IN_FLIGHT: usize = 1024;
/// How long a server may take, and the last one twice as long. The C libraries ask anew after 5 s: by then a second
/// server was asked, or the first one again.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// By a datagram from there.
    Udp(SocketAddrV4),
    /// Over the connection of that number.
    Tcp(u32),
}

/// A question that a client waits for.
#[derive(Debug)]
struct Forward {
    client: Client,
    /// The client's packet; its id is the one of the last attempt.
    query: Vec<u8>,
    client_id: [u8; 2],
    question: Question,
    limit: usize,
    /// Whom to ask still, the next one last.
    servers: Vec<usize>,
    asked: Option<Asked>,
    deadline: Instant,
}

/// One attempt.
#[derive(Debug)]
struct Asked {
    server: usize,
    id: u16,
    by: By,
}

#[derive(Debug)]
enum By {
    Udp { place: usize },
    Tcp(Framed),
}

/// All forwards, the oldest first.
#[derive(Debug)]
pub(crate) struct Forwarder {
    upstreams: Upstreams,
    all: BTreeMap<u32, Forward>,
    next: u32,
    timeout: Duration,
    /// What is done: for the server to send.
    pub(crate) done: Vec<(Client, Vec<u8>)>,
}

/// What an answer is.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// One to another question, or none at all.
    Stray,
    /// "I do not know, and another server might": maybe to be passed on all the same.
    Failure,
    Answer,
}

// ANCHOR: judge
/// Whether a packet is the answer to `question`, asked under `id`. Whoever forges one has to know both.
fn judge(packet: &[u8], id: u16, question: &Question) -> Verdict {
    let judged = || -> Result<Verdict, Malformed> {
        let (its, flags, answered) = read_head(packet)?;
        if its != id || flags & flag::RESPONSE == 0 || flags & flag::OPCODE != 0 {
            return Ok(Verdict::Stray);
        }
        let code = flags & flag::CODE;
        Ok(match answered {
            Some(answered) if answered != *question => Verdict::Stray,
            Some(_) if code != code::SERVFAIL && code != code::REFUSED => Verdict::Answer,
            // A server that has not understood a packet may leave the question out.
            None if code == code::NOERROR || code == code::NXDOMAIN => Verdict::Stray,
            _ => Verdict::Failure,
        })
    };
    judged().unwrap_or(Verdict::Stray)
}
// ANCHOR_END: judge

impl Forwarder {
    pub(crate) fn new(upstreams: Upstreams, timeout: Duration) -> Self {
        Self { upstreams, all: BTreeMap::new(), next: 0, timeout, done: Vec::new() }
    }

    /// Takes a packet that asks `question`, whose answer may have `limit` bytes.
    pub(crate) fn start(
        &mut self,
        client: Client,
        query: Vec<u8>,
        question: Question,
        limit: usize,
        poller: &Poller,
        now: Instant,
    ) {
        let client_id = [query[0], query[1]];
        let mut servers = self.upstreams.order(now);
        servers.reverse();
        // Our own question has come back: whom we ask asks us. Once is an accident of one in 65,536.
        let ours = |number| self.all.get(&number).is_some_and(|forward: &Forward| forward.question == question);
        if self.upstreams.sent_as(u16::from_be_bytes(client_id)).any(ours) {
            return self.done.push((client, failure(&query, code::REFUSED)));
        }
        if self.all.len() >= IN_FLIGHT
            && let Some(&oldest) = self.all.keys().next()
        {
            self.fail(oldest);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let asked = None;
        self.all.insert(number, Forward { client, query, client_id, question, limit, servers, asked, deadline: now });
        self.attempt(number, poller, now);
    }

    /// Asks the next server, and the one after it where that one cannot even be sent to.
    fn attempt(&mut self, number: u32, poller: &Poller, now: Instant) {
        self.retract(number);
        while let Some(forward) = self.all.get_mut(&number) {
            let Some(server) = forward.servers.pop() else { return self.fail(number) };
            let by = match transport(forward.client) {
                Transport::Udp => {
                    let asked = self.upstreams.ask(server, &mut forward.query, number, poller);
                    asked.map(|(place, id)| Asked { server, id, by: By::Udp { place } })
                }
                Transport::Tcp => {
                    let connected = self.upstreams.connect(server, &mut forward.query, number, poller);
                    connected.map(|(framed, id)| Asked { server, id, by: By::Tcp(framed) })
                }
            };
            if let Ok(asked) = by {
                forward.asked = Some(asked);
                // The last one may take longer: there is nobody else.
                forward.deadline = now + self.timeout * if forward.servers.is_empty() { 2 } else { 1 };
                return;
            }
        }
    }

    /// The server of the last attempt has failed: it is asked no second time about this, but another one is.
    fn next_server(&mut self, number: u32, poller: &Poller, now: Instant) {
        if let Some(forward) = self.all.get_mut(&number) {
            let server = forward.asked.as_ref().map(|asked| asked.server);
            forward.servers.retain(|&other| Some(other) != server);
        }
        self.attempt(number, poller, now);
    }

    /// Waits for no answer to the last attempt any more.
    fn retract(&mut self, number: u32) {
        let asked = self.all.get_mut(&number).and_then(|forward| forward.asked.take());
        if let Some(Asked { id, by: By::Udp { place }, .. }) = asked {
            self.upstreams.forget(place, id);
        }
    }

    fn fail(&mut self, number: u32) {
        self.retract(number);
        if let Some(mut forward) = self.all.remove(&number) {
            forward.query[..2].copy_from_slice(&forward.client_id);
            self.done.push((forward.client, failure(&forward.query, code::SERVFAIL)));
        }
    }

    fn finish(&mut self, number: u32, mut answer: Vec<u8>) {
        self.retract(number);
        if let Some(mut forward) = self.all.remove(&number) {
            if answer.len() > forward.limit {
                forward.query[..2].copy_from_slice(&forward.client_id);
                answer = truncated(&forward.query);
            }
            answer[..2].copy_from_slice(&forward.client_id);
            self.done.push((forward.client, answer));
        }
    }

    /// Looks at a packet that came for a forward; false: it was not for it.
    fn take(&mut self, number: u32, packet: Vec<u8>, poller: &Poller, now: Instant) -> bool {
        let Some(forward) = self.all.get(&number) else { return false };
        let Some(asked) = &forward.asked else { return false };
        let (server, verdict) = (asked.server, judge(&packet, asked.id, &forward.question));
        if verdict == Verdict::Stray {
            return false;
        }
        let others = forward.servers.iter().any(|&other| other != server);
        self.upstreams.judge(server, true, now);
        match verdict {
            Verdict::Failure if others => self.next_server(number, poller, now),
            // Without a question no client would know it for the answer.
            Verdict::Failure if packet.len() == crate::message::HEADER => self.fail(number),
            _ => self.finish(number, packet),
        }
        true
    }

    /// Packets have come at a socket.
    pub(crate) fn socket_ready(&mut self, place: usize, poller: &Poller, now: Instant) {
        // So many that nobody who floods a port keeps us from everything else.
        for _ in 0..64 {
            let packet = match self.upstreams.receive(place) {
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                Err(_) => {
                    // No such server: whoever waits for it need not.
                    for number in self.upstreams.all_waiting(place) {
                        self.next_server(number, poller, now);
                    }
                    return;
                }
                Ok(packet) => packet.to_vec(),
            };
            let id = packet.first_chunk().map(|id| u16::from_be_bytes(*id));
            if let Some(number) = id.and_then(|id| self.upstreams.waiting(place, id)) {
                self.take(number, packet, poller, now);
            }
        }
    }

    /// A connection to a server can be written to, or something has come.
    pub(crate) fn connection_ready(&mut self, number: u32, poller: &Poller, now: Instant) {
        let Some(Forward { asked: Some(Asked { by: By::Tcp(framed), .. }), .. }) = self.all.get_mut(&number) else {
            return;
        };
        if framed.is_writing() {
            let sent = framed.flush().is_ok();
            let waits = sent && poller.modify(&*framed, Token::Upstream(number), framed.interest(true)).is_ok();
            if waits && framed.is_writing() {
                return;
            }
            if !waits {
                return self.next_server(number, poller, now);
            }
        }
        match framed.receive() {
            Came::Nothing => {}
            Came::Message(packet) if self.take(number, packet.clone(), poller, now) => {}
            _ => self.next_server(number, poller, now),
        }
    }

    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    /// When [`Forwarder::expire`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.all.values().map(|forward| forward.deadline).min()
    }

    /// Gives up on servers that did not answer in time.
    pub(crate) fn expire(&mut self, poller: &Poller, now: Instant) {
        let late = self.all.iter().filter(|(_, forward)| forward.deadline <= now);
        let late: Vec<_> = late.map(|(number, forward)| (*number, forward.asked.as_ref().map(|a| a.server))).collect();
        for (number, server) in late {
            if let Some(server) = server {
                self.upstreams.judge(server, false, now);
            }
            self.attempt(number, poller, now);
        }
    }

    /// Forgets what a client that has gone had asked.
    pub(crate) fn cancel(&mut self, client: Client) {
        let all: Vec<u32> =
            self.all.iter().filter(|(_, forward)| forward.client == client).map(|(number, _)| *number).collect();
        for number in all {
            self.retract(number);
            self.all.remove(&number);
        }
    }
}

fn transport(client: Client) -> Transport {
    match client {
        Client::Udp(_) => Transport::Udp,
        Client::Tcp(_) => Transport::Tcp,
    }
}
