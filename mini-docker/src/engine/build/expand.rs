//! Variables in instructions.

use super::dockerfile::{Arg, Expander, Instruction, Pair, ParseError, Quotes};
use crate::engine::error::{Error, Result};

/// The instruction with its variables expanded, as far as it is one that has them expanded.
pub(crate) fn expand(
    instruction: &Instruction,
    lookup: impl Fn(&str) -> Option<String>,
    expander: &Expander,
) -> Result<Instruction> {
    let invalid = |e: ParseError| Error::invalid(e.to_string());
    let word = |text: &String| expander.word(text, &lookup).map_err(invalid);
    let words = |list: &[String]| list.iter().map(word).collect::<Result<Vec<_>>>();
    let option = |text: &Option<String>| text.as_ref().map(word).transpose();
    let pairs = |list: &[Pair]| {
        list.iter()
            .map(|pair| Ok(Pair { key: word(&pair.key)?, value: word(&pair.value)? }))
            .collect::<Result<Vec<_>>>()
    };
    Ok(match instruction {
        Instruction::Env(list) => Instruction::Env(pairs(list)?),
        Instruction::Label(list) => Instruction::Label(pairs(list)?),
        Instruction::Workdir(path) => Instruction::Workdir(word(path)?),
        Instruction::User(user) => Instruction::User(word(user)?),
        Instruction::Stopsignal(signal) => Instruction::Stopsignal(word(signal)?),
        Instruction::Volume(paths) => Instruction::Volume(words(paths)?),
        Instruction::Expose(list) => {
            let split = |text: &String| expander.words(text, &lookup).map_err(invalid);
            Instruction::Expose(list.iter().map(split).collect::<Result<Vec<_>>>()?.concat())
        }
        Instruction::Arg(args) => {
            let arg = |arg: &Arg| Ok(Arg { name: word(&arg.name)?, default: option(&arg.default)? });
            Instruction::Arg(args.iter().map(arg).collect::<Result<_>>()?)
        }
        Instruction::Add(copy) | Instruction::Copy(copy) => {
            let raw = Expander { quotes: Quotes::Ignore, ..expander.clone() };
            let mut copy = copy.clone();
            copy.sources = words(&copy.sources)?;
            copy.destination = word(&copy.destination)?;
            copy.chown = option(&copy.chown)?;
            copy.chmod = option(&copy.chmod)?;
            copy.checksum = option(&copy.checksum)?;
            for file in copy.inline.iter_mut().filter(|file| file.expand) {
                file.content = raw.word(&file.content, &lookup).map_err(invalid)?;
            }
            if matches!(instruction, Instruction::Add(_)) { Instruction::Add(copy) } else { Instruction::Copy(copy) }
        }
        other => other.clone(),
    })
}
