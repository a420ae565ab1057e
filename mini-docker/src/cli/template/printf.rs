//! Go's `Sprintf`. See <https://pkg.go.dev/fmt>.

use std::fmt::{self, Write};

use super::{
    data::{Data, Nil},
    print,
};

mod number;
mod text;

pub(super) use number::float;

/// The greatest width and precision, as in Go.
const WIDEST: i64 = 1_000_000;

/// What stands between `%` and the verb.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Formats `values`. What is wrong is said in the text, as in Go: `%!d(string=x)`.
pub(super) fn printf(format: &str, values: &[Data]) -> String {
    let mut printer = Printer { values, next: 0, reordered: false, output: String::new() };
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        // More than anybody can want; the caller refuses it.
        if printer.output.len() > super::eval::LENGTH {
            break;
        }
        if c == '%' {
            printer.directive(&mut chars);
        } else {
            printer.output.push(c);
        }
    }
    printer.extra();
    printer.output
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

struct Printer<'a> {
    values: &'a [Data],
    next: usize,
    /// Whether `[n]` was used: then values may be left.
    reordered: bool,
    output: String,
}

impl Printer<'_> {
    fn directive(&mut self, chars: &mut Chars) {
        let mut flags = Flags::default();
        while let Some(c) = chars.peek() {
            match c {
                '+' => flags.plus = true,
                '-' => flags.minus = true,
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                '0' => flags.zero = true,
                _ => break,
            }
            chars.next();
        }
        let mut good = self.position(chars);
        match self.measure(chars) {
            Measure::None => {}
            Measure::Some(width) if width < 0 => {
                flags.minus = true;
                flags.width = Some(width.unsigned_abs() as usize);
            }
            Measure::Some(width) => flags.width = Some(width as usize),
            Measure::Bad => self.output.push_str("%!(BADWIDTH)"),
        }
        if chars.next_if_eq(&'.').is_some() {
            good &= self.position(chars);
            match self.measure(chars) {
                Measure::None => flags.precision = Some(0),
                Measure::Some(precision) if precision >= 0 => flags.precision = Some(precision as usize),
                Measure::Some(_) | Measure::Bad => self.output.push_str("%!(BADPREC)"),
            }
        }
        good &= self.position(chars);
        // Zeros come only before what they pad.
        flags.zero &= !flags.minus;
        let Some(verb) = chars.next() else {
            self.output.push_str("%!(NOVERB)");
            return;
        };
        match (verb, self.values.get(self.next)) {
            ('%', _) => self.output.push('%'),
            (verb, _) if !good => push(&mut self.output, format_args!("%!{verb}(BADINDEX)")),
            (verb, None) => push(&mut self.output, format_args!("%!{verb}(MISSING)")),
            (verb, Some(value)) => {
                self.next += 1;
                push_value(&mut self.output, value, verb, flags);
            }
        }
    }

    /// `[n]`. Whether it is well made and there is such a value.
    fn position(&mut self, chars: &mut Chars) -> bool {
        if chars.next_if_eq(&'[').is_none() {
            return true;
        }
        self.reordered = true;
        let inside: String = chars.by_ref().take_while(|c| *c != ']').collect();
        match inside.parse::<usize>() {
            Ok(n) if (1..=self.values.len()).contains(&n) => {
                self.next = n - 1;
                true
            }
            _ => false,
        }
    }

    /// A width or a precision: digits, or `*` for the next value.
    fn measure(&mut self, chars: &mut Chars) -> Measure {
        if chars.next_if_eq(&'*').is_some() {
            let value = self.values.get(self.next);
            self.next += 1;
            return match value {
                Some(Data::Int(n)) if (-WIDEST..=WIDEST).contains(n) => Measure::Some(*n),
                _ => Measure::Bad,
            };
        }
        let mut number = None;
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
            chars.next();
            number = Some((number.unwrap_or(0) * 10 + i64::from(digit)).min(WIDEST + 1));
        }
        match number {
            None => Measure::None,
            Some(n) if n > WIDEST => Measure::Bad,
            Some(n) => Measure::Some(n),
        }
    }

    fn extra(&mut self) {
        let Some(left @ [_, ..]) = self.values.get(self.next..) else { return };
        if self.reordered {
            return;
        }
        let shown: Vec<_> = left
            .iter()
            .map(|value| match value {
                Data::Missing => "<nil>".to_owned(),
                other => format!("{}={}", other.type_name(), print::plain(other)),
            })
            .collect();
        push(&mut self.output, format_args!("%!(EXTRA {})", shown.join(", ")));
    }
}

enum Measure {
    None,
    Some(i64),
    Bad,
}

fn push_value(output: &mut String, value: &Data, verb: char, flags: Flags) {
    match (verb, value) {
        ('T', _) => text::push_padded(output, value.type_name(), flags),
        ('v', _) if flags.sharp => text::push_padded(output, &syntax(value), Flags { sharp: false, ..flags }),
        (_, Data::List(items)) => push_list(output, items.iter().map(|v| (None, v)), verb, flags, "[]"),
        (_, Data::Map(map)) => {
            output.push_str("map");
            push_list(output, map.entries.iter().map(|(key, v)| (Some((key.as_ref(), true)), v)), verb, flags, "[]");
        }
        (_, Data::Struct(it)) => {
            let named = flags.plus && verb == 'v';
            let fields = it.fields.iter().map(|(key, v)| (named.then_some((key.as_ref(), false)), v));
            push_list(output, fields, verb, Flags { plus: flags.plus && verb == 'v', ..flags }, "{}");
        }
        (_, Data::Nil(Nil::List)) => output.push_str("[]"),
        (_, Data::Nil(Nil::Map)) => output.push_str("map[]"),
        ('v', Data::Missing | Data::Nil(Nil::Pointer)) => text::push_padded(output, "<nil>", flags),
        (_, Data::Missing) => push(output, format_args!("%!{verb}(<nil>)")),
        ('t' | 'v', Data::Bool(value)) => text::push_padded(output, if *value { "true" } else { "false" }, flags),
        (_, Data::Int(value)) if number::push_integer(output, i128::from(*value), verb, flags) => {}
        (_, Data::Uint(value)) if number::push_integer(output, i128::from(*value), verb, flags) => {}
        (_, Data::Float(value)) if number::push_float(output, *value, verb, flags) => {}
        (_, Data::Text(value)) if text::push_text(output, value, verb, flags) => {}
        _ => output.push_str(&bad(verb, value)),
    }
}

fn push(output: &mut String, text: fmt::Arguments) {
    // Writing to a String cannot fail.
    let _ = output.write_fmt(text);
}

/// What the verb cannot print.
fn bad(verb: char, value: &Data) -> String {
    format!("%!{verb}({}={})", value.type_name(), print::plain(value))
}

fn push_list<'a>(
    output: &mut String,
    items: impl Iterator<Item = (Option<(&'a str, bool)>, &'a Data)>,
    verb: char,
    flags: Flags,
    brackets: &str,
) {
    output.push_str(&brackets[..1]);
    for (i, (key, item)) in items.enumerate() {
        if i > 0 {
            output.push(' ');
        }
        if let Some((key, is_value)) = key {
            // A map's keys are printed as its values are; a structure's names are names.
            if is_value {
                push_value(output, &Data::text(key), verb, flags);
            } else {
                output.push_str(key);
            }
            output.push(':');
        }
        push_value(output, item, verb, flags);
    }
    output.push_str(&brackets[1..]);
}

/// `%#v`: near to Go's own syntax.
fn syntax(value: &Data) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Data::Text(text) => super::literal::quote(text),
        Data::Uint(value) => format!("{value:#x}"),
        Data::Nil(Nil::List | Nil::Map) => format!("{}(nil)", value.type_name()),
        Data::List(items) => format!("{}{{{}}}", value.type_name(), list(items.iter().map(syntax).collect())),
        Data::Map(map) => {
            let entry =
                |(key, item): &(std::rc::Rc<str>, Data)| format!("{}:{}", super::literal::quote(key), syntax(item));
            format!("{}{{{}}}", value.type_name(), list(map.entries.iter().map(entry).collect()))
        }
        Data::Struct(it) => {
            let field = |(key, item): &(std::rc::Rc<str>, Data)| format!("{key}:{}", syntax(item));
            format!("struct{{{}}}", list(it.fields.iter().map(field).collect()))
        }
        other => print::plain(other),
    }
}
