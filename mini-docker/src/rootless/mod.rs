//! The engine as an ordinary user.
//!
//! Before the engine is opened, this process enters a user namespace and a mount namespace of its user's. There the user
//! is root, his subordinate ids (subuid(5)) are the other users, and the engine works as it does for root of the machine,
//! as far as the kernel lets such a root.
//!
//! All of a user's commands and containers are in the same two namespaces: in others nobody has rights over them, even
//! with the same ids. There is no process to keep them: who comes later joins them through any process that is in there
//! ([`Members`]), and who finds none makes new ones, in which files look the same.
#![forbid(unsafe_code)]

mod directories;

use std::{env, path::PathBuf};

use nix::unistd::geteuid;
use process::{NamespaceHolder, enter_namespaces, enter_user_namespace};
use subids::{Owner, SubIds};

use crate::engine::{
    error::{Context, Error, Kind, Result},
    members::{Member, Members},
    store::{RUN, make_directory},
};

/// Where the engine of whoever calls keeps things.
#[derive(Debug)]
pub struct Place {
    /// What lasts.
    pub root: PathBuf,
    /// What goes with a restart of the machine.
    pub run: PathBuf,
    _member: Option<Member>,
}

/// The root of the machine's root.
pub const DEFAULT_ROOT: &str = "/var/lib/mini-docker";

impl Place {
    /// Finds it, and makes an ordinary user root of his namespaces; `root` is where he wants it. The caller has one
    /// thread.
    ///
    /// # Errors
    /// What keeps an ordinary user from containers on this machine, with its remedy.
    pub fn find(root: Option<PathBuf>) -> Result<Self> {
        if geteuid().is_root() {
            let root = root.unwrap_or_else(|| DEFAULT_ROOT.into());
            let run = env::var_os(RUN).map_or_else(directories::of_root, PathBuf::from);
            return Ok(Self { root, run, _member: None });
        }
        let root = root.map_or_else(directories::data, Ok)?;
        let run = directories::volatile(&root)?;
        let member = enter(&Members::new(&run))?;
        make_directory(&root, 0o700)?;
        directories::remember(&root, &run)?;
        Ok(Self { root, run, _member: Some(member) })
    }
}

/// Enters the user's namespaces.
fn enter(members: &Members) -> Result<Member> {
    let here = env::current_dir();
    // Or two would make namespaces at once.
    let _lock = members.lock()?;
    let mut living = members.living()?;
    let joined = living.any(|pidfd| enter_namespaces(&pidfd).is_ok());
    // Whoever was killed is forgotten now.
    living.for_each(drop);
    let joined = joined || members.living_containers()?.any(|pidfd| enter_user_namespace(&pidfd).is_ok());
    if !joined {
        make()?;
    }
    let member = members.add_self()?;
    match here {
        // A directory that is gone, or that nobody else may enter, is no hindrance to who names no path in it.
        Ok(here) if env::set_current_dir(&here).is_ok() => {}
        _ => env::set_current_dir("/").doing("enter", "/".as_ref())?,
    }
    Ok(member)
}

/// Makes the namespaces, and enters them.
fn make() -> Result<()> {
    let made = SubIds::of(Owner::caller()).and_then(|ids| NamespaceHolder::new(ids.maps()));
    let made = made.and_then(|holder| enter_namespaces(holder.pidfd()));
    made.map_err(|e| Error::new(Kind::System, format!("make containers as an ordinary user: {e}")))
}
