//! The target that `MINI_DOCKER_FUZZ` names, for libFuzzer.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let target = TARGET.get_or_init(|| fuzz::target(&std::env::var("MINI_DOCKER_FUZZ").unwrap_or_default()));
    target(data);
});
