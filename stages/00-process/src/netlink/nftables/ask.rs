//! What is in the tables of nftables, and removing what was found there.

use nix::{errno::Errno, libc};

use super::{
    Element, HEADER, Hook, Kind, NAME, NFTA_RULE_HANDLE, NFTA_RULE_USERDATA, SUBSYSTEM, TABLE, TABLE_USERDATA,
    Transaction, comment, element_list, message, message_of, number,
};
use crate::netlink::{
    expression::Family,
    message::{Attributes, Message, string},
    socket::{Refusal, Reply, Socket},
};

fn found(replies: &[Reply]) -> Vec<Element> {
    let lists = replies.iter().map(|reply| reply.attributes(HEADER).nested(3));
    lists.flatten().filter_map(|(_, element)| Element::new(&Attributes::new(element))).collect()
}

/// The element of that key, if set and element are there.
pub fn get_element(socket: &Socket, table: &str, set: &str, key: &[u8]) -> Result<Option<Element>, Refusal> {
    let wanted = Element { key: key.to_owned(), end: None, data: None, owner: String::new() };
    let request = element_list(message(Kind::GetElement, 0).string(TABLE, table), set, &[wanted]);
    Ok(socket.get(request)?.and_then(|reply| found(&[reply]).into_iter().next()))
}

/// All elements of a set; none where there is no such set.
pub fn elements(socket: &Socket, table: &str, set: &str) -> Result<Vec<Element>, Refusal> {
    let request = message(Kind::GetElement, libc::NLM_F_DUMP).string(TABLE, table).string(NAME, set);
    match socket.dump(request) {
        Err(refusal) if refusal.errno == Errno::ENOENT => Ok(Vec::new()),
        dumped => dumped.map(|replies| found(&replies)),
    }
}

/// Whether there is a table of that name.
pub fn has_table(socket: &Socket, table: &str) -> Result<bool, Refusal> {
    Ok(socket.get(message(Kind::GetTable, 0).string(TABLE, table))?.is_some())
}

/// A table's comment, empty where it has none; `None` where there is no such table.
pub fn table_comment(socket: &Socket, table: &str) -> Result<Option<String>, Refusal> {
    let reply = socket.get(message(Kind::GetTable, 0).string(TABLE, table))?;
    Ok(reply.map(|reply| comment(reply.attributes(HEADER).get(TABLE_USERDATA))))
}

/// The rules of a chain of the family `ip` or `ip6`: handle and comment. `None` where there is no such chain.
pub fn rules(socket: &Socket, family: Family, table: &str, chain: &str) -> Result<Option<Vec<(u64, String)>>, Refusal> {
    const NFTA_CHAIN_NAME: u16 = 3;
    let request = message_of(number(family), Kind::GetChain, 0).string(TABLE, table).string(NFTA_CHAIN_NAME, chain);
    if socket.get(request)?.is_none() {
        return Ok(None);
    }
    let request = message_of(number(family), Kind::GetRule, libc::NLM_F_DUMP).string(TABLE, table).string(NAME, chain);
    let found = |reply: &Reply| {
        let attributes = reply.attributes(HEADER);
        // Kernels before 4.17 know no filter.
        let meant = attributes.get(NAME).map(string).as_deref() == Some(chain);
        let handle = u64::from_be_bytes(attributes.get(NFTA_RULE_HANDLE)?.try_into().ok()?);
        meant.then(|| (handle, comment(attributes.get(NFTA_RULE_USERDATA))))
    };
    Ok(Some(socket.dump(request)?.iter().filter_map(found).collect()))
}

/// A chain that packets come to by themselves, of whatever table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseChain {
    /// The table that it is in.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Whether it sees packets that pass through.
    pub forward: bool,
    /// Whether it drops what none of its rules accepts.
    pub drops: bool,
}

/// The base chains of all tables.
pub fn base_chains(socket: &Socket) -> Result<Vec<BaseChain>, Refusal> {
    let all = Message::new(SUBSYSTEM << 8 | Kind::GetChain as u16, libc::NLM_F_DUMP, &[0; HEADER]);
    let found = |reply: &Reply| {
        let attributes = reply.attributes(HEADER);
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u32::from_be_bytes);
        Some(BaseChain {
            forward: number(attributes.nested(4).get(1)?) == Hook::Forward as u32,
            drops: attributes.get(5).is_some_and(|policy| number(policy) == 0),
            table: attributes.get(TABLE).map(string)?,
            name: attributes.get(3).map(string)?,
        })
    };
    Ok(socket.dump(all)?.iter().filter_map(found).collect())
}

/// The number of the last change to any table: for [`Transaction::commit_at`].
pub fn generation(socket: &Socket) -> Result<u32, Refusal> {
    let reply = socket.get(message(Kind::GetGeneration, 0))?.ok_or(Errno::ENODATA)?;
    let number = reply.attributes(HEADER).get(1).and_then(|id| id.try_into().ok());
    Ok(number.map(u32::from_be_bytes).ok_or(Errno::EBADMSG)?)
}

/// Removes the elements whose owner is `meant` from the sets, and says how many there were. Lists all: where the keys are
/// known, see [`remove_each`].
pub fn remove_owned(table: &str, sets: &[String], meant: impl Fn(&str) -> bool) -> Result<usize, Refusal> {
    remove(table, |socket| {
        let mut found = Vec::new();
        for set in sets {
            let theirs = elements(socket, table, set)?.into_iter().filter(|element| meant(&element.owner));
            found.extend(theirs.map(|element| (set.as_str(), element)));
        }
        Ok(found)
    })
}

/// Removes elements from their sets, as far as they are there and their owner is the same, and says how many there were.
pub fn remove_each(table: &str, all: &[(&str, Element)]) -> Result<usize, Refusal> {
    let keys: Vec<_> = all.iter().map(|(set, element)| (*set, element.key.clone())).collect();
    remove(table, |socket| {
        let mut found = get_elements(socket, table, &keys)?;
        found.retain(|(set, it)| {
            let same = |wanted: &Element| (&it.key, &it.end, &it.owner) == (&wanted.key, &wanted.end, &wanted.owner);
            all.iter().any(|(other, wanted)| other == set && same(wanted))
        });
        Ok(found)
    })
}

/// The elements that the keys of sets are in: those that are there.
pub fn get_elements<'a>(
    socket: &Socket,
    table: &str,
    keys: &[(&'a str, Vec<u8>)],
) -> Result<Vec<(&'a str, Element)>, Refusal> {
    let question = |(set, key): &(&str, Vec<u8>)| {
        let wanted = Element { key: key.clone(), end: None, data: None, owner: String::new() };
        element_list(message(Kind::GetElement, 0).string(TABLE, table), set, &[wanted])
    };
    let mut all = Vec::new();
    // So many answers have room in a socket.
    for part in keys.chunks(64) {
        let questions: Vec<Message> = part.iter().map(question).collect();
        for reply in socket.get_each(&questions)? {
            if let Some((set, _)) = part.get(reply.question) {
                all.extend(found(&[reply]).into_iter().map(|element| (*set, element)));
            }
        }
    }
    Ok(all)
}

/// Removes what `look` finds, as sets and elements, and says how much that was. If anything changes in between it looks again.
///
/// # Errors
/// EAGAIN where others never stop changing something.
pub fn remove<'a>(
    table: &str,
    look: impl Fn(&Socket) -> Result<Vec<(&'a str, Element)>, Refusal>,
) -> Result<usize, Refusal> {
    let socket = Socket::netfilter()?;
    for _ in 0..64 {
        let generation = generation(&socket)?;
        let found = look(&socket)?;
        if found.is_empty() {
            return Ok(0);
        }
        let mut transaction = Transaction::new(table);
        for group in found.chunk_by(|one, next| one.0 == next.0) {
            let elements: Vec<Element> = group.iter().map(|(_, element)| element.clone()).collect();
            transaction.delete_elements(group[0].0, &elements);
        }
        match transaction.commit_at(&socket, Some(generation)) {
            Err(refusal) if matches!(refusal.errno, Errno::ERESTART | Errno::ENOENT) => {}
            committed => return committed.map(|()| found.len()),
        }
    }
    Err(Errno::EAGAIN.into())
}
