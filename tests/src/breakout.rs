//! The classic way out of chroot(2).

use nix::{
    sys::stat::Mode,
    unistd::{chdir, chroot, mkdir},
};
use process::{Errno, Inside, Primitive};

/// Put behind the primitive that makes the root, it walks out of that root where it can; then the program is one of
/// the host. Never fails itself: where the way is barred, the program stays inside.
#[derive(Debug)]
pub struct Breakout;

impl Primitive for Breakout {
    fn name(&self) -> &'static str {
        "breakout"
    }

    fn enter(&self, _: &Inside) -> Result<(), Errno> {
        let _ = mkdir(c"/tmp/deeper", Mode::S_IRWXU);
        // The root moves below the working directory, which stays where it is: now nothing stops `..` any more.
        let _ = chroot(c"/tmp/deeper");
        for _ in 0..64 {
            let _ = chdir(c"..");
        }
        let _ = chroot(c".");
        Ok(())
    }
}
