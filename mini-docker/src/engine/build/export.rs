//! The files of an image, outside of the store.

use std::{
    fs::File,
    io::{Seek, Write},
    os::fd::AsFd,
    path::Path,
};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
};

use super::workspace::Workspace;
use crate::engine::{
    Engine,
    error::{Context, Error, Kind, Result},
    files::Locking,
    image::Image,
    store::make_directory,
};

impl Engine {
    /// Writes the archive of an image's files, all layers merged.
    pub fn pack_files(&self, image: &Image, writer: &mut dyn Write) -> Result<()> {
        let _in_use = self.store.lock(Locking::Shared)?;
        let scratch = self.scratch()?;
        let base = scratch.path.join("root");
        make_directory(&base, 0o700)?;
        let workspace = Workspace::new(self, &image.config, &base)?;
        let packed = rootfs::pack(workspace.root(), writer, &rootfs::Options::default());
        packed.map(drop).map_err(|e| Error::new(Kind::System, format!("write the archive of the files: {e}")))
    }

    /// Writes an image's files below a directory, over what is there.
    pub fn export_files(&self, image: &Image, directory: &Path) -> Result<()> {
        let scratch = self.scratch()?;
        let path = scratch.path.join("files");
        let options = File::options().read(true).write(true).create_new(true).open(&path);
        let mut archive = options.doing("create", &path)?;
        self.pack_files(image, &mut archive)?;
        archive.rewind().doing("read", &path)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let target = open(directory, flags, Mode::empty()).doing("open", directory)?;
        let options = rootfs::Options { devices: rootfs::Devices::Create, ..rootfs::Options::default() };
        let unpacked = rootfs::unpack(archive, target.as_fd(), &options);
        unpacked
            .map(drop)
            .map_err(|e| Error::new(Kind::System, format!("write the files to {}: {e}", directory.display())))
    }
}
