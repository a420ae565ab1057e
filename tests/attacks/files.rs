//! What many attacks need: images made of a few files, and names of containers.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use tests::{archive::Maker, engine::eventually};

use crate::attack::Scene;

/// Makes an image of the base image's files and of those that `add` puts over them.
pub(crate) fn image(scene: &Scene, name: &str, add: impl FnOnce(Maker) -> Maker) -> String {
    image_with(scene, name, &[], add)
}

/// The same, with lines of a Dockerfile in its configuration.
pub(crate) fn image_with(scene: &Scene, name: &str, changes: &[&str], add: impl FnOnce(Maker) -> Maker) -> String {
    let base = fs::read(scene.target.base()).expect("the base image");
    let archive = scene.path("image.tar");
    let added = add(Maker(Vec::new()));
    let names: Vec<_> = entries(&added.0).into_iter().map(|(name, _)| name).collect();
    let mut all = Vec::new();
    for (name, bytes) in entries(&base) {
        // Docker takes no archive that has a file twice.
        if !names.contains(&name) {
            all.extend_from_slice(bytes);
        }
    }
    all.extend_from_slice(&added.0);
    fs::write(&archive, Maker(all).end()).expect("write the image");
    let name = scene.name(name);
    let changes: Vec<_> = changes.iter().flat_map(|change| ["--change", change]).collect();
    let arguments = [&["import"], &changes[..], &[archive.to_str().expect("a UTF-8 path"), &name]].concat();
    scene.target.engine(&arguments).ok();
    name
}

/// The entries of an archive: the path without `./` before and `/` behind it, and all of the entry's bytes.
fn entries(archive: &[u8]) -> Vec<(Vec<u8>, &[u8])> {
    let mut all = tar::Archive::new(archive);
    let all = all.entries().expect("an archive").raw(true);
    let of = |entry: tar::Entry<&[u8]>| {
        let path = entry.path_bytes();
        let path = path.strip_prefix(b"./").unwrap_or(&path);
        let name = path.strip_suffix(b"/").unwrap_or(path).to_vec();
        let start = usize::try_from(entry.raw_header_position()).expect("in memory");
        let body = usize::try_from(entry.raw_file_position() + entry.size().next_multiple_of(512)).expect("in memory");
        (name, &archive[start..body.min(archive.len())])
    };
    all.map_while(Result::ok).map(of).collect()
}

/// A container that runs until it is dropped.
pub(crate) struct Detached<'a> {
    scene: &'a Scene<'a>,
    pub(crate) name: String,
}

impl<'a> Detached<'a> {
    pub(crate) fn start(scene: &'a Scene<'a>, flags: &[&str], image: &str, command: &[&str]) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{}-{}", scene.name("c"), NEXT.fetch_add(1, Ordering::Relaxed));
        scene.target.engine(&[&["run", "-d", "--name", &name], flags, &[image], command].concat()).ok();
        Self { scene, name }
    }

    pub(crate) fn exec(&self, command: &[&str]) -> tests::engine::Said {
        self.scene.target.engine(&[&["exec", &self.name], command].concat())
    }

    /// Waits for a file in the container.
    pub(crate) fn await_file(&self, path: &str) {
        eventually("the container is ready", || self.exec(&["test", "-e", path]).code == 0);
    }

    pub(crate) fn pid(&self) -> i32 {
        let text = self.scene.target.engine(&["inspect", "-f", "{{.State.Pid}}", &self.name]).ok();
        text.trim().parse().expect("a pid")
    }
}

impl Drop for Detached<'_> {
    fn drop(&mut self) {
        self.scene.target.engine(&["rm", "-f", &self.name]);
    }
}
