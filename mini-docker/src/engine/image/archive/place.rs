//! Where the parts of an archive are, so that they can be read in any order, and each without the others.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::Path,
};

use tar::{Archive, EntryType};

use crate::engine::error::{Context, Error, Kind, Result};

/// Entries in an archive of images.
const MOST_ENTRIES: usize = 100_000;
/// Links from one name to the next.
const MOST_LINKS: usize = 4;

/// An archive, uncompressed and in a file.
pub(crate) struct Places {
    file: File,
    places: BTreeMap<String, Place>,
}

enum Place {
    At {
        offset: u64,
        size: u64,
    },
    /// To another name, by its whole path.
    Link(String),
}

impl Places {
    /// Finds all parts. What cannot be read twice, or is compressed, is first written to `scratch`.
    pub(crate) fn find(mut archive: File, scratch: &Path) -> Result<Self> {
        let mut start = [0; 512];
        let plain = archive.stream_position().is_ok()
            && archive.read_exact_at(&mut start, 0).is_ok()
            && start[257..262] == *b"ustar";
        let file = if plain {
            archive.seek(SeekFrom::Start(0)).map_err(|e| Error::system("read the archive", &e))?;
            archive
        } else {
            spool(archive, scratch)?
        };
        let places = index(&file)
            .map_err(|e| Error::new(Kind::Invalid, format!("read the archive: {e}; is it one of `save`?")))?;
        Ok(Self { file, places })
    }

    /// A part by its name.
    pub(crate) fn open(&self, name: &str) -> Option<Part<'_>> {
        let mut name = normalise(name);
        for _ in 0..MOST_LINKS {
            match self.places.get(&name)? {
                Place::At { offset, size } => return Some(Part { file: &self.file, offset: *offset, left: *size }),
                Place::Link(target) => name.clone_from(target),
            }
        }
        None
    }

    /// All of a small part.
    pub(crate) fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>> {
        let Some(mut part) = self.open(name) else { return Ok(None) };
        if part.left > most {
            return Err(Error::invalid(format!(
                "read {} of the archive: it has more than {most} bytes",
                super::super::shown(name)
            )));
        }
        let mut bytes = Vec::new();
        part.read_to_end(&mut bytes).map_err(|e| Error::system("read the archive", &e))?;
        Ok(Some(bytes))
    }
}

/// One file of an archive.
pub(crate) struct Part<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(self.left.try_into().unwrap_or(usize::MAX));
        let length = self.file.read_at(&mut buffer[..room], self.offset)?;
        if length == 0 && room > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += length as u64;
        self.left -= length as u64;
        Ok(length)
    }
}

fn spool(archive: File, scratch: &Path) -> Result<File> {
    let path = scratch.join("archive.tar");
    let mut options = File::options();
    let mut file = options.read(true).write(true).create_new(true).open(&path).doing("create", &path)?;
    let invalid = |e: &dyn std::fmt::Display| Error::new(Kind::Invalid, format!("read the archive: {e}"));
    let mut plain = rootfs::decompress(archive).map_err(|e| invalid(&e))?;
    io::copy(&mut plain, &mut file).map_err(|e| invalid(&e))?;
    file.seek(SeekFrom::Start(0)).doing("read", &path)?;
    Ok(file)
}

fn index(file: &File) -> io::Result<BTreeMap<String, Place>> {
    let end = file.metadata()?.len();
    let mut places = BTreeMap::new();
    let mut archive = Archive::new(BufReader::new(file));
    // Raw: long names and their kin, which the crate would read into memory, are none of an archive of images.
    for entry in archive.entries_with_seek()?.raw(true) {
        let entry = entry?;
        if places.len() >= MOST_ENTRIES {
            return Err(io::Error::other(format!("it has more than {MOST_ENTRIES} files")));
        }
        let name = normalise(&String::from_utf8_lossy(&entry.path_bytes()));
        let link =
            || entry.link_name_bytes().map(|link| String::from_utf8_lossy(&link).into_owned()).unwrap_or_default();
        let place = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let (offset, size) = (entry.raw_file_position(), entry.header().entry_size()?);
                if offset.checked_add(size).is_none_or(|last| last > end) {
                    return Err(io::Error::other("it ends too early"));
                }
                Place::At { offset, size }
            }
            EntryType::Symlink => Place::Link(normalise(&format!("{}/../{}", name, link()))),
            EntryType::Link => Place::Link(normalise(&link())),
            _ => continue,
        };
        places.insert(name, place);
    }
    Ok(places)
}

/// A path without `.`, `..` and empty parts. It is only looked up among the archive's own.
fn normalise(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
