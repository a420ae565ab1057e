//! Dockerfiles and ignore files.

use mini_docker::{
    engine::build::{
        dockerfile::{Ast, Dockerfile, Ignore, changes, clean, trigger},
        lint,
    },
    fuzz::expand,
};

use crate::{model, one_line, text};

/// Bytes that the variables of a build may have: more is a bomb.
const MOST: usize = 20 << 20;

/// The parser, the checks, and the expansion of all variables.
pub(crate) fn dockerfile(data: &[u8]) {
    let Some(source) = text(data) else { return };
    let lines = source.split('\n').count();
    let checked = lint::check(source);
    if let Ok(ast) = Ast::parse(source) {
        ast.dump();
        for node in &ast.nodes {
            assert!(1 <= node.lines.start && node.lines.start <= node.lines.end, "{:?}", node.lines);
            assert!(node.lines.end <= lines, "{:?} of {lines}", node.lines);
        }
    }
    match Dockerfile::parse(source) {
        Ok(file) => {
            let warnings = checked.expect("what is parsed can be checked");
            assert!(warnings.iter().all(|warning| (1..=lines).contains(&warning.lines.start)), "{warnings:?}");
            match expand(file) {
                Ok(bytes) => assert!(bytes <= MOST, "variables of {bytes} bytes"),
                Err(error) => one_line(&error),
            }
        }
        Err(error) => {
            one_line(&error.to_string());
            assert!(error.line.is_none_or(|line| line <= lines), "line {:?} of {lines}", error.line);
            assert!(checked.is_err(), "what is refused cannot be checked");
        }
    }
    // The same language in `commit --change` and ONBUILD.
    let _ = changes(source);
    let _ = trigger(source, '\\');
}

/// `.dockerignore`, against a matcher that is slow and plain. The last line is the path that is asked about.
pub(crate) fn ignore(data: &[u8]) {
    let Some((file, path)) = text(data).and_then(|source| source.rsplit_once('\n')) else { return };
    let path = clean(path);
    let Ok(ignore) = Ignore::parse(file) else { return };
    let excluded = ignore.excludes(&path);
    if let Some(expected) = model::excludes(file, &path) {
        assert_eq!(excluded, expected, "{path:?} by {file:?}");
    }
}
