//! `RUN --mount=…`

use super::{
    error::{ParseError, Result},
    quote::quote,
    split::csv,
};
use crate::engine::go::boolean;

/// What is mounted while a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    Bind,
    /// A directory that outlives the build.
    Cache,
    /// An empty directory in memory.
    Tmpfs,
    /// A secret of the user.
    Secret,
    /// The user's ssh agent.
    Ssh,
}

/// What happens when two builds want one cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// Both use it.
    #[default]
    Shared,
    /// The second gets another one.
    Private,
    /// The second waits.
    Locked,
}

/// A mount of one RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// What it is.
    pub kind: MountKind,
    /// A stage or an image; the context where it is empty.
    pub from: String,
    /// The path in it.
    pub source: String,
    /// Where to; empty: by the kind.
    pub target: String,
    /// Whether it cannot be written; what is written to a bind mount is gone afterwards.
    pub read_only: bool,
    /// Bytes of a tmpfs at most; 0: no limit.
    pub size: u64,
    /// The name of a cache, a secret or an agent; empty: by the target.
    pub id: String,
    /// `None`: shared.
    pub sharing: Option<Sharing>,
    /// Whether the build fails without it.
    pub required: bool,
    /// The environment variable that a secret becomes; `Some("")` is named by the secret.
    pub env: Option<String>,
    /// Mode of the file or directory.
    pub mode: Option<u32>,
    /// Its owner.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
}

const KINDS: [(&str, MountKind); 5] = [
    ("bind", MountKind::Bind),
    ("cache", MountKind::Cache),
    ("tmpfs", MountKind::Tmpfs),
    ("secret", MountKind::Secret),
    ("ssh", MountKind::Ssh),
];

const SHARINGS: [(&str, Sharing); 3] =
    [("shared", Sharing::Shared), ("private", Sharing::Private), ("locked", Sharing::Locked)];

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

/// What can be told before variables are expanded.
pub(super) fn check(text: &str) -> Result<()> {
    for field in fields(text)? {
        if let Some((key, value)) = field.split_once('=')
            && key.eq_ignore_ascii_case("from")
            && value.find('$').is_some_and(|at| at + 1 != value.len())
        {
            let message = "'from' doesn't support variable expansion, define alias stage instead";
            return Err(ParseError::new(message));
        }
    }
    Ok(())
}

fn fields(text: &str) -> Result<Vec<String>> {
    csv(text).map_err(|e| ParseError::new(format!("failed to parse csv mounts: {e}")))
}

impl Mount {
    /// Reads the value of `--mount`; `expand` expands variables in its values.
    pub fn parse(text: &str, expand: impl Fn(&str) -> Result<String>) -> Result<Self> {
        let mut mount = Self {
            kind: MountKind::Bind,
            from: String::new(),
            source: String::new(),
            target: String::new(),
            read_only: false,
            size: 0,
            id: String::new(),
            sharing: None,
            required: false,
            env: None,
            mode: None,
            uid: None,
            gid: None,
        };
        let mut read_only = None;
        for field in fields(text)? {
            match field.split_once('=') {
                Some((key, value)) => mount.set(&key.to_lowercase(), &expand(value)?, &field, &mut read_only)?,
                None => mount.switch(&field, &mut read_only)?,
            }
        }
        mount.read_only = read_only.unwrap_or(!matches!(mount.kind, MountKind::Cache | MountKind::Tmpfs));
        mount.consistent()?;
        Ok(mount)
    }

    fn name(&self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name)
    }

    /// A key without a value.
    fn switch(&mut self, field: &str, read_only: &mut Option<bool>) -> Result<()> {
        match field.to_lowercase().as_str() {
            "readonly" | "ro" => *read_only = Some(true),
            "readwrite" | "rw" => *read_only = Some(false),
            "required" => self.set("required", "true", field, read_only)?,
            _ => return Err(ParseError::new(format!("invalid field '{field}' must be a key=value pair"))),
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str, field: &str, read_only: &mut Option<bool>) -> Result<()> {
        let invalid = || ParseError::new(format!("invalid value for {key}: {value}"));
        let unexpected = || Err(ParseError::new(format!("unexpected key '{key}' for mount type '{}'", self.name())));
        match key {
            "type" => self.kind = one_of("mount type", value, &KINDS)?,
            "from" => value.clone_into(&mut self.from),
            "source" | "src" => value.clone_into(&mut self.source),
            "target" | "dst" | "destination" => value.clone_into(&mut self.target),
            "readonly" | "ro" => *read_only = Some(boolean(value).ok_or_else(invalid)?),
            "readwrite" | "rw" => *read_only = Some(!boolean(value).ok_or_else(invalid)?),
            "required" if !matches!(self.kind, MountKind::Secret | MountKind::Ssh) => return unexpected(),
            "required" => self.required = boolean(value).ok_or_else(invalid)?,
            "size" if self.kind != MountKind::Tmpfs => return unexpected(),
            "size" => self.size = crate::engine::bytes::parse(value).map_err(|_| invalid())?,
            "id" => value.clone_into(&mut self.id),
            "sharing" => self.sharing = Some(one_of("sharing value", value, &SHARINGS)?),
            "mode" => self.mode = Some(number(key, value, 8)?),
            "uid" => self.uid = Some(number(key, value, 10)?),
            "gid" => self.gid = Some(number(key, value, 10)?),
            "env" => self.env = Some(value.to_owned()),
            _ => return Err(ParseError::new(format!("unexpected key '{key}' in '{field}'")).did_you_mean(key, KEYS)),
        }
        Ok(())
    }

    fn consistent(&self) -> Result<()> {
        let fail = |message: String| Err(ParseError::new(message));
        if matches!(self.kind, MountKind::Bind | MountKind::Tmpfs) {
            let set = [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)];
            if let Some((key, _)) = set.iter().find(|(_, value)| value.is_some()) {
                return fail(format!("{key} not allowed for {} type mounts", quote(self.name())));
            }
        }
        if self.kind == MountKind::Secret {
            if !self.from.is_empty() {
                return fail("secret mount should not have a from".to_owned());
            }
            if self.sharing.is_some() {
                return fail("secret mount should not define sharing".to_owned());
            }
            if self.source.is_empty() && self.target.is_empty() && self.id.is_empty() {
                return fail("invalid secret mount. one of source, target required".to_owned());
            }
            if !self.source.is_empty() && !self.id.is_empty() {
                return fail("both source and id can't be set".to_owned());
            }
        }
        if self.sharing.is_some() && self.kind != MountKind::Cache {
            return fail(format!("invalid cache sharing set for {} mount", self.name()));
        }
        Ok(())
    }
}

fn one_of<T: Copy>(what: &str, value: &str, options: &[(&str, T)]) -> Result<T> {
    let lower = value.to_lowercase();
    let found = options.iter().find(|(name, _)| *name == lower).map(|(_, option)| *option);
    found.ok_or_else(|| {
        let error = ParseError::new(format!("unsupported {what} {}", quote(value)));
        error.did_you_mean(value, options.iter().map(|(name, _)| *name))
    })
}

fn number(key: &str, value: &str, radix: u32) -> Result<u32> {
    let digits = !value.is_empty() && value.chars().all(|c| c.is_digit(radix));
    let parsed = u32::from_str_radix(value, radix).ok().filter(|_| digits);
    parsed.ok_or_else(|| ParseError::new(format!("invalid value {value} for {key}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Mount> {
        Mount::parse(text, |value| Ok(value.to_owned()))
    }

    #[test]
    fn each_kind_has_its_defaults() {
        let bind = parse("target=/x,source=a").unwrap();
        assert!(bind.kind == MountKind::Bind && bind.read_only && bind.source == "a");
        let cache = parse("type=cache,dst=/c,sharing=locked,uid=5,mode=0700").unwrap();
        assert!(!cache.read_only && cache.sharing == Some(Sharing::Locked) && cache.mode == Some(0o700));
        assert!(parse("type=secret,id=k,required,env=K").unwrap().required);
        assert_eq!(parse("type=tmpfs,target=/t,size=64m").unwrap().size, 64 << 20);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, message) in [
            ("type=cahce,target=/x", "unsupported mount type \"cahce\" (did you mean cache?)"),
            ("target=/x,mode=700", "mode not allowed for \"bind\" type mounts"),
            ("type=secret", "invalid secret mount. one of source, target required"),
            ("type=bind,required", "unexpected key 'required' for mount type 'bind'"),
            ("x", "invalid field 'x' must be a key=value pair"),
            ("tgt=/x", "unexpected key 'tgt' in 'tgt=/x' (did you mean dst?)"),
            ("type=cache,target=/x,uid=-1", "invalid value -1 for uid"),
            ("", "failed to parse csv mounts: EOF"),
        ] {
            assert_eq!(parse(text).unwrap_err().message, message);
        }
    }
}
