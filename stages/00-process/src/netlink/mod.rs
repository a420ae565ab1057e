//! Talking to the kernel's network stack: netlink(7).
//!
//! A request is a header, a structure that its kind asks for, and attributes, which may hold attributes. All are padded
//! to four bytes. The kernel answers each with an error number, which is zero for success, and since Linux 4.12 with
//! words.
//!
//! | module | what it is |
//! |---|---|
//! | [`Message`], [`Attributes`] | building requests, and taking answers apart |
//! | [`Socket`], [`send_prepared`] | sending them, before and after the clone |
//! | [`route`] | links, addresses and routes: rtnetlink(7) |
//! | [`nftables`], [`expression`] | tables, chains, sets and their elements; what rules are made of |
//! | [`Prefix`] | an address and its prefix: `172.17.0.1/16` |

pub mod expression;
mod message;
pub mod nftables;
mod prefix;
pub mod route;
mod socket;

pub use message::{Attributes, Message, string, u32_at};
pub use prefix::{Prefix, PrefixError};
pub use socket::{Refusal, Reply, Socket, send_prepared};

use crate::{error::Result, primitive::Host};

/// Does one thing to the kernel by netlink, as [`Host::act`] does; an error says in the kernel's words why not.
pub fn act<T>(
    host: &mut Host,
    what: impl Fn() -> String,
    act: impl FnOnce() -> std::result::Result<T, Refusal>,
) -> Result<T> {
    let mut words = None;
    let done = host.act(what, || {
        act().map_err(|refusal| {
            words = refusal.hint();
            refusal.errno
        })
    });
    done.map_err(|error| match words {
        Some(words) => error.hint(words),
        None => error,
    })
}
