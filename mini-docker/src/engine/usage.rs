//! How much of the disk things take.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{
    Engine,
    container::Container,
    error::{Context, Result},
};

impl Engine {
    /// Bytes of what a container has written.
    pub fn written(&self, container: &Container) -> Result<u64> {
        disk_usage(&self.container_file(&container.config.id, "upper"))
    }
}

/// Bytes of the files below a path, each inode once, as Docker counts. What is not there, or goes meanwhile, takes none.
pub fn disk_usage(path: &Path) -> Result<u64> {
    let mut directories = vec![PathBuf::from(path)];
    let mut seen = HashSet::new();
    let mut total = 0;
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.doing("read", &directory)?,
        };
        for entry in entries.flatten() {
            // Not followed where it is a link.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if metadata.nlink() == 1 || seen.insert((metadata.dev(), metadata.ino())) {
                total += metadata.size();
            }
        }
    }
    Ok(total)
}
