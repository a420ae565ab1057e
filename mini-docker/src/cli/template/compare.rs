//! `eq ne lt le gt ge`.

use std::cmp::Ordering;

use super::{data::Data, functions::Problem};

/// What can be compared with what: values of one kind.
#[derive(PartialEq, Eq)]
enum Basic {
    Bool,
    Integer,
    Float,
    Text,
}

fn basic(value: &Data) -> Option<Basic> {
    match value {
        Data::Bool(_) => Some(Basic::Bool),
        Data::Int(_) | Data::Uint(_) => Some(Basic::Integer),
        Data::Float(_) => Some(Basic::Float),
        Data::Text(_) => Some(Basic::Text),
        _ => None,
    }
}

fn failed(message: &str) -> Problem {
    Problem::Call(message.to_owned())
}

fn is_nil(value: &Data) -> bool {
    matches!(value, Data::Missing | Data::Nil(_))
}

fn equal(a: &Data, b: &Data) -> Result<bool, Problem> {
    if is_nil(a) || is_nil(b) {
        return Ok(is_nil(a) && is_nil(b));
    }
    match (basic(a), basic(b)) {
        (None, _) | (_, None) => {
            Err(failed(&format!("non-comparable type {}: {}", super::print::plain(a), a.type_name())))
        }
        (a_kind, b_kind) if a_kind != b_kind => Err(failed("incompatible types for comparison")),
        _ => Ok(order(a, b) == Some(Ordering::Equal)),
    }
}

/// `None`: they have no order, as a float that is no number.
fn order(a: &Data, b: &Data) -> Option<Ordering> {
    let integer = |value: &Data| match value {
        Data::Int(value) => i128::from(*value),
        Data::Uint(value) => i128::from(*value),
        _ => 0,
    };
    match (a, b) {
        (Data::Bool(a), Data::Bool(b)) => Some(a.cmp(b)),
        (Data::Float(a), Data::Float(b)) => a.partial_cmp(b),
        (Data::Text(a), Data::Text(b)) => Some(a.cmp(b)),
        _ => Some(integer(a).cmp(&integer(b))),
    }
}

/// Whether the first equals any of the others.
pub(super) fn eq(values: &[Data]) -> Result<Data, Problem> {
    let [first, others @ ..] = values else { return Err(failed("missing argument for comparison")) };
    if others.is_empty() {
        return Err(failed("missing argument for comparison"));
    }
    for other in others {
        if equal(first, other)? {
            return Ok(Data::Bool(true));
        }
    }
    Ok(Data::Bool(false))
}

/// Whether two values differ.
pub(super) fn ne(values: &[Data]) -> Result<Data, Problem> {
    let [a, b] = values else { return Err(failed("missing argument for comparison")) };
    Ok(Data::Bool(!equal(a, b)?))
}

/// A comparison that `accepts` some orders.
pub(super) fn ordered(values: &[Data], accepts: &[Ordering]) -> Result<Data, Problem> {
    let [a, b] = values else { return Err(failed("missing argument for comparison")) };
    match (basic(a), basic(b)) {
        (None | Some(Basic::Bool), _) | (_, None) => Err(failed("invalid type for comparison")),
        (a_kind, b_kind) if a_kind != b_kind => Err(failed("incompatible types for comparison")),
        _ => Ok(Data::Bool(order(a, b).is_some_and(|order| accepts.contains(&order)))),
    }
}
