//! `cargo run -p pictures` draws what is described in `book/pictures` to `book/src/pictures/*.svg`.
#![forbid(unsafe_code)]

use std::{fs, path::Path};

fn main() -> std::io::Result<()> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let to = here.join("../src/pictures");
    fs::create_dir_all(&to)?;
    for entry in fs::read_dir(here)? {
        let path = entry?.path();
        if let Some(svg) = pictures::picture(&path)? {
            fs::write(to.join(path.with_extension("svg").file_name().unwrap_or_default()), svg)?;
        }
    }
    Ok(())
}
