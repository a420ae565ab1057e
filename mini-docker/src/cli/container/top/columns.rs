//! The columns of ps(1), for `top`.

use std::{collections::HashMap, fs};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

use crate::engine::{Error, Result, processes::Process};

/// Clock ticks a second of what /proc counts in, on every Linux.
const HERTZ: u64 = 100;

/// What all columns are computed from.
pub(super) struct Machine {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
    now: Timestamp,
    /// Clock ticks since boot.
    uptime: u64,
    memory: u64,
    zone: TimeZone,
}

impl Machine {
    pub(super) fn look() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let names = |path| {
            let entry = |line: &str| {
                let mut fields = line.split(':');
                let name = fields.next()?.to_owned();
                Some((fields.nth(1)?.parse().ok()?, name))
            };
            text(path).lines().filter_map(entry).collect()
        };
        let uptime = text("/proc/uptime").split(' ').next().and_then(|seconds| seconds.parse::<f64>().ok());
        let meminfo = text("/proc/meminfo");
        let memory = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
        Self {
            users: names("/etc/passwd"),
            groups: names("/etc/group"),
            now: Timestamp::now(),
            #[allow(clippy::cast_precision_loss)] // Of some years.
            uptime: (uptime.unwrap_or(0.0) * HERTZ as f64) as u64,
            memory: memory.and_then(|kilobytes| kilobytes.parse().ok()).unwrap_or(0),
            zone: TimeZone::system(),
        }
    }

    /// Ids without a name on the host, and names too long for ps, stay numbers.
    fn name(names: &HashMap<u32, String>, id: u32) -> String {
        names.get(&id).filter(|name| name.len() <= 8).cloned().unwrap_or_else(|| id.to_string())
    }

    /// In clock ticks.
    fn age(&self, process: &Process) -> u64 {
        self.uptime.saturating_sub(process.started)
    }

    /// Tenths of a percent of one processor over its life.
    fn processor_use(&self, process: &Process) -> u64 {
        process.ticks * 1000 / self.age(process).max(1)
    }

    fn started(&self, process: &Process) -> DateTime {
        let age = jiff::SignedDuration::from_millis((self.age(process) * 1000 / HERTZ) as i64);
        let at = self.now.checked_sub(age).unwrap_or(self.now);
        self.zone.to_datetime(at)
    }

    /// The time today, the day this year, or the year.
    fn since(&self, process: &Process) -> String {
        let (at, now) = (self.started(process), self.zone.to_datetime(self.now));
        let format = match (at.date() == now.date(), at.year() == now.year()) {
            (true, _) => "%H:%M",
            (_, true) => "%b%d",
            _ => "%Y",
        };
        at.strftime(format).to_string()
    }
}

/// A column: what stands above it, and what is in it.
pub(super) struct Column {
    pub(super) heading: String,
    value: fn(&Machine, &Process) -> String,
}

impl Column {
    pub(super) fn value(&self, machine: &Machine, process: &Process) -> String {
        (self.value)(machine, process)
    }

    /// `NAME` or `NAME=HEADING`, by the names of `ps -o`.
    pub(super) fn named(text: &str) -> Result<Self> {
        let (name, heading) = text.split_once('=').map_or((text, None), |(name, heading)| (name, Some(heading)));
        let (default, value) = known(name).ok_or_else(|| {
            Error::invalid(format!(
                "unknown user-defined format specifier {name:?}: ps(1) lists them; not all are here"
            ))
        })?;
        Ok(Self { heading: heading.unwrap_or(default).to_owned(), value })
    }
}

type Known = (&'static str, fn(&Machine, &Process) -> String);

fn known(name: &str) -> Option<Known> {
    Some(match name {
        "pid" | "tgid" => ("PID", |_, p| p.pid.to_string()),
        "ppid" => ("PPID", |_, p| p.ppid.to_string()),
        "pgid" | "pgrp" => (if name == "pgid" { "PGID" } else { "PGRP" }, |_, p| p.pgid.to_string()),
        "sid" | "sess" | "session" => (if name == "sid" { "SID" } else { "SESS" }, |_, p| p.sid.to_string()),
        "tpgid" => ("TPGID", |_, p| p.foreground.to_string()),
        "user" | "euser" | "uname" => {
            (if name == "euser" { "EUSER" } else { "USER" }, |m, p| Machine::name(&m.users, p.uid))
        }
        // The name under another heading, as `ps -f` has it.
        "UID" => ("UID", |m, p| Machine::name(&m.users, p.uid)),
        "uid" | "euid" => (if name == "uid" { "UID" } else { "EUID" }, |_, p| p.uid.to_string()),
        "ruser" => ("RUSER", |m, p| Machine::name(&m.users, p.ruid)),
        "ruid" => ("RUID", |_, p| p.ruid.to_string()),
        "group" | "egroup" => {
            (if name == "group" { "GROUP" } else { "EGROUP" }, |m, p| Machine::name(&m.groups, p.gid))
        }
        "gid" | "egid" => (if name == "gid" { "GID" } else { "EGID" }, |_, p| p.gid.to_string()),
        "comm" | "ucmd" | "ucomm" => (if name == "ucmd" { "CMD" } else { "COMMAND" }, |_, p| short_command(p)),
        "CMD" => ("CMD", |_, p| short_command(p)),
        "args" | "command" => ("COMMAND", |_, p| command(p)),
        "cmd" => ("CMD", |_, p| command(p)),
        "c" => ("C", |m, p| (m.processor_use(p) / 10).min(99).to_string()),
        "pcpu" | "%cpu" => ("%CPU", |m, p| tenths(m.processor_use(p))),
        "pmem" | "%mem" => ("%MEM", |m, p| tenths((p.resident * 1000 / m.memory.max(1)).min(999))),
        "vsz" | "vsize" => ("VSZ", |_, p| (p.virtual_size / 1024).to_string()),
        "rss" | "rssize" | "rsz" => (if name == "rss" { "RSS" } else { "RSZ" }, |_, p| p.resident.to_string()),
        "tty" | "tt" | "tname" => (if name == "tt" { "TT" } else { "TTY" }, |_, p| terminal(p)),
        "stat" => ("STAT", |_, p| state(p)),
        "s" | "state" => ("S", |_, p| p.state.to_string()),
        "time" | "cputime" => ("TIME", |_, p| long_time(p.ticks / HERTZ)),
        "bsdtime" => ("TIME", |_, p| format!("{}:{:02}", p.ticks / HERTZ / 60, p.ticks / HERTZ % 60)),
        "times" | "cputimes" => ("TIME", |_, p| (p.ticks / HERTZ).to_string()),
        "etime" => ("ELAPSED", |m, p| elapsed(m.age(p) / HERTZ)),
        "etimes" => ("ELAPSED", |m, p| (m.age(p) / HERTZ).to_string()),
        "stime" | "start_time" | "bsdstart" => (if name == "stime" { "STIME" } else { "START" }, |m, p| m.since(p)),
        "start" => ("STARTED", |m, p| m.started(p).strftime("%H:%M:%S").to_string()),
        "lstart" => ("STARTED", |m, p| m.started(p).strftime("%a %b %e %H:%M:%S %Y").to_string()),
        "nice" | "ni" => ("NI", |_, p| p.nice.to_string()),
        "pri" => ("PRI", |_, p| (39 - p.priority).to_string()),
        "nlwp" | "thcount" => (if name == "nlwp" { "NLWP" } else { "THCNT" }, |_, p| p.threads.to_string()),
        "psr" => ("PSR", |_, p| p.processor.to_string()),
        _ => return None,
    })
}

/// The arguments, or the name in brackets of what has none: a zombie.
fn command(process: &Process) -> String {
    match (process.command.is_empty(), process.state) {
        (false, _) => process.command.join(" "),
        (true, 'Z') => format!("[{}] <defunct>", process.name),
        (true, _) => format!("[{}]", process.name),
    }
}

fn short_command(process: &Process) -> String {
    if process.state == 'Z' { format!("{} <defunct>", process.name) } else { process.name.clone() }
}

fn tenths(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// tty_nr of proc_pid_stat(5): the minor number in bits 31 to 20 and 7 to 0, the major in 15 to 8.
fn terminal(process: &Process) -> String {
    let (major, minor) = ((process.tty >> 8) & 0xfff, (process.tty & 0xff) | ((process.tty >> 12) & 0xf_ff00));
    match major {
        _ if process.tty == 0 => "?".to_owned(),
        // Unix98 terminals have eight majors.
        136..=143 => format!("pts/{}", ((major - 136) << 8) + minor),
        4 if minor < 64 => format!("tty{minor}"),
        4 => format!("ttyS{}", minor - 64),
        5 if minor == 1 => "console".to_owned(),
        _ => format!("{major}:{minor}"),
    }
}

/// As `STAT` of ps(1).
fn state(process: &Process) -> String {
    let mut text = process.state.to_string();
    let signs = [
        (process.nice < 0, '<'),
        (process.nice > 0, 'N'),
        (process.locked > 0, 'L'),
        (process.sid == process.pid, 's'),
        (process.threads > 1, 'l'),
        (process.foreground == process.pgid, '+'),
    ];
    text.extend(signs.iter().filter(|(holds, _)| *holds).map(|(_, sign)| sign));
    text
}

/// `[DD-]HH:MM:SS`.
fn long_time(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let days = if days > 0 { format!("{days}-") } else { String::new() };
    format!("{days}{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

/// `[[DD-]HH:]MM:SS`.
fn elapsed(seconds: u64) -> String {
    if seconds < 3600 { format!("{:02}:{:02}", seconds / 60, seconds % 60) } else { long_time(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_as_ps_writes_them() {
        let process = Process {
            tty: 0x8800 + 3,
            sid: 7,
            pid: 7,
            pgid: 7,
            foreground: 7,
            threads: 2,
            state: 'S',
            ..Process::default()
        };
        assert_eq!((terminal(&process), state(&process)), ("pts/3".to_owned(), "Ssl+".to_owned()));
        assert_eq!(terminal(&Process::default()), "?");
        assert_eq!((long_time(59), long_time(90_061)), ("00:00:59".to_owned(), "1-01:01:01".to_owned()));
        assert_eq!((elapsed(61), elapsed(3661)), ("01:01".to_owned(), "01:01:01".to_owned()));
        let zombie = Process { name: "x".to_owned(), state: 'Z', ..Process::default() };
        assert_eq!(command(&zombie), "[x] <defunct>");
    }
}
