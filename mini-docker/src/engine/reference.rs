//! Names of images: `[DOMAIN/]PATH[:TAG]`, as Docker's users write them.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::error::{Error, Result};

const DEFAULT_DOMAIN: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";

/// A name with all its parts: `busybox` is `docker.io/library/busybox:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: String,
}

impl Reference {
    /// Reads a name as a user writes it, by the grammar of the distribution specification.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| Err(Error::invalid(format!("invalid reference format: {text:?}: {why}")));
        if text.contains('@') {
            return invalid("a digest names no local image yet; use NAME[:TAG]");
        }
        let (name, tag) = match text.rsplit_once(':') {
            // A colon before a slash belongs to a port.
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (text, DEFAULT_TAG),
        };
        let (domain, path) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest.to_owned()),
            _ => (DEFAULT_DOMAIN, name.to_owned()),
        };
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') { format!("library/{path}") } else { path };
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            return invalid("a repository name must be lowercase");
        }
        if name.is_empty() || !path.split('/').all(is_component) {
            return invalid("a name is made of a-z, 0-9 and single separators . _ - between them");
        }
        if domain.is_empty() || !domain.chars().all(|c| c.is_ascii_alphanumeric() || ".-:[]".contains(c)) {
            return invalid("the part before the first slash is no host name");
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !tag.starts_with(word) || tag.len() > 128 || !tag.chars().all(|c| word(c) || c == '.' || c == '-') {
            return invalid("a tag has 1 to 128 letters, digits, . _ and -, and does not begin with . or -");
        }
        if domain.len() + path.len() + 1 > 255 || path.split('/').any(|part| part.len() > 120) {
            return invalid("a name has at most 255 characters, and 120 between two slashes");
        }
        Ok(Self { domain: domain.to_owned(), path, tag: tag.to_owned() })
    }

    /// The file below `refs` that holds its image's id. A directory's name never has the colon of a file's, but for
    /// the first, which is always a directory.
    pub fn file(&self) -> PathBuf {
        Path::new(&self.domain).join(format!("{}:{}", self.path, self.tag))
    }

    /// The name of a file below `refs`.
    pub fn from_file(path: &Path) -> Option<Self> {
        let (domain, rest) = path.to_str()?.split_once('/')?;
        let (path, tag) = rest.rsplit_once(':')?;
        Some(Self { domain: domain.to_owned(), path: path.to_owned(), tag: tag.to_owned() })
    }

    /// The name without its tag, as short as it can be written.
    pub fn repository(&self) -> String {
        match (self.domain.as_str(), self.path.strip_prefix("library/")) {
            (DEFAULT_DOMAIN, Some(name)) if !name.contains('/') => name.to_owned(),
            (DEFAULT_DOMAIN, _) => self.path.clone(),
            (domain, _) => format!("{domain}/{}", self.path),
        }
    }

    /// The tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }
}

/// As short as it can be written, with the tag.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository(), self.tag)
    }
}

fn is_component(part: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    part.starts_with(alphanumeric)
        && part.ends_with(alphanumeric)
        && part
            .split(alphanumeric)
            .all(|between| matches!(between, "" | "." | "_" | "__") || between.chars().all(|c| c == '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_completed_and_shortened_again() {
        for (text, file, short) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("me/app:1.0", "docker.io/me/app:1.0", "me/app:1.0"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest", "localhost:5000/a/b:latest"),
            ("example.org/x:y", "example.org/x:y", "example.org/x:y"),
            ("a__b.c-d---e", "docker.io/library/a__b.c-d---e:latest", "a__b.c-d---e:latest"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.file(), Path::new(file));
            assert_eq!(reference.to_string(), short);
            assert_eq!(Reference::from_file(Path::new(file)), Some(reference));
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "A",
            "a/../b",
            "/a",
            "a/",
            "a:",
            "a:-x",
            "a..b",
            "a:b:c",
            "-a",
            "a@sha256:00",
            "a\n",
            "../../x",
            "a___b",
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }
}
