//! Domain names: labels of up to 63 bytes, up to 255 bytes in all (RFC 1035, 2.3.4 and 3.1).

use std::{
    fmt::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use crate::message::Malformed;

/// The longest name in bytes: with the length byte of each label and the empty label at its end.
pub const LONGEST_NAME: usize = 255;
const LONGEST_LABEL: usize = 63;

/// A name as it is sent, without compression. Equal names may differ in case (RFC 4343).
#[derive(Clone)]
pub struct Name(Vec<u8>);

impl Name {
    /// The name of the root: no label at all.
    pub fn root() -> Self {
        Self(vec![0])
    }

    // ANCHOR: name
    /// Reads the name at `at`, and says where the packet goes on behind it.
    ///
    /// A name may end in a pointer to an earlier one (RFC 1035, 4.1.4). Each pointer has to lead further back than the
    /// one before, so that there is an end to following them.
    pub(crate) fn read(packet: &[u8], mut at: usize) -> Result<(Self, usize), Malformed> {
        let mut name = Vec::with_capacity(32);
        let mut end = None;
        let mut barrier = at;
        loop {
            let length = usize::from(*packet.get(at).ok_or(Malformed)?);
            match length {
                0 => break,
                1..=LONGEST_LABEL => {
                    let label = packet.get(at..=at + length).ok_or(Malformed)?;
                    if name.len() + label.len() >= LONGEST_NAME {
                        return Err(Malformed);
                    }
                    name.extend_from_slice(label);
                    at += label.len();
                }
                0xC0.. => {
                    let low = usize::from(*packet.get(at + 1).ok_or(Malformed)?);
                    end.get_or_insert(at + 2);
                    at = (length & 0x3F) << 8 | low;
                    if at >= barrier {
                        return Err(Malformed);
                    }
                    barrier = at;
                }
                // 01 and 10 were never given a meaning that lasted.
                _ => return Err(Malformed),
            }
        }
        name.push(0);
        Ok((Self(name), end.unwrap_or(at + 1)))
    }
    // ANCHOR_END: name

    /// A name from its text, with or without the dot at its end; `None` for what is none.
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut name = Vec::with_capacity(text.len() + 2);
        for label in text.split('.').filter(|_| !text.is_empty()) {
            if label.is_empty() || label.len() > LONGEST_LABEL {
                return None;
            }
            name.push(label.len() as u8);
            name.extend_from_slice(label.as_bytes());
        }
        name.push(0);
        (name.len() <= LONGEST_NAME).then_some(Self(name))
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From the leftmost label to the one before the root.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (&length, after) = rest.split_first()?;
            let (label, after) = after.split_at(usize::from(length));
            rest = after;
            (length > 0).then_some(label)
        })
    }

    /// The name in lower case with dots between its labels and none at its end. A byte that is not plain text is
    /// written as `\DDD`: a dot within a label is not one between labels.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        for label in self.labels() {
            if !text.is_empty() {
                text.push('.');
            }
            for &byte in label {
                if byte.is_ascii_graphic() && byte != b'.' && byte != b'\\' {
                    text.push(byte.to_ascii_lowercase().into());
                } else {
                    let _ = write!(text, "\\{byte:03}");
                }
            }
        }
        text
    }

    /// The address that this is the name of, below in-addr.arpa (RFC 1035, 3.5) or ip6.arpa (RFC 3596, 2.5).
    pub fn reversed_address(&self) -> Option<IpAddr> {
        let text = self.text();
        if let Some(text) = text.strip_suffix(".in-addr.arpa") {
            let mut bytes = [0; 4];
            let mut parts = text.split('.');
            for byte in bytes.iter_mut().rev() {
                let part = parts.next()?;
                *byte = part.parse().ok()?;
                // Otherwise `010` and `+10` would be a 10 too.
                if byte.to_string() != part {
                    return None;
                }
            }
            return parts.next().is_none().then_some(Ipv4Addr::from(bytes).into());
        }
        let text = text.strip_suffix(".ip6.arpa")?;
        let digit = |at: usize| -> Option<u8> { char::from(text.as_bytes()[at]).to_digit(16).map(|d| d as u8) };
        if text.len() != 63 || text.bytes().skip(1).step_by(2).any(|b| b != b'.') {
            return None;
        }
        let mut bytes = [0; 16];
        for (number, byte) in bytes.iter_mut().rev().enumerate() {
            *byte = digit(4 * number)? | digit(4 * number + 2)? << 4;
        }
        Some(Ipv6Addr::from(bytes).into())
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        // Length bytes are below the letters: case does not touch them.
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.text())
    }
}
