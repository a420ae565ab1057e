//! Turns a container's configuration into the two lists of primitives, and starts it.
//!
//! Knows nothing of stores, images or names: an engine's container and an OCI bundle are both a [`Spec`].

mod exec;
mod namespaces;
mod network;
mod plug;
mod plugin;
pub(crate) mod user;
pub mod user_mode;
mod user_namespace;

use std::{
    ffi::{CStr, CString, NulError},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use capabilities::{Capabilities, CapabilitySet};
use cgroup::{Cgroup, Controller, Limits, Version};
use mount::{Mount, Source, Target};
use namespaces::{OomScore, Proc, SharedMemory, Sysctls};
use no_new_privs::NoNewPrivs;
use process::{
    Child, Container, Errno, Error, Host, Launcher, Primitive, Process, Program, Result, WorkingDirectory,
    in_initial_user_namespace, spawn, sys::MountAttr,
};
use seccomp::Seccomp;

/// What to run, and in what.
#[derive(Clone)]
pub struct Spec {
    /// The layers of the root, the topmost first.
    pub lower: Vec<PathBuf>,
    /// The container's directory: see [`overlay::Overlay::new`].
    pub base: PathBuf,
    /// Whether the writable layer goes with the container.
    pub volatile: bool,
    /// Whether device files of the layers and of what it writes do nothing.
    pub no_devices: bool,
    /// The host name.
    pub hostname: String,
    /// The domain name that uname(2) reports beside it; empty: the host's.
    pub domain_name: String,
    /// Which ids its users are outside.
    pub user_namespace: UserNamespace,
    /// Namespaces that it shares.
    pub namespaces: Namespaces,
    /// Settings of its namespaces: name and value.
    pub sysctls: Vec<(String, String)>,
    /// What of /proc, /sys and /dev is shown.
    pub view: View,
    /// Whose network it has, and how that is connected.
    pub network: Network,
    /// Its first process.
    pub process: ProcessSpec,
    /// Whether an init stands before the program.
    pub init: bool,
    /// The path of its cgroup in every hierarchy: see [`cgroup::Cgroup::new`].
    pub cgroup: PathBuf,
    /// What it may use.
    pub limits: Limits,
    /// Whether its limit of processes is one that nobody asked for: it goes without where none can be set.
    pub is_pids_default: bool,
    /// What is mounted beside what every container has, parents before children; in the place of that where it has the
    /// same path.
    pub mounts: Vec<Mount>,
    /// What is at /dev/shm.
    pub shm: Shm,
    /// Whether the root can only be read.
    pub read_only: bool,
    /// Whether the container is killed when the process that starts it dies.
    pub die_with_parent: bool,
}

/// A process in a container: its first one, or one that joins it.
#[derive(Clone)]
pub struct ProcessSpec {
    /// The program and its arguments.
    pub arguments: Vec<String>,
    /// `KEY=value`; `HOME` is added where it is missing.
    pub environment: Vec<String>,
    /// Absolute; empty means `/`.
    pub working_dir: String,
    /// `NAME|ID[:NAME|ID]`; empty means root.
    pub user: String,
    /// Whether the program gets a terminal of the container's own.
    pub terminal: bool,
    /// The terminal's rows and columns, where they are known.
    pub size: Option<(u16, u16)>,
    /// What root may do.
    pub capabilities: CapabilitySet,
    /// Whether its root could write this program's file.
    pub launched: bool,
    /// Whether executing a program may bring new rights.
    pub new_privileges: bool,
    /// Which system calls reach the kernel; `None`: all.
    pub seccomp: Option<Seccomp>,
    /// Limits of each process.
    pub rlimits: rlimits::Limits,
    /// Groups beside the user's: `NAME|ID`.
    pub groups: Vec<String>,
    /// How readily the kernel kills it for want of memory; `None`: as the caller.
    pub oom_score: Option<i32>,
}

/// How much of the kernel a container sees and sets.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Whether /sys can be written.
    pub writable_sys: bool,
    /// Whether its cgroup can.
    pub writable_cgroup: bool,
    /// Whether nothing of /proc and /sys is hidden or read-only.
    pub unmasked: bool,
    /// Devices beside those that every container has, by their paths inside.
    pub devices: Vec<Device>,
}

/// A device file in a container.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its path inside.
    pub path: PathBuf,
    /// The host's file of it.
    pub host: PathBuf,
    /// What it is.
    pub node: mount::Node,
}

impl Device {
    /// Root of a user namespace may not make devices: there it is the host's own file.
    fn mount(&self) -> Result<Mount, NulError> {
        let source = if in_initial_user_namespace() {
            Source::Node(self.node)
        } else {
            Source::Bind(CString::new(self.host.as_os_str().as_bytes())?)
        };
        Mount::new(&self.path, Target::File, source, MountAttr::default())
    }
}

pub use exec::{Running, exec};
pub use namespaces::{Namespace, Namespaces, Shm};

pub use network::{Interface, Network, PublishedPorts};
pub use plug::Link;
pub use plugin::Plugin;
pub use user_mode::UserMode;
pub use user_namespace::{Ranges, UserNamespace, try_user_namespace};

/// A container that has just been started.
#[derive(Debug)]
pub struct Started {
    /// Its first process.
    pub child: Child,
    /// What holds the ports of the host that lead to it: they are free for others when this is dropped.
    pub ports: Option<ports::Ports>,
}

/// Starts the container. `stdio` is not used with a terminal, whose controlling end the child carries.
pub fn start(spec: &Spec, stdio: [Option<OwnedFd>; 3], host: &mut Host) -> Result<Started> {
    let mut overlay = overlay::Overlay::new(spec.lower.clone(), spec.base.clone());
    overlay.volatile = spec.volatile;
    overlay.attr = if spec.no_devices { MountAttr::NO_DEV } else { MountAttr::default() };
    let owner = spec.user_namespace.primitives(host)?;
    // The root comes before the process: it says who the user is.
    host.prepare(&mut overlay)?;
    let root = host.root.as_ref().ok_or_else(|| Error::new("overlay", "find the root", Errno::ENOENT))?;
    let user = user::find(root.as_fd(), &spec.process.user, &spec.process.groups)?;
    user_namespace::check(host.maps.as_ref(), &user.ids)?;
    let (connection, ports) = network::primitives(&spec.network, spec.die_with_parent)?;
    let mut container = container(spec, cgroup(spec, host)?, owner, overlay, connection)?;
    let mut process = Process {
        init: spec.init,
        die_with_parent: spec.die_with_parent,
        ..Process::new(program(&spec.process, &user, stdio)?)
    };
    process.primitives = process_list(&spec.process, user.ids, Place::First)?;
    let child = spawn(&mut container, &mut process, host);
    // The container has its own; these would keep the mount alive, and the namespace.
    (host.root, host.idmap) = (None, None);
    let child = child.map_err(|e| explain_exec(e, &spec.process))?;
    network::arrived(&spec.network, host, &child);
    // The lists are done with; what holds the ports is not.
    drop(container);
    Ok(Started { child, ports: ports.and_then(network::Shared::into_inner) })
}

/// What the process becomes, as that user.
fn program(spec: &ProcessSpec, user: &user::User, stdio: [Option<OwnedFd>; 3]) -> Result<Program> {
    let mut environment = spec.environment.clone();
    if !environment.iter().any(|variable| variable.starts_with("HOME=")) {
        environment.push(format!("HOME={}", user.home));
    }
    let program = Program::new(&spec.arguments, &environment).map_err(|_| null_byte("the command or environment"))?;
    let program = if spec.terminal { program } else { program.stdio(stdio) };
    if !spec.launched {
        return Ok(program);
    }
    let launcher = Launcher::new().map_err(|e| Error::from_io("process", "copy this program's file", &e))?;
    Ok(program.launched(launcher))
}

/// Which process of a container it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Later,
}

/// The ids of `NAME|ID[:NAME|ID]` in this root.
pub fn owner(root: BorrowedFd, text: &str) -> Result<(u32, u32)> {
    user::find(root, text, &[]).map(|user| (user.ids.uid, user.ids.gid))
}

fn cgroup(spec: &Spec, host: &mut Host) -> Result<Cgroup> {
    let new = |limits| Cgroup::new(&spec.cgroup, limits, &[Controller::Pids]);
    match new(spec.limits.clone()) {
        Err(e) if spec.is_pids_default && spec.limits.pids.is_some() => {
            let made = new(Limits { pids: None, ..spec.limits.clone() })?;
            host.warnings.push(format!("the container runs without a limit of processes: {e}"));
            Ok(made)
        }
        made => made,
    }
}

// ANCHOR: order
/// What lives as long as the container, in the order in which the child enters it.
fn container(
    spec: &Spec,
    mut cgroup: Cgroup,
    owner: Vec<Box<dyn Primitive>>,
    overlay: overlay::Overlay,
    connection: Vec<Box<dyn Primitive>>,
) -> Result<Container> {
    cgroup.delegated = spec.view.writable_cgroup;
    let own_cgroups = matches!(spec.namespaces.cgroup, Namespace::Own);
    let table = table(spec, cgroup_mounts(&cgroup, &spec.view, own_cgroups)).map_err(|_| null_byte("a path"))?;
    let proc = table.iter().find(|mount| mount.is_proc()).cloned();
    // Not in the store, which only root of the host may enter.
    let mounts = mount::Mounts::new(Path::new("/"), table).map_err(|_| null_byte("a path"))?;
    let mut list: Vec<Box<dyn Primitive>> = vec![
        // First: limited before anything can be used up.
        Box::new(cgroup),
    ];
    // Before all other namespaces, which belong to it: so its root has rights over them, and over nothing else.
    list.extend(owner);
    // Before the mounts, which show them.
    list.extend(namespaces::primitives(spec)?);
    // For the settings of namespaces,
    list.extend(proc.map(|proc| -> Box<dyn Primitive> { Box::new(Proc(proc)) }));
    // of which this has some. A /sys shows the network namespace.
    list.extend(connection);
    if !spec.sysctls.is_empty() {
        list.push(Box::new(Sysctls::new(&spec.sysctls)?));
    }
    if let Shm::Shared(path, size) = &spec.shm {
        list.push(Box::new(SharedMemory { path: path.clone(), size: *size, mounted: false.into() }));
    }
    // Before the pivot, which needs a root to change to.
    list.push(Box::new(overlay));
    // Last: after this the host's files are out of reach.
    list.push(Box::new(mounts));
    Ok(Container(list))
}

/// What belongs to the process, after all of the above.
fn process_list(spec: &ProcessSpec, ids: ids::Ids, place: Place) -> Result<Vec<Box<dyn Primitive>>> {
    let first = place == Place::First;
    // The terminal comes from the container's /dev/pts, and takes root to put on /dev/console.
    let terminal = tty::Terminal { size: spec.size, console: first };
    let session: Box<dyn Primitive> = if spec.terminal { Box::new(terminal) } else { Box::new(tty::Session) };
    let mut list = vec![session];
    if !spec.working_dir.is_empty() {
        let directory = WorkingDirectory::new(spec.working_dir.as_ref());
        let directory = directory.ok_or_else(|| null_byte("the working directory"))?;
        // Root makes the container's own where it is missing.
        list.push(Box::new(if first { directory } else { directory.existing() }));
    }
    list.extend(spec.oom_score.map(|score| -> Box<dyn Primitive> { Box::new(OomScore(score)) }));
    // Before ids: a hard limit is root's to raise.
    list.push(Box::new(spec.rlimits.clone()));
    let seccomp = spec.seccomp.clone().map(|filter| -> Box<dyn Primitive> { Box::new(filter) });
    // A filter takes either no_new_privs or capabilities that are about to go.
    let (early, late) = if spec.new_privileges { (seccomp, None) } else { (None, seccomp) };
    list.extend(early);
    // These take away the rights that the others need: the user,
    list.push(Box::new(ids.keeping_capabilities()));
    // root's capabilities, which changing the user takes,
    list.push(Box::new(Capabilities { set: spec.capabilities }));
    if !spec.new_privileges {
        // and the ways to get them back.
        list.push(Box::new(NoNewPrivs));
    }
    // Last: it forbids calls that the others make.
    list.extend(late);
    Ok(list)
}
// ANCHOR_END: order

/// All that is mounted, in its order: what the user mounts may cover what every container has, and nothing uncovers what
/// is masked.
fn table(spec: &Spec, cgroups: Vec<Mount>) -> Result<Vec<Mount>, NulError> {
    let covered = |path: &CStr| spec.mounts.iter().any(|mount| *mount.path == *path);
    let mut table = mount::filesystems(if let Shm::Own(size) = spec.shm { size } else { 0 });
    show(&mut table, spec)?;
    if !covered(c"/dev") {
        let given = |mount: &Mount| {
            spec.view.devices.iter().any(|device| device.path.as_os_str().as_bytes() == mount.path.to_bytes())
        };
        table.extend(mount::devices().into_iter().filter(|mount| !given(mount)));
        for device in &spec.view.devices {
            table.push(device.mount()?);
        }
    }
    if !covered(c"/sys/fs/cgroup") {
        table.extend(cgroups);
    }
    // Nothing but a /proc may cover /proc, which only one that is there can tell.
    table.retain(|mount| *mount.path == *c"/proc" || !covered(&mount.path));
    table.extend(spec.mounts.iter().cloned());
    if !spec.view.unmasked {
        let own_ids = matches!(spec.user_namespace, UserNamespace::Own(_)) || !in_initial_user_namespace();
        table.extend(mount::masks(!own_ids));
    }
    if spec.read_only {
        let directory = |path: &str, source, attr| Mount::new(path.as_ref(), Target::Directory, source, attr);
        if !spec.process.working_dir.is_empty() {
            // Nobody could make it later.
            table.push(directory(&spec.process.working_dir, Source::Directory, MountAttr::default())?);
        }
        table.push(directory("/", Source::Seal, MountAttr::READ_ONLY)?);
    }
    Ok(table)
}

/// What of the kernel's filesystems is another's, or can be written.
fn show(table: &mut Vec<Mount>, spec: &Spec) -> Result<(), NulError> {
    for mount in &mut *table {
        match (mount.path.as_c_str(), &spec.shm) {
            (path, _) if path == c"/sys" && spec.view.writable_sys => {
                mount.attr = mount.attr.without(MountAttr::READ_ONLY);
            }
            (path, Shm::Shared(source, _) | Shm::Of(source)) if path == c"/dev/shm" => {
                mount.source = Source::Bind(CString::new(source.as_os_str().as_bytes())?);
            }
            // Root of a user namespace mounts these for namespaces of his own alone, and sees the machine's as they are.
            (path, _) if shows_the_host(path, spec) && !in_initial_user_namespace() => {
                mount.source = Source::BindAll(path.to_owned());
            }
            _ => {}
        }
    }
    // The host may have no such thing.
    let is_there = |mount: &Mount| !matches!(&mount.source, Source::BindAll(path) if path.to_str().is_ok_and(|path| !Path::new(path).exists()));
    table.retain(is_there);
    if matches!(spec.shm, Shm::None) {
        table.retain(|mount| mount.path.as_c_str() != c"/dev/shm");
    }
    Ok(())
}

/// Whether a filesystem of the kernel's is about a namespace that is the host's.
fn shows_the_host(path: &CStr, spec: &Spec) -> bool {
    match path.to_bytes() {
        b"/proc" => matches!(spec.namespaces.pid, Namespace::Host),
        b"/sys" => matches!(spec.network, Network::Host),
        b"/dev/mqueue" => matches!(spec.namespaces.ipc, Namespace::Host),
        _ => false,
    }
}

/// What shows the container its cgroup, in a namespace of its own or in the host's.
fn cgroup_mounts(cgroup: &Cgroup, view: &View, own: bool) -> Vec<Mount> {
    let (v1, v2): (Vec<_>, Vec<_>) = cgroup.hierarchies().partition(|hierarchy| hierarchy.version == Version::V1);
    let controllers: Vec<_> = v1.into_iter().map(|hierarchy| hierarchy.controllers.clone()).collect();
    let mut table = mount::cgroup_table(&controllers, !v2.is_empty());
    for mount in &mut table {
        if view.writable_cgroup {
            mount.attr = mount.attr.without(MountAttr::READ_ONLY);
        }
        let kind = |kind: &CStr| matches!(&mount.source, Source::Filesystem(its, _) if *its == kind);
        mount.by_parent = !own && (kind(c"cgroup") || kind(c"cgroup2"));
    }
    table
}

fn null_byte(what: &str) -> Error {
    Error::new("process", format!("{what} has a null byte"), Errno::EINVAL)
}

/// Docker's words for the two most common mistakes.
fn explain_exec(error: Error, spec: &ProcessSpec) -> Error {
    if error.primitive != process::EXEC {
        return error;
    }
    let name = spec.arguments.first().map_or("", String::as_str);
    match error.errno {
        Errno::ENOENT if !name.contains('/') => {
            Error { doing: format!("{name:?}: executable file not found in $PATH"), ..error }
        }
        Errno::ENOENT => error.hint("the file, or the interpreter that it names, is not in the image"),
        Errno::EACCES => error.hint("it is a directory, or has no execute permission"),
        Errno::ENOEXEC => error.hint("it is no program for this machine, or a script without #!"),
        _ => error,
    }
}
