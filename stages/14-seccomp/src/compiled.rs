//! The default profile as the compiler leaves it for most containers: to compile it takes a start as long as some of its system
//! calls together. `filters.rs` is written by `UPDATE_FILTERS=1 cargo test -p stage-14-seccomp compiled`.

#[rustfmt::skip]
#[allow(clippy::unreadable_literal)]
mod filters;

use libc::sock_filter;

use crate::{compile::op, names::Arch, profile::Context};

/// A container's capabilities where nobody asks for others.
const CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_SETFCAP",
];
/// The newest kernel that the profile asks about; to all later ones it is the same.
const KERNEL: (u32, u32) = (4, 8);

/// The filter, where it is one of these.
pub(crate) fn default_filter(context: &Context) -> Option<Vec<sock_filter>> {
    if context.capabilities != CAPABILITIES || context.kernel < KERNEL {
        return None;
    }
    let filter: &[u64] = match context.arch {
        Arch::X8664 => &filters::X86_64,
        Arch::Aarch64 => &filters::AARCH64,
        Arch::X86 | Arch::X32 => return None,
    };
    Some(filter.iter().map(|step| unpack(*step)).collect())
}

/// Code, both distances and the constant, as the kernel has them in one step.
fn unpack(step: u64) -> sock_filter {
    op((step >> 48) as u16, step as u32, (step >> 40) as u8, (step >> 32) as u8)
}

#[cfg(test)]
mod tests {
    use std::{env, fmt::Write, fs};

    use super::*;
    use crate::{
        compile::{balanced, filter},
        load::DEFAULT_PROFILE,
        profile::Profile,
    };

    fn compile(kernel: (u32, u32), arch: Arch) -> Vec<u64> {
        let context = Context { capabilities: &CAPABILITIES, kernel, arch };
        let profile = Profile::parse(DEFAULT_PROFILE).unwrap();
        let resolved = profile.resolve(&context).unwrap();
        assert_eq!(resolved.flags, 0);
        let pack = |step: &sock_filter| {
            u64::from(step.code) << 48 | u64::from(step.jt) << 40 | u64::from(step.jf) << 32 | u64::from(step.k)
        };
        filter(&resolved.policy(), balanced).iter().map(pack).collect()
    }

    fn write(text: &mut String, name: &str, filter: &[u64]) {
        write!(text, "\npub(super) const {name}: [u64; {}] = [\n", filter.len()).unwrap();
        for line in filter.chunks(6) {
            let steps: Vec<_> = line.iter().map(|step| format!("0x{step:016x},")).collect();
            writeln!(text, "    {}", steps.join(" ")).unwrap();
        }
        text.push_str("];\n");
    }

    #[test]
    fn most_containers_have_these_capabilities() {
        assert_eq!(capabilities::CapabilitySet::DEFAULT.names().collect::<Vec<_>>(), CAPABILITIES);
    }

    /// On each machine those of the others too.
    #[test]
    fn what_is_stored_is_what_the_profile_compiles_to() {
        let (x86_64, aarch64) = (compile(KERNEL, Arch::X8664), compile(KERNEL, Arch::Aarch64));
        if env::var_os("UPDATE_FILTERS").is_some() {
            let mut text = "//! Written by a test: see above.\n".to_owned();
            write(&mut text, "X86_64", &x86_64);
            write(&mut text, "AARCH64", &aarch64);
            fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/compiled/filters.rs"), text).unwrap();
            return;
        }
        let hint = "UPDATE_FILTERS=1 cargo test -p stage-14-seccomp compiled";
        assert!(filters::X86_64[..] == x86_64 && filters::AARCH64[..] == aarch64, "{hint}");
        for (arch, steps) in [(Arch::X8664, x86_64), (Arch::Aarch64, aarch64)] {
            assert_eq!(compile((u32::MAX, 0), arch), steps, "KERNEL is not the newest that the profile asks about");
            let context = Context { capabilities: &CAPABILITIES, kernel: KERNEL, arch };
            let stored = default_filter(&context).unwrap();
            let numbers = |step: &sock_filter| (step.code, step.jt, step.jf, step.k);
            let unpacked: Vec<_> = steps.iter().map(|step| numbers(&unpack(*step))).collect();
            assert_eq!(stored.iter().map(numbers).collect::<Vec<_>>(), unpacked);
            let others = [
                Context { capabilities: &CAPABILITIES[1..], ..context },
                Context { kernel: (KERNEL.0, KERNEL.1 - 1), ..context },
            ];
            assert!(others.iter().all(|other| default_filter(other).is_none()));
        }
    }
}
