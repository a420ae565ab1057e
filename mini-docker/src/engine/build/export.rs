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
use rootfs::{Devices, Options, Packed};

use super::workspace::Workspace;
use crate::engine::{
    Engine,
    cp::LeftOut,
    error::{Context, Error, Kind, Result},
    files::Locking,
    image::Image,
    store::make_directory,
};

impl Engine {
    /// Writes the archive of an image's files, all layers merged.
    pub fn pack_files(&self, image: &Image, writer: &mut dyn Write) -> Result<()> {
        self.pack_merged(image, writer, Devices::Create).map(drop)
    }

    fn pack_merged(&self, image: &Image, writer: &mut dyn Write, devices: Devices) -> Result<Packed> {
        let _in_use = self.store.lock(Locking::Shared)?;
        let scratch = self.scratch()?;
        let base = scratch.path.join("root");
        make_directory(&base, 0o700)?;
        let workspace = Workspace::new(self, &image.config, &base)?;
        let packed = rootfs::pack(workspace.root(), writer, &Options { devices, ..Options::default() });
        packed.map_err(|e| Error::new(Kind::System, format!("write the archive of the files: {e}")))
    }

    /// Writes an image's files below a directory, over what is there, and says which did not go there as they are.
    pub fn export_files(&self, image: &Image, directory: &Path) -> Result<LeftOut> {
        let scratch = self.scratch()?;
        let path = scratch.path.join("files");
        let options = File::options().read(true).write(true).create_new(true).open(&path);
        let mut archive = options.doing("create", &path)?;
        let packed = self.pack_merged(image, &mut archive, Devices::Skip)?;
        archive.rewind().doing("read", &path)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let target = open(directory, flags, Mode::empty()).doing("open", directory)?;
        let options = Options { set_ids: false, ..Options::default() };
        let unpacked = rootfs::unpack(archive, target.as_fd(), &options);
        unpacked
            .map(|summary| LeftOut { devices: packed.skipped_devices, set_ids: summary.cleared_set_ids })
            .map_err(|e| Error::new(Kind::System, format!("write the files to {}: {e}", directory.display())))
    }
}
