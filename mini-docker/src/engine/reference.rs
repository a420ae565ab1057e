//! Names of images: `[DOMAIN/]PATH[:TAG][@DIGEST]`, as Docker's users write them.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{
    digest::Digest,
    error::{Error, Result},
};

/// Docker's own registry.
pub const DEFAULT_DOMAIN: &str = "docker.io";
const DEFAULT_TAG: &str = "latest";

/// A name with all its parts: `busybox` is `docker.io/library/busybox:latest`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a name as a user writes it, by the grammar of the distribution specification. Without tag and digest the
    /// tag is `latest`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut name = Self::parse_bare(text)?;
        if name.tag.is_none() && name.digest.is_none() {
            name.tag = Some(DEFAULT_TAG.to_owned());
        }
        Ok(name)
    }

    /// As [`Reference::parse`], with a tag only where the user wrote one.
    pub fn parse_bare(text: &str) -> Result<Self> {
        let invalid = |why: &str| Error::invalid(format!("invalid reference format: {text:?}: {why}"));
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest).map_err(invalid)?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            // A colon before a slash belongs to a port.
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let (domain, path) = match name.split_once('/') {
            Some((first, rest)) if is_domain(first) => (first, rest.to_owned()),
            _ => (DEFAULT_DOMAIN, name.to_owned()),
        };
        let domain = if domain == "index.docker.io" { DEFAULT_DOMAIN } else { domain };
        let path = if domain == DEFAULT_DOMAIN && !path.contains('/') { format!("library/{path}") } else { path };
        check(domain, &path, name).and_then(|()| tag.map_or(Ok(()), check_tag)).map_err(invalid)?;
        Ok(Self { domain: domain.to_owned(), path, tag: tag.map(str::to_owned), digest })
    }

    /// The file below `refs` that holds its image's id. A directory's name never has the colon of a file's, but for
    /// the first, which is always a directory.
    pub fn file(&self) -> PathBuf {
        let last = match &self.digest {
            Some(digest) => format!("{}@{digest}", self.path),
            None => format!("{}:{}", self.path, self.tag()),
        };
        Path::new(&self.domain).join(last)
    }

    /// The name of a file below `refs`; `None` for what is none, such as one that a dead process left half made.
    pub fn from_file(path: &Path) -> Option<Self> {
        Self::parse_bare(path.to_str()?).ok().filter(|name| name.tag.is_some() || name.digest.is_some())
    }

    /// The registry's name, perhaps with a port.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository's name in its registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The name without its tag, as short as it can be written.
    pub fn repository(&self) -> String {
        match (self.domain.as_str(), self.path.strip_prefix("library/")) {
            // What looks like an image's id is none with `library/` before it.
            (DEFAULT_DOMAIN, Some(name)) if !name.contains('/') && !is_id(name) => name.to_owned(),
            (DEFAULT_DOMAIN, _) => self.path.clone(),
            (domain, _) => format!("{domain}/{}", self.path),
        }
    }

    /// The tag; `latest` where there is none.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_TAG)
    }

    /// The tag, where there is one.
    pub fn own_tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where there is one. It then says which image is meant, whatever the tag.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The same repository with another tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self> {
        check_tag(tag).map_err(|why| Error::invalid(format!("invalid tag {tag:?}: {why}")))?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository by a digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// Whether both are names in one repository.
    pub fn is_beside(&self, other: &Self) -> bool {
        (&self.domain, &self.path) == (&other.domain, &other.path)
    }

    /// With all its parts: `docker.io/library/busybox:latest`.
    pub fn full(&self) -> String {
        format!("{}/{}{}", self.domain, self.path, self.end())
    }

    fn end(&self) -> String {
        match &self.digest {
            Some(digest) => format!("@{digest}"),
            None => format!(":{}", self.tag()),
        }
    }
}

/// As short as it can be written, with the tag or digest.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.repository(), self.end())
    }
}

/// Whether what stands before the first slash names a registry.
fn is_domain(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.chars().any(|c| c.is_ascii_uppercase())
}

fn check(domain: &str, path: &str, name: &str) -> Result<(), &'static str> {
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Err("a repository name must be lowercase");
    }
    if name.is_empty() || !path.split('/').all(is_component) {
        return Err("a name is made of a-z, 0-9 and single separators . _ - between them");
    }
    if is_id(name) {
        return Err("a name cannot be 64 hexadecimal digits, which are an image's id");
    }
    if !is_host(domain) {
        return Err("the part before the first slash is no host name");
    }
    if domain.len() + path.len() + 1 > 255 || path.split('/').any(|part| part.len() > 120) {
        return Err("a name has at most 255 characters, and 120 between two slashes");
    }
    Ok(())
}

fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `HOST[:PORT]`, where HOST may be an IPv6 address in brackets. A path could be made of what else is refused.
fn is_host(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let good = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            let word = |c: char| c.is_ascii_alphanumeric();
            label.starts_with(word) && label.ends_with(word) && label.chars().all(|c| word(c) || c == '-')
        }),
    };
    good && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !tag.starts_with(word) || tag.len() > 128 || !tag.chars().all(|c| word(c) || c == '.' || c == '-') {
        return Err("a tag has 1 to 128 letters, digits, . _ and -, and does not begin with . or -");
    }
    Ok(())
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

    const DIGEST: &str = "sha256:0123456789012345678901234567890123456789012345678901234567890123";

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn short_names_are_completed_and_shortened_again() {
        for (text, file, short) in [
            ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
            ("me/app:1.0", "docker.io/me/app:1.0", "me/app:1.0"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest", "localhost:5000/a/b:latest"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            ("Host/a", "Host/a:latest", "Host/a:latest"),
            ("index.docker.io/a", "docker.io/library/a:latest", "a:latest"),
            ("example.org/x:y", "example.org/x:y", "example.org/x:y"),
            (&format!("library/{ID}"), &format!("docker.io/library/{ID}:latest"), &format!("library/{ID}:latest")),
            ("a__b.c-d---e", "docker.io/library/a__b.c-d---e:latest", "a__b.c-d---e:latest"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.file(), Path::new(file));
            assert_eq!(reference.full(), file);
            assert_eq!(reference.to_string(), short);
            assert_eq!(Reference::from_file(Path::new(file)), Some(reference));
        }
    }

    #[test]
    fn a_digest_says_which_image_is_meant() {
        let name = Reference::parse(&format!("a:1@{DIGEST}")).unwrap();
        assert_eq!(name.to_string(), format!("a@{DIGEST}"));
        assert_eq!(name.file(), Path::new(&format!("docker.io/library/a@{DIGEST}")));
        assert_eq!((name.own_tag(), name.digest().unwrap().to_string().as_str()), (Some("1"), DIGEST));
        let read = Reference::from_file(&name.file()).unwrap();
        assert_eq!((read.own_tag(), read.digest()), (None, name.digest()));
        assert_eq!(Reference::parse(&format!("a@{DIGEST}")).unwrap().own_tag(), None);
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
            "a@sha256:0123456789012345678901234567890123456789012345678901234567890../",
            "a@",
            "a\n",
            "../../x",
            "a___b",
            "..:5/a",
            "a:/b",
            "[x]:1/a",
            "0123456789012345678901234567890123456789012345678901234567890123",
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
        assert!(Reference::from_file(Path::new("docker.io/library/.new-12")).is_none());
    }
}
