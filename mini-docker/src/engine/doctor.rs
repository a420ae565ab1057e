//! What this machine lacks, each with its remedy.
//!
//! Everything is read from the kernel's own files and, for the firewall, over netlink; nothing is changed, and only for the
//! sake of user namespaces something is made, and goes at once.

mod rootless;

use std::{fs, path::Path};

use cgroup::{Controller, Hierarchies, Version};
use nix::sys::utsname::uname;
use serde::Serialize;

use super::{Engine, about::sysctl};

/// The oldest kernel that has all that containers need here.
const OLDEST: (u32, u32) = (5, 15);
/// The first that mounts overlays of idmapped layers.
const IDMAPPED: (u32, u32) = (5, 19);
/// The name of our table of nftables, which drops nothing of ours.
const TABLE: &str = "mini-docker";

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is there.
    Good,
    /// Containers run without it; something else does not.
    Warning,
    /// Without it no container runs.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub name: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What to do; empty where nothing is to be done.
    pub fix: String,
}

impl Finding {
    fn new(name: &'static str, good: bool, otherwise: Verdict, found: impl Into<String>, fix: &str) -> Self {
        let verdict = if good { Verdict::Good } else { otherwise };
        Self { name, verdict, found: found.into(), fix: if good { String::new() } else { fix.to_owned() } }
    }
}

/// Looks at everything; at what containers of a store can have by trying it, where there is a store.
pub fn examine(engine: Option<&Engine>) -> Vec<Finding> {
    let is_root = nix::unistd::geteuid().is_root();
    let mut findings = if is_root {
        vec![Finding::new("root", true, Verdict::Missing, "this is root", "")]
    } else {
        rootless::examine()
    };
    findings.extend(kernel());
    findings.extend([overlay(), seccomp()]);
    findings.extend(user_namespaces(if is_root { Verdict::Warning } else { Verdict::Missing }));
    if is_root {
        findings.extend(cgroups());
        findings.extend(engine.and_then(own_user_namespace));
        findings.extend([sub_ids(), forwarding(), firewall()]);
    }
    findings
}

fn kernel() -> [Finding; 2] {
    let release = uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default();
    let version = version(&release).unwrap_or((0, 0));
    let found = format!("Linux {release}");
    [
        Finding::new("kernel", version >= OLDEST, Verdict::Missing, found.clone(), "boot Linux 5.15 or later"),
        Finding::new(
            "idmapped layers",
            version >= IDMAPPED,
            Verdict::Warning,
            found,
            "boot Linux 5.19 or later for containers with ids of their own",
        ),
    ]
}

/// `6.1.0-18-amd64` is (6, 1).
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn cgroups() -> Vec<Finding> {
    let hierarchies = match Hierarchies::find() {
        Ok(hierarchies) if !hierarchies.0.is_empty() => hierarchies,
        found => {
            let why = found.err().map_or("none is mounted".to_owned(), |e| e.to_string());
            let fix = "mount -t cgroup2 none /sys/fs/cgroup";
            return vec![Finding::new("cgroups", false, Verdict::Missing, why, fix)];
        }
    };
    let mounted: Vec<_> =
        hierarchies.0.iter().map(|one| format!("{:?} at {}", one.version, one.mount.display())).collect();
    let needed = [(Controller::Memory, "memory"), (Controller::Cpu, "cpu"), (Controller::Pids, "pids")];
    let lacking: Vec<_> =
        needed.iter().filter(|(one, _)| hierarchies.of(*one).is_none()).map(|(_, name)| *name).collect();
    let found =
        if lacking.is_empty() { "memory, cpu and pids".to_owned() } else { format!("no {}", lacking.join(", no ")) };
    let fix = "enable the controllers: write +memory +cpu +pids to cgroup.subtree_control of the root, or boot with cgroup_enable=memory";
    vec![
        Finding::new("cgroups", true, Verdict::Missing, mounted.join(", "), ""),
        Finding::new("controllers", lacking.is_empty(), Verdict::Warning, found, fix),
        devices(&hierarchies),
    ]
}

fn devices(hierarchies: &Hierarchies) -> Finding {
    let refused = match hierarchies.of(Controller::Devices) {
        None => Some("no controller for devices is mounted".to_owned()),
        Some(home) if home.version == Version::V1 => None,
        Some(_) => cgroup::asks_programs().err().map(|e| e.to_string()),
    };
    let found = refused.clone().unwrap_or_else(|| "the kernel keeps them apart".to_owned());
    Finding::new("devices", refused.is_none(), Verdict::Missing, found, "boot a kernel with CONFIG_CGROUP_BPF")
}

fn overlay() -> Finding {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let is_there = known.lines().any(|line| line.ends_with("\toverlay"));
    let found = if is_there { "the kernel has it" } else { "the kernel does not have it" };
    Finding::new("overlayfs", is_there, Verdict::Missing, found, "modprobe overlay")
}

fn seccomp() -> Finding {
    let actions = sysctl("kernel/seccomp/actions_avail");
    let is_there = actions.split_whitespace().any(|action| action == "errno");
    let found = if is_there { actions } else { "the kernel has no filters of system calls".to_owned() };
    Finding::new("seccomp", is_there, Verdict::Missing, found, "boot a kernel with CONFIG_SECCOMP_FILTER")
}

fn user_namespaces(otherwise: Verdict) -> Vec<Finding> {
    let most = sysctl("user/max_user_namespaces");
    let mut findings = vec![Finding::new(
        "user namespaces",
        most.parse::<u64>().is_ok_and(|most| most > 0),
        otherwise,
        format!("user.max_user_namespaces is {}", if most.is_empty() { "not there" } else { &most }),
        "sysctl -w user.max_user_namespaces=15000",
    )];
    // Each is there only where a distribution has put it in.
    for (path, name, good) in [
        ("kernel/apparmor_restrict_unprivileged_userns", "kernel.apparmor_restrict_unprivileged_userns", "0"),
        ("kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone", "1"),
    ] {
        let value = sysctl(path);
        if !value.is_empty() {
            let fix = format!("sysctl -w {name}={good}, for users without root");
            findings.push(Finding::new(
                "unprivileged namespaces",
                value == good,
                otherwise,
                format!("{name} is {value}"),
                &fix,
            ));
        }
    }
    findings
}

/// Whether containers get user namespaces of their own, as the first of them tried in this boot.
fn own_user_namespace(engine: &Engine) -> Option<Finding> {
    let why = engine.why_no_user_namespace().ok()?;
    let fix = "until then a container's root is root of this machine; Linux 5.19, user.max_user_namespaces above 0, a store on a filesystem that can be idmapped (ext4, XFS, Btrfs), and a /proc that nothing covers";
    let found = why.clone().unwrap_or_else(|| "containers have ids that nobody else has".to_owned());
    Some(Finding::new("containers' ids", why.is_none(), Verdict::Warning, found, fix))
}

fn sub_ids() -> Finding {
    let has = |path| fs::read_to_string(path).is_ok_and(|text: String| text.lines().any(|line| line.contains(':')));
    let both = has("/etc/subuid") && has("/etc/subgid");
    let found =
        if both { "/etc/subuid and /etc/subgid have ranges" } else { "/etc/subuid and /etc/subgid have no ranges" };
    Finding::new(
        "subordinate ids",
        both,
        Verdict::Warning,
        found,
        "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER",
    )
}

fn forwarding() -> Finding {
    let value = sysctl("net/ipv4/ip_forward");
    Finding::new(
        "forwarding",
        value == "1",
        Verdict::Warning,
        format!("net.ipv4.ip_forward is {value}"),
        "sysctl -w net.ipv4.ip_forward=1, or containers do not reach the world",
    )
}

/// Whether there is nftables, and whether others drop what containers send.
fn firewall() -> Finding {
    match nat::obstacles(TABLE) {
        Ok(chains) if chains.is_empty() => {
            Finding::new("firewall", true, Verdict::Warning, "nftables, and nobody else drops what is forwarded", "")
        }
        Ok(chains) => {
            let fix = "accept the containers' bridges there; for a Docker: iptables -I DOCKER-USER -i md+ -j ACCEPT; iptables -I DOCKER-USER -o md+ -j ACCEPT";
            let found = format!("these drop what they do not know: {}", chains.join(", "));
            Finding::new("firewall", false, Verdict::Warning, found, fix)
        }
        Err(e) => {
            let fix = if Path::new("/proc/net/netfilter").exists() {
                "modprobe nf_tables"
            } else {
                "boot a kernel with CONFIG_NF_TABLES"
            };
            Finding::new("firewall", false, Verdict::Warning, format!("nftables cannot be asked: {}", e.errno), fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_versions() {
        for (release, numbers) in
            [("6.1.0-18-amd64", Some((6, 1))), ("5.15.0", Some((5, 15))), ("x", None), ("6", None)]
        {
            assert_eq!(version(release), numbers, "{release}");
        }
        assert!(version("5.4.0") < Some(OLDEST) && version("10.0") > Some(IDMAPPED));
    }
}
