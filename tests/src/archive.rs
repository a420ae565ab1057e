//! Archives made byte by byte, as an attacker would.

use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    io::Read,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

use tar::{EntryType, Header};

/// An archive that grows.
#[derive(Debug, Default, Clone)]
pub struct Maker(pub Vec<u8>);

impl Maker {
    /// An entry whose header `edit` may spoil. The checksum is right.
    #[must_use]
    pub fn edited(
        mut self,
        kind: EntryType,
        name: impl AsRef<[u8]>,
        link: impl AsRef<[u8]>,
        contents: &[u8],
        edit: impl FnOnce(&mut Header),
    ) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(nix::unistd::geteuid().as_raw().into());
        header.set_gid(nix::unistd::getegid().as_raw().into());
        header.set_mtime(1_000_000_000);
        header.set_size(contents.len() as u64);
        let old = header.as_old_mut();
        old.name[..name.as_ref().len()].copy_from_slice(name.as_ref());
        old.linkname[..link.as_ref().len()].copy_from_slice(link.as_ref());
        edit(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(contents);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A plain file.
    #[must_use]
    pub fn file(self, name: impl AsRef<[u8]>, contents: &[u8]) -> Self {
        self.edited(EntryType::Regular, name, "", contents, |_| {})
    }

    /// A directory.
    #[must_use]
    pub fn directory(self, name: impl AsRef<[u8]>) -> Self {
        self.edited(EntryType::Directory, name, "", b"", |_| {})
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.edited(EntryType::Symlink, name, target, b"", |_| {})
    }

    /// A further name of a file of the archive.
    #[must_use]
    pub fn hard_link(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.edited(EntryType::Link, name, target, b"", |_| {})
    }

    /// An extended header for the entry after it.
    #[must_use]
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest..rest + 20).find(|n| rest + n.to_string().len() == *n).expect("a length");
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.edited(EntryType::XHeader, "pax", "", &data, |_| {})
    }

    /// The archive with its end mark.
    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// What an unpacker does that trusts its archive: it joins names, and follows whatever is there.
///
/// # Panics
/// Where an entry cannot be made.
pub fn naive_unpack(archive: &[u8], target: &Path) {
    for entry in tar::Archive::new(archive).entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let name = entry.path_bytes().into_owned();
        let path = target.join(OsStr::from_bytes(&name));
        let link = entry.link_name_bytes().map(|link| PathBuf::from(OsStr::from_bytes(&link)));
        let deleted = path.file_name().and_then(|name| name.to_str()?.strip_prefix(".wh.").map(str::to_owned));
        match (entry.header().entry_type(), link, deleted.as_deref()) {
            (.., Some(".wh..opq")) => {
                for old in path.with_file_name(".").read_dir().expect("readdir").flatten() {
                    fs::remove_file(old.path()).expect("remove");
                }
            }
            (.., Some(name)) => fs::remove_file(path.with_file_name(name)).expect("remove"),
            (EntryType::Symlink, Some(link), _) => std::os::unix::fs::symlink(link, path).expect("symlink"),
            (EntryType::Link, Some(link), _) => fs::hard_link(target.join(link), path).expect("link"),
            (EntryType::Directory, ..) => {
                let mode = entry.header().mode().expect("a mode");
                fs::create_dir_all(&path).expect("mkdir");
                fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
            }
            _ => {
                let mut contents = Vec::new();
                entry.read_to_end(&mut contents).expect("read");
                fs::write(path, contents).expect("write");
            }
        }
    }
}
