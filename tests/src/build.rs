//! Builds of a test's own.

use std::fs;

use crate::engine::{Engine, Said};

/// Builds a Dockerfile with nothing beside it but what the test has put into the engine's `context`.
///
/// # Panics
/// Where it cannot be written.
pub fn build(engine: &Engine, flags: &[&str], dockerfile: &str) -> Said {
    let directory = engine.path("context");
    fs::create_dir_all(&directory).expect("make a directory");
    fs::write(directory.join("Dockerfile"), dockerfile).expect("write a Dockerfile");
    engine.run(&[&["build"], flags, &[directory.to_str().expect("a path in UTF-8")]].concat())
}
