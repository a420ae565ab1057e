//! resolv.conf(5): the host's, to know whom to ask, and the container's, to be asked.

use std::{
    fmt, fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
    path::Path,
};

use crate::ADDRESS;

/// As many servers as the C libraries and Docker ask.
const MOST_SERVERS: usize = 3;
const PORT: u16 = 53;

/// What a resolv.conf says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolvConf {
    /// Whom to ask, in order: at most three.
    pub servers: Vec<SocketAddr>,
    /// Domains to look for a name in.
    pub search: Vec<String>,
    /// `ndots:2`, `timeout:1` and the like.
    pub options: Vec<String>,
}

impl ResolvConf {
    /// Reads the file; as the man page says, the server of a missing file, or of one without any, is this machine.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let mut conf = Self::parse(&String::from_utf8_lossy(&text));
        if conf.servers.is_empty() {
            conf.servers.push((Ipv4Addr::LOCALHOST, PORT).into());
        }
        Ok(conf)
    }

    /// Understands what it can and leaves out the rest, as the C libraries do.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self::default();
        for line in text.lines() {
            // Only at the beginning of a line: an IPv6 zone or an option may have any character.
            if line.starts_with(['#', ';']) {
                continue;
            }
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") if conf.servers.len() < MOST_SERVERS => {
                    conf.servers.extend(words.next().and_then(server));
                }
                // Each replaces what came before, of either kind.
                Some("search") => conf.search = words.map(str::to_owned).collect(),
                Some("domain") => conf.search = words.take(1).map(str::to_owned).collect(),
                Some("options") => conf.options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        conf
    }

    // ANCHOR: container
    /// The container's: the same domains and options, and the resolver in place of the servers.
    ///
    /// Without `ndots:0` a C library would look for a name without a dot, such as every container's, in the host's
    /// domains first.
    #[must_use]
    pub fn for_container(&self) -> Self {
        let mut options = self.options.clone();
        if !options.iter().any(|option| option.starts_with("ndots:")) {
            options.push("ndots:0".to_owned());
        }
        Self { servers: vec![SocketAddr::from((ADDRESS, PORT))], search: self.search.clone(), options }
    }
    // ANCHOR_END: container
}

/// A server's address: IPv4, or IPv6 with or without a zone, which names or numbers an interface.
pub fn server(text: &str) -> Option<SocketAddr> {
    let Some((address, zone)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, PORT));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let scope = zone.parse().or_else(|_| nix::net::if_::if_nametoindex(zone)).ok()?;
    Some(SocketAddrV6::new(address, PORT, 0, scope).into())
}

impl fmt::Display for ResolvConf {
    /// The text of the file. Ports have no place in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, keyword: &str, words: &[String]| {
            if words.is_empty() { Ok(()) } else { writeln!(f, "{keyword} {}", words.join(" ")) }
        };
        line(f, "search", &self.search)?;
        self.servers.iter().try_for_each(|server| writeln!(f, "nameserver {}", server.ip()))?;
        line(f, "options", &self.options)
    }
}
