//! What the specification allows where, and what it means: the one description of the model's keys, from which both the
//! check ([`check`]) and the canonical output ([`encode`](super::encode)) follow.

mod check;
mod resources;
mod service;

pub(super) use check::{check, extensions};
pub(super) use resources::PROJECT;

/// A set of JSON types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const TEXT: Self = Self(1);
    pub(super) const INTEGER: Self = Self(2);
    /// An integer is one too.
    pub(super) const NUMBER: Self = Self(2 | 4);
    pub(super) const BOOLEAN: Self = Self(8);
    pub(super) const NULL: Self = Self(16);

    pub(super) const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a scalar is in the canonical model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    /// Text; numbers are written out.
    Text,
    /// A boolean; not there where it is false.
    Flag,
    /// A boolean that differs from one that is not there.
    Choice,
    /// A boolean; not there where it is true.
    OptOut,
    /// An integer; not there where it is zero.
    Integer,
    /// An integer for which zero means something.
    Count,
    /// A fraction; not there where it is zero.
    Float,
    /// Bytes, as `512m`: a decimal number in text.
    Bytes,
    /// As `1m30s`; not there where it is zero.
    Duration,
    /// A duration for which zero means something.
    Timeout,
    /// Permissions: octal text.
    Mode,
    /// A number, or `all`, which is -1.
    Devices,
}

/// What may stand under a key.
#[derive(Debug)]
pub(super) enum Shape {
    /// One of these types, meaning that.
    One(Types, Scalar),
    /// An integer in a range, or text that is one.
    Ranged(i64, i64, Scalar),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Text with a rule of its own.
    Ruled(fn(&str) -> bool, &'static str),
    /// A mapping of known keys, and `x-` ones.
    Object(&'static [Field]),
    /// A mapping of known keys alone.
    Closed(&'static [Field]),
    /// An object or null.
    Maybe(&'static Shape),
    /// Names of services and their kin to what they mean.
    Named(&'static Shape),
    /// Any keys to scalars of these types; in the canonical model to text.
    Options(Types),
    /// Any keys at all.
    Open,
    /// A list; true: of different entries.
    List(&'static Shape, bool),
    /// The first one of the value's own type.
    Either(&'static [Shape]),
    /// A program: words, or a line of them.
    Command,
    /// Text or a list of different texts; in the canonical model a list.
    Texts,
    /// `KEY=value`s as a mapping or a list. True: without a value it is null, not empty.
    Pairs(bool),
    /// Keys of an agent, with or without a path; in the canonical model a list.
    Keys,
    /// Host names and addresses.
    Hosts,
    /// The command of a health check.
    Test,
    /// Limits of a process: a number, or a soft and a hard one.
    Ulimits,
    /// Any keys to a scalar or a list of them.
    MultiOptions,
}

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// Whether it has to be there.
    pub(super) required: bool,
}

/// A key that may be missing.
const fn key(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: false }
}

/// A key that may not.
const fn needed(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, required: true }
}

const TEXT: Shape = Shape::One(Types::TEXT, Scalar::Text);
/// A flag as YAML has it, or as a variable brings it.
const FLAG: Shape = Shape::One(Types::BOOLEAN.or(Types::TEXT), Scalar::Flag);
const CHOICE: Shape = Shape::One(Types::BOOLEAN.or(Types::TEXT), Scalar::Choice);
const INTEGER: Shape = Shape::One(Types::INTEGER.or(Types::TEXT), Scalar::Integer);
const COUNT: Shape = Shape::One(Types::INTEGER.or(Types::TEXT), Scalar::Count);
const NUMBER: Shape = Shape::One(Types::NUMBER.or(Types::TEXT), Scalar::Integer);
const FLOAT: Shape = Shape::One(Types::NUMBER.or(Types::TEXT), Scalar::Float);
const BYTES: Shape = Shape::One(Types::NUMBER.or(Types::TEXT), Scalar::Bytes);
const DURATION: Shape = Shape::One(Types::TEXT, Scalar::Duration);
const TIMEOUT: Shape = Shape::One(Types::TEXT, Scalar::Timeout);
const PORT: Shape = Shape::One(Types::TEXT.or(Types::INTEGER), Scalar::Text);
const TEXT_LIST: Shape = Shape::List(&TEXT, true);
const DRIVER_OPTIONS: Shape = Shape::Options(Types::TEXT.or(Types::NUMBER));
const LABELS: Shape = Shape::Pairs(false);
