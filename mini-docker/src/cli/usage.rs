//! What is said of a command line that is not understood: one line, in Docker's words.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Command, CommandFactory, error::ErrorKind};

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
    let _ = writeln!(io::stderr(), "mini-docker: {line}");
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
        _ => (line.to_owned(), 125),
    };
    (format!("{line}; see `{path} --help`"), code)
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
            ("network create --nosuch a", "unexpected argument '--nosuch' found; see `mini-docker network create", 125),
        ] {
            let words: Vec<_> = words.split(' ').map(str::to_owned).collect();
            let all = ["mini-docker".to_owned()].into_iter().chain(words.clone());
            let (line, exit) = explain(&super::super::Arguments::try_parse_from(all).unwrap_err(), &words);
            assert!(line.starts_with(expected) && exit == code, "{words:?}: {line}, {exit}");
        }
    }
}
