//! `--chmod`: octal digits, or the symbols of chmod(1).

use crate::engine::error::{Error, Result};

/// What becomes of modes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// These bits.
    Octal(u32),
    /// These changes, one after the other.
    Symbolic(Vec<Change>),
}

/// `u+rwX`: whose bits, how, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    who: u32,
    operator: char,
    bits: u32,
    /// `X`: execution for directories, and for what somebody may execute.
    conditional: bool,
}

impl Mode {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let invalid = || {
            Error::invalid(format!(
                "invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
            ))
        };
        if text.chars().all(|c| c.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
            return mode.map(Self::Octal).ok_or_else(invalid);
        }
        let mut changes = Vec::new();
        for clause in text.split(',') {
            let at = clause.find(['+', '-', '=']).ok_or_else(invalid)?;
            let mut who = 0;
            for c in clause[..at].chars() {
                who |= match c {
                    'u' => 0o4700,
                    'g' => 0o2070,
                    'o' => 0o1007,
                    'a' => 0o7777,
                    _ => return Err(invalid()),
                };
            }
            let who = if at == 0 { 0o7777 } else { who };
            let mut change = None;
            for c in clause[at..].chars() {
                if matches!(c, '+' | '-' | '=') {
                    changes.extend(change.replace(Change { who, operator: c, bits: 0, conditional: false }));
                    continue;
                }
                let change = change.as_mut().ok_or_else(invalid)?;
                change.bits |= match c {
                    'r' => 0o444,
                    'w' => 0o222,
                    'x' => 0o111,
                    's' => 0o6000,
                    't' => 0o1000,
                    'X' => {
                        change.conditional = true;
                        0
                    }
                    _ => return Err(invalid()),
                };
            }
            changes.extend(change);
        }
        Ok(Self::Symbolic(changes))
    }

    /// The mode of a file that had `mode`.
    pub(super) fn of(&self, mode: u32, directory: bool) -> u32 {
        match self {
            Self::Octal(mode) => *mode,
            Self::Symbolic(changes) => changes.iter().fold(mode, |mode, change| {
                let execute = if change.conditional && (directory || mode & 0o111 != 0) { 0o111 } else { 0 };
                let bits = (change.bits | execute) & change.who;
                match change.operator {
                    '+' => mode | bits,
                    '-' => mode & !bits,
                    _ => mode & !change.who | bits,
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_those_of_chmod() {
        for (text, before, directory, after) in [
            ("755", 0o600, false, 0o755),
            ("u=rwX,go=rX", 0o640, false, 0o644),
            ("u=rwX,go=rX", 0o640, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("a-w", 0o666, false, 0o444),
            ("u+s,o=", 0o755, false, 0o4750),
            ("g=u", 0, false, 0),
        ] {
            match Mode::parse(text) {
                Ok(mode) => assert_eq!(mode.of(before, directory), after, "{text}"),
                Err(_) => assert_eq!(text, "g=u"),
            }
        }
        for text in ["", "8", "10000", "u", "z+x", "u+q"] {
            assert!(Mode::parse(text).is_err() || text.is_empty(), "{text}");
        }
    }
}
