//! A Docker that runs on the same machine drops what is forwarded and not its own: its chain FORWARD has the policy DROP.
//! What another table accepts does not help against that. Docker's documentation names the way: rules in its chain
//! DOCKER-USER, which Docker makes, goes through first, and never changes.
//!
//! There each bridge gets two rules, which accept what comes from it and what goes to it: our own table has its say too,
//! and drops what is not to pass. Docker's iptables must be the one over nftables, as it is everywhere by now.

use process::netlink::{
    Refusal, Socket,
    expression::{ACCEPT, Family, Field, REGISTER, equal, interface, load, verdict},
    nftables::{self, Transaction},
};

const TABLE: &str = "filter";
const CHAIN: &str = "DOCKER-USER";

fn comment(bridge: &str) -> String {
    format!("mini-docker: {bridge}")
}

/// Makes sure that Docker lets the packets of these bridges pass, where there is a Docker.
pub(super) fn allow(bridges: &[String]) -> Result<(), Refusal> {
    let socket = Socket::netfilter()?;
    for family in [Family::V4, Family::V6] {
        let Some(rules) = nftables::rules(&socket, family, TABLE, CHAIN)? else { continue };
        let mut transaction = Transaction::of_family(family, TABLE);
        let mut any = false;
        for bridge in bridges {
            let comment = comment(bridge);
            if rules.iter().any(|(_, found)| *found == comment) {
                continue;
            }
            for field in [Field::InputName, Field::OutputName] {
                let passes = [load(field, REGISTER), equal(REGISTER, &interface(bridge)), verdict(ACCEPT)];
                transaction.first_rule(CHAIN, passes, &comment);
            }
            any = true;
        }
        if any {
            transaction.commit(&socket)?;
        }
    }
    Ok(())
}

/// Takes a bridge's rules away again. Nothing there is success.
pub(super) fn forget(bridge: &str) -> Result<(), Refusal> {
    let socket = Socket::netfilter()?;
    let comment = comment(bridge);
    for family in [Family::V4, Family::V6] {
        let rules = nftables::rules(&socket, family, TABLE, CHAIN)?.unwrap_or_default();
        let mut transaction = Transaction::of_family(family, TABLE);
        let mut any = false;
        for (handle, _) in rules.iter().filter(|(_, found)| *found == comment) {
            transaction.delete_rule(CHAIN, *handle);
            any = true;
        }
        if any {
            transaction.commit(&socket)?;
        }
    }
    Ok(())
}
