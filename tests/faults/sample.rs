//! Which of many faults are tried, and how it went.

use std::env;

/// Of `total` faults, numbered from 1, those that are tried: `few` of them, spread evenly, or by `MINI_DOCKER_FAULTS` each
/// so many-th, from `MINI_DOCKER_FAULTS_FROM` (1) on.
pub(crate) fn sample(total: usize, few: usize) -> Vec<usize> {
    if let Some(step) = env::var("MINI_DOCKER_FAULTS").ok().and_then(|text| text.parse().ok()).filter(|&step| step > 0)
    {
        let from = env::var("MINI_DOCKER_FAULTS_FROM")
            .ok()
            .and_then(|text| text.parse().ok())
            .filter(|&from| from > 0)
            .unwrap_or(1);
        return (from..=total).step_by(step).collect();
    }
    let few = few.min(total);
    (0..few).map(|n| 1 + (2 * n + 1) * total / (2 * few).max(1)).map(|number| number.min(total)).collect()
}

/// Says how many faults were tried, of how many there are. All tests say it in the same way, so that they add up.
pub(crate) fn report(what: &str, survived: usize, injected: usize, total: usize) {
    if injected > 0 {
        println!("faults: {what}: {injected} of {total} injected, {survived} survived");
    }
}
