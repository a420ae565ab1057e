//! The attackers' programs: in C, linked statically, since they run in images without anything.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Compiles all of `programs` into the directory.
///
/// # Panics
/// Without a C compiler that links statically.
pub(crate) fn compile(into: &Path) {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/attacks/programs");
    for file in source.read_dir().expect("the programs").map(|entry| entry.expect("an entry").path()) {
        let program: PathBuf = into.join(file.file_stem().expect("a name"));
        let compiled = Command::new("cc").args(["-static", "-O1", "-Wall", "-o"]).arg(&program).arg(&file).status();
        assert!(compiled.is_ok_and(|status| status.success()), "cc {}: it takes gcc and libc6-dev", file.display());
    }
}
