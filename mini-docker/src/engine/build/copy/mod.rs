//! COPY and ADD.

mod digest;
mod known;
mod mode;
mod origin;
mod select;
mod write;

use std::{
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
};

use super::{
    Builder, Failure, cache,
    configure::below,
    dockerfile::{self, Command, Ignore, ParseError},
    onto::{self, Owner},
    remote,
    stage::{Stage, Step},
    workspace::{Unmasked, Workspace},
};
use crate::engine::{
    error::{Error, Result},
    image::ImageConfig,
};
use known::Known;
use mode::Mode;
use origin::Origin;
use select::Selected;

/// Whether a file's first bytes are those of an archive, compressed or not.
pub(super) fn is_archive(start: &[u8]) -> bool {
    let compressed: [&[u8]; 4] = [&[0x1f, 0x8b], b"BZh", &[0xfd, b'7', b'z', b'X', b'Z'], &[0x28, 0xb5, 0x2f, 0xfd]];
    compressed.iter().any(|magic| start.starts_with(magic)) || is_tar_header(start)
}

/// Whether a block is the header of a tar entry: its checksum is right (POSIX ustar, pax(1)).
fn is_tar_header(block: &[u8]) -> bool {
    let Some(block) = block.get(..512) else { return false };
    let field = String::from_utf8_lossy(&block[148..156]);
    let digits = field.trim_matches(|c: char| c == ' ' || c == '\0');
    let sum = block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) });
    u32::from_str_radix(digits, 8) == Ok(sum.sum()) && !digits.is_empty()
}

/// How files arrive.
struct Arrival<'a> {
    /// `COPY` or `ADD`.
    keyword: &'a str,
    copy: &'a dockerfile::Copy,
    /// Whom `--chown` means, where that is known before there are files to look its names up in.
    owner: Option<Owner>,
    /// Absolute, and whether it is a directory because of how it is written.
    destination: String,
    into: bool,
    mode: Option<Mode>,
    /// Whether the files' owners stay theirs: those of a stage do, the user's do not.
    keeps_owners: bool,
    /// Whether archives are unpacked.
    unpacks: bool,
}

impl<'a> Arrival<'a> {
    fn new(stage: &Stage, copy: &'a dockerfile::Copy, add: bool, remote: bool) -> Result<Self> {
        let keyword = if add { "ADD" } else { "COPY" };
        let many = copy.sources.len() + copy.inline.len() > 1;
        let ends = ["", ".", "..", "/", "/.", "/.."].iter().any(|end| match *end {
            end if end.starts_with('/') => copy.destination.ends_with(end),
            end => copy.destination == end,
        });
        if many && !ends {
            return Err(Error::invalid(format!(
                "when using {keyword} with more than one source file, the destination must be a directory and end with a /"
            )));
        }
        if copy.checksum.is_some() && (!remote || many) {
            return Err(Error::invalid("checksum is only for one source, an address of HTTP or a git repository"));
        }
        Ok(Self {
            owner: None,
            keyword,
            copy,
            destination: below(&stage.image.config.working_dir, &copy.destination),
            into: ends || many,
            mode: copy.chmod.as_deref().map(Mode::parse).transpose()?,
            keeps_owners: copy.from.is_some() && copy.chown.is_none(),
            unpacks: add && copy.unpack.unwrap_or(!remote),
        })
    }

    /// Of a mount.
    fn bound(copy: &'a dockerfile::Copy) -> Self {
        Self {
            owner: None,
            keyword: "bind",
            copy,
            destination: copy.destination.clone(),
            into: false,
            mode: None,
            keeps_owners: copy.from.is_some(),
            unpacks: false,
        }
    }
}

impl Builder<'_> {
    pub(super) fn copy(
        &mut self,
        stage: &mut Stage,
        command: &Command,
        copy: &dockerfile::Copy,
        add: bool,
    ) -> Result<(), Failure> {
        let (remote, local): (Vec<String>, _) =
            copy.sources.iter().cloned().partition(|source| add && remote::is_remote(source));
        let mut arrival = Arrival::new(stage, copy, add, !remote.is_empty())?;
        self.announce(stage, &command.source);
        let origin = self.origin(copy.from.as_deref())?;
        if copy.link {
            arrival.owner = self.linked_owner(stage, copy)?;
        }
        let words = history(&arrival);
        let step = |key| Step { words: &words, source: &command.source, key, alone: copy.link };
        let mut known = Known::of(self.engine, &origin, &arrival)?;
        // What is fetched is not known before, and layers do not change.
        let mut known = Some(&mut known).filter(|_| remote.is_empty());
        if let (Origin::Image(_), Some(known)) = (&origin, &known)
            && self.is_done(stage, &arrival, known, &step)?
        {
            return Ok(());
        }
        let place = self.open(&origin)?;
        let exclude = Ignore::new(&copy.exclude).map_err(|e: ParseError| Error::invalid(e.to_string()))?;
        let local = dockerfile::Copy { sources: local, ..copy.clone() };
        let mut selected = select::select(place.root(), place.ignore(), &exclude, &local)?;
        if let (Origin::Directory(_), Some(known)) = (&origin, &mut known) {
            known.look(&selected)?;
            if self.is_done(stage, &arrival, known, &step)? {
                return Ok(());
            }
        }
        for source in &remote {
            selected.extend(self.fetch(source, copy, &exclude)?);
        }
        // Read again also where it is known: what is written now is what this digest is of.
        let mut reads = |file: BorrowedFd| known.iter_mut().for_each(|known| known.reads(file));
        let content = digest::digest(&mut selected, &arrival, &mut reads)?;
        if let Some(known) = known {
            known.keep(self.engine, &content)?;
        }
        let step = step(self.key(stage, &arrival, &content));
        if self.reuse(stage, &step)? {
            return Ok(());
        }
        self.change(stage, &step, |workspace| write::write(workspace, &selected, &arrival))
    }

    /// Whether the cache has what is made of content that is known.
    fn is_done<'s>(
        &mut self,
        stage: &mut Stage,
        arrival: &Arrival,
        known: &Known,
        step: &impl Fn(String) -> Step<'s>,
    ) -> Result<bool> {
        let Some(content) = known.content() else { return Ok(false) };
        let step = step(self.key(stage, arrival, &content));
        self.reuse(stage, &step)
    }

    /// The cache's key of content that arrives in a stage, or anywhere.
    fn key(&self, stage: &Stage, arrival: &Arrival, content: &str) -> String {
        if arrival.copy.link {
            let epoch = self.epoch.map(|epoch| epoch.as_second().to_string());
            cache::key(&["link", &format!("{:?} {epoch:?}", arrival.owner), content])
        } else {
            cache::key(&["copy", &stage.key, content])
        }
    }

    /// Whom `--chown` means in the stage: only names need its files.
    fn linked_owner(&self, stage: &Stage, copy: &dockerfile::Copy) -> Result<Option<Owner>> {
        let Some(text) = &copy.chown else { return Ok(None) };
        if let Some(owner) = onto::numeric_owner(text) {
            return Ok(Some(owner));
        }
        let base = self.intake.directory()?;
        onto::owner(&Workspace::new(self.engine, &stage.image, &base)?, text).map(Some)
    }

    /// The digest of the files of a mount.
    pub(super) fn content(&mut self, copy: &dockerfile::Copy) -> Result<String, Failure> {
        let arrival = Arrival::bound(copy);
        let origin = self.origin(copy.from.as_deref())?;
        let mut known = Known::of(self.engine, &origin, &arrival)?;
        if let (Origin::Image(_), Some(content)) = (&origin, known.content()) {
            return Ok(content);
        }
        let place = self.open(&origin)?;
        let mut selected = select::select(place.root(), place.ignore(), &Ignore::default(), copy)?;
        if let Origin::Directory(_) = &origin {
            known.look(&selected)?;
            if let Some(content) = known.content() {
                return Ok(content);
            }
        }
        let content = digest::digest(&mut selected, &arrival, &mut |file| known.reads(file))?;
        known.keep(self.engine, &content)?;
        Ok(content)
    }

    /// Copies files for a mount: the directory with the copy, the digest of its content, and whether it is a directory.
    pub(super) fn gather(&mut self, copy: &dockerfile::Copy) -> Result<(PathBuf, String, bool), Failure> {
        let arrival = Arrival::bound(copy);
        let origin = self.origin(copy.from.as_deref())?;
        let place = self.open(&origin)?;
        let mut selected = select::select(place.root(), place.ignore(), &Ignore::default(), copy)?;
        let content = digest::digest(&mut selected, &arrival, &mut |_| ())?;
        let base = self.intake.directory()?;
        let workspace = Workspace::new(self.engine, &ImageConfig::new(), &base)?;
        let unmasked = Unmasked::new();
        write::write(&workspace, &selected, &arrival)?;
        drop(unmasked);
        let directory = workspace.into_upper()?.unwrap_or(base);
        Ok((directory, content, selected.iter().any(Selected::is_directory)))
    }
}

/// For the history, as `COPY a b /c`.
fn history(arrival: &Arrival) -> String {
    let mut words = vec![arrival.keyword];
    words.extend(arrival.copy.sources.iter().map(String::as_str));
    words.extend(arrival.copy.inline.iter().map(|file| file.name.as_str()));
    words.push(&arrival.copy.destination);
    words.join(" ")
}

/// The name under which a source arrives in a directory.
fn base_name(path: &Path) -> &Path {
    path.file_name().map_or(Path::new(""), Path::new)
}

/// Sources that are one file each count as such.
fn files(selected: &[Selected]) -> usize {
    selected.iter().filter(|source| !source.is_directory()).count()
}
