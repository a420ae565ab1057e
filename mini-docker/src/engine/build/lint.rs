//! What a Dockerfile has that works, and is better written otherwise. Rules have BuildKit's names
//! (<https://docs.docker.com/reference/build-checks/>), and `# check=skip=RULE,…;error=true` counts.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    dockerfile::{Arguments, Ast, Dockerfile, Expander, Lines, Node},
    scope,
};
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
/// Words in names behind which secrets are.
const SECRETS: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
/// The variable that counts in the directive's place.
pub(super) const VARIABLE: &str = "BUILDKIT_DOCKERFILE_CHECK";

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
pub fn checked(text: &str, args: &BTreeMap<String, String>) -> Result<Checked> {
    let (warnings, directive) = all(text)?;
    let rules = Rules::parse(args.get(VARIABLE).map_or(directive.as_str(), String::as_str))?;
    let skipped = |warning: &Warning| rules.skipped.iter().any(|rule| rule == "all" || rule == warning.rule);
    let warnings = warnings.into_iter().filter(|warning| !skipped(warning)).collect();
    Ok(Checked { warnings, fatal: rules.error })
}

/// Looks a Dockerfile through by all rules.
///
/// # Errors
/// Where it is none.
pub fn check(text: &str) -> Result<Vec<Warning>> {
    all(text).map(|(warnings, _)| warnings)
}

/// All warnings, and the directive.
fn all(text: &str) -> Result<(Vec<Warning>, String)> {
    let invalid = |e: super::dockerfile::ParseError| Error::invalid(e.to_string());
    let file = Dockerfile::parse(text).map_err(invalid)?;
    let ast = Ast::parse(text).map_err(invalid)?;
    let globals = scope::platform().into_keys().chain(["TARGETSTAGE".to_owned()]);
    let globals = globals.chain(file.meta_args.into_iter().map(|arg| arg.name)).collect();
    let mut found = Found { escape: ast.directives.escape, globals, ..Found::default() };
    let upper = ast.nodes.iter().filter(|node| node.keyword.to_uppercase() == node.keyword).count();
    let most_upper = upper * 2 >= ast.nodes.len();
    for lines in &ast.gaps {
        found.add("NoEmptyContinuation", "Empty continuation line".to_owned(), *lines);
    }
    for node in &ast.nodes {
        found.casing(node, most_upper);
        found.node(node);
    }
    found.warnings.sort_by_key(|warning| warning.lines.start);
    Ok((found.warnings, ast.directives.check.unwrap_or_default()))
}

/// What `# check=` says.
#[derive(Debug, Default)]
struct Rules {
    skipped: Vec<String>,
    error: bool,
}

impl Rules {
    /// `skip=RULE,…;error=true`; the experimental rules, which are none here, may be named too.
    fn parse(directive: &str) -> Result<Self> {
        let mut rules = Self::default();
        for part in directive.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match (key.trim(), value.trim()) {
                ("skip", list) => rules.skipped.extend(list.split(',').map(|rule| rule.trim().to_owned())),
                ("error", "true" | "1") => rules.error = true,
                ("error", "false" | "0") => rules.error = false,
                ("experimental", _) => {}
                _ => {
                    return Err(Error::invalid(format!(
                        "invalid check option {part:?}: give skip=RULE,RULE or skip=all, and error=true, with ; between them"
                    )));
                }
            }
        }
        Ok(rules)
    }
}

#[derive(Default)]
struct Found {
    warnings: Vec<Warning>,
    escape: char,
    /// Variables that FROM may use.
    globals: BTreeSet<String>,
    /// Names of stages so far, and whether each has an absolute WORKDIR.
    stages: Vec<(String, bool)>,
    /// Instructions of this stage of which the last one counts.
    single: Vec<String>,
    /// Whether this stage has an absolute WORKDIR.
    absolute: bool,
    /// Whether this stage has a SHELL, and so means its shell form.
    shell: bool,
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
            "shell" => self.shell = true,
            "expose" => self.expose(node, words),
            "workdir" => {
                let path = words.first().map_or("", String::as_str);
                if path.starts_with(['/', '$', '"', '\'']) {
                    self.absolute = true;
                    if let Some((_, absolute)) = self.stages.last_mut() {
                        *absolute = true;
                    }
                } else if !self.absolute {
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
        self.shell = false;
        let base = words.first().map_or("", String::as_str);
        let inherited = self.stages.iter().rfind(|(name, _)| *name == base.to_lowercase());
        self.absolute = inherited.is_some_and(|(_, absolute)| *absolute);
        self.platform(node);
        self.undeclared(node, base);
        let [_, keyword, name] = words else {
            self.stages.push((String::new(), self.absolute));
            return;
        };
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
        if self.stages.iter().any(|(other, _)| *other == name) {
            self.add(
                "DuplicateStageName",
                format!("Duplicate stage name {name:?}, stage names should be unique"),
                node.lines,
            );
        }
        self.stages.push((name, self.absolute));
    }

    /// FROM's `--platform`.
    fn platform(&mut self, node: &Node) {
        let Some(platform) = node.flags.iter().find_map(|flag| flag.strip_prefix("--platform=")) else { return };
        self.undeclared(node, platform);
        if ["$TARGETPLATFORM", "${TARGETPLATFORM}"].contains(&platform) {
            let text = format!(
                "Setting platform to predefined {platform} in FROM is redundant as this is the default behavior"
            );
            self.add("RedundantTargetPlatform", text, node.lines);
        } else if !platform.contains('$') {
            let text = format!("FROM --platform flag should not use constant value {platform:?}");
            self.add("FromPlatformFlagConstDisallowed", text, node.lines);
        }
    }

    /// Variables of FROM that nobody has declared.
    fn undeclared(&mut self, node: &Node, text: &str) {
        let used = std::cell::RefCell::new(Vec::new());
        let lookup = |name: &str| {
            used.borrow_mut().push(name.to_owned());
            Some(String::new())
        };
        // What cannot be expanded is refused elsewhere.
        let _ = Expander::new(self.escape).word(text, &lookup);
        for name in used.into_inner() {
            // What is used if it is not there need not be there.
            let default = ["-", ":-", "+", ":+"].iter().any(|sign| text.contains(&format!("${{{name}{sign}")));
            if !default && !self.globals.contains(&name) {
                let text = format!("FROM argument '{name}' is not declared");
                self.add("UndefinedArgInFrom", text, node.lines);
            }
        }
    }

    fn expose(&mut self, node: &Node, words: &[String]) {
        for word in words.iter().filter(|word| !word.contains('$')) {
            let (ports, protocol) = word.split_once('/').unwrap_or((word, ""));
            if protocol != protocol.to_lowercase() {
                let text = format!("Defined protocol '{word}' in EXPOSE instruction should be lowercase");
                self.add("ExposeProtoCasing", text, node.lines);
            }
            if ports.contains(':') {
                let text =
                    format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{word}'");
                self.add("ExposeInvalidFormat", text, node.lines);
            }
        }
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
        // Who names a shell means the shell form.
        if keyword != "healthcheck" && !node.json && !self.shell {
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
        let names: Vec<&str> = match keyword {
            "env" => words.chunks(3).filter_map(|pair| pair.first().map(String::as_str)).collect(),
            "arg" => words.iter().map(|word| word.split('=').next().unwrap_or_default()).collect(),
            _ => Vec::new(),
        };
        for name in names.into_iter().filter(|name| is_secret(name)) {
            let text = format!("Do not use ARG or ENV instructions for sensitive data ({upper} {name:?})");
            self.add("SecretsUsedInArgOrEnv", text, node.lines);
        }
    }
}

/// Whether a variable's name says that its value is a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let words = || name.split('_');
    words().any(|word| SECRETS.contains(&word)) && !words().any(|word| word == "public")
}
