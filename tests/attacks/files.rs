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
    // Two blocks of zeros end an archive: what is added stands before them.
    let end = base.len() - base.iter().rev().take_while(|byte| **byte == 0).count();
    let end = end.next_multiple_of(512);
    fs::write(&archive, add(Maker(base[..end].to_vec())).end()).expect("write the image");
    let name = scene.name(name);
    let changes: Vec<_> = changes.iter().flat_map(|change| ["--change", change]).collect();
    let arguments = [&["import"], &changes[..], &[archive.to_str().expect("a UTF-8 path"), &name]].concat();
    scene.target.engine(&arguments).ok();
    name
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
