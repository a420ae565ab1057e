//! What containers cost.
#![forbid(unsafe_code)]
// Figures are rounded for people.
#![allow(clippy::cast_precision_loss)]

pub mod all;
pub mod budgets;
mod document;
pub mod growth;
pub mod ladder;
pub mod marked;
pub mod startup;

/// The middle one.
pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
