//! `cargo run -p pictures` draws every description in `book/pictures/*.txt` to `book/src/pictures/*.svg`.
#![forbid(unsafe_code)]

use std::{fs, path::Path};

fn main() -> std::io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let to = here.join("../src/pictures");
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(here)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let svg = pictures::draw(&fs::read_to_string(&path)?)
                .map_err(|e| std::io::Error::other(format!("{}: {e}", path.display())))?;
            fs::write(to.join(path.with_extension("svg").file_name().unwrap_or_default()), svg)?;
        }
    }
    Ok(())
}
