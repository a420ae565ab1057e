//! Tables between marks of a document.

use std::{error::Error, fs, path::Path};

/// Puts `text` between `<!-- name -->` and the next `<!-- end -->` of a document.
///
/// # Errors
/// A document that cannot be read or written, or has no such marks.
pub fn replace(document: &Path, name: &str, text: &str) -> Result<(), Box<dyn Error>> {
    let old = fs::read_to_string(document).map_err(|e| format!("{}: {e}", document.display()))?;
    let mark = format!("<!-- {name} -->\n");
    let (before, rest) = old.split_once(&mark).ok_or_else(|| format!("{} has no mark {name}", document.display()))?;
    let (_, after) = rest.split_once("<!-- end -->").ok_or_else(|| format!("{} has no end", document.display()))?;
    fs::write(document, format!("{before}{mark}{text}<!-- end -->{after}"))?;
    Ok(())
}
