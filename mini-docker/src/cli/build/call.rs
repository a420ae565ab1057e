//! `--call`: what a Dockerfile is asked in place of being built.

use std::{collections::BTreeMap, str::FromStr};

use base64::Engine as _;
use serde_json::{Value, json};

use super::{printer, source::Source};
use crate::{
    cli::{Outcome, print, table::align},
    engine::{
        Engine,
        build::{
            dockerfile::Lines,
            lint::{self, Around},
            outline::{Arg, Outline, Target, outline, targets},
        },
        error::Result,
    },
};

/// What is asked, and how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) method: Method,
    json: bool,
    /// Whether a check that finds something is no failure.
    ignores_status: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Nothing: it is built.
    Build,
    /// What is better written otherwise.
    Check,
    /// What a target takes.
    Outline,
    /// Which stages there are.
    Targets,
}

impl FromStr for Call {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut fields = text.split(',');
        let method = match fields
            .next()
            .unwrap_or_default()
            .trim_start_matches("subrequests.")
            .trim_start_matches("frontend.")
        {
            "build" | "" => Method::Build,
            "check" | "lint" => Method::Check,
            "outline" => Method::Outline,
            "targets" => Method::Targets,
            other => return Err(format!("unknown call {other:?}: there are build, check, outline and targets")),
        };
        let mut call = Self { method, json: false, ignores_status: false };
        for field in fields {
            match field.split_once('=').unwrap_or((field, "true")) {
                ("format", "json") => call.json = true,
                ("format", "text") => call.json = false,
                ("ignorestatus", "true" | "1") => call.ignores_status = true,
                ("ignorestatus", "false" | "0") => call.ignores_status = false,
                _ => return Err(format!("unknown option {field:?}: there are format=json and ignorestatus=true")),
            }
        }
        Ok(call)
    }
}

impl Call {
    /// The same, but `--check`.
    pub(super) fn check(self) -> Self {
        Self { method: Method::Check, ..self }
    }

    pub(super) fn answer(
        self,
        engine: &Engine,
        source: &Source,
        args: &BTreeMap<String, String>,
        target: Option<&str>,
    ) -> Outcome {
        match self.method {
            Method::Build => Ok(0),
            Method::Check => self.checked(engine, source, args),
            Method::Outline => {
                let outline = outline(&source.dockerfile, args, target).map_err(|failure| failure.error)?;
                if self.json {
                    print_json(&outline_json(&outline, source));
                } else {
                    print_outline(&outline);
                }
                Ok(0)
            }
            Method::Targets => {
                let targets = targets(&source.dockerfile, args, target).map_err(|failure| failure.error)?;
                if self.json {
                    print_json(&targets_json(&targets, source));
                } else {
                    print_targets(&targets);
                }
                Ok(0)
            }
        }
    }

    /// 1 where something was found, as in Docker, unless that is to be ignored.
    fn checked(self, engine: &Engine, source: &Source, args: &BTreeMap<String, String>) -> Outcome {
        let around = Around { engine: Some(engine), context: Some(&source.context) };
        let warnings = lint::checked(&source.dockerfile, args, around)?.warnings;
        let code = u8::from(!warnings.is_empty() && !self.ignores_status);
        if self.json {
            let warning = |warning: &lint::Warning| {
                json!({
                    "ruleName": warning.rule,
                    "description": warning.description(),
                    "url": warning.url(),
                    "detail": warning.text,
                    "location": location(warning.lines),
                })
            };
            let list: Vec<_> = warnings.iter().map(warning).collect();
            print_json(&json!({"warnings": list, "sources": [{
                "fileName": source.name, "language": "Dockerfile", "data": encoded(source),
            }]}));
            return Ok(code);
        }
        let head = match warnings.len() {
            0 => "Check complete, no warnings found.".to_owned(),
            1 => "Check complete, 1 warning has been found!".to_owned(),
            many => format!("Check complete, {many} warnings have been found!"),
        };
        print(format_args!("{head}\n"));
        for warning in &warnings {
            let excerpt = printer::excerpt(&source.name, &source.dockerfile, warning.lines);
            print(format_args!("\nWARNING: {} - {}\n{}\n{excerpt}", warning.rule, warning.url(), warning.text));
        }
        Ok(code)
    }
}

fn print_json(value: &Value) {
    print(format_args!("{value:#}\n"));
}

fn encoded(source: &Source) -> String {
    base64::engine::general_purpose::STANDARD.encode(&source.dockerfile)
}

fn location(lines: Lines) -> Value {
    json!({"ranges": [{"start": {"line": lines.start}, "end": {"line": lines.end}}]})
}

/// An object without what is empty in it.
fn object(fields: Vec<(&str, Value)>) -> Value {
    let empty = |value: &Value| {
        matches!(value, Value::Null | Value::Bool(false))
            || value.as_str() == Some("")
            || value.as_array().is_some_and(Vec::is_empty)
    };
    fields.into_iter().filter(|(_, value)| !empty(value)).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn targets_json(targets: &[Target], source: &Source) -> Value {
    let target = |target: &Target| {
        object(vec![
            ("name", json!(target.name)),
            ("default", json!(target.default)),
            ("description", json!(target.description)),
            ("base", json!(target.base)),
            ("platform", json!(target.platform)),
            ("location", location(target.lines)),
        ])
    };
    json!({"targets": targets.iter().map(target).collect::<Vec<_>>(), "sources": [encoded(source)]})
}

fn print_targets(targets: &[Target]) {
    let line = |target: &Target| {
        let name = match (target.name.as_deref(), target.default) {
            (None, true) => "(default)".to_owned(),
            (Some(name), true) => format!("{name} (default)"),
            (name, false) => name.unwrap_or_default().to_owned(),
        };
        format!("{name}\t{}\n", target.description)
    };
    let lines: String = targets.iter().map(line).collect();
    print(format_args!("{}", align(&format!("TARGET\tDESCRIPTION\n{lines}"))));
}

fn outline_json(outline: &Outline, source: &Source) -> Value {
    let args: Vec<_> = outline
        .args
        .iter()
        .map(|arg| {
            object(vec![
                ("name", json!(arg.name)),
                ("description", json!(arg.description)),
                ("value", json!(arg.value)),
                ("location", location(arg.lines)),
            ])
        })
        .collect();
    let wanted = |list: &[(String, bool, Lines)]| {
        let one = |(name, required, lines): &(String, bool, Lines)| {
            object(vec![("name", json!(name)), ("required", json!(required)), ("location", location(*lines))])
        };
        list.iter().map(one).collect::<Vec<_>>()
    };
    let caches: Vec<_> =
        outline.caches.iter().map(|(id, lines)| json!({"ID": id, "location": location(*lines)})).collect();
    object(vec![
        ("name", json!(outline.name)),
        ("description", json!(outline.description)),
        ("args", json!(args)),
        ("secrets", json!(wanted(&outline.secrets))),
        ("ssh", json!(wanted(&outline.ssh))),
        ("cache", json!(caches)),
        ("sources", json!([encoded(source)])),
    ])
}

fn print_outline(outline: &Outline) {
    let mut parts = Vec::new();
    let name = outline.name.as_deref();
    if name.is_some() || !outline.description.is_empty() {
        let described = format!("DESCRIPTION:\t{}\n", outline.description);
        let described = if outline.description.is_empty() { "" } else { &described };
        parts.push(format!("TARGET:\t{}\n{described}", name.unwrap_or("(default)")));
    }
    if !outline.args.is_empty() {
        let line = |arg: &Arg| format!("{}\t{}\t{}\n", arg.name, arg.value, arg.description);
        parts.push(format!("BUILD ARG\tVALUE\tDESCRIPTION\n{}", outline.args.iter().map(line).collect::<String>()));
    }
    for (head, list) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        if !list.is_empty() {
            let line = |(name, required, _): &(String, bool, Lines)| {
                format!("{name}\t{}\n", if *required { "true" } else { "" })
            };
            parts.push(format!("{head}\tREQUIRED\n{}", list.iter().map(line).collect::<String>()));
        }
    }
    for part in parts {
        print(format_args!("{}\n", align(&part)));
    }
}
