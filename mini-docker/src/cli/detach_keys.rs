//! The keys that leave a container's terminal and not the container: `ctrl-p,ctrl-q`, or what `--detach-keys` says.

use crate::engine::{Error, docker_config::DockerConfig, registry::credentials};

/// A sequence of keys, looked for in what is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DetachKeys {
    keys: Vec<u8>,
    /// How many of them have been typed just now, and are held back.
    typed: usize,
}

impl Default for DetachKeys {
    fn default() -> Self {
        Self::new(vec![0x10, 0x11])
    }
}

impl DetachKeys {
    fn new(keys: Vec<u8>) -> Self {
        Self { keys, typed: 0 }
    }

    /// A value of `--detach-keys`, for clap: characters and `ctrl-` with a letter or one of `@[\]^_`, between commas. Without any it is the default.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let key = |word: &str| match word.as_bytes() {
            [byte] => Some(*byte),
            [b'c', b't', b'r', b'l', b'-', byte @ (b'a'..=b'z' | b'@' | b'['..=b'_')] => Some(byte & 0x1F),
            _ => None,
        };
        let keys = text.split(',').map(|word| key(word).ok_or_else(|| format!("Unknown character: '{word}'")));
        keys.collect::<Result<_, _>>().map(Self::new)
    }

    /// Those of the command line, or of Docker's config.json; nobody types where there is no input.
    pub(super) fn choose(given: Option<Self>, interactive: bool) -> Result<Self, Error> {
        match given {
            Some(keys) => Ok(keys),
            None if !interactive => Ok(Self::default()),
            None => {
                let text = &DockerConfig::read().detach_keys;
                let file = credentials::path();
                Self::parse(text).map_err(|e| Error::invalid(format!("detachKeys {text:?} in {}: {e}", file.display())))
            }
        }
    }

    /// What of `input` is for the container, and whether the keys were typed: nothing is read after them.
    pub(super) fn filter(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(input.len());
        for &byte in input {
            if self.keys.get(self.typed) != Some(&byte) {
                passed.extend_from_slice(&self.keys[..self.typed]);
                self.typed = 0;
            }
            if self.keys.get(self.typed) == Some(&byte) {
                self.typed += 1;
            } else {
                passed.push(byte);
            }
            if self.typed == self.keys.len() {
                return (passed, true);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_dockers() {
        assert_eq!(DetachKeys::parse(""), Ok(DetachKeys::default()));
        assert_eq!(DetachKeys::parse("ctrl-p,ctrl-q"), Ok(DetachKeys::default()));
        assert_eq!(DetachKeys::parse("a,ctrl-@,ctrl-_").unwrap().keys, [b'a', 0, 0x1F]);
        for bad in ["ctrl-", "ctrl-P", "ab", "a,,b", "ctrl-1"] {
            assert!(DetachKeys::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_whole_sequence_leaves() {
        let mut keys = DetachKeys::parse("a,b").unwrap();
        assert_eq!(keys.filter(b"xa"), (b"x".to_vec(), false), "held back");
        assert_eq!(keys.filter(b"c"), (b"ac".to_vec(), false), "and given after all");
        assert_eq!(keys.filter(b"aab!"), (b"a".to_vec(), true));
    }
}
