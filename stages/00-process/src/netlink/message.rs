//! One netlink message: built from attributes, and taken apart again.

use std::mem::size_of;

use nix::libc;

/// Attributes begin at multiples of four bytes.
const ALIGN: usize = 4;
/// Length and kind of an attribute.
const ATTRIBUTE: usize = size_of::<libc::nlattr>();
/// The flag of attributes that hold attributes.
const NESTED: u16 = libc::NLA_F_NESTED as u16;
/// The other flag: the value is in network byte order.
const KIND: u16 = !(NESTED | libc::NLA_F_NET_BYTEORDER as u16);

// ANCHOR: message
/// A request in the making: nlmsghdr, a header of the family's own, attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message(Vec<u8>);

impl Message {
    /// The bytes of nlmsghdr: length (4), kind (2), flags (2), sequence number (4), port (4).
    pub const HEADER: usize = size_of::<libc::nlmsghdr>();

    /// A request of `kind` that is acknowledged. `flags` are `NLM_F_…`; `family` is the structure that the kind asks
    /// for, such as ifinfomsg.
    pub fn new(kind: u16, flags: i32, family: &[u8]) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut bytes = vec![0; Self::HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend(family);
        Self(bytes).finished()
    }

    /// Adds an attribute of any value: up to 65,531 bytes.
    #[must_use]
    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        self.0.extend(((ATTRIBUTE + value.len()) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.finished()
    }

    /// Adds an attribute that holds those which `fill` adds.
    #[must_use]
    pub fn nest(mut self, kind: u16, fill: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.0.extend([0; ATTRIBUTE]);
        self = fill(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
        self.finished()
    }

    /// Pads to four bytes, and writes the length into the header.
    fn finished(mut self) -> Self {
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self
    }
}
// ANCHOR_END: message

impl Message {
    /// Adds a byte.
    #[must_use]
    pub fn u8(self, kind: u16, value: u8) -> Self {
        self.bytes(kind, &[value])
    }

    /// Adds a number in the machine's byte order, as rtnetlink has it.
    #[must_use]
    pub fn u32(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_ne_bytes())
    }

    /// Adds a number in network byte order, as nftables has it.
    #[must_use]
    pub fn u32_be(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// Adds a string and its null byte.
    #[must_use]
    pub fn string(self, kind: u16, value: &str) -> Self {
        self.bytes(kind, &[value.as_bytes(), &[0]].concat())
    }

    /// Adds a structure without the header of an attribute, such as the ifinfomsg of a veth's other end.
    #[must_use]
    pub fn raw(mut self, value: &[u8]) -> Self {
        self.0.extend(value);
        self.finished()
    }

    /// Sets the number that its answer will carry.
    #[must_use]
    pub fn numbered(mut self, number: u32) -> Self {
        self.0[8..12].copy_from_slice(&number.to_ne_bytes());
        self
    }

    /// Asks for no answer but an error: for what frames a transaction.
    #[must_use]
    pub fn unacknowledged(mut self) -> Self {
        self.0[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
        self
    }

    /// As the kernel takes it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The attributes of a message, or of an attribute, in their order: kind without flags, and value.
///
/// What does not fit ends the list: the kernel sends no such thing.
#[derive(Debug, Clone)]
pub struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// Of bytes that begin with an attribute.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The value of the first attribute of `kind`.
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.clone().find(|(found, _)| *found == kind).map(|(_, value)| value)
    }

    /// The attributes inside that of `kind`; none where there is no such.
    #[must_use]
    pub fn nested(&self, kind: u16) -> Self {
        Self(self.get(kind).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(self.0.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(self.0.get(2..4)?.try_into().ok()?);
        let value = self.0.get(ATTRIBUTE..length)?;
        self.0 = self.0.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((kind & KIND, value))
    }
}

/// The number at `offset` of `bytes`, in the machine's byte order; 0 where they are too short.
pub fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..offset + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

/// A string with or without its null byte.
pub fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|&b| b == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Attributes, Message, string};

    #[test]
    fn what_is_built_can_be_taken_apart() {
        let message = Message::new(16, 0, &[1, 2, 3])
            .string(3, "eth0")
            .nest(18, |m| m.string(1, "veth").nest(2, |m| m.u32(7, 9).u8(8, 1)))
            .u32_be(4, 1500)
            .numbered(5);
        let bytes = message.as_bytes();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(bytes[..4], (bytes.len() as u32).to_ne_bytes());
        assert_eq!(bytes[8..12], 5_u32.to_ne_bytes());
        assert_eq!(bytes[16..20], [1, 2, 3, 0]);
        let attributes = Attributes::new(&bytes[20..]);
        assert_eq!(attributes.clone().map(|(kind, _)| kind).collect::<Vec<_>>(), [3, 18, 4]);
        assert_eq!(attributes.get(3).map(string).as_deref(), Some("eth0"));
        assert_eq!(attributes.get(4), Some(&[0, 0, 5, 0xdc][..]));
        let inner = attributes.nested(18).nested(2);
        assert_eq!(inner.get(7), Some(&9_u32.to_ne_bytes()[..]));
        assert_eq!(inner.get(8), Some(&[1][..]));
        assert_eq!(attributes.nested(99).count(), 0);
    }

    #[test]
    fn what_does_not_fit_ends_the_list() {
        for broken in [&[][..], &[1, 0], &[3, 0, 1, 0], &[0; 8], &[9, 0, 1, 0, 1]] {
            assert_eq!(Attributes::new(broken).count(), 0, "{broken:?}");
        }
        let whole_then_broken = [4, 0, 1, 0, 200, 0, 2, 0, 1];
        assert_eq!(Attributes::new(&whole_then_broken).count(), 1);
        // The last one's padding may be missing.
        assert_eq!(Attributes::new(&[5, 0, 1, 0, 7]).collect::<Vec<_>>(), [(1, &[7][..])]);
    }
}
