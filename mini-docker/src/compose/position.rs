//! Where a key stands in a file.

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::load::Source;

/// `FILE:LINE:COLUMN: ` of a key of the model, or of the nearest above it that stands in one of the files; of several
/// files the last that has it, which is the one that counts.
pub(super) fn place(sources: &[Source], keys: &[&str]) -> String {
    let keys: Vec<_> = keys.iter().map(|&key| key.to_owned()).collect();
    find(sources, &keys).unwrap_or_default()
}

/// As [`place`]; `None` where none of the keys stands in one of the files.
pub(super) fn find(sources: &[Source], keys: &[String]) -> Option<String> {
    for length in (1..=keys.len()).rev() {
        for source in sources.iter().rev() {
            if let Some((line, column)) = locate(&source.text, &keys[..length]) {
                return Some(format!("{}:{line}:{column}: ", source.path.display()));
            }
        }
    }
    None
}

/// The line and column, from 1, of the key at the end of `path`, or of the list's element, in the first document that has
/// it.
///
/// The parser knows a place only when it fails there: so it is led along the path, and made to fail at its end.
pub(super) fn locate(text: &str, path: &[String]) -> Option<(usize, usize)> {
    for document in serde_yaml::Deserializer::from_str(text) {
        match Seek(path).deserialize(document) {
            Ok(()) => {}
            Err(error) if error.to_string().contains(FOUND) => {
                return error.location().map(|location| (location.line(), location.column()));
            }
            // After what is no YAML the parser has document after document, and that in each.
            Err(_) => return None,
        }
    }
    None
}

const FOUND: &str = "found what was sought";

struct Seek<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return Err(A::Error::custom(FOUND)) };
        while let Some(is_it) = map.next_key_seed(Key { name: first, fail: rest.is_empty() })? {
            if is_it {
                map.next_value_seed(Seek(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((first, rest)) = self.0.split_first() else { return Err(A::Error::custom(FOUND)) };
        let wanted = first.trim_matches(['[', ']']).parse::<usize>().ok();
        for at in 0.. {
            let more = if Some(at) != wanted {
                list.next_element::<IgnoredAny>()?.is_some()
            } else if rest.is_empty() {
                list.next_element_seed(Fail)?.is_some()
            } else {
                list.next_element_seed(Seek(rest))?.is_some()
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Tells whether a key is this one, and fails there where it is what is sought.
struct Key<'a> {
    name: &'a str,
    fail: bool,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        if key == self.name && self.fail { Err(E::custom(FOUND)) } else { Ok(key == self.name) }
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
}

/// Fails at whatever comes.
struct Fail;

impl<'de> DeserializeSeed<'de> for Fail {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(FailVisitor)
    }
}

struct FailVisitor;

macro_rules! fail {
    ($($method:ident($type:ty)),*) => {
        $(fn $method<E: serde::de::Error>(self, _: $type) -> Result<(), E> { Err(E::custom(FOUND)) })*
    };
}

impl<'de> Visitor<'de> for FailVisitor {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("anything")
    }

    fail!(visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_f64(f64), visit_str(&str));

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Err(E::custom(FOUND))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom(FOUND))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom(FOUND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_where_they_stand() {
        let text = "services:\n  web:\n    image: x\n    ports:\n      - 80\n      - bad: 1\n";
        let at = |path: &[&str]| locate(text, &path.iter().map(|&key| key.to_owned()).collect::<Vec<_>>());
        assert_eq!(at(&["services", "web", "image"]).map(|(line, _)| line), Some(3));
        assert_eq!(at(&["services", "web", "ports", "[1]", "bad"]).map(|(line, _)| line), Some(6));
        assert_eq!(at(&["services", "db"]), None);
    }
}
