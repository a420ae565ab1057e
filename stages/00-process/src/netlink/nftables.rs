//! Tables, chains, rules, sets and elements of nftables, changed by transactions.
//!
//! A transaction is a packet of messages between a begin and an end: the kernel does all of it or nothing. The table is
//! of the family inet, whose chains see IPv4 and IPv6.

use nix::libc;

mod ask;

use super::{
    expression::{Expression, Family},
    message::{Attributes, Message, string},
    socket::{Refusal, Socket},
};

pub use ask::{
    BaseChain, base_chains, elements, generation, get_element, get_elements, has_table, remove, remove_each,
    remove_owned, rules, table_comment,
};

const NFPROTO_INET: u8 = 1;
const SUBSYSTEM: u16 = 10;
const HEADER: usize = 4;
/// Elements in one message: its list must stay below 64 KiB.
const ELEMENTS: usize = 256;

/// `NFT_MSG_…`.
#[derive(Debug, Clone, Copy)]
enum Kind {
    NewTable = 0,
    GetTable = 1,
    DelTable = 2,
    NewChain = 3,
    GetChain = 4,
    NewRule = 6,
    GetRule = 7,
    DelRule = 8,
    NewSet = 9,
    NewElement = 12,
    GetElement = 13,
    DelElement = 14,
    GetGeneration = 16,
}

/// `NFTA_…` of those that several kinds share: the table is the first attribute of all.
const TABLE: u16 = 1;
const NAME: u16 = 2;
const TABLE_USERDATA: u16 = 6;

fn message(kind: Kind, flags: i32) -> Message {
    message_of(NFPROTO_INET, kind, flags)
}

fn message_of(family: u8, kind: Kind, flags: i32) -> Message {
    Message::new(SUBSYSTEM << 8 | kind as u16, flags, &[family, 0, 0, 0])
}

/// Where a chain sees packets. Chains of one place go by ascending priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// All that come in, before it is known where they go.
    Prerouting = 0,
    /// Those for this machine.
    Input = 1,
    /// Those that pass through.
    Forward = 2,
    /// Those of this machine.
    Output = 3,
    /// All that leave.
    Postrouting = 4,
}

/// A set of keys, or a map from keys to data.
#[derive(Debug, Clone, Copy)]
pub struct Set<'a> {
    /// Its name in the table.
    pub name: &'a str,
    /// The parts of the key: each a type that `nft list` knows, and its length in bytes.
    pub key: &'a [(Type, u8)],
    /// Whether the parts may be ranges.
    pub ranges: bool,
    /// The parts of a map's data; none for a set.
    pub data: &'a [(Type, u8)],
}

/// What `nft list` takes a value for; the kernel does not mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// An IPv4 address.
    Ipv4 = 7,
    /// An IPv6 address.
    Ipv6 = 8,
    /// A protocol over IP.
    Protocol = 12,
    /// A port.
    Port = 13,
    /// The name of an interface.
    Interface = 41,
}

/// An element of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The key, or the first of a range.
    pub key: Vec<u8>,
    /// The last of a range.
    pub end: Option<Vec<u8>>,
    /// What a map says of it.
    pub data: Option<Vec<u8>>,
    /// Whose it is. `nft list` shows it as the comment.
    pub owner: String,
}

/// A comment as `nft list` reads it: its kind, its length, and text with a null byte.
fn user_data(comment: &str) -> Vec<u8> {
    [&[0, comment.len() as u8 + 1], comment.as_bytes(), &[0]].concat()
}

/// The comment of an object that has one.
fn comment(user_data: Option<&[u8]>) -> String {
    user_data.and_then(|data| data.get(2..)).map(string).unwrap_or_default()
}

/// Puts the parts of a key or of data one after the other, each padded to four bytes.
pub fn concatenate(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(*part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

// ANCHOR: transaction
/// Changes to one table, which the kernel makes all together or not at all.
#[derive(Debug, Clone)]
pub struct Transaction {
    family: u8,
    table: String,
    messages: Vec<Message>,
}

impl Transaction {
    /// Nothing yet, about the table of that name.
    pub fn new(table: &str) -> Self {
        Self { family: NFPROTO_INET, table: table.to_owned(), messages: Vec::new() }
    }

    fn add(&mut self, kind: Kind, flags: i32, fill: impl FnOnce(Message) -> Message) {
        self.messages.push(fill(message_of(self.family, kind, flags).string(TABLE, &self.table)));
    }

    /// Makes the table, if it is not there.
    pub fn table(&mut self) {
        self.add(Kind::NewTable, libc::NLM_F_CREATE, |m| m);
    }

    /// The same, with a comment where it is made: up to 127 bytes, from Linux 5.10 on.
    pub fn table_with_comment(&mut self, comment: &str) {
        self.add(Kind::NewTable, libc::NLM_F_CREATE, |m| m.bytes(TABLE_USERDATA, &user_data(comment)));
    }

    /// Removes the table with all that it holds.
    pub fn delete_table(&mut self) {
        self.add(Kind::DelTable, 0, |m| m);
    }

    /// Makes a chain that others jump to. The transaction fails with EEXIST where it is there.
    pub fn chain(&mut self, name: &str) {
        const NFTA_CHAIN_NAME: u16 = 3;
        self.add(Kind::NewChain, libc::NLM_F_CREATE | libc::NLM_F_EXCL, |m| m.string(NFTA_CHAIN_NAME, name));
    }

    /// The same for a chain that packets come to by themselves. `kind` is `filter` or `nat`.
    pub fn base_chain(&mut self, name: &str, kind: &str, hook: Hook, priority: i32) {
        const NFTA_CHAIN_NAME: u16 = 3;
        const NFTA_CHAIN_HOOK: u16 = 4;
        const NFTA_CHAIN_TYPE: u16 = 7;
        self.add(Kind::NewChain, libc::NLM_F_CREATE | libc::NLM_F_EXCL, |m| {
            m.string(NFTA_CHAIN_NAME, name)
                .nest(NFTA_CHAIN_HOOK, |m| m.u32_be(1, hook as u32).u32_be(2, priority.cast_unsigned()))
                .string(NFTA_CHAIN_TYPE, kind)
        });
    }

    /// What becomes of packets at the end of a base chain: `ACCEPT`, which is so without this, or `DROP`.
    pub fn policy(&mut self, chain: &str, verdict: i32) {
        const NFTA_CHAIN_NAME: u16 = 3;
        const NFTA_CHAIN_POLICY: u16 = 5;
        self.add(Kind::NewChain, 0, |m| {
            m.string(NFTA_CHAIN_NAME, chain).u32_be(NFTA_CHAIN_POLICY, verdict.cast_unsigned())
        });
    }

    /// Adds a rule at the end of a chain.
    pub fn rule<E: IntoIterator<Item = Expression>>(&mut self, chain: &str, expressions: E) {
        const NFTA_RULE_EXPRESSIONS: u16 = 4;
        self.add(Kind::NewRule, libc::NLM_F_CREATE | libc::NLM_F_APPEND, |m| {
            let all = |m| expressions.into_iter().fold(m, |m, expression| expression.write(m));
            m.string(NAME, chain).nest(NFTA_RULE_EXPRESSIONS, all)
        });
    }

    /// Adds a rule at the beginning of a chain, with a comment that `nft list` shows: up to 120 bytes.
    pub fn first_rule<E: IntoIterator<Item = Expression>>(&mut self, chain: &str, expressions: E, comment: &str) {
        const NFTA_RULE_EXPRESSIONS: u16 = 4;
        self.add(Kind::NewRule, libc::NLM_F_CREATE, |m| {
            let all = |m| expressions.into_iter().fold(m, |m, expression| expression.write(m));
            let text = user_data(comment);
            m.string(NAME, chain).nest(NFTA_RULE_EXPRESSIONS, all).bytes(NFTA_RULE_USERDATA, &text)
        });
    }

    /// Removes a rule. The transaction fails with ENOENT where it is not there.
    pub fn delete_rule(&mut self, chain: &str, handle: u64) {
        self.add(Kind::DelRule, 0, |m| m.string(NAME, chain).bytes(NFTA_RULE_HANDLE, &handle.to_be_bytes()));
    }

    /// Adds elements that may be there already: then their data must be the same.
    pub fn add_elements(&mut self, set: &str, elements: &[Element]) {
        self.elements(Kind::NewElement, libc::NLM_F_CREATE, set, elements);
    }

    /// Adds elements. The transaction fails with EEXIST where one is there.
    pub fn add_new_elements(&mut self, set: &str, elements: &[Element]) {
        self.elements(Kind::NewElement, libc::NLM_F_CREATE | libc::NLM_F_EXCL, set, elements);
    }

    /// Removes elements. The transaction fails with ENOENT where one is not there.
    pub fn delete_elements(&mut self, set: &str, elements: &[Element]) {
        self.elements(Kind::DelElement, 0, set, elements);
    }

    /// Does it.
    ///
    /// # Errors
    /// The first change that the kernel refuses: then none is made.
    pub fn commit(self, socket: &Socket) -> Result<(), Refusal> {
        self.commit_at(socket, None)
    }

    /// Does it, if nobody has changed anything in nftables since the [`generation`] that is given.
    ///
    /// # Errors
    /// ERESTART: somebody has. Else as [`Transaction::commit`].
    pub fn commit_at(self, socket: &Socket, generation: Option<u32>) -> Result<(), Refusal> {
        const BEGIN: u16 = 0x10;
        const END: u16 = 0x11;
        const NFNL_BATCH_GENID: u16 = 1;
        let frame = |kind| Message::new(kind, 0, &[0, 0, 0, SUBSYSTEM as u8]).unacknowledged();
        let begin = match generation {
            Some(generation) => frame(BEGIN).u32_be(NFNL_BATCH_GENID, generation),
            None => frame(BEGIN),
        };
        let all: Vec<Message> = [begin].into_iter().chain(self.messages).chain([frame(END)]).collect();
        socket.request(&all)
    }
}
// ANCHOR_END: transaction

impl Transaction {
    /// Nothing yet, about a table of somebody else's, of the family `ip` or `ip6`.
    pub fn of_family(family: Family, table: &str) -> Self {
        Self { family: number(family), ..Self::new(table) }
    }

    /// Makes a set or a map, if it is not there.
    pub fn set(&mut self, set: &Set) {
        const INTERVAL: u32 = 4;
        const MAP: u32 = 8;
        const CONCAT: u32 = 0x80;
        // A type of several parts has six bits for each.
        let kind = |parts: &[(Type, u8)]| parts.iter().fold(0, |all, (kind, _)| all << 6 | *kind as u32);
        let length = |parts: &[(Type, u8)]| parts.iter().map(|(_, len)| u32::from(*len).next_multiple_of(4)).sum();
        let mut flags = 0;
        flags |= if set.ranges { INTERVAL | CONCAT } else { 0 };
        flags |= if set.data.is_empty() { 0 } else { MAP };
        let number = self.messages.len() as u32;
        self.add(Kind::NewSet, libc::NLM_F_CREATE, |m| {
            let m = m.string(NAME, set.name).u32_be(3, flags).u32_be(4, kind(set.key)).u32_be(5, length(set.key));
            let m = if set.data.is_empty() { m } else { m.u32_be(6, kind(set.data)).u32_be(7, length(set.data)) };
            let field = |m: Message, length: u8| m.nest(1, |m| m.u32_be(1, length.into()));
            let fields = |m| set.key.iter().fold(m, |m, (_, length)| field(m, *length));
            let m = if set.ranges { m.nest(9, |m| m.nest(2, fields)) } else { m };
            // For nft alone, which would read the name of an interface backwards: in the machine's byte order.
            let order = [&[0, 4][..], &1_u32.to_ne_bytes()].concat();
            let m = if let [(Type::Interface, _)] = set.key { m.bytes(13, &order) } else { m };
            m.u32_be(10, number)
        });
    }

    fn elements(&mut self, kind: Kind, flags: i32, set: &str, elements: &[Element]) {
        for part in elements.chunks(ELEMENTS) {
            self.add(kind, flags, |m| element_list(m, set, part));
        }
    }
}

fn element_list(m: Message, set: &str, elements: &[Element]) -> Message {
    m.string(NAME, set).nest(3, |m| elements.iter().fold(m, element))
}

fn element(m: Message, element: &Element) -> Message {
    let value = |m: Message, kind, bytes: &Option<Vec<u8>>| match bytes {
        Some(bytes) => m.nest(kind, |m| m.bytes(1, bytes)),
        None => m,
    };
    m.nest(1, |m| {
        let m = value(m.nest(1, |m| m.bytes(1, &element.key)), 10, &element.end);
        let m = value(m, 2, &element.data);
        if element.owner.is_empty() { m } else { m.bytes(6, &user_data(&element.owner)) }
    })
}

impl Element {
    /// The longest name of an owner in bytes.
    pub const LONGEST_OWNER: usize = 128;

    fn new(attributes: &Attributes) -> Option<Self> {
        let value = |kind| attributes.nested(kind).get(1).map(<[u8]>::to_owned);
        Some(Self { key: value(1)?, end: value(10), data: value(2), owner: comment(attributes.get(6)) })
    }
}

const NFTA_RULE_HANDLE: u16 = 3;
const NFTA_RULE_USERDATA: u16 = 7;

fn number(family: Family) -> u8 {
    (if family == Family::V4 { libc::NFPROTO_IPV4 } else { libc::NFPROTO_IPV6 }) as u8
}
