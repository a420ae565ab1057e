//! `network create`.

use std::collections::BTreeMap;

use clap::Args;

use crate::{
    cli::{Outcome, print},
    engine::{Engine, Error, Result, network::Request},
};

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name
    #[arg(value_name = "NETWORK")]
    name: String,
    /// Driver to manage the network: bridge, macvlan, ipvlan, or the name of a program (see README.md, Networks)
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// Subnet in CIDR format that represents a network segment
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    subnet: Vec<String>,
    /// IPv4 or IPv6 gateway for the subnet
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    gateway: Vec<String>,
    /// Allocate container ip from a sub-range
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    ip_range: Vec<String>,
    /// Auxiliary addresses that no container gets
    #[arg(long, value_name = "NAME=ADDRESS", value_delimiter = ',')]
    aux_address: Vec<String>,
    /// Enable or disable IPv4 address assignment
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    ipv4: bool,
    /// Enable or disable IPv6 address assignment
    #[arg(long, value_name = "BOOL", default_value_t = false, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    ipv6: bool,
    /// Restrict external access to the network
    #[arg(long)]
    internal: bool,
    /// Enable manual container attachment: so is every network
    #[arg(long)]
    attachable: bool,
    /// Set metadata on a network
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Set driver specific options
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// IP Address Management Driver: default
    #[arg(long, value_name = "DRIVER", default_value = "default")]
    ipam_driver: String,
    /// Control the network's scope: local
    #[arg(long, value_name = "SCOPE", default_value = "local")]
    scope: String,
    /// Create a configuration only network: one that only describes others
    #[arg(long)]
    config_only: bool,
    /// The network from which to copy the configuration
    #[arg(long, value_name = "NETWORK", default_value = "")]
    config_from: String,
}

impl Create {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        if self.ipam_driver != "default" {
            return Err(Error::not_found(format!("IPAM driver {} not found: there is `default`", self.ipam_driver)));
        }
        if self.scope != "local" {
            return Err(Error::invalid(format!(
                "scope {} needs Swarm, which there is none of here: use local",
                self.scope
            )));
        }
        let request = Request {
            name: self.name,
            driver: self.driver,
            subnets: self.subnet,
            gateways: self.gateway,
            ranges: self.ip_range,
            reserved: map(&self.aux_address, "aux-address")?,
            ipv4: self.ipv4,
            ipv6: self.ipv6,
            internal: self.internal,
            attachable: self.attachable,
            labels: self.label.iter().map(|text| pair(text)).collect(),
            options: map(&self.opt, "opt")?,
            config_only: self.config_only,
            config_from: self.config_from,
        };
        let network = engine.create_network(&request)?;
        print(format_args!("{}\n", network.id));
        Ok(0)
    }
}

fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

fn map(texts: &[String], flag: &str) -> Result<BTreeMap<String, String>> {
    let one = |text: &String| {
        let invalid = || Error::invalid(format!("invalid --{flag} {text:?}: write it as NAME=VALUE"));
        if text.contains('=') { Ok(pair(text)) } else { Err(invalid()) }
    };
    texts.iter().map(one).collect()
}
