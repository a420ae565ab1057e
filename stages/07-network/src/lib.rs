//! Stage 07: a network namespace.
//!
//! Interfaces, addresses, routes, ports, firewall rules and abstract Unix sockets become the container's own
//! (network_namespaces(7)). A new one holds nothing but a loopback interface, which is down: this stage sets it up, and
//! that is all the network that `--network none` has.
#![forbid(unsafe_code)]

use std::ffi::CStr;

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::write,
};
use process::{CloneArgs, Errno, Host, Inside, Primitive, Result, sys};

// ANCHOR: network
/// A network of the container's own, with a loopback interface.
#[derive(Debug, Default)]
pub struct Network;

impl Primitive for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWNET);
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        sys::loopback_up()
    }

    fn step(&self, _: u16) -> String {
        "ioctl(SIOCSIFFLAGS, \"lo\", IFF_UP)".to_owned()
    }
}
// ANCHOR_END: network

// ANCHOR: unprivileged
/// Lets every program of the container ping, and bind ports below 1024: in a network of its own that harms nobody.
///
/// As Docker does. Without it a program without `CAP_NET_RAW` could not even ping.
#[derive(Debug)]
pub struct Unprivileged {
    /// The groups that may ping: all that there are.
    groups: String,
}

const SETTINGS: [&CStr; 2] = [c"/proc/sys/net/ipv4/ping_group_range", c"/proc/sys/net/ipv4/ip_unprivileged_port_start"];

impl Default for Unprivileged {
    fn default() -> Self {
        Self { groups: "0 2147483647".to_owned() }
    }
}

impl Unprivileged {
    fn value(&self, setting: usize) -> &str {
        if setting == 0 { &self.groups } else { "0" }
    }
}

impl Primitive for Unprivileged {
    fn name(&self) -> &'static str {
        "network"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        // The kernel takes none that the user namespace has not.
        let last = host.maps.iter().flat_map(|maps| &maps.gids).map(|range| range.inside + (range.count - 1)).max();
        if let Some(last) = last {
            self.groups = format!("0 {last}");
        }
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        for (number, path) in SETTINGS.iter().enumerate() {
            let value = self.value(number);
            inside.at(number);
            match open(*path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()) {
                // A kernel that has no such setting.
                Err(Errno::ENOENT) => {}
                file => drop(write(file?, value.as_bytes())?),
            }
        }
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        let setting = usize::from(step).min(SETTINGS.len() - 1);
        let (path, value) = (SETTINGS[setting], self.value(setting));
        format!("write({path:?}, {value:?})")
    }
}
// ANCHOR_END: unprivileged
