//! What an archive makes, in memory: a tree of numbered files, in which links are followed by hand and end at its root.

use std::collections::BTreeMap;

/// Links that the kernel follows on one way (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;
/// The root's number.
const ROOT: usize = 0;

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File(Vec<u8>),
    Directory,
    Symlink(Vec<u8>),
    Fifo,
    /// What hides a name of lower layers.
    Whiteout,
}

/// A file as it is seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// Permissions; of a link none.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    /// Whether a directory hides all that lower layers have in it.
    pub(crate) opaque: bool,
}

/// The archive is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

type Result<T> = std::result::Result<T, Refused>;

/// Files by their numbers, and what the directories among them hold.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    entries: BTreeMap<(usize, Vec<u8>), usize>,
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    path.iter().rposition(|b| *b == b'/').map_or((b"", path), |at| (&path[..at], &path[at + 1..]))
}

/// Why a directory is not found.
enum Missing {
    /// Something on the way is not there, or no directory.
    Way,
    /// More links than the kernel follows.
    Links,
}

impl Tree {
    /// An empty directory.
    pub(crate) fn new(mode: u32) -> Self {
        let root = Node { kind: Kind::Directory, mode, uid: 0, opaque: false };
        Self { nodes: vec![root], entries: BTreeMap::new() }
    }

    /// All paths, with the first path of each file that has several.
    pub(crate) fn listing(&self) -> BTreeMap<Vec<u8>, (Node, Vec<u8>)> {
        let mut paths = Vec::new();
        self.walk(ROOT, b"", &mut paths);
        paths.sort();
        let first = |number| paths.iter().find(|(_, other)| *other == number).map(|(path, _)| path.clone());
        let known = |(path, number): &(Vec<u8>, usize)| {
            (path.clone(), (self.nodes[*number].clone(), first(*number).unwrap_or_default()))
        };
        paths.iter().map(known).collect()
    }

    fn walk(&self, directory: usize, above: &[u8], paths: &mut Vec<(Vec<u8>, usize)>) {
        paths.push((above.to_vec(), directory));
        for ((_, name), number) in self.entries.iter().filter(|((of, _), _)| *of == directory) {
            let path = if above.is_empty() { name.clone() } else { [above, name].join(&b'/') };
            match self.nodes[*number].kind {
                Kind::Directory => self.walk(*number, &path, paths),
                _ => paths.push((path, *number)),
            }
        }
    }

    fn get(&self, directory: usize, name: &[u8]) -> Option<usize> {
        self.entries.get(&(directory, name.to_vec())).copied()
    }

    fn is_directory(&self, number: usize) -> bool {
        self.nodes[number].kind == Kind::Directory
    }

    /// The directory at a path: links are followed, and neither they nor `..` lead out.
    fn find(&self, path: &[u8]) -> std::result::Result<usize, Missing> {
        let mut way = vec![ROOT];
        let mut left: Vec<Vec<u8>> = path.split(|b| *b == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut links = 0;
        while let Some(part) = left.pop() {
            let here = way[way.len() - 1];
            if !self.is_directory(here) {
                return Err(Missing::Way);
            }
            match &part[..] {
                b"" | b"." => {}
                b".." if way.len() == 1 => {}
                b".." => drop(way.pop()),
                name => {
                    let next = self.get(here, name).ok_or(Missing::Way)?;
                    if let Kind::Symlink(target) = &self.nodes[next].kind {
                        links += 1;
                        if links > MOST_LINKS {
                            return Err(Missing::Links);
                        }
                        if target.first() == Some(&b'/') {
                            way.truncate(1);
                        }
                        left.extend(target.split(|b| *b == b'/').rev().map(<[u8]>::to_vec));
                    } else {
                        way.push(next);
                    }
                }
            }
        }
        let found = way[way.len() - 1];
        if self.is_directory(found) { Ok(found) } else { Err(Missing::Way) }
    }

    /// The directory at a path, made where it is missing.
    fn enter(&mut self, path: &[u8]) -> Result<usize> {
        match self.find(path) {
            Ok(found) => return Ok(found),
            Err(Missing::Way) if !path.is_empty() => {}
            Err(_) => return Err(Refused),
        }
        let (parent, name) = split(path);
        let parent = self.enter(parent)?;
        let opaque = match self.get(parent, name) {
            None => false,
            Some(there) if self.nodes[there].kind == Kind::Whiteout => true,
            Some(_) => return Err(Refused),
        };
        self.remove(parent, name);
        Ok(self.put(parent, name, Node { kind: Kind::Directory, mode: 0o755, uid: 0, opaque }))
    }

    fn put(&mut self, parent: usize, name: &[u8], node: Node) -> usize {
        self.remove(parent, name);
        self.nodes.push(node);
        let number = self.nodes.len() - 1;
        self.entries.insert((parent, name.to_vec()), number);
        number
    }

    fn remove(&mut self, parent: usize, name: &[u8]) {
        let Some(gone) = self.entries.remove(&(parent, name.to_vec())) else { return };
        if self.is_directory(gone) {
            let inside: Vec<_> =
                self.entries.keys().filter(|(of, _)| *of == gone).map(|(_, name)| name.clone()).collect();
            for name in inside {
                self.remove(gone, &name);
            }
        }
    }

    /// A directory, or new owner and mode for the one that is there.
    pub(crate) fn directory(&mut self, path: &[u8], mode: u32, uid: u32) -> Result<()> {
        let number = if path.is_empty() {
            ROOT
        } else {
            let (parent, name) = split(path);
            let parent = self.enter(parent)?;
            match self.get(parent, name) {
                Some(there) if self.is_directory(there) => there,
                there => {
                    let opaque = there.is_some_and(|there| self.nodes[there].kind == Kind::Whiteout);
                    self.put(parent, name, Node { kind: Kind::Directory, mode, uid, opaque })
                }
            }
        };
        (self.nodes[number].mode, self.nodes[number].uid) = (mode, uid);
        Ok(())
    }

    /// Anything but a directory, in the place of what is there.
    pub(crate) fn other(&mut self, path: &[u8], kind: Kind, mode: u32, uid: u32) -> Result<()> {
        let (parent, name) = split(path);
        let parent = self.enter(parent)?;
        self.put(parent, name, Node { kind, mode, uid, opaque: false });
        Ok(())
    }

    /// A further name for a file.
    pub(crate) fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        let (parent, name) = split(path);
        let parent = self.enter(parent)?;
        let (from, last) = split(target);
        let from = self.find(from).map_err(|_| Refused)?;
        let old = self.get(from, last).filter(|old| !self.is_directory(*old)).ok_or(Refused)?;
        if self.get(parent, name) == Some(old) {
            return Ok(());
        }
        self.remove(parent, name);
        // It may have been in what was just removed.
        let old = self.get(from, last).ok_or(Refused)?;
        self.entries.insert((parent, name.to_vec()), old);
        Ok(())
    }

    /// Hides what lower layers have: of one name, or of the whole directory at `path`.
    pub(crate) fn hide(&mut self, directory: &[u8], name: Option<&[u8]>) -> Result<()> {
        let directory = self.enter(directory)?;
        let Some(name) = name else {
            self.nodes[directory].opaque = true;
            return Ok(());
        };
        match self.get(directory, name) {
            Some(there) if self.is_directory(there) => self.nodes[there].opaque = true,
            Some(_) => {}
            None => drop(self.put(directory, name, Node { kind: Kind::Whiteout, mode: 0, uid: 0, opaque: false })),
        }
        Ok(())
    }
}
