//! Messages of the domain name system (RFC 1035, 4): a header, questions, and three lists of records.
//!
//! Everything that is read here may come from an attacker: no length is believed, and nothing is read twice.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::name::Name;

/// The types of records that this resolver knows (RFC 1035, 3596, 6891); all others are bytes to it.
pub mod kind {
    #![allow(missing_docs, reason = "their names are what there is to say")]
    pub const A: u16 = 1;
    pub const PTR: u16 = 12;
    pub const AAAA: u16 = 28;
    pub const OPT: u16 = 41;
    /// From here on key exchange, signatures and transfers of whole zones, up to [`AXFR`].
    pub const TKEY: u16 = 249;
    pub const AXFR: u16 = 252;
    pub const ANY: u16 = 255;
}

/// Codes of answers (RFC 1035, 4.1.1; `BADVERS` RFC 6891, 6.1.3).
pub mod code {
    #![allow(missing_docs, reason = "their names are what there is to say")]
    pub const NOERROR: u16 = 0;
    pub const FORMERR: u16 = 1;
    pub const SERVFAIL: u16 = 2;
    pub const NXDOMAIN: u16 = 3;
    pub const NOTIMP: u16 = 4;
    pub const REFUSED: u16 = 5;
    pub const BADVERS: u16 = 16;
}

/// The bits of a header's second word (RFC 1035, 4.1.1; `CHECKING_DISABLED` RFC 4035, 3.1.6).
pub mod flag {
    #![allow(missing_docs, reason = "their names are what there is to say")]
    pub const RESPONSE: u16 = 1 << 15;
    pub const OPCODE: u16 = 0xF << 11;
    pub const AUTHORITATIVE: u16 = 1 << 10;
    pub const TRUNCATED: u16 = 1 << 9;
    pub const RECURSION_DESIRED: u16 = 1 << 8;
    pub const RECURSION_AVAILABLE: u16 = 1 << 7;
    pub const CHECKING_DISABLED: u16 = 1 << 4;
    pub const CODE: u16 = 0xF;
}

/// The class of the Internet.
pub const IN: u16 = 1;
/// Bytes of a header.
pub const HEADER: usize = 12;
/// Bytes of the longest message: TCP sends its length in 16 bits.
pub const LONGEST_MESSAGE: usize = 65535;

/// A packet that breaks the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked about.
    pub name: Name,
    /// What is asked for: one of [`kind`], or another.
    pub kind: u16,
    /// [`IN`], or another.
    pub class: u16,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub name: Name,
    /// One of [`kind`], or another.
    pub kind: u16,
    /// [`IN`]; of an OPT record the bytes that its sender takes over UDP.
    pub class: u16,
    /// For how many seconds it may be remembered; of an OPT record more flags.
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// An A record's.
    V4(Ipv4Addr),
    /// An AAAA record's.
    V6(Ipv6Addr),
    /// A PTR record's.
    Pointer(Name),
    /// Any other's.
    Other(Vec<u8>),
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// What an answer has in common with its question.
    pub id: u16,
    /// Bits of [`flag`].
    pub flags: u16,
    /// Usually one.
    pub questions: Vec<Question>,
    /// The answer itself.
    pub answers: Vec<Record>,
    /// Who may say so.
    pub authorities: Vec<Record>,
    /// What may help; here is the OPT record.
    pub additional: Vec<Record>,
}

fn word(packet: &[u8], at: usize) -> Result<u16, Malformed> {
    let bytes = packet.get(at..at + 2).ok_or(Malformed)?;
    Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
}

/// Reads the question at `at`, and says where the packet goes on behind it.
fn read_question(packet: &[u8], at: usize) -> Result<(Question, usize), Malformed> {
    let (name, at) = Name::read(packet, at)?;
    Ok((Question { name, kind: word(packet, at)?, class: word(packet, at + 2)? }, at + 4))
}

fn read_record(packet: &[u8], at: usize) -> Result<(Record, usize), Malformed> {
    let (name, at) = Name::read(packet, at)?;
    let (kind, class) = (word(packet, at)?, word(packet, at + 2)?);
    let ttl = u32::from(word(packet, at + 4)?) << 16 | u32::from(word(packet, at + 6)?);
    let start = at + 10;
    let end = start + usize::from(word(packet, at + 8)?);
    let bytes = packet.get(start..end).ok_or(Malformed)?;
    let data = match kind {
        kind::A => Data::V4(<[u8; 4]>::try_from(bytes).map_err(|_| Malformed)?.into()),
        kind::AAAA => Data::V6(<[u8; 16]>::try_from(bytes).map_err(|_| Malformed)?.into()),
        kind::PTR => match Name::read(packet, start)? {
            (name, behind) if behind == end => Data::Pointer(name),
            _ => return Err(Malformed),
        },
        _ => Data::Other(bytes.to_vec()),
    };
    Ok((Record { name, kind, class, ttl, data }, end))
}

impl Message {
    /// Reads a whole message; nothing may follow it.
    pub fn read(packet: &[u8]) -> Result<Self, Malformed> {
        let mut message = Self { id: word(packet, 0)?, flags: word(packet, 2)?, ..Self::default() };
        let mut at = HEADER;
        for _ in 0..word(packet, 4)? {
            let (question, behind) = read_question(packet, at)?;
            message.questions.push(question);
            at = behind;
        }
        let counts = [word(packet, 6)?, word(packet, 8)?, word(packet, 10)?];
        let lists = [&mut message.answers, &mut message.authorities, &mut message.additional];
        for (list, count) in lists.into_iter().zip(counts) {
            for _ in 0..count {
                let (record, behind) = read_record(packet, at)?;
                list.push(record);
                at = behind;
            }
        }
        if at == packet.len() { Ok(message) } else { Err(Malformed) }
    }

    /// The message in at most `limit` bytes, which hold a header, the questions and an OPT record (at least 512).
    ///
    /// Records that do not fit are left out, from the end, and [`flag::TRUNCATED`] says so; an OPT record stays.
    pub fn write(&self, limit: usize) -> Vec<u8> {
        let mut packet = Vec::with_capacity(128);
        let mut counts = [self.questions.len() as u16, 0, 0, 0];
        for value in [self.id, self.flags, 0, 0, 0, 0] {
            packet.extend_from_slice(&value.to_be_bytes());
        }
        for Question { name, kind, class } in &self.questions {
            packet.extend_from_slice(name.as_bytes());
            packet.extend_from_slice(&kind.to_be_bytes());
            packet.extend_from_slice(&class.to_be_bytes());
        }
        let options = |record: &&Record| record.kind == kind::OPT;
        let kept: usize = self.additional.iter().filter(options).map(|record| self.size(record)).sum();
        let mut truncated = false;
        let lists = [&self.answers, &self.authorities, &self.additional];
        for (count, list) in counts[1..].iter_mut().zip(lists) {
            for record in list {
                // Room for the OPT record, which comes last, is kept free.
                let keep = if record.kind == kind::OPT { 0 } else { kept };
                if truncated && record.kind != kind::OPT {
                    continue;
                }
                let before = packet.len();
                self.write_record(record, &mut packet);
                if packet.len() + keep > limit {
                    packet.truncate(before);
                    truncated = true;
                } else {
                    *count += 1;
                }
            }
        }
        if truncated {
            let flags = self.flags | flag::TRUNCATED;
            packet[2..4].copy_from_slice(&flags.to_be_bytes());
        }
        for (at, count) in counts.iter().enumerate() {
            packet[4 + 2 * at..][..2].copy_from_slice(&count.to_be_bytes());
        }
        packet
    }

    /// The most bytes that a record takes.
    fn size(&self, record: &Record) -> usize {
        let mut bytes = Vec::new();
        self.write_record(record, &mut bytes);
        bytes.len()
    }

    fn write_record(&self, record: &Record, packet: &mut Vec<u8>) {
        match self.questions.first() {
            // The first question stands right behind the header, and most answers are about its name. Its spelling is
            // the asker's, which some check.
            Some(question) if question.name.as_bytes() == record.name.as_bytes() && record.name != Name::root() => {
                packet.extend_from_slice(&[0xC0, HEADER as u8]);
            }
            _ => packet.extend_from_slice(record.name.as_bytes()),
        }
        packet.extend_from_slice(&record.kind.to_be_bytes());
        packet.extend_from_slice(&record.class.to_be_bytes());
        packet.extend_from_slice(&record.ttl.to_be_bytes());
        let (v4, v6);
        let data = match &record.data {
            Data::V4(address) => {
                v4 = address.octets();
                &v4[..]
            }
            Data::V6(address) => {
                v6 = address.octets();
                &v6[..]
            }
            Data::Pointer(name) => name.as_bytes(),
            Data::Other(bytes) => bytes,
        };
        packet.extend_from_slice(&(data.len() as u16).to_be_bytes());
        packet.extend_from_slice(data);
    }

    /// The first OPT record (RFC 6891).
    pub fn options(&self) -> Option<&Record> {
        self.additional.iter().find(|record| record.kind == kind::OPT)
    }
}

/// The id, the flags and the question of an answer, of which nothing more needs to be understood to pass it on.
pub(crate) fn read_head(packet: &[u8]) -> Result<(u16, u16, Option<Question>), Malformed> {
    let (id, flags) = (word(packet, 0)?, word(packet, 2)?);
    let question = match (word(packet, 4)?, packet.len()) {
        (_, ..HEADER) => return Err(Malformed),
        (0, HEADER) => None,
        (1, _) => Some(read_question(packet, HEADER)?.0),
        _ => return Err(Malformed),
    };
    Ok((id, flags, question))
}
