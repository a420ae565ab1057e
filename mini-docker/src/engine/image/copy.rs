//! A layer from a tree that goes on living: packed and unpacked again, the archive passing through a pipe.

use std::{
    io::{self, PipeWriter},
    os::fd::AsFd,
    path::Path,
    thread,
};

use super::layer::{self, Expected, NewLayer};
use crate::engine::error::{Error, Kind, Result};

/// Copies `tree` to `directory/fs`, which becomes a layer. Paths that are left out are relative to the tree.
pub(super) fn layer(tree: &Path, directory: &Path, leave_out: &[&[u8]]) -> Result<NewLayer> {
    let source = layer::open_directory(tree)?;
    let (reader, writer) = io::pipe().map_err(|e| Error::system("make a pipe", &e))?;
    let pack = move |writer: PipeWriter| {
        let options = layer::options();
        let mut packer = rootfs::Packer::new(writer, &options);
        packer.leave_out(leave_out);
        packer.tree(source.as_fd(), b"").and_then(|()| packer.finish()).map(drop)
    };
    // No container is started by whoever copies: a thread harms nobody.
    thread::scope(|scope| {
        let packing = thread::Builder::new().spawn_scoped(scope, move || pack(writer));
        let packing = packing.map_err(|e| Error::system("start a thread", &e))?;
        let unpacked = layer::unpack(reader, directory, Expected::default());
        match packing.join() {
            Ok(Err(e)) if unpacked.is_ok() || !is_broken_pipe(&e) => {
                Err(Error::new(Kind::Invalid, format!("read {}: {e}", tree.display())))
            }
            Ok(_) => unpacked,
            Err(_) => Err(Error::new(Kind::System, format!("read {}: it could not be packed", tree.display()))),
        }
    })
}

fn is_broken_pipe(error: &rootfs::Error) -> bool {
    error.errno() == process::Errno::EPIPE
}
