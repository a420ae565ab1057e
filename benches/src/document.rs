//! What every report says of the machine, and how figures are written.

use std::fs;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Set where reports are printed and not written down.
pub(crate) const DRY: &str = "BENCHES_DRY";

pub(crate) fn today() -> String {
    jiff::Timestamp::now().strftime("%F").to_string()
}

pub(crate) fn kernel() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned())
}

pub(crate) fn processors() -> Result<usize> {
    Ok(std::thread::available_parallelism()?.get())
}

/// Three digits.
pub(crate) fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value < 0.1 => format!("{value:.3}"),
        value => format!("{value:.2}"),
    }
}
