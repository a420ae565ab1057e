//! Platforms: `OS/ARCHITECTURE[/VARIANT]`, in Go's words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::engine::error::{Error, Result};

/// What an image runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`, `windows`.
    pub os: String,
    /// `v7`, `v8`; mostly empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl Platform {
    /// This machine's.
    pub fn host() -> Self {
        Self { architecture: go_architecture().to_owned(), os: "linux".to_owned(), variant: String::new() }
    }

    /// Reads `OS/ARCHITECTURE[/VARIANT]`, or one of the first two alone.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| Error::invalid(format!("invalid platform {text:?}: {why}"));
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.len() <= 32
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        };
        if !parts.iter().all(word) {
            return Err(invalid("write it as linux/arm64 or linux/arm/v7"));
        }
        let mut platform = Self::host();
        match parts.as_slice() {
            ["linux"] => {}
            [architecture] => (*architecture).clone_into(&mut platform.architecture),
            [os, architecture] | [os, architecture, _] => {
                (*os).clone_into(&mut platform.os);
                (*architecture).clone_into(&mut platform.architecture);
            }
            _ => return Err(invalid("it has more than three parts")),
        }
        if let [_, _, variant] = parts.as_slice() {
            (*variant).clone_into(&mut platform.variant);
        }
        let (architecture, variant) = match platform.architecture.as_str() {
            "x86_64" | "x86-64" => ("amd64", ""),
            "aarch64" => ("arm64", ""),
            "armhf" => ("arm", "v7"),
            "armel" => ("arm", "v6"),
            "i386" => ("386", ""),
            _ => return Ok(platform),
        };
        architecture.clone_into(&mut platform.architecture);
        if platform.variant.is_empty() {
            variant.clone_into(&mut platform.variant);
        }
        Ok(platform)
    }

    /// How well an image for `offered` runs on this: more is better, `None` is not at all.
    pub fn fits(&self, offered: &Self) -> Option<u32> {
        if (&self.os, &self.architecture) != (&offered.os, &offered.architecture) {
            return None;
        }
        // Each generation runs what is for an earlier one: arm64 is v8, amd64 v1, arm v7 where nothing is said.
        let number = |variant: &str| match (variant, self.architecture.as_str()) {
            ("", "arm64") => Some(8),
            ("", "arm") => Some(7),
            ("", _) => Some(1),
            (variant, _) => variant.strip_prefix('v')?.parse().ok(),
        };
        let (own, other) = (number(&self.variant)?, number(&offered.variant)?);
        (other <= own).then_some(other)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

/// This machine's processor.
pub fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_that_runs_is_best() {
        let on = |text: &str| Platform::parse(text).unwrap();
        let fits = |own: &str, offered: &str| on(own).fits(&on(offered));
        assert_eq!(fits("linux/arm/v7", "linux/arm/v6"), Some(6));
        assert_eq!(fits("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(fits("linux/arm64", "linux/arm64/v8"), Some(8));
        assert_eq!(fits("linux/amd64", "linux/amd64/v3"), None);
        assert_eq!(fits("linux/amd64", "windows/amd64"), None);
        assert_eq!(on("aarch64").to_string(), "linux/arm64");
        assert_eq!(on("linux/armhf").to_string(), "linux/arm/v7");
        for bad in ["", "/", "a/b/c/d", "linux/", "../x"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
    }
}
