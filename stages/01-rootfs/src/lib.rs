//! Stage 01: a root filesystem, unpacked from an archive that may be hostile.
//!
//! An archive is a list of orders from a stranger: make this file, give it this owner, let this link point there. A
//! naive unpacker carries them out with the rights of the caller, and most often that is root. This one treats every
//! name, link, number and size as an attack, and never writes outside the directory that it was given.
//!
//! | module | what it is |
//! |---|---|
//! | [`unpack()`] | the loop: one entry after the other, whatever its kind |
//! | `confine` | directories of the tree, opened so that no path leads out of it |
//! | `node` | one function for each kind of file |
//! | `attributes` | owner, mode, extended attributes, times |
//! | `name` | which names an entry may have |
//! | `archive`, `stream` | the entries of a tar stream, and their contents; its bytes, counted |
//! | [`pack()`], `write` | the way back: a tree becomes an archive, always the same one |
//! | `header`, `pax`, `sparse` | what a header says |
//! | [`decompress()`] | gzip or not, by the first bytes |
//! | [`Options`], [`Error`] | what is wanted, and what went wrong |
//! | [`Rootfs`] | the primitive |
#![forbid(unsafe_code)]

mod archive;
mod attributes;
mod confine;
mod decompress;
mod error;
mod header;
mod name;
mod node;
mod options;
mod pack;
mod pax;
mod primitive;
mod sparse;
mod stream;
mod unpack;
mod write;

pub use decompress::{Decompressed, decompress};
pub use error::{Error, Refusal};
pub use options::{AbsoluteNames, Devices, Limits, Options, Owners, Replaces, Summary, Whiteouts};
pub use pack::{Packed, Packer, pack};
pub use primitive::Rootfs;
pub use unpack::{unpack, unpack_tar};
