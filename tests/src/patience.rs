//! How long a test waits for what has to come.

use std::time::Duration;

/// So many seconds of a machine of today; more of them where `MINI_DOCKER_TEST_PATIENCE` says that this one is so many
/// times slower. What has not come by then has hung.
pub fn patience(seconds: u64) -> Duration {
    let times = std::env::var("MINI_DOCKER_TEST_PATIENCE").ok().and_then(|times| times.parse().ok());
    Duration::from_secs(seconds * times.unwrap_or(1))
}
