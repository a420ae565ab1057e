//! The fuzz targets: each is a function of any bytes, which panics where a promise is broken.
//!
//! libFuzzer calls them from `libfuzzer/`, and `tests/replay.rs` with the corpus, with what once failed, and with some
//! mutations of both.
#![forbid(unsafe_code)]

mod archive;
mod build;
mod command_line;
mod compose;
mod image;
mod machine;
mod model;
pub mod mutate;
mod name;

/// A target: its name, which is that of its folders, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 14] = [
    ("archive", archive::target),
    ("command_line", command_line::target),
    ("compose", compose::target),
    ("dns", name::dns),
    ("dockerfile", build::dockerfile),
    ("dotenv", compose::dotenv),
    ("ignore", build::ignore),
    ("image_archive", image::archive),
    ("log", machine::log),
    ("manifest", image::manifest),
    ("reference", name::reference),
    ("registry", image::registry),
    ("seccomp", machine::seccomp),
    ("template", command_line::template),
];

/// Finds a target by its name.
///
/// # Panics
/// Where there is none.
pub fn target(name: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no target {name}")).1
}

/// The input as text, where it is some.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Whether a text names files that no test may read: those of the kernel may not end.
fn names_devices(text: &str) -> bool {
    ["/dev", "/proc", "/sys", "stdin"].iter().any(|part| text.contains(part))
}

/// What an error says is one line, that is no panic's.
fn one_line(error: &str) {
    assert!(!error.is_empty(), "an error without words");
}
