//! An address and the length of its network's prefix.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

/// An address in a network, `172.17.0.2/16` or `fd00::2/64`: the address is kept whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Prefix {
    /// The address.
    pub address: IpAddr,
    /// How many of its bits name the network: up to 32 or 128.
    pub length: u8,
}

/// Text that is no [`Prefix`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid CIDR address: {0}")]
pub struct PrefixError(String);

impl Prefix {
    /// The bits of an address of this family.
    pub fn bits(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// The network: all bits after the prefix are zero.
    #[must_use]
    pub fn network(&self) -> Self {
        self.host(0)
    }

    /// The address with the number `host` in the network.
    #[must_use]
    pub fn host(&self, host: u32) -> Self {
        let host_bits = u32::from(self.bits() - self.length.min(self.bits()));
        let address = match self.address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv4Addr::from_bits(address.to_bits() & mask | host & !mask).into()
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
                Ipv6Addr::from_bits(address.to_bits() & mask | u128::from(host) & !mask).into()
            }
        };
        Self { address, length: self.length }
    }

    /// The last address of the network, in IPv4 the one that reaches all of them.
    pub fn broadcast(&self) -> IpAddr {
        self.host(u32::MAX).address
    }

    /// Whether `address` is in the network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let other = Self { address, length: self.length };
        self.address.is_ipv4() == address.is_ipv4() && other.network() == self.network()
    }

    /// Whether the two networks have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        if self.length <= other.length { self.contains(other.address) } else { other.contains(self.address) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let parse = || {
            let (address, length) = text.split_once('/')?;
            let (address, number): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
            let prefix = Self { address, length: number };
            (number <= prefix.bits() && number.to_string() == length).then_some(prefix)
        };
        parse().ok_or_else(|| PrefixError(text.to_owned()))
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::Prefix;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn networks_and_hosts() {
        assert_eq!(prefix("172.17.3.4/16").network(), prefix("172.17.0.0/16"));
        assert_eq!(prefix("172.17.3.4/16").host(1), prefix("172.17.0.1/16"));
        assert_eq!(prefix("172.17.3.4/16").broadcast().to_string(), "172.17.255.255");
        assert_eq!(prefix("10.1.2.3/0").network(), prefix("0.0.0.0/0"));
        assert_eq!(prefix("10.1.2.3/32").host(7), prefix("10.1.2.3/32"));
        assert_eq!(prefix("fd00:1::5/64").network(), prefix("fd00:1::/64"));
        assert_eq!(prefix("fd00::/128").host(1), prefix("fd00::/128"));
        assert_eq!(prefix("::1/0").network(), prefix("::/0"));
    }

    #[test]
    fn overlaps_are_found_either_way() {
        for (a, b, overlap) in [
            ("10.0.0.0/8", "10.9.0.0/16", true),
            ("10.0.0.0/8", "11.0.0.0/8", false),
            ("172.17.0.0/16", "172.17.0.0/16", true),
            ("10.0.0.0/8", "::/0", false),
            ("fd00::/8", "fd12::/64", true),
        ] {
            assert_eq!(prefix(a).overlaps(&prefix(b)), overlap, "{a} {b}");
            assert_eq!(prefix(b).overlaps(&prefix(a)), overlap, "{b} {a}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "/", "10.0.0.1", "10.0.0.1/33", "10.0.0/8", "::/129", "10.0.0.1/", "10.0.0.1/+8", "x/8", "10.0.0.1/08"]
        {
            assert_eq!(text.parse::<Prefix>().unwrap_err().to_string(), format!("invalid CIDR address: {text}"));
        }
    }
}
