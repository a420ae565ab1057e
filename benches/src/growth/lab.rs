//! An engine with a store of its own, and how its commands are timed.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use tempfile::TempDir;

use super::Result;
use crate::median;

/// The image of all containers.
pub(crate) const IMAGE: &str = "growth";

/// The engine's release build over a store of its own, with an image of the static busybox.
#[derive(Debug)]
pub(crate) struct Lab {
    directory: TempDir,
    engine: PathBuf,
}

impl Lab {
    pub(crate) fn new() -> Result<Self> {
        let release = crate::built()?.join("mini-docker");
        let engine = std::env::var_os("MINI_DOCKER").map_or(release, PathBuf::from);
        let engine = engine.canonicalize().map_err(|e| format!("{}: {e}: cargo build --release", engine.display()))?;
        let lab = Self { directory: TempDir::with_prefix("growth.")?, engine };
        let root = lab.path("root");
        fs::create_dir_all(root.join("bin"))?;
        let busybox = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|directory| directory.join("busybox"))
            .find(|path| path.exists())
            .ok_or("busybox of the package busybox-static is not here")?;
        fs::copy(busybox, root.join("bin/busybox"))?;
        for applet in ["sleep", "true"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet))?;
        }
        let archive = lab.path("root.tar");
        let made = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status()?;
        if !made.success() {
            return Err(format!("tar: {made}").into());
        }
        lab.run(&["import", &archive.to_string_lossy(), IMAGE])?;
        Ok(lab)
    }

    /// Below the lab's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.engine);
        command.arg("--root").arg(self.path("store")).args(arguments).stdin(Stdio::null());
        command
    }

    /// What a command prints.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("mini-docker {}: {}", arguments.join(" "), said.trim()).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The same, and the milliseconds that it took.
    pub(crate) fn time(&self, arguments: &[&str]) -> Result<(String, f64)> {
        let start = Instant::now();
        let said = self.run(arguments)?;
        Ok((said, start.elapsed().as_secs_f64() * 1e3))
    }

    /// The median of several times.
    pub(crate) fn median(&self, times: usize, arguments: &[&str]) -> Result<f64> {
        let mut all = (0..times).map(|_| Ok(self.time(arguments)?.1)).collect::<Result<Vec<_>>>()?;
        Ok(median(&mut all))
    }

    /// Removes all that runs; then nothing may be left of it in the kernel.
    pub(crate) fn finish(&self) -> Result<()> {
        let ids = self.run(&["ps", "-aq"])?;
        let ids: Vec<&str> = ids.lines().collect();
        for some in ids.chunks(200) {
            self.run(&[&["rm", "-f"], some].concat())?;
        }
        self.run(&["network", "prune", "-f"])?;
        let left = self.run(&["leaks"])?;
        if left.starts_with("nothing stands") { Ok(()) } else { Err(format!("leaks: {left}").into()) }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Of a measurement that failed, whose error has been said.
        let _ = self.finish();
    }
}
