//! What rules of nftables are made of: small instructions on registers, each `if not, go to the next rule` or an act.
//!
//! The kernel's include/uapi/linux/netfilter/nf_tables.h names their attributes; `nft --debug=netlink` shows a rule in
//! this form. There are sixteen registers of four bytes each, [`REGISTER`] + n. A value of more than four bytes takes
//! several in a row, and a shorter one is padded.

use super::message::Message;

/// The first register.
pub const REGISTER: u32 = 8;

/// A packet's or connection's end.
pub const ACCEPT: i32 = 1;
/// A packet's end.
pub const DROP: i32 = 0;

/// The bits of `ct state`: a connection that has been answered, or one that belongs to such a connection.
pub const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
/// The bit of `ct status`: the connection's destination was changed.
pub const DESTINATION_CHANGED: u32 = 1 << 5;
/// What `fib … type` says of an address of this machine.
pub const LOCAL: u32 = 2;

const NFPROTO_IPV4: u32 = 2;
const NFPROTO_IPV6: u32 = 10;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A field of a packet, or something that is known about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The name of the interface that it came in by: 16 bytes.
    InputName,
    /// The name of the interface that it leaves by: 16 bytes.
    OutputName,
    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`: a byte.
    Family,
    /// TCP, UDP, …: a byte.
    Protocol,
    /// The address that it came from.
    Source(Family),
    /// The address that it goes to.
    Destination(Family),
    /// The port that it goes to, of TCP, UDP or SCTP: two bytes.
    DestinationPort,
    /// The state of its connection: bits of a word.
    State,
    /// What has happened to its connection: bits of a word.
    Status,
    /// Whose address it goes to: a word, such as [`LOCAL`].
    DestinationType,
    /// The interface that it came in by, if answers to its source leave by it: an index, a word. Else 0.
    SourceInterface,
    /// What kind of message of ICMPv6 it is: a byte.
    Icmp6Type,
}

/// One instruction.
#[derive(Debug, Clone)]
pub struct Expression {
    name: &'static str,
    data: Attributes,
}

type Attributes = Vec<(u16, Value)>;

#[derive(Debug, Clone)]
enum Value {
    Number(u32),
    Text(String),
    Nest(Attributes),
    Bytes(Vec<u8>),
}

use Value::{Bytes, Nest, Number, Text};

impl Expression {
    fn new(name: &'static str, data: impl IntoIterator<Item = (u16, Value)>) -> Self {
        Self { name, data: data.into_iter().collect() }
    }

    pub(super) fn write(&self, message: Message) -> Message {
        const NFTA_LIST_ELEM: u16 = 1;
        const NFTA_EXPR_NAME: u16 = 1;
        const NFTA_EXPR_DATA: u16 = 2;
        message.nest(NFTA_LIST_ELEM, |m| {
            m.string(NFTA_EXPR_NAME, self.name).nest(NFTA_EXPR_DATA, |m| write(m, &self.data))
        })
    }
}

fn write(message: Message, attributes: &Attributes) -> Message {
    attributes.iter().fold(message, |message, (kind, value)| match value {
        Number(number) => message.u32_be(*kind, *number),
        Text(text) => message.string(*kind, text),
        Bytes(bytes) => message.bytes(*kind, bytes),
        Nest(inner) => message.nest(*kind, |message| write(message, inner)),
    })
}

/// Loads `field` into `register`.
pub fn load(field: Field, register: u32) -> Expression {
    const NETWORK: u32 = 1;
    const TRANSPORT: u32 = 2;
    let meta = |key| Expression::new("meta", [(1, Number(register)), (2, Number(key))]);
    let ct = |key| Expression::new("ct", [(1, Number(register)), (2, Number(key))]);
    let payload = |base, offset, length| {
        let place = [(1, Number(register)), (2, Number(base)), (3, Number(offset)), (4, Number(length))];
        Expression::new("payload", place)
    };
    match field {
        Field::InputName => meta(6),
        Field::OutputName => meta(7),
        Field::Family => meta(15),
        Field::Protocol => meta(16),
        Field::Source(Family::V4) => payload(NETWORK, 12, 4),
        Field::Source(Family::V6) => payload(NETWORK, 8, 16),
        Field::Destination(Family::V4) => payload(NETWORK, 16, 4),
        Field::Destination(Family::V6) => payload(NETWORK, 24, 16),
        Field::DestinationPort => payload(TRANSPORT, 2, 2),
        Field::State => ct(0),
        Field::Status => ct(2),
        // Flags: of the destination. Result: its type.
        Field::DestinationType => Expression::new("fib", [(1, Number(register)), (2, Number(3)), (3, Number(2))]),
        // Flags: of the source, by the interface it came in by. Result: an interface.
        Field::SourceInterface => Expression::new("fib", [(1, Number(register)), (2, Number(1)), (3, Number(1 | 8))]),
        Field::Icmp6Type => payload(TRANSPORT, 0, 1),
    }
}

/// Goes on where the register holds `value`.
pub fn equal(register: u32, value: &[u8]) -> Expression {
    compare(register, 0, value)
}

/// Goes on where the register holds something else than `value`.
pub fn different(register: u32, value: &[u8]) -> Expression {
    compare(register, 1, value)
}

fn compare(register: u32, operation: u32, value: &[u8]) -> Expression {
    let data = Nest(vec![(1, Bytes(value.to_owned()))]);
    Expression::new("cmp", [(1, Number(register)), (2, Number(operation)), (3, data)])
}

/// Keeps the bits `mask` of what the register holds.
pub fn keep(register: u32, mask: &[u8]) -> Expression {
    let value = |bytes: Vec<u8>| Nest(vec![(1, Bytes(bytes))]);
    let fields = [
        (1, Number(register)),
        (2, Number(register)),
        (3, Number(mask.len() as u32)),
        (4, value(mask.to_owned())),
        (5, value(vec![0; mask.len()])),
    ];
    Expression::new("bitwise", fields)
}

/// Goes on where the set has what begins in `register`.
pub fn is_in(set: &str, register: u32) -> Expression {
    Expression::new("lookup", [(1, Text(set.to_owned())), (2, Number(register))])
}

/// Goes on where the set does not have what begins in `register`.
pub fn is_not_in(set: &str, register: u32) -> Expression {
    const NFT_LOOKUP_F_INV: u32 = 1;
    Expression::new("lookup", [(1, Text(set.to_owned())), (2, Number(register)), (5, Number(NFT_LOOKUP_F_INV))])
}

/// Goes on where the map has what begins in `register`, with the value in `result`.
pub fn find(map: &str, register: u32, result: u32) -> Expression {
    Expression::new("lookup", [(1, Text(map.to_owned())), (2, Number(register)), (3, Number(result))])
}

/// Ends with [`ACCEPT`] or [`DROP`].
pub fn verdict(code: i32) -> Expression {
    immediate(vec![(1, Number(code.cast_unsigned()))])
}

/// Goes to another chain, and comes back from its end.
pub fn jump(chain: &str) -> Expression {
    const NFT_JUMP: i32 = -3;
    immediate(vec![(1, Number(NFT_JUMP.cast_unsigned())), (2, Text(chain.to_owned()))])
}

fn immediate(verdict: Attributes) -> Expression {
    Expression::new("immediate", [(1, Number(0)), (2, Nest(vec![(2, Nest(verdict))]))])
}

/// Changes the connection's destination to the address in `address` and the port in `port`, if one is given.
pub fn change_destination(family: Family, address: u32, port: Option<u32>) -> Expression {
    const NFT_NAT_DNAT: u32 = 1;
    let family = if family == Family::V4 { NFPROTO_IPV4 } else { NFPROTO_IPV6 };
    let fixed = [(1, Number(NFT_NAT_DNAT)), (2, Number(family)), (3, Number(address))];
    Expression::new("nat", fixed.into_iter().chain(port.map(|port| (5, Number(port)))))
}

/// Changes the connection's source to an address of the interface that it leaves by.
pub fn masquerade() -> Expression {
    Expression::new("masq", [])
}

/// Ends a connection of TCP with a reset, which is "connection refused".
pub fn reset() -> Expression {
    const NFT_REJECT_TCP_RST: u32 = 1;
    Expression::new("reject", [(1, Number(NFT_REJECT_TCP_RST)), (2, Bytes(vec![0]))])
}

/// Answers that nobody is at that port.
pub fn unreachable() -> Expression {
    const NFT_REJECT_ICMPX_UNREACH: u32 = 2;
    const NFT_REJECT_ICMPX_PORT_UNREACH: u8 = 1;
    Expression::new("reject", [(1, Number(NFT_REJECT_ICMPX_UNREACH)), (2, Bytes(vec![NFT_REJECT_ICMPX_PORT_UNREACH]))])
}

/// Goes on with packets of this family.
pub fn of_family(family: Family) -> [Expression; 2] {
    let family = if family == Family::V4 { NFPROTO_IPV4 } else { NFPROTO_IPV6 };
    [load(Field::Family, REGISTER), equal(REGISTER, &[family as u8])]
}

/// Goes on where one of the bits is set in `field`, a word.
pub fn any_bit(field: Field, bits: u32) -> [Expression; 3] {
    [load(field, REGISTER), keep(REGISTER, &bits.to_ne_bytes()), different(REGISTER, &[0; 4])]
}

/// The name of an interface as the kernel compares it: 16 bytes.
pub fn interface(name: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    bytes
}
