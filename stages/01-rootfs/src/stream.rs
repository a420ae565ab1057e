//! The bytes of an archive, counted: against the limits, and so that an error can say where it is.

use std::io::{self, BufReader, Read};

use tar::Header;

use crate::{
    error::{Error, shown},
    header::{self, BLOCK},
    options::Limits,
};

/// Bytes read at once.
const BUFFER: usize = 64 << 10;

/// An uncompressed archive, read from its first byte to its last.
pub(crate) struct Stream<R> {
    reader: BufReader<R>,
    /// Bytes read.
    position: u64,
    /// Where the last header began.
    header_at: u64,
    /// Bytes and entries that the limits still allow.
    bytes_left: u64,
    entries_left: u64,
    limits: Limits,
    /// Name of the current entry, for errors.
    current: Vec<u8>,
}

impl<R: Read> Stream<R> {
    pub(crate) fn new(reader: R, limits: &Limits) -> Self {
        Self {
            reader: BufReader::with_capacity(BUFFER, reader),
            position: 0,
            header_at: 0,
            bytes_left: limits.bytes,
            entries_left: limits.entries,
            limits: limits.clone(),
            current: b"the first entry".to_vec(),
        }
    }

    /// Says whose bytes come next.
    pub(crate) fn now_at(&mut self, name: &[u8]) {
        self.current.clear();
        self.current.extend_from_slice(name);
    }

    /// A header block; `None` at the end mark, a block of nulls, or where an archive ends without one.
    pub(crate) fn header(&mut self) -> Result<Option<Header>, Error> {
        let mut header = Header::new_old();
        let first = self.position == 0;
        self.header_at = self.position;
        let mut filled = 0;
        while filled < BLOCK {
            match self.read(&mut header.as_mut_bytes()[filled..])? {
                0 if first => {
                    return Err(Error::NotTar { found: "it is shorter than one block of 512 bytes" });
                }
                0 if filled == 0 => return Ok(None),
                0 => return Err(self.truncated(Some("a header"))),
                read => filled += read,
            }
        }
        if header.as_bytes().iter().all(|&b| b == 0) {
            return Ok(None);
        }
        if header::checksum_is_right(&header) {
            return Ok(Some(header));
        }
        Err(if first {
            Error::NotTar { found: what_is(header.as_bytes()) }
        } else {
            self.damaged("its checksum is wrong")
        })
    }

    /// Reads until `buffer` is full. `inside` is what the bytes belong to; the current entry's contents if `None`.
    pub(crate) fn fill(&mut self, buffer: &mut [u8], inside: Option<&str>) -> Result<(), Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => return Err(self.truncated(inside)),
                read => filled += read,
            }
        }
        Ok(())
    }

    /// Reads `bytes` of the current entry's contents and drops them.
    pub(crate) fn skip(&mut self, mut bytes: u64) -> Result<(), Error> {
        let mut scratch = [0; 8 * BLOCK];
        while bytes > 0 {
            let part = bytes.min(scratch.len() as u64);
            self.fill(&mut scratch[..part as usize], None)?;
            bytes -= part;
        }
        Ok(())
    }

    /// Reads all that comes after the end mark. It means nothing, but a digest of the stream covers it.
    pub(crate) fn drain(&mut self) -> Result<(), Error> {
        self.now_at(b"what follows its end mark");
        let mut rest = [0; 8 << 10];
        while self.read(&mut rest)? > 0 {}
        Ok(())
    }

    /// Counts bytes: those read, and those that a file gets without the archive having them.
    pub(crate) fn count_bytes(&mut self, bytes: u64) -> Result<(), Error> {
        self.expect(bytes)?;
        self.bytes_left -= bytes;
        Ok(())
    }

    /// Refuses `bytes` that are yet to come, if they are too many: now, and not after gigabytes.
    pub(crate) fn expect(&self, bytes: u64) -> Result<(), Error> {
        if bytes <= self.bytes_left {
            return Ok(());
        }
        Err(Error::Limit { entry: shown(&self.current), allowed: self.limits.bytes, unit: "bytes" })
    }

    /// Counts an entry, or a directory that is made for one.
    pub(crate) fn count_entry(&mut self) -> Result<(), Error> {
        self.entries_left = self.entries_left.checked_sub(1).ok_or_else(|| Error::Limit {
            entry: shown(&self.current),
            allowed: self.limits.entries,
            unit: "entries",
        })?;
        Ok(())
    }

    pub(crate) fn damaged(&self, what: &'static str) -> Error {
        Error::Damaged { position: self.header_at, what }
    }

    fn truncated(&self, inside: Option<&str>) -> Error {
        let inside = inside.map_or_else(|| format!("the contents of {}", shown(&self.current)), str::to_owned);
        Error::Truncated { position: self.position, inside }
    }

    /// The only place that reads. 0 is the end.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            return match self.reader.read(buffer) {
                Ok(read) => {
                    self.position += read as u64;
                    self.count_bytes(read as u64).map(|()| read)
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(self.truncated(Some("its compressed data"))),
                Err(cause) => Err(Error::Read { position: self.position, cause }),
            };
        }
    }
}

/// What a file is that does not begin with a header, as far as its first bytes tell.
fn what_is(start: &[u8]) -> &'static str {
    match start {
        [b'P', b'K', 3, 4, ..] => "it is a zip archive",
        [0x7f, b'E', b'L', b'F', ..] => "it is a program",
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "it is an `ar` archive, such as a Debian package",
        [b'0', b'7', b'0', b'7', b'0', ..] => "it is a cpio archive",
        [b'h', b's', b'q', b's', ..] => "it is a squashfs image",
        _ => "its first block is no tar header, or a damaged one",
    }
}
