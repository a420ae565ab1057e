//! Sets of capabilities, their names, and what `--cap-add` and `--cap-drop` make of them.

use std::{fmt, fs};

use process::{Errno, sys};

/// By number, as linux/capability.h has them.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A set of capabilities (capabilities(7)), one bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CapabilitySet(u64);

impl CapabilitySet {
    /// No right beyond an ordinary user's.
    pub const EMPTY: Self = Self(0);

    // ANCHOR: default
    /// What root of a container needs to install packages, change owners and users, and serve on low ports: Docker's
    /// default without `MKNOD`, `NET_RAW` and `AUDIT_WRITE`, as podman's.
    pub const DEFAULT: Self = Self(
        1 << 0 // CHOWN
            | 1 << 1 // DAC_OVERRIDE
            | 1 << 3 // FOWNER
            | 1 << 4 // FSETID
            | 1 << 5 // KILL
            | 1 << 6 // SETGID
            | 1 << 7 // SETUID
            | 1 << 8 // SETPCAP
            | 1 << 10 // NET_BIND_SERVICE
            | 1 << 18 // SYS_CHROOT
            | 1 << 31, // SETFCAP
    );
    // ANCHOR_END: default

    /// The set with these bits, as in /proc/PID/status.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// One bit a capability, as in /proc/PID/status.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// All that the running kernel has, from /proc/sys/kernel/cap_last_cap: what a new user namespace begins with.
    /// All that this program knows, where that cannot be read.
    pub fn of_kernel() -> Self {
        let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok().and_then(|text| text.trim().parse().ok());
        Self::up_to(last.unwrap_or(NAMES.len() as u32 - 1))
    }

    fn up_to(last: u32) -> Self {
        Self(u64::MAX >> (63 - last.min(63)))
    }

    /// What this process can pass on: its permitted and bounding set, without numbers that the kernel or this program
    /// does not know.
    ///
    /// # Errors
    /// None are expected of capget(2).
    pub fn available() -> Result<Self, Errno> {
        let permitted = Self(sys::capabilities()?.permitted);
        let bounding = permitted.numbers().filter(|&number| sys::is_bounding(number).unwrap_or(false));
        Ok(Self(bounding.fold(0, |bits, number| bits | 1 << number)))
    }

    /// Whether the capability of that number is in the set.
    pub const fn contains(self, number: u32) -> bool {
        number < 64 && self.0 & 1 << number != 0
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this and not in the other.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn numbers(self) -> impl Iterator<Item = u32> {
        (0..NAMES.len() as u32).filter(move |&number| self.contains(number))
    }

    /// `CAP_CHOWN` and so on, by number.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.numbers().map(|number| NAMES[number as usize])
    }

    /// The set of one capability: `NET_ADMIN`, `CAP_NET_ADMIN`, in any case.
    ///
    /// # Errors
    /// [`CapabilityError::Unknown`].
    pub fn named(name: &str) -> Result<Self, CapabilityError> {
        let upper = name.trim().to_ascii_uppercase();
        let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let number = NAMES.iter().position(|known| known["CAP_".len()..] == *short);
        number.map(|number| Self(1 << number)).ok_or_else(|| CapabilityError::Unknown(name.to_owned()))
    }

    // ANCHOR: adjusted
    /// This set as `--cap-add` and `--cap-drop` change it, in Docker's way: `ALL` goes first, whatever the order. With
    /// `add` of `ALL` it is all that is `available` but `drop`; with `drop` of `ALL` it is `add`; else this set without
    /// `drop` and with `add`, so that what is in both is added.
    ///
    /// # Errors
    /// A name that is unknown or not `available`, in either list.
    pub fn adjusted(
        self,
        add: &[impl AsRef<str>],
        drop: &[impl AsRef<str>],
        available: Self,
    ) -> Result<Self, CapabilityError> {
        let (add_all, add) = parse(add, available)?;
        let (drop_all, drop) = parse(drop, available)?;
        Ok(match (add_all, drop_all) {
            (true, _) => available.difference(drop),
            (false, true) => add,
            (false, false) => self.intersection(available).difference(drop).union(add),
        })
    }
    // ANCHOR_END: adjusted
}

/// Whether `ALL` is among the names, and the set of the others.
fn parse(names: &[impl AsRef<str>], available: CapabilitySet) -> Result<(bool, CapabilitySet), CapabilityError> {
    let (mut all, mut set) = (false, CapabilitySet::EMPTY);
    for name in names {
        let name = name.as_ref();
        if name.trim().eq_ignore_ascii_case("ALL") {
            all = true;
            continue;
        }
        let one = CapabilitySet::named(name)?;
        if one.difference(available) != CapabilitySet::EMPTY {
            return Err(CapabilityError::NotAvailable(one));
        }
        set = set.union(one);
    }
    Ok((all, set))
}

/// `CAP_CHOWN,CAP_KILL`; `none` for the empty set.
impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if *self == Self::EMPTY {
            return f.write_str("none");
        }
        for (at, name) in self.names().enumerate() {
            write!(f, "{}{name}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self} ({:#x})", self.0)
    }
}

/// Why a set of capabilities cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// There is no capability of that name.
    #[error("unknown capability: {0:?}; capabilities(7) lists them, such as NET_ADMIN, and ALL means all")]
    Unknown(String),
    /// The kernel does not have it, or this process may not pass it on.
    #[error(
        "capability not supported by the kernel or not available in this environment: {0}; see CapPrm and CapBnd in /proc/self/status"
    )]
    NotAvailable(CapabilitySet),
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: CapabilitySet = CapabilitySet(0x1ff_ffff_ffff);

    fn set(names: &[&str]) -> CapabilitySet {
        names.iter().fold(CapabilitySet::EMPTY, |set, name| set.union(CapabilitySet::named(name).unwrap()))
    }

    #[test]
    fn names_are_found_in_docker_s_forms() {
        for name in ["NET_ADMIN", "CAP_NET_ADMIN", "net_admin", "cap_Net_Admin", " NET_ADMIN "] {
            assert_eq!(CapabilitySet::named(name).unwrap().bits(), 1 << 12, "{name}");
        }
        for name in ["", "CAP_", "NETADMIN", "CAP_CAP_CHOWN", "ALL", "0", "CHOWN,KILL", "CAPCHOWN"] {
            let error = CapabilitySet::named(name).unwrap_err().to_string();
            assert!(error.contains("unknown capability") && error.contains("capabilities(7)"), "{error}");
        }
        assert_eq!(set(&["CHECKPOINT_RESTORE"]).bits(), 1 << 40);
        for (number, name) in NAMES.iter().enumerate() {
            assert_eq!(CapabilitySet::named(name).unwrap().bits(), 1 << number);
        }
    }

    #[test]
    fn the_default_is_docker_s_without_three() {
        let docker = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE \
                      SYS_CHROOT KILL AUDIT_WRITE";
        let docker = set(&docker.split(' ').collect::<Vec<_>>());
        assert_eq!(CapabilitySet::DEFAULT, docker.difference(set(&["MKNOD", "NET_RAW", "AUDIT_WRITE"])));
    }

    #[test]
    fn lists_change_the_set_as_in_docker() {
        let base = set(&["CHOWN", "KILL"]);
        let adjusted = |add: &[&str], drop: &[&str]| base.adjusted(add, drop, ALL).unwrap();
        assert_eq!(adjusted(&[], &[]), base);
        assert_eq!(adjusted(&["NET_RAW"], &["KILL"]), set(&["CHOWN", "NET_RAW"]));
        assert_eq!(adjusted(&["net_raw"], &["all"]), set(&["NET_RAW"]));
        assert_eq!(adjusted(&["ALL"], &["CAP_KILL"]), ALL.difference(set(&["KILL"])));
        assert_eq!(adjusted(&[], &["ALL"]), CapabilitySet::EMPTY);
        assert_eq!(adjusted(&["ALL"], &["ALL"]), ALL);
        assert_eq!(adjusted(&["ALL", "CHOWN"], &[]), ALL);
        assert_eq!(adjusted(&["KILL"], &["KILL"]), base);
        assert_eq!(adjusted(&["CHOWN"], &["ALL", "CHOWN"]), set(&["CHOWN"]));
    }

    #[test]
    fn what_cannot_be_had_is_refused_or_left_out() {
        let (base, available) = (set(&["CHOWN", "KILL"]), set(&["CHOWN", "NET_RAW"]));
        let none: [&str; 0] = [];
        assert_eq!(base.adjusted(&none, &none, available), Ok(set(&["CHOWN"])));
        assert_eq!(base.adjusted(&["ALL"], &none, available), Ok(available));
        let not_available = Err(CapabilityError::NotAvailable(set(&["KILL"])));
        assert_eq!(base.adjusted(&["KILL"], &none, available), not_available);
        assert_eq!(base.adjusted(&none, &["KILL"], available), not_available);
        assert_eq!(base.adjusted(&["x"], &["ALL"], ALL), Err(CapabilityError::Unknown("x".to_owned())));
    }

    #[test]
    fn an_older_kernel_has_fewer() {
        assert_eq!(CapabilitySet::up_to(37).names().last(), Some("CAP_AUDIT_READ"));
        assert_eq!(CapabilitySet::up_to(63).bits(), u64::MAX);
        let last: u32 = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
        let kernel = CapabilitySet::of_kernel();
        assert!(kernel.contains(last) && !kernel.contains(last + 1));
        let available = CapabilitySet::available().unwrap();
        assert_eq!(available.difference(kernel), CapabilitySet::EMPTY);
    }

    #[test]
    fn sets_are_written_as_names() {
        assert_eq!(set(&["KILL", "CHOWN"]).to_string(), "CAP_CHOWN,CAP_KILL");
        assert_eq!(CapabilitySet::EMPTY.to_string(), "none");
    }
}
