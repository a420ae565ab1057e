//! Stage 24: a resolver that knows the containers' names.
//!
//! Containers find each other by name, and names outside as the host does. [`Resolver`] makes the sockets inside the
//! container's network namespace; [`Server`] answers from outside.
//!
//! | module | what it is |
//! |---|---|
//! | `primitive` | [`Resolver`]: the sockets, and the container's resolv.conf |
//! | [`name`], [`message`] | the format: read from anybody, written for anybody |
//! | `answer` | [`decide`]: what to do with a packet |
//! | [`zone`], `mark` | the names that are ours, and whether they may be others now |
//! | `server`, `poller`, `burst` | [`Server`]: who is ready, who is next, and whether to wait for one more |
//! | `connections`, `frame` | TCP |
//! | `forward`, `upstream` | questions on their way to another server |
//! | `resolv_conf` | resolv.conf(5), the host's and the container's |
#![forbid(unsafe_code)]

mod answer;
mod burst;
mod connections;
mod forward;
mod frame;
mod mark;
pub mod message;
pub mod name;
mod poller;
mod primitive;
mod resolv_conf;
mod server;
mod upstream;
pub mod zone;

pub use answer::{Decision, LONGEST_DATAGRAM, LONGEST_QUERY, TTL, Transport, Turns, decide};
pub use connections::{IDLE, MOST_CONNECTIONS};
pub use forward::TIMEOUT;
pub use mark::Mark;
pub use message::Message;
pub use name::Name;
pub use primitive::{ADDRESS, Listeners, Resolver};
pub use resolv_conf::{ResolvConf, server};
pub use server::{Server, time_left};
pub use zone::{HostState, Names, Networks, Zone};
