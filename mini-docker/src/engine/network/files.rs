//! /etc/hosts, /etc/hostname and /etc/resolv.conf of a container.

use std::{
    ffi::CString,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    net::IpAddr,
    os::unix::{
        ffi::OsStringExt,
        fs::{FileExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use dns::ResolvConf;
use mount::{Mount, Source, Target};
use process::sys::MountAttr;

use crate::engine::{
    Engine,
    container::Config,
    error::{Context, Error, Result},
    files::{Lock, Locking},
};

/// What they are called in a container's volatile directory, for they are written anew at each start, and below its /etc.
pub(in crate::engine) const FILES: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// Docker's first lines.
const LOCAL: &str = "127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n\
    fe00::0\tip6-localnet\n\
    ff00::0\tip6-mcastprefix\n\
    ff02::1\tip6-allnodes\n\
    ff02::2\tip6-allrouters\n";

/// What a container's files depend on beside its configuration.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Its own addresses.
    pub(super) addresses: Vec<IpAddr>,
    /// The host's address as the container sees it, or would if it saw the default network.
    pub(super) gateway: Option<IpAddr>,
    /// Whether there is a resolver inside.
    pub(super) resolver: bool,
    /// Addresses of other containers, and the names for them.
    pub(super) links: Vec<(IpAddr, String)>,
}

impl Engine {
    /// Where one of [`FILES`] of a container is: its own, or that of the container whose network it has.
    pub(in crate::engine) fn etc_file(&self, config: &Config, name: &str) -> PathBuf {
        self.store.run(config.network.of_container().unwrap_or(&config.id)).join(name)
    }

    /// The mounts of a container's files, each with its path inside.
    pub(in crate::engine) fn etc_mounts(&self, config: &Config) -> Result<Vec<(String, Mount)>> {
        let one = |name: &&str| {
            let invalid = |_| Error::invalid("the store's path has a null byte in it");
            let source = CString::new(self.etc_file(config, name).into_os_string().into_vec()).map_err(invalid)?;
            let path = format!("/etc/{name}");
            // Nothing that the container sees can be written to, if it is to have nothing that can.
            let attr = if config.storage.read_only { MountAttr::READ_ONLY } else { MountAttr::default() };
            let mount = Mount::new(Path::new(&path), Target::File, Source::Own(source), attr);
            Ok((path, mount.map_err(invalid)?))
        };
        FILES.iter().map(one).collect()
    }

    /// Writes a container's files anew.
    pub(super) fn write_etc(&self, config: &Config, facts: &Facts) -> Result<()> {
        let host = host_conf()?;
        let hosts = hosts(config, facts)?;
        let texts = [hosts, format!("{}\n", config.hostname), resolv_conf(config, facts.resolver, &host)];
        for (name, text) in FILES.iter().zip(texts) {
            let path = self.store.run(&config.id).join(name);
            write(&path, &text).doing("write", &path)?;
        }
        Ok(())
    }
}

/// In place: a running container sees what happens to its file.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o644).open(path)?;
    // Whatever the umask.
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())
}

/// Bytes of an /etc/hosts that is still read: its container can write anything to it.
const LARGEST: u64 = 1 << 20;

/// Takes lines out of a container's /etc/hosts and adds others, in place. One that does not run has none; what has grown
/// beyond measure is its container's own by now.
pub(super) fn edit_hosts(path: &Path, gone: impl Fn(&str) -> bool, new: &[(IpAddr, String)]) -> Result<()> {
    // The file itself the container can lock for ever, and have a lease on.
    let file = match OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path) {
        Err(e) if [io::ErrorKind::NotFound, io::ErrorKind::WouldBlock].contains(&e.kind()) => return Ok(()),
        file => file.doing("open", path)?,
    };
    // Its container and those that it is linked to change it each for himself.
    let _lock = match Lock::take(&path.with_extension("lock"), Locking::Exclusive) {
        Err(_) if !path.exists() => return Ok(()),
        lock => lock?,
    };
    let mut old = Vec::new();
    (&file).take(LARGEST + 1).read_to_end(&mut old).doing("read", path)?;
    if old.len() as u64 > LARGEST {
        return Ok(());
    }
    let mut text = String::new();
    String::from_utf8_lossy(&old).lines().filter(|line| !gone(line)).for_each(|line| text.extend([line, "\n"]));
    for (address, names) in new {
        let _ = writeln!(text, "{address}\t{names}");
    }
    // Never empty, whoever is killed.
    file.write_all_at(text.as_bytes(), 0).and_then(|()| file.set_len(text.len() as u64)).doing("write", path)
}

fn host_conf() -> Result<ResolvConf> {
    let path = Path::new("/etc/resolv.conf");
    ResolvConf::read(path).doing("read", path)
}

/// Whom a container's resolver asks about names outside.
pub(super) fn upstreams(config: &Config) -> Result<Vec<std::net::SocketAddr>> {
    if config.network.dns.is_empty() {
        return host_conf().map(|conf| conf.servers);
    }
    Ok(config.network.dns.iter().map(|&address| (address, 53).into()).collect())
}

fn hosts(config: &Config, facts: &Facts) -> Result<String> {
    let network = &config.network;
    // As Docker, the host's own file where the host's network is used.
    let mut text = if network.mode == "host" {
        fs::read_to_string("/etc/hosts").unwrap_or_else(|_| LOCAL.to_owned())
    } else {
        LOCAL.to_owned()
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    // Writing to a String cannot fail.
    for extra in &network.extra_hosts {
        let (name, address) = extra_host(extra)?;
        let address = match address {
            Some(address) => address,
            None => facts.gateway.ok_or_else(|| {
                Error::invalid("unable to derive the IP value for host-gateway: the container is on no bridge with an address of the host's")
            })?,
        };
        let _ = writeln!(text, "{address}\t{name}");
    }
    for (address, names) in &facts.links {
        let _ = writeln!(text, "{address}\t{names}");
    }
    for address in &facts.addresses {
        let hostname = &config.hostname;
        let _ = match (network.domainname.as_str(), hostname.split_once('.')) {
            ("", None) => writeln!(text, "{address}\t{hostname}"),
            ("", Some((short, _))) => writeln!(text, "{address}\t{hostname} {short}"),
            (domain, _) => writeln!(text, "{address}\t{hostname}.{domain} {hostname}"),
        };
    }
    Ok(text)
}

/// `NAME:ADDRESS` or `NAME=ADDRESS`; an address of `None` is `host-gateway`.
pub(in crate::engine) fn extra_host(text: &str) -> Result<(String, Option<IpAddr>)> {
    let invalid = || Error::invalid(format!("bad format for add-host: {text:?}: write it as NAME:ADDRESS"));
    let (name, address) = text.split_once(['=', ':']).ok_or_else(invalid)?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(invalid());
    }
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if bare == "host-gateway" {
        return Ok((name.to_owned(), None));
    }
    let address = bare.parse().map_err(|_| Error::invalid(format!("invalid IP address in add-host: {address:?}")))?;
    Ok((name.to_owned(), Some(address)))
}

fn resolv_conf(config: &Config, resolver: bool, host: &ResolvConf) -> String {
    let network = &config.network;
    let mut conf = host.clone();
    if !network.dns.is_empty() {
        conf.servers = network.dns.iter().map(|&address| (address, 53).into()).collect();
    } else if network.is_own() && !resolver {
        // What listens on the host's loopback is out of reach.
        conf.servers.retain(|server| !server.ip().is_loopback());
    }
    if !network.dns_search.is_empty() {
        conf.search.clone_from(&network.dns_search);
        conf.search.retain(|domain| domain != ".");
    }
    if !network.dns_options.is_empty() {
        conf.options.clone_from(&network.dns_options);
    }
    let conf = if resolver { conf.for_container() } else { conf };
    conf.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_hosts_are_read() {
        assert_eq!(extra_host("a:1.2.3.4").unwrap(), ("a".to_owned(), Some("1.2.3.4".parse().unwrap())));
        assert_eq!(extra_host("a=::1").unwrap(), ("a".to_owned(), Some("::1".parse().unwrap())));
        assert_eq!(extra_host("a:[::1]").unwrap(), ("a".to_owned(), Some("::1".parse().unwrap())));
        assert_eq!(extra_host("a:host-gateway").unwrap(), ("a".to_owned(), None));
        for bad in ["", "a", "a:", ":1.2.3.4", "a:1.2.3", "a b:1.2.3.4"] {
            assert!(extra_host(bad).is_err(), "{bad}");
        }
    }
}
