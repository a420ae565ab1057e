//! What containers cost.
#![forbid(unsafe_code)]
// Figures are rounded for people.
#![allow(clippy::cast_precision_loss)]

pub mod all;
pub mod budgets;
mod document;
mod ground;
pub mod growth;
pub mod ladder;
pub mod marked;
pub mod startup;

/// Where the workspace's programs are that were built with this one, wherever cargo puts them.
///
/// # Errors
/// /proc is not mounted.
pub fn built() -> std::io::Result<std::path::PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().unwrap_or(&own).to_owned())
}

/// The middle one.
pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
