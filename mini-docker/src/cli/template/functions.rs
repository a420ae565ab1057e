//! The functions: Go's, and Docker's `json join lower pad split title truncate upper`.

use std::{cmp::Ordering, ops::RangeInclusive};

use super::{
    compare,
    data::{Data, Nil},
    escape, eval, print, printf,
};

/// Why a function gave no value.
pub(super) enum Problem {
    /// It was given what it does not take.
    Argument(String),
    /// It went wrong.
    Call(String),
}

type Outcome = Result<Data, Problem>;

/// A function of templates.
pub(super) struct Function {
    name: &'static str,
    /// How many arguments it takes.
    pub(super) takes: RangeInclusive<usize>,
    /// Whether it leaves the words of a table's heading as they are.
    pub(super) spares_headings: bool,
    pub(super) call: fn(&[Data]) -> Outcome,
}

const ANY: usize = usize::MAX;

const fn go(name: &'static str, takes: RangeInclusive<usize>, call: fn(&[Data]) -> Outcome) -> Function {
    Function { name, takes, spares_headings: false, call }
}

const fn docker(name: &'static str, takes: RangeInclusive<usize>, call: fn(&[Data]) -> Outcome) -> Function {
    Function { name, takes, spares_headings: true, call }
}

static FUNCTIONS: [Function; 26] = [
    // Where they end is the evaluator's; what is left is their last argument.
    go("and", 1..=ANY, last),
    go("or", 1..=ANY, last),
    go("not", 1..=1, |values| Ok(Data::Bool(!values[0].truth()))),
    go("eq", 1..=ANY, compare::eq),
    go("ne", 2..=2, compare::ne),
    go("lt", 2..=2, |values| compare::ordered(values, &[Ordering::Less])),
    go("le", 2..=2, |values| compare::ordered(values, &[Ordering::Less, Ordering::Equal])),
    go("gt", 2..=2, |values| compare::ordered(values, &[Ordering::Greater])),
    go("ge", 2..=2, |values| compare::ordered(values, &[Ordering::Greater, Ordering::Equal])),
    go("len", 1..=1, length),
    go("index", 1..=ANY, index),
    go("slice", 1..=4, slice),
    go("call", 1..=ANY, |values| Err(Problem::Call(format!("non-function of type {}", values[0].type_name())))),
    go("print", 0..=ANY, |values| bounded(print::sprint(values))),
    go("println", 0..=ANY, |values| bounded(print::sprintln(values))),
    go("printf", 1..=ANY, |values| bounded(printf::printf(text(&values[0])?, &values[1..]))),
    go("html", 0..=ANY, |values| bounded(escape::html(&print::sprint(values)))),
    go("js", 0..=ANY, |values| bounded(escape::js(&print::sprint(values)))),
    go("urlquery", 0..=ANY, |values| bounded(escape::urlquery(&print::sprint(values)))),
    docker("json", 1..=1, |values| bounded(values[0].json().to_string())),
    docker("lower", 1..=1, |values| bounded(text(&values[0])?.to_lowercase())),
    docker("upper", 1..=1, |values| bounded(text(&values[0])?.to_uppercase())),
    docker("title", 1..=1, |values| bounded(title(text(&values[0])?))),
    docker("truncate", 2..=2, truncate),
    docker("pad", 3..=3, pad),
    go("split", 2..=2, |values| Ok(split(text(&values[0])?, text(&values[1])?))),
];

static JOIN: Function = go("join", 2..=2, join);

/// The function of this name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().chain([&JOIN]).find(|function| function.name == name)
}

fn last(values: &[Data]) -> Outcome {
    Ok(values.last().cloned().unwrap_or(Data::Missing))
}

fn failed<T>(message: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Call(message.into()))
}

fn wanted<T>(what: &str, value: &Data) -> Result<T, Problem> {
    let message = match value {
        Data::Missing => format!("invalid value; expected {what}"),
        other => format!("wrong type for value; expected {what}; got {}", other.type_name()),
    };
    Err(Problem::Argument(message))
}

fn text(value: &Data) -> Result<&str, Problem> {
    match value {
        Data::Text(text) => Ok(text),
        other => wanted("string", other),
    }
}

fn integer(value: &Data) -> Result<i64, Problem> {
    match value {
        Data::Int(value) => Ok(*value),
        other => wanted("int", other),
    }
}

fn bounded(text: String) -> Outcome {
    if text.len() > eval::LENGTH { failed("the text is too long") } else { Ok(Data::Text(text.into())) }
}

fn length(values: &[Data]) -> Outcome {
    let length = match &values[0] {
        Data::Text(text) => text.len(),
        Data::List(items) => items.len(),
        Data::Map(map) => map.entries.len(),
        Data::Nil(Nil::List | Nil::Map) => 0,
        Data::Missing | Data::Nil(Nil::Pointer) => return failed("len of nil pointer"),
        other => return failed(format!("len of type {}", other.type_name())),
    };
    Ok(Data::Int(length as i64))
}

/// A place in something of `length`; `end`: the place after the last is one too.
fn place(value: &Data, length: usize, end: bool) -> Result<usize, Problem> {
    let index = match value {
        Data::Int(index) => *index,
        Data::Uint(_) => i64::MAX,
        Data::Missing => return failed("cannot index slice/array with nil"),
        other => return failed(format!("cannot index slice/array with type {}", other.type_name())),
    };
    match usize::try_from(index) {
        Ok(at) if at < length + usize::from(end) => Ok(at),
        _ => failed(format!("index out of range: {index}")),
    }
}

fn index(values: &[Data]) -> Outcome {
    let mut item = values[0].clone();
    if matches!(item, Data::Missing) {
        return failed("index of untyped nil");
    }
    for key in &values[1..] {
        item = match &item {
            Data::List(items) => items[place(key, items.len(), false)?].clone(),
            Data::Nil(Nil::List) => items_of_nothing(key)?,
            Data::Text(text) => Data::Int(text.as_bytes()[place(key, text.len(), false)?].into()),
            Data::Map(map) => map.get(map_key(key)?).unwrap_or(&map.zero).clone(),
            Data::Nil(Nil::Map) => {
                map_key(key)?;
                Data::text("")
            }
            Data::Nil(Nil::Pointer) | Data::Missing => return failed("index of nil pointer"),
            other => return failed(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(item)
}

fn items_of_nothing(key: &Data) -> Outcome {
    place(key, 0, false).map(|_| Data::Missing)
}

fn map_key(key: &Data) -> Result<&str, Problem> {
    match key {
        Data::Text(key) => Ok(key),
        Data::Missing => failed("value is nil; should be of type string"),
        other => failed(format!("value has type {}; should be string", other.type_name())),
    }
}

fn slice(values: &[Data]) -> Outcome {
    let length = match &values[0] {
        Data::Text(_) if values.len() == 4 => return failed("cannot 3-index slice a string"),
        Data::Text(text) => text.len(),
        Data::List(items) => items.len(),
        Data::Nil(Nil::List) => 0,
        Data::Missing => return failed("slice of untyped nil"),
        other => return failed(format!("can't slice item of type {}", other.type_name())),
    };
    let mut ends = [0, length, length];
    for (end, value) in ends.iter_mut().zip(&values[1..]) {
        *end = place(value, length, true)?;
    }
    let [from, to, most] = ends;
    if from > to || to > most {
        return failed(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match &values[0] {
        // Bytes, as in Go; what is cut apart shows as a replacement.
        Data::Text(text) => Data::text(&String::from_utf8_lossy(&text.as_bytes()[from..to])),
        Data::List(items) => Data::List(items[from..to].into()),
        other => other.clone(),
    })
}

fn join(values: &[Data]) -> Outcome {
    let separator = text(&values[1])?;
    let items = match &values[0] {
        Data::List(items) => items.iter().map(|item| text(item)).collect::<Result<Vec<_>, _>>(),
        Data::Nil(Nil::List) => Ok(Vec::new()),
        other => return wanted("[]string", other),
    };
    let Ok(items) = items else { return wanted("[]string", &values[0]) };
    let length = items.iter().map(|item| item.len() + separator.len()).sum::<usize>();
    if length > eval::LENGTH { failed("the text is too long") } else { Ok(Data::text(&items.join(separator))) }
}

fn split(text: &str, separator: &str) -> Data {
    let parts: Vec<_> = if separator.is_empty() {
        text.char_indices().map(|(i, c)| Data::text(&text[i..i + c.len_utf8()])).collect()
    } else {
        text.split(separator).map(Data::text).collect()
    };
    Data::List(parts.into())
}

/// The first letter of each word in upper case.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            titled.push(c);
        } else {
            titled.extend(c.to_uppercase());
        }
        // Go's words have apostrophes only as an end, and underscores inside.
        inside = c.is_alphanumeric() || c == '_' || (!c.is_ascii() && !c.is_whitespace());
    }
    titled
}

fn truncate(values: &[Data]) -> Outcome {
    let (text, length) = (text(&values[0])?, integer(&values[1])?);
    match usize::try_from(length) {
        Ok(length) if text.len() < length => Ok(values[0].clone()),
        Ok(length) => Ok(Data::text(&String::from_utf8_lossy(&text.as_bytes()[..length]))),
        Err(_) => failed(format!("slice bounds out of range [:{length}]")),
    }
}

fn pad(values: &[Data]) -> Outcome {
    let text = text(&values[0])?;
    let spaces = |value: &Data| match usize::try_from(integer(value)?) {
        Ok(count) if count > eval::LENGTH => failed("the text is too long"),
        Ok(count) => Ok(" ".repeat(count)),
        Err(_) => failed("strings: negative Repeat count"),
    };
    if text.is_empty() {
        return Ok(values[0].clone());
    }
    bounded(format!("{}{text}{}", spaces(&values[1])?, spaces(&values[2])?))
}
