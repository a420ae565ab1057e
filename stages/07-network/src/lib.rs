//! Stage 07: a network namespace.
//!
//! Interfaces, addresses, routes, ports, firewall rules and abstract Unix sockets become the container's own
//! (network_namespaces(7)). A new one holds nothing but a loopback interface, which is down: this stage sets it up, and
//! that is all the network that `--network none` has.
#![forbid(unsafe_code)]

use std::ffi::CStr;

use nix::unistd::{Pid, write};
use process::{CloneArgs, Errno, Host, IdMaps, Inside, Primitive, Result, sys};

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
#[derive(Debug, Default)]
pub struct Unprivileged {
    settings: Vec<(&'static CStr, String)>,
}

/// The last group that the kernel takes here.
const LAST_GROUP: u32 = i32::MAX.cast_unsigned();

impl Primitive for Unprivileged {
    fn name(&self) -> &'static str {
        "network"
    }

    /// Both ends of the range of groups have to be mapped in the user namespace.
    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let ranges = host.maps.clone().map_or_else(|| IdMaps::of(Pid::this()), Ok)?.gids;
        let last = ranges.iter().map(|range| range.inside.saturating_add(range.count - 1)).max();
        let last = last.map_or(LAST_GROUP, |last| last.min(LAST_GROUP));
        self.settings = vec![
            (c"/proc/sys/net/ipv4/ping_group_range", format!("0 {last}")),
            (c"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0".to_owned()),
        ];
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        for (number, (path, value)) in self.settings.iter().enumerate() {
            inside.at(number);
            match inside.open_setting(path) {
                // A kernel that has no such setting.
                Err(Errno::ENOENT) => {}
                file => drop(write(file?, value.as_bytes())?),
            }
        }
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        self.settings
            .get(usize::from(step))
            .map_or_else(String::new, |(path, value)| format!("write({path:?}, {value:?})"))
    }
}
// ANCHOR_END: unprivileged
