//! Instructions that change only the configuration.

use serde_json::json;

use super::{
    dockerfile::{self, CommandLine, Instruction, clean},
    scope,
};
use crate::engine::{
    error::{Error, Result},
    image::{Healthcheck, RunConfig},
    signal,
};

/// The shell of an image that names none.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Applies an instruction, whose variables are expanded, to a configuration. What writes files is not for here.
/// `command_set` says whether a CMD came before it, and is kept.
pub(super) fn apply(config: &mut RunConfig, instruction: &Instruction, command_set: &mut bool) -> Result<()> {
    match instruction {
        Instruction::Cmd(line) => {
            config.cmd = Some(command(config, line));
            *command_set = true;
        }
        Instruction::Entrypoint(line) => {
            config.entrypoint = Some(command(config, line));
            if !*command_set {
                // The base's command was for the base's entry point.
                config.cmd = None;
            }
        }
        Instruction::Env(pairs) => {
            let env = config.env.get_or_insert_default();
            for pair in pairs {
                scope::set(env, &pair.key, &pair.value);
            }
        }
        Instruction::Expose(list) => {
            for text in list {
                let ports = ports(text).map_err(|why| Error::invalid(format!("{why}: {text:?}")))?;
                config.exposed_ports.extend(ports.into_iter().map(|port| (port, json!({}))));
            }
        }
        Instruction::Healthcheck(check) => config.healthcheck = Some(healthcheck(check)),
        Instruction::Label(pairs) => {
            let labels = config.labels.get_or_insert_default();
            labels.extend(pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone())));
        }
        Instruction::Onbuild(text) => config.on_build.get_or_insert_default().push(text.clone()),
        Instruction::Shell(words) => config.shell = Some(words.clone()),
        Instruction::Stopsignal(text) => {
            signal::parse(text)?;
            text.clone_into(&mut config.stop_signal);
        }
        Instruction::User(user) => user.clone_into(&mut config.user),
        Instruction::Volume(paths) => {
            if paths.iter().any(String::is_empty) {
                return Err(Error::invalid("VOLUME specified can not be an empty string"));
            }
            config.volumes.extend(paths.iter().map(|path| (path.clone(), json!({}))));
        }
        Instruction::Workdir(path) => config.working_dir = below(&config.working_dir, path),
        Instruction::Add(_)
        | Instruction::Arg(_)
        | Instruction::Copy(_)
        | Instruction::Maintainer(_)
        | Instruction::Run(_) => {}
    }
    Ok(())
}

/// A command's words, with the shell before them in shell form.
pub(super) fn command(config: &RunConfig, line: &CommandLine) -> Vec<String> {
    if !line.shell {
        return line.words.clone();
    }
    let mut words = shell(config);
    words.extend(line.words.iter().cloned());
    if line.words.is_empty() {
        // The shell is asked to do nothing, not for its own usage.
        words.push(String::new());
    }
    words
}

fn shell(config: &RunConfig) -> Vec<String> {
    let own = config.shell.clone().filter(|shell| !shell.is_empty());
    own.unwrap_or_else(|| SHELL.map(str::to_owned).to_vec())
}

/// A path below another, unless it is absolute.
pub(super) fn below(base: &str, path: &str) -> String {
    if path.starts_with('/') { clean(path) } else { clean(&format!("/{base}/{path}")) }
}

fn healthcheck(check: &dockerfile::Healthcheck) -> Healthcheck {
    let nanoseconds = |duration: std::time::Duration| duration.as_nanos().try_into().unwrap_or(i64::MAX);
    Healthcheck {
        test: check.test.clone(),
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        start_period: nanoseconds(check.start_period),
        start_interval: nanoseconds(check.start_interval),
        retries: check.retries.into(),
    }
}

/// `PORT[-PORT][/PROTOCOL]`: each port with its protocol.
fn ports(text: &str) -> Result<Vec<String>, &'static str> {
    // A host's part, as `-p` has it, says nothing in an image.
    let text = text.rsplit(':').next().unwrap_or(text);
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = match protocol.to_ascii_lowercase() {
        protocol if protocol.is_empty() => "tcp".to_owned(),
        protocol if ["tcp", "udp", "sctp"].contains(&protocol.as_str()) => protocol,
        _ => return Err("invalid proto"),
    };
    let number = |text: &str| text.parse::<u16>().map_err(|_| "invalid containerPort");
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err("invalid range format for --expose");
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}
