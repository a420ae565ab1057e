//! Variables of a build: what every Dockerfile may use, and the order in which values count.

use std::collections::BTreeMap;

use crate::engine::{
    error::{Error, Result},
    image::platform::go_architecture,
};

/// ARGs that need no ARG, and that no cache key counts: how the network is reached is not what is built.
pub(super) const PREDEFINED: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// BUILDPLATFORM, TARGETARCH and their kin.
pub(super) fn platform() -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    for prefix in ["BUILD", "TARGET"] {
        let mut set = |name: &str, value: String| variables.insert(format!("{prefix}{name}"), value);
        set("PLATFORM", format!("linux/{}", go_architecture()));
        set("OS", "linux".to_owned());
        set("OSVERSION", String::new());
        set("ARCH", go_architecture().to_owned());
        set("VARIANT", String::new());
    }
    variables
}

/// Whether this machine can build for a platform.
pub fn check_platform(platform: &str) -> Result<()> {
    let mut parts = platform.split('/');
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let architecture = match second {
        _ if first == "local" => return Ok(()),
        Some(architecture) if first == "linux" => architecture,
        None if first == "linux" => return Ok(()),
        None => first,
        Some(_) => {
            return Err(Error::invalid(format!("the platform {platform} cannot be built here: use linux/…")));
        }
    };
    let same = match architecture {
        "x86_64" | "x86-64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    if same == go_architecture() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the platform {platform} cannot be built on this machine, which is linux/{}: build it on such a machine",
        go_architecture()
    )))
}

/// Sets a variable in a list of `KEY=value`, in the place that it has or at the end.
pub(crate) fn set(env: &mut Vec<String>, key: &str, value: &str) {
    let variable = format!("{key}={value}");
    match env.iter_mut().find(|other| other.split('=').next() == Some(key)) {
        Some(other) => *other = variable,
        None => env.push(variable),
    }
}

/// A variable's value in a list of `KEY=value`.
pub(crate) fn get(env: &[String], key: &str) -> Option<String> {
    let mut pairs = env.iter().filter_map(|variable| variable.split_once('='));
    pairs.find(|(name, _)| *name == key).map(|(_, value)| value.to_owned())
}
