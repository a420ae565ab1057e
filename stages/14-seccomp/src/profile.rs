//! Docker's profiles, and OCI's `linux.seccomp`, which is a part of them: JSON, and what it means here.

use std::borrow::Cow;

use nix::sys::utsname::uname;
use serde::Deserialize;

use crate::{
    error::ProfileError,
    names::Arch,
    rules::{Action, Check, Op, Resolved, Rule},
};

/// Text of the profile itself, where it has no escapes.
#[derive(Debug, Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A profile as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile<'a> {
    #[serde(borrow)]
    default_action: Option<Text<'a>>,
    default_errno_ret: Option<u32>,
    architectures: Option<Vec<Text<'a>>>,
    arch_map: Option<Vec<ArchMap<'a>>>,
    flags: Option<Vec<Text<'a>>>,
    listener_path: Option<Text<'a>>,
    syscalls: Option<Vec<Call<'a>>>,
}

/// An architecture and those whose programs run on it too.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ArchMap<'a> {
    #[serde(borrow)]
    architecture: Text<'a>,
    sub_architectures: Option<Vec<Text<'a>>>,
}

/// A rule. What is unknown here is refused: without a misspelt `args` it would allow everything.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Call<'a> {
    #[serde(borrow)]
    names: Option<Vec<Text<'a>>>,
    name: Option<Text<'a>>,
    action: Text<'a>,
    errno_ret: Option<u32>,
    args: Option<Vec<Arg<'a>>>,
    #[serde(rename = "comment")]
    _comment: Option<Text<'a>>,
    includes: Option<Filter<'a>>,
    excludes: Option<Filter<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Arg<'a> {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    #[serde(borrow)]
    op: Text<'a>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Filter<'a> {
    #[serde(borrow)]
    caps: Option<Vec<Text<'a>>>,
    arches: Option<Vec<Text<'a>>>,
    min_kernel: Option<Text<'a>>,
}

/// What a profile's conditions are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The container's bounding set, as `CAP_…` names.
    pub capabilities: &'a [&'a str],
    /// Version and patch level of the running kernel.
    pub kernel: (u32, u32),
    /// The machine.
    pub arch: Arch,
}

impl<'a> Context<'a> {
    /// On this machine, under its kernel.
    ///
    /// # Errors
    /// A machine without a table of system calls.
    pub fn here(capabilities: &'a [&'a str]) -> Result<Self, ProfileError> {
        let arch = Arch::native().ok_or_else(|| ProfileError::new("", "no table of system calls for this machine"))?;
        let release = uname().ok().and_then(|names| version(names.release().to_str()?));
        // A kernel that does not say is old.
        Ok(Self { capabilities, kernel: release.unwrap_or((0, 0)), arch })
    }
}

/// `6.1.0-13-amd64`: 6 and 1.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

impl<'a> Profile<'a> {
    /// Reads a profile. Unknown elements at the top are ignored, as by Docker; in rules they are refused.
    ///
    /// # Errors
    /// The element that is wrong, or the line and column where it is no JSON.
    pub fn parse(text: &'a str) -> Result<Self, ProfileError> {
        serde_json::from_str(text)
            .map_err(|error| locate(text).unwrap_or_else(|| ProfileError::new("", error.to_string())))
    }

    /// What is left of it under these conditions.
    ///
    /// # Errors
    /// The element that is wrong. Every element is looked at, in force or not.
    pub fn resolve(&self, context: &Context) -> Result<Resolved<'_>, ProfileError> {
        let missing = || ProfileError::new("defaultAction", "it is missing; such as SCMP_ACT_ERRNO");
        let default_action = self.default_action.as_ref().ok_or_else(missing)?;
        if let Some(path) = self.listener_path.as_ref().filter(|path| !path.as_ref().is_empty()) {
            return Err(ProfileError::new(
                "listenerPath",
                format!("{:?}: no listener can be given a filter's notices", path.as_ref()),
            ));
        }
        let default = action(default_action, self.default_errno_ret, "defaultAction", "defaultErrnoRet")?;
        let mut rules = Vec::new();
        for (at, call) in self.syscalls.iter().flatten().enumerate() {
            let inside = |error: ProfileError| error.inside(&format!("syscalls[{at}]"));
            let action = action(&call.action, call.errno_ret, "action", "errnoRet").map_err(inside)?;
            let checks = call.checks().map_err(inside)?;
            let names = call.names().map_err(inside)?;
            if call.holds(context).map_err(inside)? {
                // As runc has it: of a rule that asks twice about one argument, each question is a rule.
                let asked = checks.iter().fold((0_u8, false), |(seen, twice), check| {
                    (seen | 1 << check.index, twice || seen & 1 << check.index != 0)
                });
                if asked.1 {
                    rules.extend(checks.into_iter().map(|check| Rule { names, action, checks: vec![check] }));
                } else {
                    rules.push(Rule { names, action, checks });
                }
            }
        }
        Ok(Resolved { default, arches: self.arches(context.arch)?, flags: self.flags()?, rules })
    }

    /// The machine's own, and those that the profile names beside it.
    fn arches(&self, native: Arch) -> Result<Vec<Arch>, ProfileError> {
        let (plain, map) = (self.architectures.as_deref().unwrap_or(&[]), self.arch_map.as_deref().unwrap_or(&[]));
        if !plain.is_empty() && !map.is_empty() {
            return Err(ProfileError::new("archMap", "it stands beside architectures: use one of them"));
        }
        let mut all = vec![native];
        let mut add = |name: &Text, path: &dyn Fn() -> String, use_it: bool| {
            let unknown = || ProfileError::new(path(), format!("unknown architecture {:?}", name.as_ref()));
            let arch = Arch::parse(name.as_ref()).map_err(|()| unknown())?;
            if let Some(arch) = arch.filter(|arch| use_it && !all.contains(arch)) {
                all.push(arch);
            }
            Ok(arch == Some(native))
        };
        for (at, name) in plain.iter().enumerate() {
            add(name, &|| format!("architectures[{at}]"), true)?;
        }
        for (at, entry) in map.iter().enumerate() {
            let ours = add(&entry.architecture, &|| format!("archMap[{at}].architecture"), false)?;
            for (sub, name) in entry.sub_architectures.iter().flatten().enumerate() {
                add(name, &|| format!("archMap[{at}].subArchitectures[{sub}]"), ours)?;
            }
        }
        // Other machines' programs do not run here.
        all.retain(|arch| matches!(arch, Arch::Aarch64) == matches!(native, Arch::Aarch64));
        Ok(all)
    }

    fn flags(&self) -> Result<u32, ProfileError> {
        let mut flags = 0;
        for (at, flag) in self.flags.iter().flatten().enumerate() {
            flags |= match flag.as_ref() {
                "SECCOMP_FILTER_FLAG_TSYNC" => libc::SECCOMP_FILTER_FLAG_TSYNC,
                "SECCOMP_FILTER_FLAG_LOG" => libc::SECCOMP_FILTER_FLAG_LOG,
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                other => {
                    let problem = format!("{other:?}; known are SECCOMP_FILTER_FLAG_TSYNC, _LOG and _SPEC_ALLOW");
                    return Err(ProfileError::new(format!("flags[{at}]"), problem));
                }
            };
        }
        Ok(flags as u32)
    }
}

impl<'a> Call<'a> {
    fn names(&self) -> Result<&[Text<'a>], ProfileError> {
        match (&self.name, self.names.as_deref().unwrap_or(&[])) {
            (None, []) => Err(ProfileError::new("names", "it is missing or empty")),
            (Some(name), []) => Ok(std::slice::from_ref(name)),
            (None, names) => Ok(names),
            (Some(_), _) => Err(ProfileError::new("name", "it stands beside names: use one of them")),
        }
    }

    fn checks(&self) -> Result<Vec<Check>, ProfileError> {
        let check = |(at, arg): (usize, &Arg)| {
            if arg.index > 5 {
                let problem = format!("{}: a system call has arguments 0 to 5", arg.index);
                return Err(ProfileError::new(format!("args[{at}].index"), problem));
            }
            let op = match arg.op.as_ref() {
                "SCMP_CMP_NE" => Op::NotEqual,
                "SCMP_CMP_LT" => Op::Less,
                "SCMP_CMP_LE" => Op::LessOrEqual,
                "SCMP_CMP_EQ" => Op::Equal,
                "SCMP_CMP_GE" => Op::GreaterOrEqual,
                "SCMP_CMP_GT" => Op::Greater,
                // Docker's order: the mask is the value, and the second value is what is left of the argument.
                "SCMP_CMP_MASKED_EQ" => Op::MaskedEqual(arg.value),
                other => {
                    let problem = format!("{other:?}; known are SCMP_CMP_NE, _LT, _LE, _EQ, _GE, _GT and _MASKED_EQ");
                    return Err(ProfileError::new(format!("args[{at}].op"), problem));
                }
            };
            let value = if matches!(op, Op::MaskedEqual(_)) { arg.value_two } else { arg.value };
            Ok(Check { index: arg.index as u8, op, value })
        };
        self.args.iter().flatten().enumerate().map(check).collect()
    }

    fn holds(&self, context: &Context) -> Result<bool, ProfileError> {
        let mut holds = true;
        for (filter, name) in [(&self.includes, "includes"), (&self.excludes, "excludes")] {
            let Some(filter) = filter else { continue };
            let caps = filter.caps.as_deref().unwrap_or(&[]);
            let arches = filter.arches.as_deref().unwrap_or(&[]);
            let has = |cap: &Text| context.capabilities.contains(&cap.as_ref());
            let is = |arch: &Text| arch.as_ref() == context.arch.docker();
            let kernel = filter.min_kernel.as_ref().map(|text| {
                let wrong =
                    || ProfileError::new("minKernel", format!("{:?}; such as \"4.8\"", text.as_ref())).inside(name);
                version(text.as_ref()).ok_or_else(wrong).map(|least| context.kernel >= least)
            });
            let kernel = kernel.transpose()?;
            holds &= if name == "includes" {
                caps.iter().all(has) && (arches.is_empty() || arches.iter().any(is)) && kernel != Some(false)
            } else {
                !caps.iter().any(has) && !arches.iter().any(is) && kernel != Some(true)
            };
        }
        Ok(holds)
    }
}

/// `errno_path` is the element of `errno`, `path` that of the action.
fn action(name: &Text, errno: Option<u32>, path: &str, errno_path: &str) -> Result<Action, ProfileError> {
    const LARGEST_ERRNO: u32 = 4095;
    let known = match name.as_ref() {
        "SCMP_ACT_ALLOW" => Action::ALLOW,
        "SCMP_ACT_LOG" => Action::LOG,
        "SCMP_ACT_TRAP" => Action::TRAP,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => Action::KILL_PROCESS,
        "SCMP_ACT_ERRNO" => Action::errno(libc::EPERM.cast_unsigned()),
        "SCMP_ACT_TRACE" => Action::trace(libc::EPERM.cast_unsigned()),
        "SCMP_ACT_NOTIFY" => {
            return Err(ProfileError::new(path, "SCMP_ACT_NOTIFY: no listener can be given its notices"));
        }
        other => {
            let problem = format!(
                "unknown action {other:?}; known are SCMP_ACT_ALLOW, _LOG, _ERRNO, _TRAP, _TRACE, _KILL, _KILL_THREAD and \
                 _KILL_PROCESS"
            );
            return Err(ProfileError::new(path, problem));
        }
    };
    match errno {
        None => Ok(known),
        Some(errno) if known.is_errno() && errno <= LARGEST_ERRNO => Ok(Action::errno(errno)),
        Some(message) if known.is_trace() && message <= 0xffff => Ok(Action::trace(message)),
        Some(errno) if known.is_errno() || known.is_trace() => {
            Err(ProfileError::new(errno_path, format!("{errno} is too large")))
        }
        Some(_) => Err(ProfileError::new(errno_path, format!("{} returns no error number", name.as_ref()))),
    }
}

/// The first element that does not parse, where all of it is JSON.
fn locate(text: &str) -> Option<ProfileError> {
    use serde_json::Value;
    fn wrong<'a, T: Deserialize<'a>>(value: &'a Value, path: &str) -> Option<ProfileError> {
        T::deserialize(value).err().map(|error| ProfileError::new(path, error.to_string()))
    }
    fn each(list: &Value, path: &str, check: impl Fn(&Value, &str) -> Option<ProfileError>) -> Option<ProfileError> {
        list.as_array()?.iter().enumerate().find_map(|(at, value)| check(value, &format!("{path}[{at}]")))
    }
    let value: Value = serde_json::from_str(text).ok()?;
    let texts = |list: &Value, path: &str| each(list, path, |value, path| wrong::<String>(value, path));
    let fields = |value: &Value, path: &str, known: &dyn Fn(&str, &Value, &str) -> Option<ProfileError>| {
        value.as_object()?.iter().find_map(|(name, value)| known(name, value, &format!("{path}{name}")))
    };
    let filter = |value: &Value, path: &str| {
        fields(value, &format!("{path}."), &|name, value, path| match name {
            "caps" | "arches" => texts(value, path).or_else(|| wrong::<Option<Vec<String>>>(value, path)),
            "minKernel" => wrong::<Option<String>>(value, path),
            _ => None,
        })
    };
    let arg = |value: &Value, path: &str| {
        fields(value, &format!("{path}."), &|name, value, path| match name {
            "index" => wrong::<u32>(value, path),
            "value" | "valueTwo" => wrong::<u64>(value, path),
            "op" => wrong::<String>(value, path),
            _ => None,
        })
        .or_else(|| wrong::<Arg>(value, path))
    };
    let call = |value: &Value, path: &str| {
        fields(value, &format!("{path}."), &|name, value, path| match name {
            "names" => texts(value, path).or_else(|| wrong::<Option<Vec<String>>>(value, path)),
            "name" | "comment" => wrong::<Option<String>>(value, path),
            "action" => wrong::<String>(value, path),
            "errnoRet" => wrong::<Option<u32>>(value, path),
            "args" => each(value, path, arg).or_else(|| wrong::<Option<Vec<Value>>>(value, path)),
            "includes" | "excludes" => filter(value, path),
            _ => None,
        })
        .or_else(|| wrong::<Call>(value, path))
    };
    fields(&value, "", &|name, value, path| match name {
        "defaultAction" | "listenerPath" => wrong::<Option<String>>(value, path),
        "defaultErrnoRet" => wrong::<Option<u32>>(value, path),
        "architectures" | "flags" => texts(value, path).or_else(|| wrong::<Option<Vec<String>>>(value, path)),
        "archMap" => each(value, path, |value, path| wrong::<ArchMap>(value, path))
            .or_else(|| wrong::<Option<Vec<Value>>>(value, path)),
        "syscalls" => each(value, path, call).or_else(|| wrong::<Option<Vec<Value>>>(value, path)),
        _ => None,
    })
}
