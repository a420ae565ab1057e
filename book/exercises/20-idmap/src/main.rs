//! Exercise 20: ROOTFS itself is the container's root, and belongs to the container's ids.
#![forbid(unsafe_code)]

use std::{ffi::CString, os::unix::ffi::OsStrExt, path::Path, process::ExitCode};

use idmap::Idmap;
use mount::Mounts;
use process::{Container, Host, Primitive, Result, stage};
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

    fn prepare(&mut self, _host: &mut Host) -> Result<()> {
        // `Idmap` has been here: `_host.idmap` is a user namespace. Nobody has made a root of `image` yet.
        let _ = &self.image;
        Ok(())
    }
}

fn main() -> ExitCode {
    stage::main("exercise-20", "Runs COMMAND in ROOTFS, as root who owns it. Needs root", |invocation| {
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
