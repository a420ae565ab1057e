//! The entries of a tar stream, and their contents.
//!
//! The `tar` crate knows the layout of a header. Its iterator over entries is not used: it takes a long name or an
//! extended header into memory however large it is, splits extended headers at newlines, and reads no further than
//! the end mark, where the digest of a layer goes on to the last byte.

use std::{io::Read, mem};

use nix::sys::time::TimeSpec;
use tar::{EntryType, Header};

use crate::{
    error::{Error, Refusal},
    header::{self, BLOCK, Fields, Kind},
    options::Limits,
    pax::{self, Pax, PaxSparse},
    sparse::{self, Map},
    stream::Stream,
};

/// Bytes in a long name or an extended header; what Go's archive/tar allows too.
const MOST_METADATA: u64 = 1 << 20;

/// One entry, with names as the archive has them.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: TimeSpec,
    /// Major and minor number.
    pub(crate) device: Option<(u32, u32)>,
    /// Names and values.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) contents: Map,
}

/// A tar archive, one entry at a time.
pub(crate) struct Archive<R> {
    stream: Stream<R>,
    /// Bytes of the current entry's contents, and of the padding after them, that are not read yet.
    contents: u64,
    padding: u64,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(reader: R, limits: &Limits) -> Self {
        Self { stream: Stream::new(reader, limits), contents: 0, padding: 0 }
    }

    /// The next entry that is a file; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        let mut long = Long::default();
        loop {
            self.skip_contents()?;
            let Some(header) = self.stream.header()? else {
                let complete = long.name.is_none() && long.link.is_none() && long.pax.is_none();
                let error = "an extended header, and no entry after it";
                return if complete { Ok(None) } else { Err(self.stream.damaged(error)) };
            };
            self.stream.count_entry()?;
            let fields = header::fields(&header);
            let size = fields.size.ok_or_else(|| self.stream.damaged("its size is no number"))?;
            match header.entry_type() {
                EntryType::XHeader => {
                    let bytes = self.metadata(size)?;
                    let parsed =
                        pax::parse(&bytes).ok_or_else(|| self.stream.damaged("a malformed extended header"))?;
                    self.set_once(&mut long.pax, parsed)?;
                }
                EntryType::GNULongName => {
                    let name = until_null(self.metadata(size)?);
                    self.set_once(&mut long.name, name)?;
                }
                EntryType::GNULongLink => {
                    let link = until_null(self.metadata(size)?);
                    self.set_once(&mut long.link, link)?;
                }
                // Defaults for all entries, of which only comments are in use; Docker ignores them as well.
                EntryType::XGlobalHeader => drop(self.metadata(size)?),
                // The name of a volume, for people (GNU `tar --label`).
                kind if kind.as_byte() == b'V' => self.expect_contents(size)?,
                _ => return self.entry(&header, &fields, size, long).map(Some),
            }
        }
    }

    /// Reads contents of the current entry until `buffer` is full. Never asked for more than its map has.
    pub(crate) fn read_contents(&mut self, buffer: &mut [u8]) -> Result<(), Error> {
        self.contents -= buffer.len() as u64;
        self.stream.fill(buffer, None)
    }

    /// Counts bytes that a file gets without the archive having them.
    pub(crate) fn count_hole(&mut self, bytes: u64) -> Result<(), Error> {
        self.stream.count_bytes(bytes)
    }

    /// Counts a directory that is made for an entry.
    pub(crate) fn count_entry(&mut self) -> Result<(), Error> {
        self.stream.count_entry()
    }

    /// Reads all that comes after the end mark.
    pub(crate) fn drain(&mut self) -> Result<(), Error> {
        self.stream.drain()
    }

    fn entry(&mut self, header: &Header, fields: &Fields, size: u64, long: Long) -> Result<Entry, Error> {
        let pax = long.pax.unwrap_or_default();
        // In doubt, GNU's headers count, as for Docker.
        let name = long.name.or(pax.path).unwrap_or_else(|| header.path_bytes().into_owned());
        let own_link = || header.link_name_bytes().unwrap_or_default().into_owned();
        let link = long.link.or(pax.link).unwrap_or_else(own_link);
        self.stream.now_at(&name);
        let refused = |why: Refusal| why.of(&name);
        // Before POSIX a directory was a file whose name ends in a slash, and GNU tar still reads it so. The whole name: the
        // header's own may be cut off behind a slash.
        let old_directory = header.entry_type().is_file() && name.ends_with(b"/");
        let mut entry = Entry {
            uid: owner(pax.uid, fields.uid).map_err(refused)?,
            gid: owner(pax.gid, fields.gid).map_err(refused)?,
            mode: fields.mode.ok_or_else(|| self.stream.damaged("its mode is no number"))?,
            mtime: match (pax.mtime, fields.mtime) {
                (Some(time), _) => time,
                (None, Some(seconds)) => TimeSpec::new(seconds, 0),
                (None, None) => return Err(self.stream.damaged("its time is no number")),
            },
            kind: if old_directory { Kind::Directory } else { fields.kind },
            device: fields.device,
            xattrs: pax.xattrs,
            contents: Map::whole(0),
            name,
            link,
        };
        if entry.kind.has_contents() {
            self.find_contents(&mut entry, header, pax.size.unwrap_or(size), pax.sparse)?;
        }
        Ok(entry)
    }

    /// Finds out what contents follow the header, and where in the file they go.
    fn find_contents(
        &mut self,
        entry: &mut Entry,
        header: &Header,
        stored: u64,
        sparse: Option<PaxSparse>,
    ) -> Result<(), Error> {
        entry.contents = Map::whole(stored);
        if header.entry_type().is_gnu_sparse() {
            entry.contents = sparse::from_header(header, stored, &mut self.stream)?;
        }
        self.expect_contents(stored)?;
        if let Some(sparse) = sparse {
            let (true, Some(size), Some(name)) = (sparse.map_in_contents, sparse.size, sparse.name) else {
                return Err(Refusal::Sparse.of(&entry.name));
            };
            let (map, used) = sparse::from_contents(size, stored, &mut self.stream)?;
            self.contents -= used;
            entry.contents = map;
            entry.name = name;
        }
        Ok(())
    }

    /// Notes that `size` bytes of contents come next.
    fn expect_contents(&mut self, size: u64) -> Result<(), Error> {
        let padding = size.wrapping_neg() % BLOCK as u64;
        self.stream.expect(size.saturating_add(padding))?;
        (self.contents, self.padding) = (size, padding);
        Ok(())
    }

    fn skip_contents(&mut self) -> Result<(), Error> {
        self.stream.skip(mem::take(&mut self.contents))?;
        self.stream.skip(mem::take(&mut self.padding))
    }

    /// The contents of a header that only describes the next entry.
    fn metadata(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > MOST_METADATA {
            return Err(self.stream.damaged("an extended header or long name of more than 1 MiB"));
        }
        self.expect_contents(size)?;
        let mut bytes = vec![0; mem::take(&mut self.contents) as usize];
        self.stream.fill(&mut bytes, Some("an extended header"))?;
        Ok(bytes)
    }

    /// Two headers that say one thing of one entry: programs differ in which one they believe.
    fn set_once<T>(&self, place: &mut Option<T>, value: T) -> Result<(), Error> {
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(self.stream.damaged("a second extended header of one kind for one entry")),
        }
    }
}

/// What headers before an entry say of it.
#[derive(Default)]
struct Long {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

fn owner(pax: Option<i64>, own: Option<i64>) -> Result<u32, Refusal> {
    // 4294967295 is -1, which means "leave it" to chown(2).
    pax.or(own).and_then(|id| u32::try_from(id).ok()).filter(|&id| id != u32::MAX).ok_or(Refusal::Owner)
}

/// GNU's long names end in a null.
fn until_null(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len()));
    bytes
}
