//! Names of images, and of hosts.

use std::net::IpAddr;

use dns::{
    Decision, HostState, Message, Names, ResolvConf, Transport, Turns, Zone, decide,
    message::{LONGEST_MESSAGE, flag},
};
use mini_docker::engine::reference::Reference;

use crate::{one_line, text};

/// `[HOST[:PORT]/]PATH[:TAG][@DIGEST]`.
pub(crate) fn reference(data: &[u8]) {
    let Some(source) = text(data) else { return };
    match Reference::parse(source) {
        Ok(reference) => {
            let written = reference.to_string();
            let again = Reference::parse(&written).expect("its own name");
            assert_eq!(again.to_string(), written, "{source:?}");
            assert!(!written.split('/').any(|part| part.is_empty() || part == "." || part == ".."), "{written:?}");
            assert!(!reference.path().contains(['\0', '\n', '%', '\\']), "{written:?}");
        }
        Err(error) => one_line(&error.to_string()),
    }
}

/// A packet to the resolver, which is a question or an answer; a resolv.conf, and a place in a network.
pub(crate) fn dns(data: &[u8]) {
    let mut names = Names::default();
    for (name, address) in [("web", "10.0.0.2"), ("web", "10.0.0.3"), ("web", "fd00::2"), ("db.net", "10.0.0.4")] {
        names.add(name, address.parse::<IpAddr>().expect("an address"));
    }
    for (transport, most) in [(Transport::Udp, dns::LONGEST_DATAGRAM), (Transport::Tcp, LONGEST_MESSAGE)] {
        for internal in [false, true] {
            names.internal = internal;
            match decide(data, transport, &names, &mut Turns::default()) {
                Decision::Reply(reply) => {
                    assert!(reply.len() <= most, "{} bytes", reply.len());
                    assert_eq!(reply[..2], data[..2], "the question's id");
                    let message = Message::read(&reply).expect("a message of our own");
                    assert!(message.flags & flag::RESPONSE != 0, "an answer to {data:?}");
                }
                Decision::Forward { .. } => assert!(!internal, "out of an internal network"),
                Decision::Drop => {}
            }
        }
    }
    if let Ok(message) = Message::read(data) {
        let written = message.write(LONGEST_MESSAGE);
        assert!(written.len() <= LONGEST_MESSAGE, "{} bytes", written.len());
        let again = Message::read(&written).expect("a message of our own");
        if again.flags & flag::TRUNCATED == message.flags & flag::TRUNCATED {
            assert_eq!(again, message);
        }
        let short = message.write(512);
        Message::read(&short).expect("a short message of our own");
    }
    let Some(source) = text(data) else { return };
    let conf = ResolvConf::parse(source).for_container();
    assert_eq!(ResolvConf::parse(&conf.to_string()), conf);
    if let Ok(host) = serde_json::from_str::<HostState>(source) {
        let names = Names::from_iter([&host]);
        assert!(
            host.addresses.is_empty()
                || host
                    .names
                    .iter()
                    .all(|name| names.lookup(&name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()).is_some())
        );
    }
}
