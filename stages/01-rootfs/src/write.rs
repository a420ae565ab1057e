//! Headers of an archive: ustar where everything fits, with an extended header before it where not (pax(1)).

use std::io::{BufWriter, Write};

use nix::sys::stat::{FileStat, major, minor};
use tar::{EntryType, Header};

use crate::{error::Error, header::BLOCK, pack::Xattrs};

/// Bytes written at once.
const BUFFER: usize = 256 << 10;
/// Room for a name or a link's target in a ustar header.
const NAME: usize = 100;
/// The largest numbers that ustar's seven and eleven octal digits hold.
const LARGEST_ID: u32 = 0o7_777_777;
const LARGEST: u64 = 0o77_777_777_777;

/// What kind of file an entry is.
pub(crate) enum Kind {
    /// With so many bytes, which the caller writes after the header.
    File(u64),
    Directory,
    Symlink(Vec<u8>),
    /// To the path of an earlier entry.
    HardLink(Vec<u8>),
    Fifo,
    Character,
    Block,
}

/// One entry.
pub(crate) struct Node<'a> {
    /// Without slashes at its ends; empty for the root.
    pub(crate) path: &'a [u8],
    pub(crate) meta: Meta,
    pub(crate) kind: Kind,
    pub(crate) xattrs: Xattrs,
}

/// What a header says of a file beside its name and kind.
#[derive(Clone, Copy)]
pub(crate) struct Meta {
    mode: u32,
    uid: u32,
    gid: u32,
    /// Whole seconds.
    mtime: i64,
    /// Major and minor number.
    device: (u32, u32),
}

impl Meta {
    /// Of a file that only marks a deletion.
    pub(crate) const MARK: Self = Self { mode: 0o644, uid: 0, gid: 0, mtime: 0, device: (0, 0) };

    pub(crate) fn of(stat: &FileStat) -> Self {
        Self {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: stat.st_mtime,
            // Linux has 12 and 20 bits for them, ustar 21.
            device: (major(stat.st_rdev) as u32, minor(stat.st_rdev) as u32),
        }
    }
}

/// An archive that is written.
pub(crate) struct Writer<W: Write>(BufWriter<W>);

impl<W: Write> Writer<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self(BufWriter::with_capacity(BUFFER, writer))
    }

    /// An entry's header, after an extended one if need be.
    pub(crate) fn header(&mut self, node: &Node) -> Result<(), Error> {
        let mut name = node.path.to_vec();
        if matches!(node.kind, Kind::Directory) {
            name.extend_from_slice(if name.is_empty() { b"./" } else { b"/" });
        }
        let (link, size): (&[u8], u64) = match &node.kind {
            Kind::Symlink(target) | Kind::HardLink(target) => (target, 0),
            Kind::File(size) => (b"", *size),
            _ => (b"", 0),
        };
        let records = records(node, &name, link, size);
        if !records.is_empty() {
            self.extended(&name, &records)?;
        }
        let meta = node.meta;
        let mut header = blank(&name, node.entry_type());
        header.set_mode(meta.mode);
        header.set_uid(meta.uid.min(LARGEST_ID).into());
        header.set_gid(meta.gid.min(LARGEST_ID).into());
        header.set_mtime(u64::try_from(meta.mtime).unwrap_or(0).min(LARGEST));
        header.set_size(size.min(LARGEST));
        put(&mut header.as_old_mut().linkname, link);
        if matches!(node.kind, Kind::Character | Kind::Block) {
            let (major, minor) = meta.device;
            header.set_device_major(major).and_then(|()| header.set_device_minor(minor)).map_err(failed)?;
        }
        self.block(&mut header)
    }

    /// Some of an entry's contents.
    pub(crate) fn contents(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.0.write_all(bytes).map_err(failed)
    }

    /// So many null bytes.
    pub(crate) fn zeros(&mut self, mut bytes: u64) -> Result<(), Error> {
        const ZEROS: [u8; 8 * BLOCK] = [0; 8 * BLOCK];
        while bytes > 0 {
            let part = bytes.min(ZEROS.len() as u64);
            self.contents(&ZEROS[..part as usize])?;
            bytes -= part;
        }
        Ok(())
    }

    /// Fills the last block of contents of `size` bytes.
    pub(crate) fn pad(&mut self, size: u64) -> Result<(), Error> {
        self.zeros(size.wrapping_neg() % BLOCK as u64)
    }

    /// The end mark: two blocks of nulls.
    pub(crate) fn finish(mut self) -> Result<W, Error> {
        self.zeros(2 * BLOCK as u64)?;
        self.0.into_inner().map_err(|e| failed(e.into_error()))
    }

    fn extended(&mut self, name: &[u8], records: &[u8]) -> Result<(), Error> {
        // What an archiver that knows no extended headers would call a file of them.
        let mut header = blank(&[b"PaxHeaders.0/", last(name)].concat(), EntryType::XHeader);
        header.set_mode(0o644);
        header.set_size(records.len() as u64);
        self.block(&mut header)?;
        self.contents(records)?;
        self.pad(records.len() as u64)
    }

    fn block(&mut self, header: &mut Header) -> Result<(), Error> {
        header.set_cksum();
        self.contents(header.as_bytes())
    }
}

impl Node<'_> {
    fn entry_type(&self) -> EntryType {
        match self.kind {
            Kind::File(_) => EntryType::Regular,
            Kind::Directory => EntryType::Directory,
            Kind::Symlink(_) => EntryType::Symlink,
            Kind::HardLink(_) => EntryType::Link,
            Kind::Fifo => EntryType::Fifo,
            Kind::Character => EntryType::Char,
            Kind::Block => EntryType::Block,
        }
    }
}

/// What does not fit into a ustar header.
fn records(node: &Node, name: &[u8], link: &[u8], size: u64) -> Vec<u8> {
    let meta = node.meta;
    let mut all = Vec::new();
    let mut number = |key: &str, value: String| record(&mut all, key.as_bytes(), value.as_bytes());
    if meta.gid > LARGEST_ID {
        number("gid", meta.gid.to_string());
    }
    if meta.mtime < 0 || meta.mtime as u64 > LARGEST {
        number("mtime", meta.mtime.to_string());
    }
    if size > LARGEST {
        number("size", size.to_string());
    }
    if meta.uid > LARGEST_ID {
        number("uid", meta.uid.to_string());
    }
    for (key, value) in [("linkpath", link), ("path", name)] {
        if value.len() > NAME {
            record(&mut all, key.as_bytes(), value);
        }
    }
    for (name, value) in &node.xattrs {
        record(&mut all, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    all
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts itself.
fn record(all: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    all.extend_from_slice(format!("{length} ").as_bytes());
    all.extend_from_slice(key);
    all.push(b'=');
    all.extend_from_slice(value);
    all.push(b'\n');
}

/// A ustar header that says nothing but its name, as much as fits of it, and its type.
fn blank(name: &[u8], kind: EntryType) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    put(&mut header.as_old_mut().name, name);
    header
}

fn put(field: &mut [u8; NAME], bytes: &[u8]) {
    let length = bytes.len().min(NAME);
    field[..length].copy_from_slice(&bytes[..length]);
}

fn last(name: &[u8]) -> &[u8] {
    crate::name::split(name.strip_suffix(b"/").unwrap_or(name)).1
}

fn failed(cause: std::io::Error) -> Error {
    Error::Write { cause }
}
