//! Sending requests, and reading what the kernel says to them.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::{
    errno::Errno,
    libc,
    sys::socket::{MsgFlags, recv, send, setsockopt, sockopt::RcvBuf},
};

use super::message::{Attributes, Message, string, u32_at};
use crate::sys;

/// More than the kernel puts into one answer of a dump.
const LARGEST: usize = 32 << 10;
/// Room for the answers to a long batch; they are all there before the first is read.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Why the kernel did not do as it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The number of the message that was refused, from 0.
    pub message: usize,
    /// Why.
    pub errno: Errno,
    /// Why, in the kernel's words, where it has some.
    pub words: Option<String>,
}

impl Refusal {
    /// What an error may add to the errno.
    pub fn hint(&self) -> Option<String> {
        match (&self.words, self.errno) {
            (_, Errno::EPERM) => {
                Some("networks need root (CAP_NET_ADMIN over the host's network namespace)".to_owned())
            }
            (Some(words), _) => Some(format!("the kernel says: {words}")),
            (None, _) => None,
        }
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { message: 0, errno, words: None }
    }
}

/// An answer to a question: its kind, the family's header, and attributes.
#[derive(Debug, Clone)]
pub struct Reply {
    /// `RTM_…`, or `NFT_MSG_…` with the subsystem.
    pub kind: u16,
    /// The number of the question among those that were sent with it, from 0.
    pub question: usize,
    body: Vec<u8>,
}

impl Reply {
    /// The family's header and what follows it.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The attributes after a family's header of `header` bytes.
    pub fn attributes(&self, header: usize) -> Attributes<'_> {
        Attributes::new(self.body.get(header.next_multiple_of(4)..).unwrap_or_default())
    }
}

/// A netlink socket in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    /// For links, addresses and routes.
    pub fn route() -> Result<Self, Errno> {
        sys::netlink_socket(libc::NETLINK_ROUTE).map(Self)
    }

    /// For nftables and connection tracking.
    pub fn netfilter() -> Result<Self, Errno> {
        let socket = sys::netlink_socket(libc::NETLINK_NETFILTER)?;
        // The limit of net.core.rmem_max holds; it is enough for hundreds of answers.
        setsockopt(&socket, RcvBuf, &RECEIVE_BUFFER)?;
        Ok(Self(socket))
    }

    // ANCHOR: request
    /// Sends messages in one packet, and reads the answer to each.
    ///
    /// # Errors
    /// The first refusal. What the others asked for is done nevertheless, except in a transaction of nftables.
    pub fn request(&self, messages: &[Message]) -> Result<(), Refusal> {
        self.ask(messages).map(drop)
    }

    fn ask(&self, messages: &[Message]) -> Result<Vec<Reply>, Refusal> {
        let (replies, refused) = self.exchange(messages)?;
        refused.into_iter().next().map_or(Ok(replies), Err)
    }

    fn exchange(&self, messages: &[Message]) -> Result<(Vec<Reply>, Vec<Refusal>), Errno> {
        let mut packet = Vec::new();
        for (number, message) in messages.iter().enumerate() {
            packet.extend(message.clone().numbered(number as u32).as_bytes());
        }
        send(self.0.as_raw_fd(), &packet, MsgFlags::empty())?;
        let (mut replies, mut refused) = (Vec::new(), Vec::new());
        let mut buffer = vec![0; LARGEST];
        let mut more = true;
        // The kernel acts while we send. What it had to say is there now, but for the rest of a dump.
        while more {
            let length = match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => continue,
                received => received?,
            };
            for (kind, number, body) in Answers(&buffer[..length]) {
                match kind {
                    libc::NLMSG_ERROR => refused.extend(refusal(number, body)),
                    libc::NLMSG_DONE => more = false,
                    _ => replies.push(Reply { kind: kind as u16, question: number, body: body.to_owned() }),
                }
            }
        }
        Ok((replies, refused))
    }
    // ANCHOR_END: request

    /// Asks for one object. `None` where there is none of that kind.
    pub fn get(&self, message: Message) -> Result<Option<Reply>, Refusal> {
        match self.ask(&[message]) {
            Err(refusal) if matches!(refusal.errno, Errno::ENODEV | Errno::ENOENT) => Ok(None),
            asked => asked.map(|mut replies| (!replies.is_empty()).then(|| replies.swap_remove(0))),
        }
    }

    /// Asks for several objects, and returns those that are there.
    pub fn get_each(&self, messages: &[Message]) -> Result<Vec<Reply>, Refusal> {
        let (replies, refused) = self.exchange(messages)?;
        let missing = |refusal: &Refusal| matches!(refusal.errno, Errno::ENODEV | Errno::ENOENT);
        refused.into_iter().find(|refusal| !missing(refusal)).map_or(Ok(replies), Err)
    }

    /// Asks for all objects of a kind: `message` was made with `NLM_F_DUMP`.
    pub fn dump(&self, message: Message) -> Result<Vec<Reply>, Refusal> {
        self.ask(&[message])
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The messages of a packet: kind, number, and what follows the header.
struct Answers<'a>(&'a [u8]);

impl<'a> Iterator for Answers<'a> {
    type Item = (i32, usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = u32_at(self.0, 0) as usize;
        let body = self.0.get(Message::HEADER..length)?;
        let (kind, number) = (u32_at(self.0, 4) & 0xffff, u32_at(self.0, 8));
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind as i32, number as usize, body))
    }
}

/// What an answer of kind `NLMSG_ERROR` says; `None` is success.
fn refusal(message: usize, body: &[u8]) -> Option<Refusal> {
    const NLMSGERR_ATTR_MSG: u16 = 1;
    let errno = u32_at(body, 0).cast_signed();
    if errno == 0 {
        return None;
    }
    // The header of the request follows, and then, since its body was capped, what the kernel has to add.
    let attributes = Attributes::new(body.get(4 + Message::HEADER..).unwrap_or_default());
    let words = attributes.get(NLMSGERR_ATTR_MSG).map(string);
    Some(Refusal { message, errno: Errno::from_raw(-errno), words })
}

/// Sends one message that was made before the clone, and reads its answer. For `enter`: allocates nothing.
pub fn send_prepared(socket: BorrowedFd, message: &[u8]) -> Result<(), Errno> {
    send(socket.as_raw_fd(), message, MsgFlags::empty())?;
    let mut answer = [0; 512];
    let length = loop {
        match recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            received => break received?,
        }
    };
    match Answers(&answer[..length]).next() {
        Some((libc::NLMSG_ERROR, _, body)) => match u32_at(body, 0).cast_signed() {
            0 => Ok(()),
            errno => Err(Errno::from_raw(-errno)),
        },
        _ => Err(Errno::EBADMSG),
    }
}

#[cfg(test)]
mod tests {
    use nix::{errno::Errno, libc};

    use super::{Message, Socket, refusal};

    #[test]
    fn the_kernel_s_words_are_found() {
        let mut body = (-libc::EINVAL).to_ne_bytes().to_vec();
        body.extend([0; Message::HEADER]);
        assert_eq!(refusal(3, &body).unwrap().words, None);
        body.extend([7, 0, 1, 0, b'n', b'o', 0, 0]);
        let found = refusal(3, &body).unwrap();
        assert_eq!((found.message, found.errno, found.words.as_deref()), (3, Errno::EINVAL, Some("no")));
        assert_eq!(refusal(0, &[0; 20]), None);
    }

    #[test]
    fn the_kernel_refuses_with_the_number_of_the_message() {
        let socket = Socket::route().unwrap();
        // A question about loopback, and one that no kernel knows.
        let mut loopback = [0; 16];
        loopback[4] = 1;
        let known = Message::new(libc::RTM_GETLINK, 0, &loopback);
        let unknown = Message::new(0xfff0, 0, &[0; 16]);
        let refused = socket.ask(&[known.clone(), unknown]).unwrap_err();
        assert_eq!((refused.message, refused.errno), (1, Errno::EOPNOTSUPP));
        assert_eq!(socket.get(known).unwrap().unwrap().kind, libc::RTM_NEWLINK);
    }
}
