//! What an ordinary user lacks.

use std::{fmt::Write, fs::OpenOptions, os::unix::fs::MetadataExt, path::PathBuf};

use cgroup::{Controller, Hierarchies};
use process::{NamespaceHolder, in_initial_user_namespace};
use subids::{Owner, SubIds};

use super::{Finding, Verdict};
use crate::runtime::user_mode;

/// Whether the machine lets this user be root of a namespace of his own, and what his containers will do without.
pub(super) fn examine() -> Vec<Finding> {
    let mut findings = vec![Finding::new(
        "root",
        true,
        Verdict::Missing,
        "this is an ordinary user: containers are his, in a user namespace",
        "",
    )];
    findings.extend(["newuidmap", "newgidmap"].map(map_writer));
    let ids = SubIds::of(Owner::caller());
    findings.push(said("subordinate ids", &ids, "ids of /etc/subuid and /etc/subgid are this user's"));
    if let Ok(ids) = ids {
        // Only to make one says whether one can be made.
        let made = NamespaceHolder::new(ids.maps());
        findings.push(said("user namespace", &made, "this user can have one"));
    }
    findings.extend([cgroup(), network()]);
    findings
}

fn said<T>(name: &'static str, result: &process::Result<T>, good: &str) -> Finding {
    match result {
        Ok(_) => Finding::new(name, true, Verdict::Missing, good, ""),
        Err(e) => {
            let found = format!("{}: {}", e.doing, e.errno.desc());
            Finding::new(name, false, Verdict::Missing, found, e.hint.as_deref().unwrap_or("see user_namespaces(7)"))
        }
    }
}

/// A program with root's rights, that of its owner or of its file.
fn map_writer(program: &'static str) -> Finding {
    const SET_USER_ID: u32 = 0o4000;
    let path = std::env::var_os("PATH").unwrap_or_else(|| process::DEFAULT_PATH.into());
    let all = std::env::split_paths(&path).map(|directory| directory.join(program));
    let found = all.filter_map(|path| Some((path.metadata().ok()?, path))).find(|(found, _)| found.is_file());
    let (good, words) = match &found {
        None => (false, "it is not in PATH".to_owned()),
        Some((file, path)) if file.mode() & SET_USER_ID != 0 && file.uid() == 0 => (true, path.display().to_string()),
        // With rights of the file instead (setcap(8)), as Fedora has it, which the namespace will show.
        Some((_, path)) => (true, format!("{}, without the set-user-id bit", path.display())),
    };
    let fix = "as root, install the package uidmap (Debian), shadow-utils (Fedora)";
    Finding::new(program, good, Verdict::Missing, words, fix)
}

fn cgroup() -> Finding {
    let all = Hierarchies::find().ok().filter(|_| in_initial_user_namespace());
    let v2 = all.as_ref().and_then(Hierarchies::v2);
    let Some((v2, path)) = v2.and_then(|v2| Some((v2, v2.delegated()?))) else {
        let found = "none is delegated to this process: containers cannot be limited or paused";
        let fix = "with cgroup v2 and systemd, run mini-docker by `systemd-run --user --scope -p Delegate=yes`";
        return Finding::new("cgroup", false, Verdict::Warning, found, fix);
    };
    let given = v2.delegated_controllers(&path);
    let limits = [Controller::Memory, Controller::Pids, Controller::Cpu, Controller::Cpuset, Controller::Io];
    let limits = limits.into_iter().filter_map(Controller::v2);
    let (with, without): (Vec<_>, Vec<_>) = limits.partition(|name| given.iter().any(|given| given == name));
    let mut found = format!("{} is delegated, with {}", path.display(), or_none(&with));
    if !without.is_empty() {
        let _ = write!(found, "; limits of {} are refused", without.join(", "));
    }
    // Debian's systemd gives users memory and pids.
    let fix = "as root, add `Delegate=yes` to [Service] of the unit user@.service (systemctl edit user@.service)";
    let is_enough = ["memory", "pids"].iter().all(|name| with.contains(name));
    Finding::new("cgroup", is_enough, Verdict::Warning, found, fix)
}

fn or_none(names: &[&str]) -> String {
    if names.is_empty() { "no controller".to_owned() } else { names.join(", ") }
}

fn network() -> Finding {
    let installed = user_mode::Kind::ALL.into_iter().find_map(|kind| kind.find().map(|path| (kind, path)));
    let Some((kind, path)) = installed else {
        let found = "neither pasta nor slirp4netns is installed: containers have no network but loopback";
        return Finding::new("network", false, Verdict::Warning, found, "as root, install the package passt");
    };
    let tun = PathBuf::from("/dev/net/tun");
    let opened = OpenOptions::new().read(true).write(true).open(&tun);
    let found = match &opened {
        Ok(_) => format!("{} at {}", kind.name(), path.display()),
        Err(e) => format!("{} is there, but {} cannot be opened: {e}", kind.name(), tun.display()),
    };
    let fix = "as root, modprobe tun, and chmod 666 /dev/net/tun";
    Finding::new("network", opened.is_ok(), Verdict::Warning, found, fix)
}
