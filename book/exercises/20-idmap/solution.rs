//! The solution of exercise 20: ROOTFS itself is the container's root, and belongs to the container's ids.
#![forbid(unsafe_code)]

use std::{
    ffi::CString,
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::Path,
    process::ExitCode,
};

use idmap::Idmap;
use mount::Mounts;
use process::{
    Container, Errno, Host, Primitive, Result, stage,
    sys::{self, OpenTree, Propagation},
};
use subids::SubIds;

/// A directory of the host as the container's root.
#[derive(Debug)]
struct Image {
    image: CString,
}

impl Primitive for Image {
    fn name(&self) -> &'static str {
        "image"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let maps = host.idmap.take();
        let made = host.act(
            || format!("open_tree({:?}), mount_setattr(MOUNT_ATTR_IDMAP)", self.image),
            || {
                let tree = sys::open_tree(None, &self.image, OpenTree::Clone)?;
                sys::mount_idmapped(tree.as_fd(), maps.as_ref().ok_or(Errno::EINVAL)?.as_fd(), false)?;
                sys::mount_propagation(tree.as_fd(), Propagation::Private, false)?;
                Ok(tree)
            },
        );
        host.root = Some(made?);
        Ok(())
    }
}

fn main() -> ExitCode {
    stage::main("solution-20", "Runs COMMAND in ROOTFS, as root who owns it. Needs root", |invocation| {
        let image = CString::new(invocation.rootfs.as_os_str().as_bytes()).map_err(|e| format!("ROOTFS: {e}"))?;
        let mounts = Mounts::new(Path::new("/"), Vec::new()).map_err(|e| e.to_string())?;
        let container: Vec<Box<dyn Primitive>> = vec![
            Box::new(SubIds::own(300_000)),
            Box::new(Idmap::default()),
            Box::new(Image { image }),
            Box::new(mounts),
        ];
        Ok((Container(container), invocation.process()?))
    })
}
