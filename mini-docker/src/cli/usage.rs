//! What is said of a command line that is not understood: one line, in Docker's words.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{
    Command, CommandFactory,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Help and version go to standard output; a mistake is one line, and the exit code is Docker's: 125 for flags, and 1 for
/// words that are missing, too many or unknown.
pub(super) fn complain(error: &clap::Error) -> ExitCode {
    let arguments: Vec<_> =
        super::words().into_iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match error.kind() {
        // A group without a command is a question, as for Docker.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            let mut all = super::Arguments::command();
            // Without an end that hears it there is nobody to tell.
            let _ = writeln!(io::stderr(), "{}", path(&mut all, &arguments).1.clone().render_help());
            return ExitCode::SUCCESS;
        }
        _ if !error.use_stderr() => {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let (line, code) = explain(error, &arguments);
    tell!("mini-docker: {line}");
    ExitCode::from(code)
}

fn explain(error: &clap::Error, arguments: &[String]) -> (String, u8) {
    let mut all = super::Arguments::command();
    let (path, command) = path(&mut all, arguments);
    let text = error.to_string();
    let mut lines = text.lines();
    let line = lines.next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let missing: Vec<_> = lines.take_while(|l| l.starts_with("  ")).map(str::trim).collect();
    let (line, code) = match error.kind() {
        ErrorKind::InvalidSubcommand => (line.replace("unrecognized subcommand", "unknown command:"), 1),
        ErrorKind::MissingRequiredArgument if missing.iter().any(|missing| missing.starts_with('-')) => {
            (format!("{line} {}", missing.join(", ")), 1)
        }
        ErrorKind::MissingRequiredArgument | ErrorKind::TooFewValues => (words_wanted(&path, command), 1),
        ErrorKind::UnknownArgument if !line.contains("'-") => (words_wanted(&path, command), 1),
        ErrorKind::UnknownArgument => (unknown_flag(line, arguments), 125),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => bad_value(error, line, command, arguments),
        _ => (line.to_owned(), 125),
    };
    (format!("{line}; see `{path} --help`"), code)
}

/// `unknown flag: --nosuch`, or `unknown shorthand flag: 'Z' in -Zx`.
fn unknown_flag(line: &str, arguments: &[String]) -> String {
    let flag = line.split('\'').nth(1).unwrap_or_default();
    match flag.strip_prefix('-').filter(|rest| !rest.starts_with('-')) {
        Some(letter) => {
            let has = |word: &&String| word.starts_with('-') && !word.starts_with("--") && word.contains(letter);
            let word = arguments.iter().find(has).map_or(flag, String::as_str);
            format!("unknown shorthand flag: '{letter}' in {word}")
        }
        None => format!("unknown flag: {flag}"),
    }
}

/// `invalid argument "x" for "-n, --last" flag: why`, and the exit code; `flag needs an argument: --last`.
fn bad_value(error: &clap::Error, line: &str, command: &Command, arguments: &[String]) -> (String, u8) {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    // `--last <N>`, and for words without a flag `<N>`.
    let flag = context(ContextKind::InvalidArg).split([' ', '[']).next().unwrap_or_default();
    let value = context(ContextKind::InvalidValue);
    if !flag.starts_with('-') {
        return (line.to_owned(), 125);
    }
    let long = flag.trim_start_matches('-');
    let short = command.get_arguments().find(|arg| arg.get_long() == Some(long)).and_then(clap::Arg::get_short);
    if value.is_empty() && line.contains("none was supplied") {
        let is_short = |short: &char| arguments.last().is_some_and(|word| *word == format!("-{short}"));
        return match short.filter(is_short) {
            Some(short) => (format!("flag needs an argument: '{short}' in -{short}"), 125),
            None => (format!("flag needs an argument: {flag}"), 125),
        };
    }
    let why = std::error::Error::source(error).map(ToString::to_string);
    let possible = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => Some(format!("there are {}", values.join(", "))),
        _ => None,
    };
    let why = why.or(possible).unwrap_or_else(|| "it makes no sense".to_owned());
    // Docker's client hands moments on as they are, and the daemon refuses them.
    if let "since" | "until" = long {
        return (format!("invalid value for {long:?}: failed to parse value as time or duration: {value:?}: {why}"), 1);
    }
    let names = short.map_or_else(|| flag.to_owned(), |short| format!("-{short}, {flag}"));
    (format!("invalid argument {value:?} for {names:?} flag: {why}"), 125)
}

/// The innermost command that the words name, and the words: `mini-docker network create`.
fn path<'a>(root: &'a mut Command, arguments: &[String]) -> (String, &'a Command) {
    root.build();
    let (mut path, mut command) = (root.get_name().to_owned(), &*root);
    let mut words = arguments.iter();
    while let Some(word) = words.next().filter(|_| command.has_subcommands()) {
        if takes_value(command, word) {
            words.next();
        } else if let Some(inner) = command.find_subcommand(word) {
            path = format!("{path} {word}");
            command = inner;
        }
    }
    (path, command)
}

/// Whether the word is a flag whose value is the next one.
fn takes_value(command: &Command, word: &str) -> bool {
    let is_it = |flag: &&clap::Arg| match word.strip_prefix("--") {
        Some(long) => flag.get_long() == Some(long),
        None => flag.get_short().is_some_and(|short| word.strip_prefix('-') == Some(short.encode_utf8(&mut [0; 4]))),
    };
    command.get_arguments().find(is_it).is_some_and(|flag| flag.get_action().takes_values())
}

/// In Docker's words, and which: `'mini-docker exec' requires at least 2 arguments: <CONTAINER> <COMMAND>...`.
fn words_wanted(path: &str, command: &Command) -> String {
    let (mut least, mut most, mut names) = (0, 0_usize, Vec::new());
    for word in command.get_positionals() {
        let range = word.get_num_args().unwrap_or_else(|| 1.into());
        least += if word.is_required_set() { range.min_values().max(1) } else { 0 };
        most = most.saturating_add(range.max_values());
        names.push(word.to_string());
    }
    let arguments = |count| if count == 1 { "argument" } else { "arguments" };
    let names = names.join(" ");
    if most == 0 {
        format!("'{path}' accepts no arguments")
    } else if least == most {
        format!("'{path}' requires {least} {}: {names}", arguments(least))
    } else if most == usize::MAX {
        format!("'{path}' requires at least {least} {}: {names}", arguments(least))
    } else if least == 0 {
        format!("'{path}' requires at most {most} {}: {names}", arguments(most))
    } else {
        format!("'{path}' requires at least {least} and at most {most} {}: {names}", arguments(most))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn words_are_counted_as_by_docker() {
        for (words, expected, code) in [
            ("rm", "'mini-docker rm' requires at least 1 argument: <CONTAINER>...; see `mini-docker rm --help`", 1),
            ("exec", "'mini-docker exec' requires at least 2 arguments: <CONTAINER> <COMMAND>...", 1),
            ("container exec x", "'mini-docker container exec' requires at least 2 arguments: <CONTAINER> <CO", 1),
            ("network connect a", "'mini-docker network connect' requires 2 arguments: <NETWORK> <CONTAINER>", 1),
            ("network create", "'mini-docker network create' requires 1 argument: <NETWORK>", 1),
            ("--root run tag a", "'mini-docker tag' requires 2 arguments: <SOURCE_IMAGE[:TAG]> <TARGET_IMAGE", 1),
            ("network ls x", "'mini-docker network ls' accepts no arguments; see `mini-docker network ls --help`", 1),
            ("logs a b", "'mini-docker logs' requires 1 argument: <CONTAINER>", 1),
            ("run", "'mini-docker run' requires at least 1 argument: <IMAGE>", 1),
            ("nosuch", "unknown command: 'nosuch'; see `mini-docker --help`", 1),
            ("network nosuch", "unknown command: 'nosuch'; see `mini-docker network --help`", 1),
            ("network create --nosuch a", "unknown flag: --nosuch; see `mini-docker network create", 125),
            ("run -iZ a", "unknown shorthand flag: 'Z' in -iZ; see `mini-docker run", 125),
            ("ps -n x", "invalid argument \"x\" for \"-n, --last\" flag: invalid digit found in string; see", 125),
            ("run --cpus x a", "invalid argument \"x\" for \"--cpus\" flag: invalid number of processors", 125),
            ("ps --filter", "flag needs an argument: --filter; see", 125),
            ("ps -n", "flag needs an argument: 'n' in -n; see", 125),
            ("logs --since x a", "invalid value for \"since\": failed to parse value as time or duration: \"x\"", 1),
            ("inspect --type x a", "invalid argument \"x\" for \"--type\" flag: there are container, image", 125),
        ] {
            let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
            let all = ["mini-docker".to_owned()].into_iter().chain(words.clone());
            let (line, exit) = explain(&super::super::Arguments::try_parse_from(all).unwrap_err(), &words);
            assert!(line.starts_with(expected) && exit == code, "{words:?}: {line}, {exit}");
        }
    }
}
