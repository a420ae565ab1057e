//! What to do with a packet: the whole of the resolver's judgement, and no system call.

use std::net::IpAddr;

use crate::{
    message::{Data, HEADER, IN, Message, Question, Record, code, flag, kind},
    zone::Zone,
};

/// Bytes that every client takes over UDP (RFC 1035, 4.2.1).
const SHORTEST_LIMIT: usize = 512;
/// Bytes of a question that are looked at; the longest name with an OPT record and a cookie is not half of it.
pub const LONGEST_QUERY: usize = 2048;
/// What the largest UDP datagram holds (RFC 768, over IPv4).
pub const LONGEST_DATAGRAM: usize = 65507;
/// Bytes that a server over UDP may be sent, as its answers say (RFC 6891, 6.2.3).
const TAKEN: u16 = LONGEST_QUERY as u16;

/// For how many seconds a client may remember one of our addresses. Docker says 600; but a container that is replaced
/// has another address, and asking again costs a client of its own loopback some microseconds.
pub const TTL: u32 = 5;

/// What to do with a packet.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing: it is no question, or nobody could tell whose.
    Drop,
    /// To answer this.
    Reply(Vec<u8>),
    /// To ask an upstream server.
    Forward {
        /// What is asked, to know the answer by.
        question: Question,
        /// The most bytes that the client takes.
        limit: usize,
    },
}

/// What rotates the addresses of a name: one count for each family, because most programs ask for both, in turn.
#[derive(Debug, Default)]
pub struct Turns([usize; 2]);

/// Bytes that the asker takes in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// What its OPT record says, and 512 without.
    Udp,
    /// As many as the format has.
    Tcp,
}

// ANCHOR: decide
/// Decides about a packet from the container.
pub fn decide(packet: &[u8], transport: Transport, zone: &dyn Zone, turns: &mut Turns) -> Decision {
    let Some(header) = packet.first_chunk::<HEADER>() else { return Decision::Drop };
    let flags = u16::from_be_bytes([header[2], header[3]]);
    // Whoever answers answers can be made to talk to itself for ever.
    if flags & flag::RESPONSE != 0 {
        return Decision::Drop;
    }
    if flags & flag::OPCODE != 0 {
        return refuse(header, code::NOTIMP);
    }
    let Ok(query) = Message::read(packet) else { return refuse(header, code::FORMERR) };
    let options = query.additional.iter().filter(|record| record.kind == kind::OPT).count();
    let [question] = &query.questions[..] else { return refuse(header, code::FORMERR) };
    if !query.answers.is_empty() || options > 1 || question.kind == kind::OPT || packet.len() > LONGEST_QUERY {
        return refuse(header, code::FORMERR);
    }
    let limit = limit(&query, transport);
    let reply = |code, answers| Decision::Reply(reply(&query, code, answers).write(limit));
    if query.options().is_some_and(|options| options.ttl >> 16 & 0xFF != 0) {
        return reply(code::BADVERS, Vec::new());
    }
    // Of zones and keys there are none here, and a transfer is many messages.
    if (kind::TKEY..=kind::AXFR).contains(&question.kind) {
        return reply(code::NOTIMP, Vec::new());
    }
    if let Some(answers) = own(question, zone, turns) {
        return if question.class == IN || question.class == kind::ANY {
            reply(code::NOERROR, answers)
        } else {
            reply(code::REFUSED, Vec::new())
        };
    }
    if zone.internal() {
        // Docker's code too. It means "not now": it leaves the client free to ask another server, if it has one.
        return reply(code::SERVFAIL, Vec::new());
    }
    Decision::Forward { question: question.clone(), limit }
}
// ANCHOR_END: decide

/// The records of a name that is ours: maybe none. `None`: it is not ours.
fn own(question: &Question, zone: &dyn Zone, turns: &mut Turns) -> Option<Vec<Record>> {
    let Question { name, kind: asked, .. } = question;
    let record = |kind, data| Record { name: name.clone(), kind, class: IN, ttl: TTL, data };
    if let Some(addresses) = zone.lookup(&name.text()) {
        let mut answers = Vec::new();
        let any = *asked == kind::ANY;
        if any || *asked == kind::A {
            let v4 = addresses.iter().filter_map(|address| match address {
                IpAddr::V4(v4) => Some(record(kind::A, Data::V4(*v4))),
                IpAddr::V6(_) => None,
            });
            answers.extend(rotated(v4.collect(), &mut turns.0[0]));
        }
        if any || *asked == kind::AAAA {
            let v6 = addresses.iter().filter_map(|address| match address {
                IpAddr::V6(v6) => Some(record(kind::AAAA, Data::V6(*v6))),
                IpAddr::V4(_) => None,
            });
            answers.extend(rotated(v6.collect(), &mut turns.0[1]));
        }
        return Some(answers);
    }
    let name = crate::Name::from_text(zone.reverse(name.reversed_address()?)?)?;
    let asked = *asked == kind::PTR || *asked == kind::ANY;
    Some(if asked { vec![record(kind::PTR, Data::Pointer(name))] } else { Vec::new() })
}

/// Each of several addresses comes first in its turn.
fn rotated(mut records: Vec<Record>, turn: &mut usize) -> Vec<Record> {
    if records.len() > 1 {
        let first = *turn % records.len();
        records.rotate_left(first);
        *turn = turn.wrapping_add(1);
    }
    records
}

/// The most bytes that an answer may have.
fn limit(query: &Message, transport: Transport) -> usize {
    match (transport, query.options()) {
        (Transport::Tcp, _) => crate::message::LONGEST_MESSAGE,
        (Transport::Udp, None) => SHORTEST_LIMIT,
        (Transport::Udp, Some(options)) => usize::from(options.class).clamp(SHORTEST_LIMIT, LONGEST_DATAGRAM),
    }
}

/// An answer to `query`. An OPT record is answered with one (RFC 6891, 6.1.1).
fn reply(query: &Message, code: u16, answers: Vec<Record>) -> Message {
    let kept = query.flags & (flag::RECURSION_DESIRED | flag::CHECKING_DISABLED);
    let authority = if answers.is_empty() && code != code::NOERROR { 0 } else { flag::AUTHORITATIVE };
    let options = query.options().map(|options| Record {
        name: crate::Name::root(),
        kind: kind::OPT,
        class: TAKEN,
        // The upper eight bits of the code; whether the client understands signatures is handed back.
        ttl: u32::from(code >> 4) << 24 | options.ttl & 0x8000,
        data: Data::Other(Vec::new()),
    });
    Message {
        id: query.id,
        flags: flag::RESPONSE | authority | kept | flag::RECURSION_AVAILABLE | code & flag::CODE,
        questions: query.questions.clone(),
        answers,
        authorities: Vec::new(),
        additional: options.into_iter().collect(),
    }
}

/// The answer to a packet of which only the header is clear.
fn refuse(header: &[u8; HEADER], code: u16) -> Decision {
    let id = u16::from_be_bytes([header[0], header[1]]);
    let kept = u16::from_be_bytes([header[2], header[3]]) & (flag::OPCODE | flag::RECURSION_DESIRED);
    Decision::Reply(Message { id, flags: flag::RESPONSE | kept | code, ..Message::default() }.write(SHORTEST_LIMIT))
}

/// The answer to `query`, a packet that was worth forwarding, where no server answered.
pub(crate) fn failure(query: &[u8], code: u16) -> Vec<u8> {
    Message::read(query).map_or_else(|_| Vec::new(), |query| reply(&query, code, Vec::new()).write(SHORTEST_LIMIT))
}

/// An answer that is too long for its client: its head alone, with the mark that sends the client to TCP.
pub(crate) fn truncated(query: &[u8]) -> Vec<u8> {
    let Ok(query) = Message::read(query) else { return Vec::new() };
    let mut message = reply(&query, code::NOERROR, Vec::new());
    message.flags = message.flags & !flag::AUTHORITATIVE | flag::TRUNCATED;
    message.write(SHORTEST_LIMIT)
}
