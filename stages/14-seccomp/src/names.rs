//! Numbers of system calls by name, on each machine that filters are compiled for.

mod table;

use table::TABLE;

/// A way to make system calls, in linux/audit.h's and libseccomp's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// x86-64's own.
    X8664,
    /// The 32-bit calls of x86, which every x86-64 process can make by `int 0x80`.
    X86,
    /// x86-64's calls with 32-bit pointers: the same entry, and bit 30 in the number.
    X32,
    /// 64-bit ARM's own.
    Aarch64,
}

/// The bit that tells x32's numbers from x86-64's.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

impl Arch {
    /// The machine's own; `None` where there is no table for it.
    pub const fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X8664)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else {
            None
        }
    }

    /// `AUDIT_ARCH_…` of linux/audit.h, as the kernel shows it to a filter.
    pub const fn audit(self) -> u32 {
        match self {
            Self::X8664 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// The name in `includes` and `excludes` of Docker's profiles.
    pub(crate) const fn docker(self) -> &'static str {
        match self {
            Self::X8664 => "amd64",
            Self::X86 => "x86",
            Self::X32 => "x32",
            Self::Aarch64 => "arm64",
        }
    }

    /// From `SCMP_ARCH_…`. `None`: one that exists, and that programs of these machines cannot use.
    pub(crate) fn parse(name: &str) -> Result<Option<Self>, ()> {
        const OTHERS: [&str; 18] = [
            "ARM",
            "MIPS",
            "MIPS64",
            "MIPS64N32",
            "MIPSEL",
            "MIPSEL64",
            "MIPSEL64N32",
            "PPC",
            "PPC64",
            "PPC64LE",
            "S390",
            "S390X",
            "PARISC",
            "PARISC64",
            "RISCV64",
            "LOONGARCH64",
            "M68K",
            "SH",
        ];
        let name = name.strip_prefix("SCMP_ARCH_").ok_or(())?;
        Ok(match name {
            "X86_64" => Some(Self::X8664),
            "X86" => Some(Self::X86),
            "X32" => Some(Self::X32),
            "AARCH64" => Some(Self::Aarch64),
            _ if OTHERS.contains(&name) => None,
            _ => return Err(()),
        })
    }

    /// The number of the call of that row of the table, if this way has it.
    pub(crate) fn number(self, row: &Row) -> Option<u32> {
        let number = match self {
            Self::X8664 => row.1,
            Self::X86 => row.2,
            Self::Aarch64 => row.3,
            Self::X32 => match X32.iter().position(|name| *name == row.0) {
                Some(at) => return Some(X32_BIT | (512 + at as u32)),
                None => row.1,
            },
        };
        let bit = if matches!(self, Self::X32) { X32_BIT } else { 0 };
        u32::try_from(number).ok().map(|number| number | bit)
    }
}

/// A name, and its number on x86-64, 32-bit x86 and 64-bit ARM; -1 where it has none.
pub(crate) type Row = (&'static str, i16, i16, i16);

/// The row of a call; `None` for a name that no machine here has.
pub(crate) fn find(name: &str) -> Option<&'static Row> {
    TABLE.binary_search_by(|row| row.0.cmp(name)).ok().map(|at| &TABLE[at])
}

/// Calls that x32 has under numbers of its own, from 512 on.
#[rustfmt::skip]
const X32: [&str; 36] = [
    "rt_sigaction", "rt_sigreturn", "ioctl", "readv", "writev", "recvfrom", "sendmsg", "recvmsg", "execve", "ptrace",
    "rt_sigpending", "rt_sigtimedwait", "rt_sigqueueinfo", "sigaltstack", "timer_create", "mq_notify", "kexec_load",
    "waitid", "set_robust_list", "get_robust_list", "vmsplice", "move_pages", "preadv", "pwritev", "rt_tgsigqueueinfo",
    "recvmmsg", "sendmmsg", "process_vm_readv", "process_vm_writev", "setsockopt", "getsockopt", "io_setup",
    "io_submit", "execveat", "preadv2", "pwritev2",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn numbers_are_each_for_one_call() {
        for arch in [Arch::X8664, Arch::X86, Arch::X32, Arch::Aarch64] {
            let mut numbers: Vec<u32> = TABLE.iter().filter_map(|row| arch.number(row)).collect();
            let all = numbers.len();
            numbers.sort_unstable();
            numbers.dedup();
            assert_eq!(numbers.len(), all, "{arch:?}");
        }
    }

    #[test]
    fn the_table_says_what_libc_says() {
        let native = Arch::native().expect("a machine with a table");
        for (name, number) in [
            ("read", libc::SYS_read),
            ("clone", libc::SYS_clone),
            ("seccomp", libc::SYS_seccomp),
            ("io_uring_setup", libc::SYS_io_uring_setup),
            ("openat2", libc::SYS_openat2),
            ("clone3", libc::SYS_clone3),
            ("keyctl", libc::SYS_keyctl),
            ("bpf", libc::SYS_bpf),
            ("mseal", libc::SYS_mseal),
            ("unshare", libc::SYS_unshare),
        ] {
            assert_eq!(native.number(find(name).unwrap()).map(i64::from), Some(number), "{name}");
        }
        assert_eq!(Arch::X86.number(find("getpid").unwrap()), Some(20));
        assert_eq!(Arch::X86.number(find("socketcall").unwrap()), Some(102));
        assert_eq!(Arch::X32.number(find("getpid").unwrap()), Some(X32_BIT + 39));
        assert_eq!(Arch::X32.number(find("execve").unwrap()), Some(X32_BIT + 520));
        assert_eq!(Arch::X32.number(find("pwritev2").unwrap()), Some(X32_BIT + 547));
        assert_eq!(find("no_such_call"), None);
    }
}
