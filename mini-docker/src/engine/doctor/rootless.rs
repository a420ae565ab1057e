//! What an ordinary user lacks.

use std::{fs::OpenOptions, os::unix::fs::MetadataExt, path::PathBuf};

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
    let delegated = cgroup::delegated().filter(|_| in_initial_user_namespace());
    let found = delegated.as_ref().map_or_else(
        || "none is delegated to this process: containers cannot be limited or paused".to_owned(),
        |path| format!("{} is delegated", path.display()),
    );
    Finding::new(
        "cgroup",
        delegated.is_some(),
        Verdict::Warning,
        found,
        "with cgroup v2 and systemd, run mini-docker by `systemd-run --user --scope -p Delegate=yes`",
    )
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
