//! Changes to a configuration, in the words of a Dockerfile: what `--change` of `commit` and `import` takes.

use std::collections::BTreeMap;

use serde_json::json;

use super::config::{Healthcheck, RunConfig};
use crate::engine::{
    error::{Error, Result},
    signal,
};

/// Applies instructions one after the other.
pub fn apply_all(config: &mut RunConfig, instructions: &[String]) -> Result<()> {
    instructions.iter().flat_map(|text| text.lines()).filter(|line| !line.trim().is_empty()).try_for_each(|line| {
        apply(config, line.trim()).map_err(|why| Error::invalid(format!("invalid change {line:?}: {why}")))
    })
}

fn apply(config: &mut RunConfig, line: &str) -> Result<(), String> {
    let (instruction, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    let instruction = instruction.to_ascii_uppercase();
    if rest.is_empty() {
        return Err(format!("{instruction} requires at least one argument"));
    }
    match instruction.as_str() {
        "CMD" => config.cmd = Some(command(rest, config)),
        "ENTRYPOINT" => {
            config.entrypoint = Some(command(rest, config));
            // An entry point of its own makes what was to be run with another one meaningless.
            config.cmd = None;
        }
        "ENV" => {
            for (key, value) in pairs(rest)? {
                let variable = format!("{key}={value}");
                let env = config.env.get_or_insert_default();
                match env.iter_mut().find(|other| other.split('=').next() == Some(&key)) {
                    Some(other) => *other = variable,
                    None => env.push(variable),
                }
            }
        }
        "LABEL" => config.labels.get_or_insert_with(BTreeMap::new).extend(pairs(rest)?),
        "EXPOSE" => {
            for port in words(rest)? {
                config.exposed_ports.extend(ports(&port)?.into_iter().map(|port| (port, json!({}))));
            }
        }
        "VOLUME" => {
            let paths = list(rest).map_or_else(|| words(rest), Ok)?;
            config.volumes.extend(paths.into_iter().map(|path| (path, json!({}))));
        }
        "USER" => rest.clone_into(&mut config.user),
        "WORKDIR" => config.working_dir = join(&config.working_dir, &words(rest)?.join(" ")),
        "STOPSIGNAL" => {
            signal::parse(rest).map_err(|e| e.to_string())?;
            rest.clone_into(&mut config.stop_signal);
        }
        "ONBUILD" => config.on_build.get_or_insert_default().push(rest.to_owned()),
        "HEALTHCHECK" => config.healthcheck = Some(healthcheck(rest)?),
        _ => return Err(format!("{instruction} is not a valid change command")),
    }
    Ok(())
}

/// A JSON list of strings.
fn list(text: &str) -> Option<Vec<String>> {
    if text.starts_with('[') { serde_json::from_str(text).ok() } else { None }
}

/// Exec form as it is, shell form with its shell before it.
fn command(text: &str, config: &RunConfig) -> Vec<String> {
    list(text).unwrap_or_else(|| {
        let shell = config.shell.clone().filter(|shell| !shell.is_empty());
        let mut command = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
        command.push(text.to_owned());
        command
    })
}

/// `KEY=VALUE …`, or the old form `KEY VALUE`, in which everything else is the value.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let all = words(text)?;
    if let Some(first) = all.first()
        && !first.contains('=')
    {
        let value = text[text.find(char::is_whitespace).unwrap_or(text.len())..].trim();
        return if value.is_empty() {
            Err("it needs a value".to_owned())
        } else {
            Ok(vec![(first.clone(), value.to_owned())])
        };
    }
    let pair = |word: String| match word.split_once('=') {
        Some(("", _)) | None => Err(format!("can't find = in {word:?}, or a name before it")),
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
    };
    all.into_iter().map(pair).collect()
}

/// Words between spaces; quotes and backslashes keep spaces in them.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

/// `PORT[-PORT][/PROTOCOL]`, each port with its protocol.
fn ports(text: &str) -> Result<Vec<String>, String> {
    let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("invalid proto: {protocol}"));
    }
    let number = |text: &str| text.parse::<u16>().map_err(|_| format!("invalid containerPort: {text}"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("invalid range {numbers}"));
    }
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// A path below another, unless it is absolute.
fn join(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { base };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn healthcheck(text: &str) -> Result<Healthcheck, String> {
    let mut check = Healthcheck::default();
    let mut rest = text;
    while let Some(flag) = rest.strip_prefix("--") {
        let (flag, after) = flag.split_once(char::is_whitespace).ok_or("it needs CMD and a command")?;
        rest = after.trim_start();
        let (key, value) = flag.split_once('=').ok_or_else(|| format!("--{flag} needs a value"))?;
        match key {
            "interval" => check.interval = nanoseconds(value)?,
            "timeout" => check.timeout = nanoseconds(value)?,
            "start-period" => check.start_period = nanoseconds(value)?,
            "start-interval" => check.start_interval = nanoseconds(value)?,
            "retries" => check.retries = value.parse().map_err(|_| format!("invalid number {value:?}"))?,
            _ => return Err(format!("unknown flag: {key}")),
        }
    }
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match (kind.to_ascii_uppercase().as_str(), rest.trim()) {
        ("NONE", "") => check.test = vec!["NONE".to_owned()],
        ("CMD", command) if !command.is_empty() => {
            check.test = match list(command) {
                Some(command) => [vec!["CMD".to_owned()], command].concat(),
                None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
            };
        }
        _ => return Err("it is NONE, or CMD and a command".to_owned()),
    }
    Ok(check)
}

/// Go's durations: `1m30s`, `1.5s`.
fn nanoseconds(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid duration {text:?}");
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        let end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        total += number
            * match &rest[digits..end] {
                "ns" => 1.0,
                "us" | "\u{b5}s" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return Err(invalid()),
            };
        rest = &rest[end..];
    }
    Ok(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(instructions: &[&str]) -> Result<serde_json::Value> {
        let mut config =
            RunConfig { working_dir: "/a".to_owned(), cmd: Some(vec!["old".to_owned()]), ..RunConfig::default() };
        apply_all(&mut config, &instructions.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())?;
        Ok(serde_json::to_value(config).unwrap())
    }

    #[test]
    fn each_instruction_changes_its_field() {
        for (instruction, field, value) in [
            (r#"CMD ["a", "b"]"#, "Cmd", json!(["a", "b"])),
            ("cmd a b", "Cmd", json!(["/bin/sh", "-c", "a b"])),
            (r#"ENTRYPOINT ["e"]"#, "Entrypoint", json!(["e"])),
            (r#"ENV A=1 B="x y" C=z\ w"#, "Env", json!(["A=1", "B=x y", "C=z w"])),
            ("ENV A 1 2", "Env", json!(["A=1 2"])),
            ("LABEL k='v w'", "Labels", json!({"k": "v w"})),
            ("EXPOSE 80 90-91/udp", "ExposedPorts", json!({"80/tcp": {}, "90/udp": {}, "91/udp": {}})),
            (r#"VOLUME ["/v"]"#, "Volumes", json!({"/v": {}})),
            ("USER web:www", "User", json!("web:www")),
            ("WORKDIR b/../c", "WorkingDir", json!("/a/c")),
            ("STOPSIGNAL SIGINT", "StopSignal", json!("SIGINT")),
            ("ONBUILD RUN x", "OnBuild", json!(["RUN x"])),
            ("HEALTHCHECK NONE", "Healthcheck", json!({"Test": ["NONE"]})),
            (
                "HEALTHCHECK --interval=1m30s --retries=2 CMD true",
                "Healthcheck",
                json!({"Test": ["CMD-SHELL", "true"], "Interval": 90_000_000_000_i64, "Retries": 2}),
            ),
        ] {
            assert_eq!(changed(&[instruction]).unwrap()[field], value, "{instruction}");
        }
        assert_eq!(changed(&["ENTRYPOINT [\"e\"]"]).unwrap()["Cmd"], json!(null));
    }

    #[test]
    fn what_is_no_change_is_refused() {
        for bad in [
            "RUN x",
            "FROM x",
            "CMD",
            "ENV A",
            "ENV =1",
            "EXPOSE x",
            "EXPOSE 9-8",
            "STOPSIGNAL NO",
            "LABEL 'a",
            "HEALTHCHECK CMD",
        ] {
            assert!(changed(&[bad]).is_err(), "{bad}");
        }
    }
}
