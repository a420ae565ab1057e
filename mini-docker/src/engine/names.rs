//! Names of containers: chosen by the user, or made up.

use super::error::{Error, Result};

/// Accepts what Docker accepts: a letter or digit, then at least one more of letters, digits, `_`, `.`, `-`.
pub(super) fn check(name: &str) -> Result<()> {
    let name = name.strip_prefix('/').unwrap_or(name);
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.len() > 1
        && name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(good)
    {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "invalid container name ({name}): 2 to 200 letters, digits, _ . and - are allowed, a letter or digit first"
    )))
}

const FIRST: [&str; 32] = [
    "able", "amber", "brave", "brisk", "calm", "clear", "clever", "crisp", "eager", "fair", "fleet", "fond", "gentle",
    "glad", "grand", "handy", "keen", "kind", "light", "lively", "lucid", "merry", "mild", "neat", "noble", "plain",
    "quick", "quiet", "ready", "sound", "swift", "warm",
];

const SECOND: [&str; 32] = [
    "barge", "basket", "beacon", "bottle", "bucket", "cabin", "cargo", "carton", "casket", "chest", "clipper",
    "coffer", "crane", "crate", "cutter", "drum", "ferry", "harbor", "hopper", "jar", "ketch", "kettle", "ledger",
    "locker", "parcel", "pier", "sampan", "schooner", "sloop", "tanker", "trunk", "vessel",
];

/// A name for the container `id`, from its digits; with `attempt` > 0 another one.
pub(super) fn made_up(id: &str, attempt: u32) -> String {
    let digits = |at: usize| usize::from_str_radix(id.get(at..at + 4).unwrap_or("0"), 16).unwrap_or(0);
    let at = 8 * (attempt as usize % 8);
    let name = format!("{}_{}", FIRST[digits(at) % FIRST.len()], SECOND[digits(at + 4) % SECOND.len()]);
    // When many containers have used the names up, the id goes in.
    if attempt < 4 { name } else { format!("{name}_{}", id.get(at..at + 8).unwrap_or(id)) }
}
