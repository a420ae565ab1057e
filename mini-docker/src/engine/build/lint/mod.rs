//! What a Dockerfile has that works, and is better written otherwise. Rules have BuildKit's names
//! (<https://docs.docker.com/reference/build-checks/>), and `# check=skip=RULE,…;error=true` counts.

mod rules;
mod syntax;
mod variables;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    context::Context,
    dockerfile::{Ast, Dockerfile, Lines},
    scope,
};
use crate::engine::{
    Engine,
    error::{Error, Result},
};
use syntax::Found;

/// Something to be written otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The rule's name.
    pub rule: &'static str,
    /// What is wrong.
    pub text: String,
    /// Where.
    pub lines: Lines,
}

/// The variable that counts in the directive's place.
pub(super) const VARIABLE: &str = "BUILDKIT_DOCKERFILE_CHECK";

/// What is around a Dockerfile, as far as it is there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around<'a> {
    /// Has the images that stages stand on.
    pub engine: Option<&'a Engine>,
    /// Whose files are copied, and which of them are left out.
    pub context: Option<&'a Context>,
}

/// What was found, and what it means.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is not skipped, in the file's order.
    pub warnings: Vec<Warning>,
    /// Whether a warning is reason enough to build nothing.
    pub fatal: bool,
}

impl Checked {
    /// The error where nothing is to be built.
    pub(super) fn error(&self) -> Option<Error> {
        let rules: BTreeSet<_> = self.warnings.iter().map(|warning| warning.rule).collect();
        let rules = rules.into_iter().collect::<Vec<_>>().join(", ");
        (self.fatal && !rules.is_empty()).then(|| Error::invalid(format!("lint violation found for rules: {rules}")))
    }
}

/// Looks a Dockerfile through, with what its directive says, or the build argument `BUILDKIT_DOCKERFILE_CHECK` in its place.
///
/// # Errors
/// Where it is none, or the directive is not understood.
pub fn checked(text: &str, args: &BTreeMap<String, String>, around: Around) -> Result<Checked> {
    let (mut warnings, directive) = all(text, args, around)?;
    let rules = Rules::parse(args.get(VARIABLE).map_or(directive.as_str(), String::as_str))?;
    warnings.retain(|warning| rules.means(warning.rule));
    Ok(Checked { warnings, fatal: rules.error })
}

/// Looks a Dockerfile through by all rules.
///
/// # Errors
/// Where it is none.
pub fn check(text: &str) -> Result<Vec<Warning>> {
    all(text, &BTreeMap::new(), Around::default()).map(|(warnings, _)| warnings)
}

/// All warnings, and the directive.
fn all(text: &str, args: &BTreeMap<String, String>, around: Around) -> Result<(Vec<Warning>, String)> {
    let invalid = |e: super::dockerfile::ParseError| Error::invalid(e.to_string());
    let file = Dockerfile::parse(text).map_err(invalid)?;
    let ast = Ast::parse(text).map_err(invalid)?;
    let mut found = Found::new(ast.directives.escape, globals(&file));
    let upper = ast.nodes.iter().filter(|node| node.keyword.to_uppercase() == node.keyword).count();
    let most_upper = upper * 2 >= ast.nodes.len();
    for lines in &ast.gaps {
        found.add("NoEmptyContinuation", "Empty continuation line".to_owned(), *lines);
    }
    for node in &ast.nodes {
        found.casing(node, most_upper);
        found.node(node);
    }
    let mut warnings = found.warnings;
    warnings.extend(variables::defaults(&file));
    warnings.extend(variables::in_use(file, args, around));
    warnings.sort_by_key(|warning| warning.lines.start);
    Ok((warnings, ast.directives.check.unwrap_or_default()))
}

/// The names of variables that FROM may use.
fn globals(file: &Dockerfile) -> BTreeSet<String> {
    let predefined = scope::platform().into_keys().chain(["TARGETSTAGE".to_owned()]);
    predefined.chain(file.meta_args.iter().map(|arg| arg.name.clone())).collect()
}

/// What `# check=` says.
#[derive(Debug, Default)]
struct Rules {
    skipped: Vec<String>,
    experimental: Vec<String>,
    error: bool,
}

impl Rules {
    /// `skip=RULE,…;error=true;experimental=RULE,…`
    fn parse(directive: &str) -> Result<Self> {
        let mut rules = Self::default();
        for part in directive.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let names = |list: &str| list.split(',').map(|rule| rule.trim().to_owned()).collect::<Vec<_>>();
            match (key.trim(), value.trim()) {
                ("skip", list) => rules.skipped.extend(names(list)),
                ("experimental", list) => rules.experimental.extend(names(list)),
                ("error", "true" | "1") => rules.error = true,
                ("error", "false" | "0") => rules.error = false,
                _ => {
                    return Err(Error::invalid(format!(
                        "invalid check option {part:?}: give skip=RULE,RULE or skip=all, and error=true, with ; between them"
                    )));
                }
            }
        }
        Ok(rules)
    }

    fn means(&self, rule: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|name| name == "all" || name == rule);
        !named(&self.skipped) && (rule != rules::EXPERIMENTAL || named(&self.experimental))
    }
}
