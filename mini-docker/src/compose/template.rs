//! `$NAME`, `${NAME}` and its six forms with a default, a replacement or an error.

use serde_json::Value;

/// Why a text cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `${` is not followed by what may follow it.
    #[error("invalid interpolation format: {0:?}; you may need to escape any $ with another $")]
    Invalid(String),
    /// It becomes too long.
    #[error("the values of its variables come to more than {} MiB", MOST >> 20)]
    TooLong,
    /// `${NAME:?why}` of a variable without a value.
    #[error("required variable {name} is missing a value{}{why}", if why.is_empty() { "" } else { ": " })]
    Required {
        /// The variable.
        name: String,
        /// As the text says.
        why: String,
    },
}

/// Deeper nesting is no template of a person.
const DEEPEST: usize = 50;
/// Bytes that a text may have, beside those that were written: a line of `$A` a thousand times would fill any memory.
const MOST: usize = 1 << 20;

/// Where variables come from.
#[derive(Clone, Copy)]
pub struct Lookup<'a> {
    /// A variable's value.
    pub value: &'a dyn Fn(&str) -> Option<String>,
    /// Is told of each that is not set, and has nothing to stand for it.
    pub missing: &'a dyn Fn(&str),
}

impl<'a> Lookup<'a> {
    /// Nobody is told.
    pub fn new(value: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { value, missing: &|_| () }
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.value)(name)
    }

    fn or_empty(&self, name: &str) -> String {
        self.get(name).unwrap_or_else(|| {
            (self.missing)(name);
            String::new()
        })
    }
}

/// Doubles the dollars of a document's values, so that none is taken for a variable when it is read again. Keys are never filled
/// in, and stay as they are.
#[must_use]
pub fn escape(document: &Value) -> Value {
    match document {
        Value::String(text) => text.replace('$', "$$").into(),
        Value::Array(items) => items.iter().map(escape).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| (key.clone(), escape(value))).collect(),
        other => other.clone(),
    }
}

/// Fills in the variables of `text`; `$$` is a dollar. A variable that is not set is empty.
pub fn substitute(text: &str, lookup: Lookup) -> Result<String, TemplateError> {
    fill(text, lookup, 0)
}

fn fill(text: &str, lookup: Lookup, depth: usize) -> Result<String, TemplateError> {
    let invalid = || TemplateError::Invalid(text.to_owned());
    if depth > DEEPEST {
        return Err(invalid());
    }
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        if filled.len() > text.len() + MOST {
            return Err(TemplateError::TooLong);
        }
        let after = &rest[at + 1..];
        let name = name(after);
        if let Some(after) = after.strip_prefix('$') {
            filled.push('$');
            rest = after;
        } else if !name.is_empty() {
            filled.push_str(&lookup.or_empty(name));
            rest = &after[name.len()..];
        } else if after.starts_with('{') {
            let (inside, after) = braced(after).ok_or_else(invalid)?;
            filled.push_str(&expression(inside, lookup, depth).ok_or_else(invalid)??);
            rest = after;
        } else {
            filled.push('$');
            rest = after;
        }
    }
    filled.push_str(rest);
    if filled.len() > text.len() + MOST { Err(TemplateError::TooLong) } else { Ok(filled) }
}

/// A variable, as a text names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Whether there is an error without it.
    pub required: bool,
    /// What stands for it where it is not set.
    pub default: String,
    /// What stands for it where it is.
    pub alternative: String,
}

/// The variables that `text` names, those in defaults of others too.
pub fn variables(text: &str) -> Vec<Variable> {
    let mut all = Vec::new();
    collect(text, &mut all, 0);
    all
}

fn collect(text: &str, into: &mut Vec<Variable>, depth: usize) {
    let mut rest = text;
    while let Some(at) = rest.find('$').filter(|_| depth <= DEEPEST) {
        let after = &rest[at + 1..];
        let plain = name(after);
        rest = after;
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
        } else if !plain.is_empty() {
            into.push(Variable { name: plain.to_owned(), ..Variable::default() });
        } else if let Some((inside, after)) = after.starts_with('{').then(|| braced(after)).flatten() {
            rest = after;
            let name = name(inside);
            let operator = inside[name.len()..].trim_start_matches(':');
            let body = operator.get(1..).unwrap_or_default().to_owned();
            let mut variable = Variable { name: name.to_owned(), ..Variable::default() };
            match operator.as_bytes().first() {
                Some(b'-') => variable.default.clone_from(&body),
                Some(b'+') => variable.alternative.clone_from(&body),
                Some(b'?') => variable.required = true,
                _ => {}
            }
            into.extend(Some(variable).filter(|variable| !variable.name.is_empty()));
            collect(&body, into, depth + 1);
        }
    }
}

/// The name of a variable that `text` begins with.
fn name(text: &str) -> &str {
    let is_first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    if is_first { &text[..end] } else { "" }
}

/// What is between `{` and its `}`, and what comes after.
fn braced(text: &str) -> Option<(&str, &str)> {
    let (mut open, mut last) = (0usize, None);
    for (at, byte) in text.bytes().enumerate().take_while(|(_, byte)| *byte != b'\n') {
        match byte {
            b'{' => open += 1,
            b'}' if open == 1 => return Some((&text[1..at], &text[at + 1..])),
            b'}' => (open, last) = (open.saturating_sub(1), Some(at)),
            _ => {}
        }
    }
    // More braces were opened than closed: then the last one ends it.
    let last = last?;
    Some((&text[1..last], &text[last + 1..]))
}

/// The value of what stands in braces; `None` where it is no expression.
fn expression(inside: &str, lookup: Lookup, depth: usize) -> Option<Result<String, TemplateError>> {
    let name = name(inside);
    if name.is_empty() {
        return None;
    }
    let operator = &inside[name.len()..];
    if operator.is_empty() {
        return Some(Ok(lookup.or_empty(name)));
    }
    let value = lookup.get(name);
    let (counts_empty, operator) = match operator.strip_prefix(':') {
        Some(operator) => (true, operator),
        None => (false, operator),
    };
    let is_set = value.as_ref().is_some_and(|value| !counts_empty || !value.is_empty());
    let body = operator.get(1..).unwrap_or_default();
    let filled = || fill(body, lookup, depth + 1);
    Some(match (operator.as_bytes().first()?, is_set) {
        (b'-', false) | (b'+', true) => filled(),
        (b'-' | b'?', true) | (b'+', false) => Ok(value.unwrap_or_default()),
        (b'?', false) => filled().and_then(|why| Err(TemplateError::Required { name: name.to_owned(), why })),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, TemplateError> {
        substitute(text, Lookup::new(&value))
    }

    fn value(name: &str) -> Option<String> {
        match name {
            "FOO" => Some("first".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn who_is_not_there_and_has_no_stand_in_is_told() {
        let told = std::cell::RefCell::new(Vec::new());
        let missing = |name: &str| told.borrow_mut().push(name.to_owned());
        let text = "$FOO $EMPTY $A ${B} ${C:-x} ${D-$E} ${F:+$G} $$H";
        assert_eq!(substitute(text, Lookup { value: &value, missing: &missing }).unwrap(), "first    x   $H");
        assert_eq!(told.into_inner(), ["A", "B", "E"]);
    }

    #[test]
    fn every_form_is_filled_in() {
        for (text, value) in [
            ("$FOO-$$FOO", "first-$FOO"),
            ("${FOO}x", "firstx"),
            ("${NO:-a}${NO-b}${EMPTY:-c}${EMPTY-d}", "abc"),
            ("${FOO:+a}${EMPTY:+b}${EMPTY+c}${NO+d}", "ac"),
            ("${NO:-${NOT:-${FOO}}}!", "first!"),
            ("${NO-a?b}", "a?b"),
            ("$1 $ %$", "$1 $ %$"),
            ("${NO:-{\"a\":1}}", "{\"a\":1}"),
        ] {
            assert_eq!(filled(text).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn variables_are_listed_with_what_stands_for_them() {
        let all = variables("$A $$B ${C:-x${D?}} ${E+y} ${}");
        let said: Vec<_> = all.iter().map(|v| (&*v.name, v.required, &*v.default, &*v.alternative)).collect();
        assert_eq!(
            said,
            [("A", false, "", ""), ("C", false, "x${D?}", ""), ("D", true, "", ""), ("E", false, "", "y")]
        );
    }

    #[test]
    fn mistakes_are_said() {
        for text in ["${", "${}", "${ FOO}", "${FOO", "${FOO!x}", "${FOO:x}", "${1}"] {
            assert!(matches!(filled(text), Err(TemplateError::Invalid(_))), "{text}");
        }
        let error = filled("${NO:?set ${FOO}}").unwrap_err().to_string();
        assert_eq!(error, "required variable NO is missing a value: set first");
        assert_eq!(filled("${EMPTY?x}").unwrap(), "");
        assert!(filled("${EMPTY:?}").is_err());
    }
}
