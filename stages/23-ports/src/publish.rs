//! What Docker's users write after `-p`.

use std::{fmt, net::IpAddr, ops::RangeInclusive, str::FromStr};

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
    /// SCTP.
    Sctp = 132,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = PublishError;

    fn from_str(text: &str) -> Result<Self, PublishError> {
        match text.to_ascii_lowercase().as_str() {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "sctp" => Ok(Self::Sctp),
            _ => Err(PublishError(format!("invalid proto: {text}"))),
        }
    }
}

/// `[IP:][HOST[-HOST]:]PORT[-PORT][/PROTOCOL]`: ports of the container that ports of the host lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// TCP, where nothing is said.
    pub protocol: Protocol,
    /// The host's address; `None` is all of both families.
    pub address: Option<IpAddr>,
    /// The host's ports: as many as the container's, or some to choose one from. `None`: the kernel chooses.
    pub host: Option<RangeInclusive<u16>>,
    /// The container's ports, from 1 on.
    pub container: RangeInclusive<u16>,
}

/// Text that is no [`Publish`], in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PublishError(String);

impl FromStr for Publish {
    type Err = PublishError;

    fn from_str(text: &str) -> Result<Self, PublishError> {
        let refuse = |words: String| Err(PublishError(words));
        let (ports, protocol) = match text.split_once('/') {
            Some((ports, protocol)) => (ports, protocol.parse()?),
            None => (text, Protocol::Tcp),
        };
        let (rest, container) = ports.rsplit_once(':').unwrap_or(("", ports));
        if container.is_empty() {
            return refuse(format!("no port specified: {text}<empty>"));
        }
        // An IPv6 address has colons of its own, and stands in brackets.
        let (ip, host) = match rest.rsplit_once(':') {
            Some((ip, host)) if !host.ends_with(']') => (ip, host),
            _ if rest.starts_with('[') => (rest, ""),
            _ => ("", rest),
        };
        let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
        let address = match (ip, bare.unwrap_or(ip).parse::<IpAddr>()) {
            ("", _) => None,
            (_, Ok(address)) if address.is_ipv4() || bare.is_some() => Some(address),
            _ => return refuse(format!("invalid IP address: {ip}")),
        };
        let Some(inside) = range(container).filter(|range| *range.start() > 0) else {
            return refuse(format!("invalid containerPort: {container}"));
        };
        let outside = match host {
            "" | "0" => None,
            host => match range(host).filter(|range| *range.start() > 0) {
                Some(range) => Some(range),
                None => return refuse(format!("invalid hostPort: {host}")),
            },
        };
        if let Some(outside) = &outside
            && outside.len() != inside.len()
            && inside.len() != 1
        {
            return refuse(format!("invalid ranges specified for container and host Ports: {container} and {host}"));
        }
        Ok(Self { protocol, address, host: outside, container: inside })
    }
}

/// `80` or `80-90`, in digits alone.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let port = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (port(first)?, port(last)?);
    (first <= last).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::{
        Protocol::{Sctp, Tcp, Udp},
        Publish,
    };

    #[test]
    fn docker_s_forms_are_understood() {
        let publish = |protocol, address: &str, host, container| Publish {
            protocol,
            address: (!address.is_empty()).then(|| address.parse().unwrap()),
            host,
            container,
        };
        for (text, expected) in [
            ("80", publish(Tcp, "", None, 80..=80)),
            ("8080:80", publish(Tcp, "", Some(8080..=8080), 80..=80)),
            (":80", publish(Tcp, "", None, 80..=80)),
            ("0:80", publish(Tcp, "", None, 80..=80)),
            ("8080:80/udp", publish(Udp, "", Some(8080..=8080), 80..=80)),
            ("8080:80/SCTP", publish(Sctp, "", Some(8080..=8080), 80..=80)),
            ("127.0.0.1:8080:80", publish(Tcp, "127.0.0.1", Some(8080..=8080), 80..=80)),
            ("127.0.0.1::80", publish(Tcp, "127.0.0.1", None, 80..=80)),
            ("[::1]:8080:80", publish(Tcp, "::1", Some(8080..=8080), 80..=80)),
            ("[::1]::80", publish(Tcp, "::1", None, 80..=80)),
            ("8000-8999:8000-8999", publish(Tcp, "", Some(8000..=8999), 8000..=8999)),
            ("8000-8009:80", publish(Tcp, "", Some(8000..=8009), 80..=80)),
            ("90-99", publish(Tcp, "", None, 90..=99)),
            ("65535:65535", publish(Tcp, "", Some(65535..=65535), 65535..=65535)),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused_in_docker_s_words() {
        for (text, words) in [
            ("", "no port specified: <empty>"),
            ("80:", "no port specified: 80:<empty>"),
            ("x", "invalid containerPort: x"),
            ("0", "invalid containerPort: 0"),
            ("65536", "invalid containerPort: 65536"),
            ("+80", "invalid containerPort: +80"),
            ("90-80", "invalid containerPort: 90-80"),
            ("80-", "invalid containerPort: 80-"),
            ("x:80", "invalid hostPort: x"),
            ("65536:80", "invalid hostPort: 65536"),
            ("9-8:80", "invalid hostPort: 9-8"),
            ("8000-8001:80-82", "invalid ranges specified for container and host Ports: 80-82 and 8000-8001"),
            ("8000:80-82", "invalid ranges specified for container and host Ports: 80-82 and 8000"),
            ("80/icmp", "invalid proto: icmp"),
            ("80/", "invalid proto: "),
            ("localhost:80:80", "invalid IP address: localhost"),
            ("::1:80:80", "invalid IP address: ::1"),
            ("[127.0.0.300]:80:80", "invalid IP address: [127.0.0.300]"),
        ] {
            assert_eq!(text.parse::<Publish>().unwrap_err().to_string(), words, "{text}");
        }
    }
}
