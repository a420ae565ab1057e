//! `top`: the processes of a container, in the form of ps(1), which nobody has to have.

mod columns;

use clap::Args;
use columns::{Column, Machine};

use crate::{
    cli::{Outcome, print, table},
    engine::{Engine, Error, Result},
};

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// The container, by name or id
    container: String,
    /// Options of ps: the form of its output, such as aux, -f, -o pid,user,args (default -ef)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ps OPTIONS")]
    options: Vec<String>,
}

/// The least width of a column, as Docker's client has it.
const LEAST: usize = 20;

const FULL: &str = "UID,pid,ppid,c,stime,tty,time,cmd";
const USER: &str = "user,pid,%cpu,%mem,vsz,rss,tty,stat,start_time,bsdtime,args";
const PLAIN: &str = "pid,tty,time,CMD";
const BSD: &str = "pid,tty,stat,bsdtime,args";

impl Top {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let columns = columns(&self.options)?;
        let container = engine.container(&self.container)?;
        let processes = engine.processes(&container)?;
        let machine = Machine::look();
        let mut text = columns.iter().map(|column| column.heading.as_str()).collect::<Vec<_>>().join("\t") + "\n";
        for process in &processes {
            let cells: Vec<_> = columns.iter().map(|column| column.value(&machine, process)).collect();
            text += &(cells.join("\t") + "\n");
        }
        print(format_args!("{}", table::align_to(&text, LEAST)));
        Ok(0)
    }
}

/// What ps(1) would show with these options. Those that say which processes are meant make no difference: it is the
/// container's.
fn columns(options: &[String]) -> Result<Vec<Column>> {
    let mut words = options.iter().flat_map(|option| option.split_whitespace());
    let mut chosen: Vec<Column> = Vec::new();
    let (mut form, mut dashes) = (if options.is_empty() { Some(FULL) } else { None }, false);
    while let Some(word) = words.next() {
        if let Some(format) = word.strip_prefix("--format=") {
            chosen.extend(named(format)?);
            continue;
        }
        let letters = word.strip_prefix('-').unwrap_or(word);
        dashes |= letters.len() < word.len();
        for (at, letter) in letters.char_indices() {
            match letter {
                'e' | 'A' | 'a' | 'x' | 'd' | 'w' | 'g' | 'r' => {}
                'f' => form = Some(FULL),
                'u' if !word.starts_with('-') => form = Some(USER),
                'o' => {
                    let rest = &letters[at + 1..];
                    let list = if rest.is_empty() { words.next() } else { Some(rest) };
                    chosen.extend(named(list.ok_or_else(|| refused(word))?)?);
                    break;
                }
                _ => return Err(refused(word)),
            }
        }
    }
    let columns = match (chosen.is_empty(), form) {
        (false, _) => chosen,
        (true, Some(form)) => named(form)?,
        (true, None) => named(if dashes { PLAIN } else { BSD })?,
    };
    if !columns.iter().any(|column| column.heading == "PID") {
        return Err(Error::invalid("couldn't find PID field in ps output: add pid to the format"));
    }
    Ok(columns)
}

fn named(list: &str) -> Result<Vec<Column>> {
    // A heading of one's own goes to the end, commas and all.
    let (before, own) = match list.split_once('=') {
        Some((names, _)) => list.split_at(names.rfind(',').map_or(0, |at| at + 1)),
        None => (list, ""),
    };
    let names = before.split(',').filter(|name| !name.is_empty()).chain((!own.is_empty()).then_some(own));
    names.map(Column::named).collect()
}

fn refused(word: &str) -> Error {
    Error::invalid(format!("unknown ps option {word:?}: there are -ef, aux, and -o with a list of columns"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headings(options: &[&str]) -> String {
        let options: Vec<_> = options.iter().map(|option| (*option).to_owned()).collect();
        match columns(&options) {
            Ok(columns) => columns.iter().map(|column| column.heading.as_str()).collect::<Vec<_>>().join(" "),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn options_choose_columns_as_in_ps() {
        for (options, expected) in [
            (&[][..], "UID PID PPID C STIME TTY TIME CMD"),
            (&["-ef"], "UID PID PPID C STIME TTY TIME CMD"),
            (&["aux"], "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND"),
            (&["-e"], "PID TTY TIME CMD"),
            (&["ax"], "PID TTY STAT TIME COMMAND"),
            (&["-o", "pid,comm"], "PID COMMAND"),
            (&["-eo", "pid,args"], "PID COMMAND"),
            (&["-o pid", "-o", "ppid=PARENT"], "PID PARENT"),
            (&["axo", "pid,user"], "PID USER"),
            (&["-opid"], "PID"),
        ] {
            assert_eq!(headings(options), expected, "{options:?}");
        }
        assert!(headings(&["-o", "comm"]).contains("couldn't find PID"));
        assert!(headings(&["-o", "pid,nosuch"]).contains("nosuch"));
        assert!(headings(&["-o"]).contains("unknown ps option"));
        assert!(headings(&["-Z"]).contains("unknown ps option"));
    }
}
