//! `debug-parse`: the Dockerfile language on standard input and output, one JSON request a line, for comparison with
//! other parsers.

use std::io::{self, BufRead, Write};

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outcome;
use crate::{
    cli::out::Stdout,
    engine::{
        build::dockerfile::{Arg, Ast, Dockerfile, Expander, Ignore, ParseError},
        error::Error,
    },
};

#[derive(Debug, Args)]
pub(super) struct DebugParse {}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Request {
    /// The syntax tree.
    Ast { dockerfile: String },
    /// Stages and instructions.
    Instr { dockerfile: String },
    /// One word expanded.
    Word(Word),
    /// A line expanded and split.
    Words(Word),
    /// Which paths a `.dockerignore` excludes.
    Ignore { file: String, paths: Vec<String> },
}

#[derive(Deserialize)]
struct Word {
    #[serde(rename = "word")]
    text: String,
    #[serde(default)]
    env: Vec<String>,
    #[serde(default = "backslash")]
    escape: char,
}

fn backslash() -> char {
    '\\'
}

impl DebugParse {
    pub(super) fn run() -> Outcome {
        let broken = |e| Error::system("talk on standard input and output", &e);
        for line in io::stdin().lock().lines() {
            let answer = match serde_json::from_str(&line.map_err(broken)?) {
                Ok(request) => answer(request),
                Err(e) => Err(e.to_string()),
            };
            let answer = answer.unwrap_or_else(|error| json!({ "ok": false, "error": error }));
            writeln!(Stdout, "{answer}").map_err(broken)?;
        }
        Ok(0)
    }
}

fn answer(request: Request) -> Result<Value, String> {
    let text = |e: ParseError| e.to_string();
    match request {
        Request::Ast { dockerfile } => Ast::parse(&dockerfile).map(|ast| tree(&ast)).map_err(text),
        Request::Instr { dockerfile } => Dockerfile::parse(&dockerfile).map(|file| stages(&file)).map_err(text),
        Request::Word(word) => {
            let expanded = Expander::new(word.escape).word(&word.text, &|name| value(&word.env, name));
            expanded.map(|text| json!({ "ok": true, "result": text })).map_err(text)
        }
        Request::Words(word) => {
            let expanded = Expander::new(word.escape).words(&word.text, &|name| value(&word.env, name));
            expanded.map(|words| json!({ "ok": true, "result": words })).map_err(text)
        }
        Request::Ignore { file, paths } => {
            let ignore = Ignore::parse(&file).map_err(text)?;
            let excluded: Vec<_> = paths.iter().map(|path| ignore.excludes(path)).collect();
            Ok(json!({ "ok": true, "excluded": excluded }))
        }
    }
}

fn value(env: &[String], name: &str) -> Option<String> {
    let pairs = env.iter().map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.rev().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

fn tree(ast: &Ast) -> Value {
    let lines: Vec<_> = ast.nodes.iter().map(|node| [node.lines.start, node.lines.end]).collect();
    let heredocs = ast.nodes.iter().map(|node| {
        let docs = node.heredocs.iter().map(|doc| {
            json!({ "name": doc.name, "fd": doc.fd, "expand": doc.expand, "chomp": doc.chomp, "content": doc.content })
        });
        docs.collect::<Vec<_>>()
    });
    json!({ "ok": true, "dump": ast.dump(), "lines": lines, "heredocs": heredocs.collect::<Vec<_>>() })
}

fn stages(file: &Dockerfile) -> Value {
    let arg = |arg: &Arg| match &arg.default {
        Some(default) => format!("{}={default}", arg.name),
        None => arg.name.clone(),
    };
    let stages = file.stages.iter().map(|stage| {
        json!({
            "name": stage.name.as_deref().unwrap_or_default(),
            "base": stage.base,
            "platform": stage.platform.as_deref().unwrap_or_default(),
            "commands": stage.commands.iter().map(|command| &command.keyword).collect::<Vec<_>>(),
        })
    });
    json!({
        "ok": true,
        "stages": stages.collect::<Vec<_>>(),
        "meta_args": file.meta_args.iter().map(arg).collect::<Vec<_>>(),
    })
}
