//! The processes of a running container, as the host's /proc tells of them: neither the host nor the image needs a ps.

use std::{fs, os::unix::fs::MetadataExt};

use nix::unistd::Pid;
use process::IdMaps;

use super::{
    Engine,
    container::{Container, Status},
    error::{Error, Result},
};

/// A process, by proc_pid_stat(5) and its kin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// On the host.
    pub pid: i32,
    /// Its parent, on the host; 0: outside what this command sees.
    pub ppid: i32,
    /// Its process group.
    pub pgid: i32,
    /// Its session.
    pub sid: i32,
    /// Effective ids, as the container has them.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Real user.
    pub ruid: u32,
    /// `R`, `S`, `D`, `Z`, `T` and others.
    pub state: char,
    /// The controlling terminal's device number; 0: none.
    pub tty: u64,
    /// The group in the foreground of that; -1: none.
    pub foreground: i32,
    /// The program's name, up to 15 bytes.
    pub name: String,
    /// The command line; empty for a zombie.
    pub command: Vec<String>,
    /// Clock ticks spent.
    pub ticks: u64,
    /// Clock ticks from boot to its start.
    pub started: u64,
    /// -20 to 19.
    pub nice: i64,
    /// The kernel's priority.
    pub priority: i64,
    /// Threads.
    pub threads: u64,
    /// Bytes of address space.
    pub virtual_size: u64,
    /// Kilobytes in memory.
    pub resident: u64,
    /// Kilobytes of locked memory.
    pub locked: u64,
    /// The processor that it ran on last.
    pub processor: u64,
}

impl Engine {
    /// The processes of a running container, by pid. One that ends meanwhile is left out.
    ///
    /// # Errors
    /// [`super::error::Kind::Conflict`] where it does not run.
    pub fn processes(&self, container: &Container) -> Result<Vec<Process>> {
        let name = &container.config.name;
        if !container.status.state.is_alive() {
            return Err(Error::conflict(format!(
                "container {name} is not running: start it first (mini-docker start {name})"
            )));
        }
        let mut pids = self.pids(container)?;
        pids.sort_unstable();
        pids.dedup();
        self.emit_container(&container.config, "top", &[]);
        let maps = IdMaps::of(Pid::from_raw(container.status.pid)).unwrap_or_default();
        Ok(pids.into_iter().filter_map(Process::read).map(|process| process.seen_inside(&maps)).collect())
    }

    /// The processes of a running container: those in its cgroup; where it has none, an ordinary user's, those in its pid
    /// namespace.
    pub(super) fn pids(&self, container: &Container) -> Result<Vec<i32>> {
        let handle = match cgroup::Handle::open(&self.cgroup_path(&container.config)) {
            Err(_) if self.is_rootless() => return Ok(in_namespace_of(&container.status)),
            handle => handle,
        };
        let pids = handle.and_then(|handle| handle.processes());
        pids.map_err(|e| Error::new(super::error::Kind::System, e.to_string()))
    }
}

/// Those in the same pid namespace.
fn in_namespace_of(status: &Status) -> Vec<i32> {
    let namespace = |pid: i32| fs::metadata(format!("/proc/{pid}/ns/pid")).map(|found| found.ino()).ok();
    let way_in = process::way_in(Pid::from_raw(status.pid)).as_raw();
    let Some(there) = namespace(way_in) else { return Vec::new() };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // An init shows its own to root of the machine alone.
    pids.filter(|&pid| pid == status.pid || namespace(pid) == Some(there)).collect()
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
        let stat = String::from_utf8_lossy(&file("stat")?).into_owned();
        let mut process = Self::parse(&stat)?;
        // Its owner is the effective user, or root where it may not be looked into.
        (process.uid, process.gid) =
            fs::metadata(format!("/proc/{pid}")).map(|found| (found.uid(), found.gid())).ok()?;
        let status = String::from_utf8_lossy(&file("status")?).into_owned();
        let field = |name: &str, at: usize| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().nth(at)?.parse::<u64>().ok()
        };
        process.ruid = field("Uid", 0)? as u32;
        process.uid = field("Uid", 1)? as u32;
        process.gid = field("Gid", 1)? as u32;
        process.resident = field("VmRSS", 0).unwrap_or(0);
        process.locked = field("VmLck", 0).unwrap_or(0);
        let command = file("cmdline").unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        process.command = command.split_terminator('\0').map(printable).collect();
        Some(process)
    }

    /// With the ids that the container knows its users by; the host's where it knows none.
    fn seen_inside(mut self, maps: &IdMaps) -> Self {
        for uid in [&mut self.uid, &mut self.ruid] {
            *uid = maps.inside_user(*uid).unwrap_or(*uid);
        }
        self.gid = maps.inside_group(self.gid).unwrap_or(self.gid);
        self
    }

    /// From the text of /proc/PID/stat.
    fn parse(stat: &str) -> Option<Self> {
        // The name stands in parentheses, and may hold any of its own.
        let (pid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Counted as in proc_pid_stat(5), where the state is field 3.
        let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
        Some(Self {
            pid: pid.trim().parse().ok()?,
            name: printable(name),
            state: fields.first()?.chars().next()?,
            ppid: number(4)? as i32,
            pgid: number(5)? as i32,
            sid: number(6)? as i32,
            tty: number(7)? as u64,
            foreground: number(8)? as i32,
            ticks: (number(14)? + number(15)?) as u64,
            priority: number(18)?,
            nice: number(19)?,
            threads: number(20)? as u64,
            started: number(22)? as u64,
            virtual_size: number(23)? as u64,
            processor: number(39)? as u64,
            ..Self::default()
        })
    }
}

/// A terminal takes orders from control characters, and a container's program chooses its own name.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat =
            "12 (a) S (b\n) R 1 2 3 34816 5 0 0 0 0 0 7 8 0 0 20 -5 3 0 99 4096 2 0 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0";
        let process = Process::parse(stat).unwrap();
        assert_eq!((process.pid, process.name.as_str(), process.state), (12, "a) S (b?", 'R'));
        assert_eq!((process.ppid, process.ticks, process.nice, process.started), (1, 15, -5, 99));
        assert_eq!((process.processor, process.virtual_size), (1, 4096));
        for cut in 0..stat.len() {
            let _ = Process::parse(&stat[..cut]);
        }
    }

    #[test]
    fn this_process_is_found() {
        let own = Process::read(std::process::id().cast_signed()).unwrap();
        assert_eq!((own.pid, own.ppid), (std::process::id().cast_signed(), nix::unistd::getppid().as_raw()));
        assert_eq!(own.uid, nix::unistd::geteuid().as_raw());
        assert!(own.resident > 0 && own.command[0].contains("mini_docker"), "{own:?}");
    }
}
