//! Limits in Docker's words: `name=soft[:hard]`.

use std::{fmt, str::FromStr};

/// What is limited: Docker's names, and the kernel's numbers (asm-generic/resource.h).
const NAMES: [(&str, u32); 15] = [
    ("core", libc::RLIMIT_CORE),
    ("cpu", libc::RLIMIT_CPU),
    ("data", libc::RLIMIT_DATA),
    ("fsize", libc::RLIMIT_FSIZE),
    ("locks", libc::RLIMIT_LOCKS),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("nofile", libc::RLIMIT_NOFILE),
    ("nproc", libc::RLIMIT_NPROC),
    ("rss", libc::RLIMIT_RSS),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("rttime", libc::RLIMIT_RTTIME),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("stack", libc::RLIMIT_STACK),
];

/// The address space: in OCI bundles, and not among Docker's.
const AS: (&str, u32) = ("as", libc::RLIMIT_AS);

/// One of the things that getrlimit(2) limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Resource(&'static str, u32);

impl Resource {
    /// By Docker's name, such as `nofile`.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|&(name, number)| Self(name, number))
    }

    /// By OCI's name, such as `RLIMIT_NOFILE`.
    pub fn of_oci(name: &str) -> Option<Self> {
        let name = name.strip_prefix("RLIMIT_").filter(|name| !name.contains(char::is_lowercase))?.to_ascii_lowercase();
        if name == AS.0 { Some(Self(AS.0, AS.1)) } else { Self::named(&name) }
    }

    /// Docker's name.
    pub fn name(self) -> &'static str {
        self.0
    }

    /// The kernel's number.
    pub fn number(self) -> u32 {
        self.1
    }
}

/// A limit, in the units of getrlimit(2): files, processes, bytes, seconds and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Of what.
    pub resource: Resource,
    /// What counts; `u64::MAX` is no limit.
    pub soft: u64,
    /// How far the process may raise it; `u64::MAX` is no limit.
    pub hard: u64,
}

impl Limit {
    /// A limit whose soft value is not above the hard one.
    ///
    /// # Errors
    /// [`LimitError::SoftAboveHard`].
    pub fn new(resource: Resource, soft: u64, hard: u64) -> Result<Self, LimitError> {
        if soft > hard {
            Err(LimitError::SoftAboveHard(text(soft), text(hard)))
        } else {
            Ok(Self { resource, soft, hard })
        }
    }
}

/// `NAME=SOFT[:HARD]`, where -1 and `unlimited` are no limit and HARD is SOFT where it is missing.
impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(argument: &str) -> Result<Self, LimitError> {
        let (name, values) = argument.split_once('=').ok_or_else(|| LimitError::Form(argument.to_owned()))?;
        let resource = Resource::named(name).ok_or_else(|| LimitError::Unknown(name.to_owned()))?;
        let mut parts = values.split(':').map(value);
        let soft = parts.next().unwrap_or_else(|| value(""))?;
        let hard = parts.next().unwrap_or(Ok(soft))?;
        if parts.next().is_some() {
            return Err(LimitError::Form(argument.to_owned()));
        }
        Self::new(resource, soft, hard)
    }
}

fn value(text: &str) -> Result<u64, LimitError> {
    // Docker's values are signed: what is above has no meaning there.
    let number = text.parse().ok().filter(|number| *number <= i64::MAX.cast_unsigned());
    match text {
        "-1" | "unlimited" => Ok(u64::MAX),
        _ => number.ok_or_else(|| LimitError::Value(text.to_owned())),
    }
}

pub(crate) fn text(value: u64) -> String {
    if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() }
}

/// `nofile=1024:2048`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let value = |value: u64| if value == u64::MAX { "-1".to_owned() } else { value.to_string() };
        write!(f, "{}={}:{}", self.resource.name(), value(self.soft), value(self.hard))
    }
}

/// A limit that there cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Not of the form.
    #[error("invalid ulimit argument: {0}; it is NAME=SOFT[:HARD], such as nofile=1024:2048")]
    Form(String),
    /// Docker has no limit of that name.
    #[error("invalid ulimit type: {0}; there are {known}", known = NAMES.map(|(name, _)| name).join(", "))]
    Unknown(String),
    /// No number.
    #[error("invalid ulimit value: {0:?}; it is a number from 0 on, or -1 or unlimited for no limit")]
    Value(String),
    /// What counts would be above what may be reached.
    #[error("ulimit soft limit must be less than or equal to hard limit: {0} > {1}")]
    SoftAboveHard(String, String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(&'static str, u64, u64), String> {
        let limit = text.parse::<Limit>().map_err(|e| e.to_string())?;
        Ok((limit.resource.name(), limit.soft, limit.hard))
    }

    #[test]
    fn docker_s_forms_are_read() {
        const NONE: u64 = u64::MAX;
        assert_eq!(parse("nofile=42"), Ok(("nofile", 42, 42)));
        assert_eq!(parse("nofile=40:50"), Ok(("nofile", 40, 50)));
        assert_eq!(parse("core=0"), Ok(("core", 0, 0)));
        assert_eq!(parse("core=-1"), Ok(("core", NONE, NONE)));
        assert_eq!(parse("stack=1:-1"), Ok(("stack", 1, NONE)));
        assert_eq!(parse("memlock=unlimited:unlimited"), Ok(("memlock", NONE, NONE)));
        for (name, number) in NAMES {
            assert_eq!(format!("{name}=1:2").parse::<Limit>().unwrap().resource, Resource(name, number));
            assert_eq!(Resource::of_oci(&format!("RLIMIT_{}", name.to_uppercase())), Resource::named(name));
        }
        assert_eq!(Resource::of_oci("RLIMIT_AS").map(Resource::number), Some(libc::RLIMIT_AS));
        assert_eq!((Resource::of_oci("nofile"), Resource::of_oci("RLIMIT_nofile")), (None, None));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (text, words) in [
            ("nofile", "invalid ulimit argument: nofile; it is NAME=SOFT[:HARD]"),
            ("", "invalid ulimit argument"),
            ("nofile=1:2:3", "invalid ulimit argument: nofile=1:2:3"),
            ("files=1", "invalid ulimit type: files; there are core, cpu"),
            ("NOFILE=1", "invalid ulimit type: NOFILE"),
            ("as=1", "invalid ulimit type: as"),
            ("=1", "invalid ulimit type"),
            ("nofile=", "invalid ulimit value: \"\""),
            ("nofile=1:", "invalid ulimit value: \"\""),
            ("nofile=-2", "invalid ulimit value: \"-2\""),
            ("nofile=1k", "invalid ulimit value: \"1k\""),
            ("nofile=9223372036854775808", "invalid ulimit value"),
            ("nofile=50:40", "must be less than or equal to hard limit: 50 > 40"),
            ("nofile=-1:40", "unlimited > 40"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_limit_is_written_as_it_is_read() {
        for text in ["nofile=1:2", "core=-1:-1", "cpu=0:-1"] {
            assert_eq!(text.parse::<Limit>().unwrap().to_string(), text);
        }
    }
}
