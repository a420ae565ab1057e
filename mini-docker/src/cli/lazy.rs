//! Commands whose arguments are described only when they are asked for: those with many, and groups of commands. `create`
//! beside `run` alone took 35 pages more of every start's heap.

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, Subcommand};

/// A command's arguments, or its subcommands.
#[derive(Debug)]
pub(super) struct Lazy<T>(pub(super) Box<T>);

impl<T: FromArgMatches> FromArgMatches for Lazy<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches(matches).map(|it| Self(Box::new(it)))
    }

    fn from_arg_matches_mut(matches: &mut ArgMatches) -> Result<Self, Error> {
        T::from_arg_matches_mut(matches).map(|it| Self(Box::new(it)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<T: Args> Args for Lazy<T> {
    fn augment_args(command: Command) -> Command {
        command.defer(T::augment_args)
    }

    fn augment_args_for_update(command: Command) -> Command {
        command.defer(T::augment_args_for_update)
    }
}

impl<T: Subcommand> Subcommand for Lazy<T> {
    fn augment_subcommands(command: Command) -> Command {
        command.defer(T::augment_subcommands)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        command.defer(T::augment_subcommands_for_update)
    }

    fn has_subcommand(name: &str) -> bool {
        T::has_subcommand(name)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Arguments that a command may have described at every start.
    const FEW: usize = 20;

    fn described_at_once(command: &Command) -> Vec<&str> {
        let large = |one: &&Command| one.get_arguments().count() > FEW || one.get_subcommands().count() > 0;
        // `help` is clap's own, and has a word for each other.
        command.get_subcommands().filter(large).map(Command::get_name).filter(|name| *name != "help").collect()
    }

    #[test]
    fn no_large_command_is_described_before_it_is_asked_for() {
        let mut all = crate::cli::Arguments::command();
        assert_eq!(described_at_once(&all), [""; 0], "wrap these in Lazy");
        let group = all.find_subcommand_mut("container").unwrap();
        // Asked for: clap describes what it is about to parse.
        let _ = group.try_get_matches_from_mut(["group", "none"]);
        assert_ne!(group.get_subcommands().count(), 0);
        assert_eq!(described_at_once(group), [""; 0], "wrap these in Lazy");
    }

    #[test]
    fn all_descriptions_are_sound() {
        crate::cli::Arguments::command().debug_assert();
    }
}
