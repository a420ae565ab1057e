//! What networks have in the kernel that nobody needs: for [`Engine::leaks`].

use std::{collections::BTreeSet, fs, path::Path};

use process::netlink::{
    Socket, nftables,
    route::{self, Link},
};

use super::Config;
use crate::engine::{
    Engine,
    error::{Error, Kind, Result},
    image::short,
    leaks::Leak,
};

impl Engine {
    /// Bridges without a network, cables without a container, and elements of nftables that lead to nobody. `owners` are
    /// the containers that run.
    pub(in crate::engine) fn left_of_networks(&self, owners: &BTreeSet<String>) -> Result<Vec<Leak>> {
        if self.is_rootless() {
            // He could make none.
            return Ok(Vec::new());
        }
        let failed = |what: &'static str| move |errno: process::Errno| Error::system(what, &errno.into());
        let networks = self.networks()?;
        let socket = Socket::route().map_err(failed("ask for links"))?;
        let links = route::links(&socket).map_err(|refusal| failed("ask for links")(refusal.errno))?;
        let mut left = Vec::new();
        let whose = format!("mini-docker {} ", self.store.root().display());
        let ours: Vec<&Link> = links.iter().filter(|link| alias(&link.name).starts_with(&whose)).collect();
        for link in &ours {
            let is_owned = networks.iter().any(|network| network.link() == link.name);
            if !is_owned {
                left.push(leaked_link(link));
            }
            // The first digits of the container's id are in the name of the host's end: see `bridge::Veth`.
            let ports = links.iter().filter(|port| port.master == Some(link.index));
            let is_cable = |port: &&Link| port.kind.as_deref() == Some("veth") && port.name.starts_with("ve");
            left.extend(ports.filter(is_cable).filter(|port| !has_end(port, owners)).map(leaked_link));
        }
        left.extend(self.left_of_nftables(&networks, owners)?);
        Ok(left)
    }

    fn left_of_nftables(&self, networks: &[Config], owners: &BTreeSet<String>) -> Result<Vec<Leak>> {
        let table = self.nftables_table();
        let failed = |errno: process::Errno| Error::system(format_args!("ask for the table {table}"), &errno.into());
        let socket = Socket::netfilter().map_err(failed)?;
        if !nftables::has_table(&socket, &table).map_err(|refusal| failed(refusal.errno))? {
            return Ok(Vec::new());
        }
        let mut left = Vec::new();
        for map in ports::MAPS {
            let elements = nftables::elements(&socket, &table, map).map_err(|refusal| failed(refusal.errno))?;
            let whose: BTreeSet<String> = elements.into_iter().map(|element| element.owner).collect();
            for owner in whose {
                let is_owned = owners.iter().any(|id| owner.split('-').next() == Some(short(id)));
                // What waits to be removed late is no leak.
                if !is_owned && !self.network_run().join("garbage").join(&owner).exists() {
                    let what = format!("an element of {owner:?} in the map {map} of the table inet {table}");
                    left.push(Leak { kind: "nftables", what, fix: format!("nft list map inet {table} {map}") });
                }
            }
        }
        // A table without any bridge has no purpose.
        if !networks.iter().any(|network| super::create::link_exists(&network.link())) {
            let fix = format!("nft delete table inet {table}");
            left.push(Leak { kind: "nftables", what: format!("the table inet {table}"), fix });
        }
        Ok(left)
    }

    /// Forgets who has a place in a network and does not run: whoever wants it could take it anyway.
    pub(in crate::engine) fn forget_void_places(&self) -> Result<()> {
        self.mend_names()?;
        for network in self.networks()? {
            if !self.places_directory(&network.id).exists() {
                continue;
            }
            let _lock = match self.lock_network(&network) {
                Err(e) if e.kind == Kind::NotFound => continue,
                lock => lock?,
            };
            self.keep_hosts(&network, |id| self.is_present(id))?;
        }
        Ok(())
    }
}

fn leaked_link(link: &Link) -> Leak {
    Leak { kind: "link", what: link.name.clone(), fix: format!("ip link delete {}", link.name) }
}

fn has_end(port: &Link, owners: &BTreeSet<String>) -> bool {
    let begins = |id: &String| id.get(..6).is_some_and(|digits| port.name[2..].starts_with(digits));
    owners.iter().any(begins)
}

/// What a link says of itself.
fn alias(link: &str) -> String {
    fs::read_to_string(Path::new("/sys/class/net").join(link).join("ifalias")).unwrap_or_default()
}
