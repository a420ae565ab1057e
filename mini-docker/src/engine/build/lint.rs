//! `build --check`: what a Dockerfile has that works, and is better written otherwise. Rules have BuildKit's names
//! (<https://docs.docker.com/reference/build-checks/>), and `# check=skip=RULE,…;error=true` counts.

use super::dockerfile::{Arguments, Ast, Dockerfile, Lines, Node};
use crate::engine::error::{Error, Result};

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

/// Names that FROM has for itself.
const RESERVED: [&str; 2] = ["scratch", "context"];
/// Parts of names behind which secrets are.
const SECRETS: [&str; 8] = ["password", "passwd", "secret", "token", "apikey", "api_key", "credential", "private_key"];

/// Looks a Dockerfile through.
///
/// # Errors
/// Where it is none.
pub fn check(text: &str) -> Result<Vec<Warning>> {
    let invalid = |e: super::dockerfile::ParseError| Error::invalid(e.to_string());
    Dockerfile::parse(text).map_err(invalid)?;
    let ast = Ast::parse(text).map_err(invalid)?;
    let mut found = Found { warnings: Vec::new(), stages: Vec::new(), single: Vec::new() };
    let upper = ast.nodes.iter().filter(|node| node.keyword.to_uppercase() == node.keyword).count();
    let most_upper = upper * 2 >= ast.nodes.len();
    for lines in &ast.gaps {
        found.add("NoEmptyContinuation", "Empty continuation line".to_owned(), *lines);
    }
    for node in &ast.nodes {
        found.casing(node, most_upper);
        found.node(node);
    }
    let skipped = ast.directives.check.as_deref().map(skipped).unwrap_or_default();
    found.warnings.retain(|warning| !skipped.iter().any(|rule| rule == "all" || rule == warning.rule));
    found.warnings.sort_by_key(|warning| warning.lines.start);
    Ok(found.warnings)
}

/// The rules that `# check=` turns off.
fn skipped(directive: &str) -> Vec<String> {
    let lists = directive.split(';').filter_map(|part| part.trim().strip_prefix("skip="));
    lists.flat_map(|list| list.split(',').map(|rule| rule.trim().to_owned())).collect()
}

struct Found {
    warnings: Vec<Warning>,
    /// Names of stages so far.
    stages: Vec<String>,
    /// Instructions of this stage of which the last one counts.
    single: Vec<String>,
}

impl Found {
    fn add(&mut self, rule: &'static str, text: String, lines: Lines) {
        self.warnings.push(Warning { rule, text, lines });
    }

    fn casing(&mut self, node: &Node, most_upper: bool) {
        let (keyword, case) = if most_upper {
            (node.keyword.to_uppercase(), "uppercase")
        } else {
            (node.keyword.to_lowercase(), "lowercase")
        };
        if node.keyword != keyword {
            let text = format!("Command '{}' should match the case of the command majority ({case})", node.keyword);
            self.add("ConsistentInstructionCasing", text, node.lines);
        }
    }

    fn node(&mut self, node: &Node) {
        let Arguments::Words(words) = &node.arguments else { return };
        let keyword = node.keyword.to_lowercase();
        match keyword.as_str() {
            "from" => self.from(node, words),
            "maintainer" => self.add(
                "MaintainerDeprecated",
                "Maintainer instruction is deprecated in favor of using label".to_owned(),
                node.lines,
            ),
            "cmd" | "entrypoint" | "healthcheck" => self.command(node, &keyword),
            "workdir" => {
                let path = words.first().map_or("", String::as_str);
                if !path.starts_with(['/', '$', '"', '\'']) {
                    let text =
                        format!("Relative workdir {path:?} can have unexpected results if the base image changes");
                    self.add("WorkdirRelativePath", text, node.lines);
                }
            }
            "env" | "arg" | "label" => self.pairs(node, &keyword, words),
            _ => {}
        }
    }

    fn from(&mut self, node: &Node, words: &[String]) {
        self.single.clear();
        let [_, keyword, name] = words else { return };
        let all_upper = |word: &str| word == word.to_uppercase();
        if all_upper(&node.keyword) != all_upper(keyword) {
            let text = format!("'{keyword}' and '{}' keywords' casing do not match", node.keyword);
            self.add("FromAsCasing", text, node.lines);
        }
        if *name != name.to_lowercase() {
            self.add("StageNameCasing", format!("Stage name '{name}' should be lowercase"), node.lines);
        }
        let name = name.to_lowercase();
        if RESERVED.contains(&name.as_str()) {
            self.add(
                "ReservedStageName",
                format!("Stage name should not use the same name as reserved stage {name:?}"),
                node.lines,
            );
        }
        if self.stages.contains(&name) {
            self.add(
                "DuplicateStageName",
                format!("Duplicate stage name {name:?}, stage names should be unique"),
                node.lines,
            );
        }
        self.stages.push(name);
    }

    fn command(&mut self, node: &Node, keyword: &str) {
        let upper = keyword.to_uppercase();
        if self.single.iter().any(|other| other == keyword) {
            let text = format!(
                "Multiple {upper} instructions should not be used in the same stage because only the last one will be used"
            );
            self.add("MultipleInstructionsDisallowed", text, node.lines);
        }
        self.single.push(keyword.to_owned());
        if keyword != "healthcheck" && !node.json {
            let text =
                format!("JSON arguments recommended for {upper} to prevent unintended behavior related to OS signals");
            self.add("JSONArgsRecommended", text, node.lines);
        }
    }

    fn pairs(&mut self, node: &Node, keyword: &str, words: &[String]) {
        let upper = keyword.to_uppercase();
        let rest = node.original.split_whitespace().nth(1).unwrap_or_default();
        if keyword != "arg" && !rest.contains('=') {
            let text = format!("\"{upper} key=value\" should be used instead of legacy \"{upper} key value\" format");
            self.add("LegacyKeyValueFormat", text, node.lines);
        }
        let is_secret = |name: &str| SECRETS.iter().any(|part| name.to_lowercase().contains(part));
        let name = rest.split('=').next().unwrap_or_default();
        if keyword != "label" && is_secret(name) && !words.is_empty() {
            let text = format!("Do not use ARG or ENV instructions for sensitive data ({upper} {name:?})");
            self.add("SecretsUsedInArgOrEnv", text, node.lines);
        }
    }
}
