//! Flags as Docker's users write them, where that is more than clap reads: `--rm=false`, `-it=true`, a flag that is given
//! twice (the last one counts), and values that begin with a hyphen (`-e -X=1`, `--cpus -1`).

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches, error::ErrorKind};

use super::Arguments;
use crate::engine::go::boolean;

/// Reads a command line.
///
/// What clap reads by itself it reads alike. Only what it refuses is read once more, as to describe all commands takes longer
/// than many a command.
///
/// # Errors
/// What clap says of it, requests for help too.
pub(super) fn read(words: &[OsString]) -> Result<Arguments, clap::Error> {
    let plain = Arguments::command().try_get_matches_from(words);
    let matches = plain.or_else(|e| match e.kind() {
        ErrorKind::InvalidSubcommand | ErrorKind::MissingSubcommand => Err(e),
        _ if !e.use_stderr() || e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Err(e),
        _ => all().try_get_matches_from(words),
    });
    Arguments::from_arg_matches_mut(&mut matches?)
}

/// All commands, with flags as Docker has them.
fn all() -> Command {
    let mut all = Arguments::command().args_override_self(true);
    all.build();
    each(all)
}

fn each(command: Command) -> Command {
    command.mut_args(as_docker).mut_subcommands(each)
}

fn as_docker(flag: Arg) -> Arg {
    let values = flag.get_num_args().unwrap_or_default();
    match flag.get_action() {
        _ if flag.is_positional() => flag,
        ArgAction::SetTrue => flag
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .hide_possible_values(true)
            .value_parser(|word: &str| boolean(word).ok_or("write true or false")),
        ArgAction::Set | ArgAction::Append if values.min_values() == 1 => flag.allow_hyphen_values(true),
        _ => flag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, clap::Error> {
        super::read(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_read_as_docker_reads_them() {
        for (line, same) in [
            ("x run --rm=true bb", "x run --rm bb"),
            ("x run --rm=0 -i=T bb", "x run -i bb"),
            ("x run -it=false bb", "x run -i bb"),
            ("x run --rm --rm bb", "x run --rm bb"),
            ("x run --rm --rm=false bb", "x run bb"),
            ("x run --name a --name b bb", "x run --name b bb"),
            ("x run -e -a=1 -l -b bb -c", "x run --env=-a=1 --label=-b bb -c"),
            ("x run -h -a bb", "x run --hostname=-a bb"),
            ("x container run --rm=true bb --rm=true", "x container run --rm bb --rm=true"),
            ("x ps -aq=true", "x ps -a -q"),
            ("x compose up -d=true", "x compose up -d"),
            ("x build --rm=true --force-rm=true --no-cache=false .", "x build --rm --force-rm ."),
        ] {
            let read = |line| format!("{:?}", read(line).unwrap_or_else(|e| panic!("{line}: {e}")).command);
            assert_eq!(read(line), read(same), "{line}");
        }
        for line in ["x run --rm=maybe bb", "x run --nosuch=true bb", "x run --name", "x run --rm=", "x ps --all true"]
        {
            read(line).unwrap_err();
        }
    }
}
