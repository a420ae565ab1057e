//! What can be told from one instruction after the other, without the values of variables.

use std::collections::BTreeSet;

use super::Warning;
use crate::engine::build::dockerfile::{Arguments, Expander, Lines, Node, nearest};

/// Names that FROM has for itself.
const RESERVED: [&str; 2] = ["scratch", "context"];
/// Words in names behind which secrets are.
const SECRETS: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
#[derive(Default)]
pub(super) struct Found {
    pub(super) warnings: Vec<Warning>,
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
    /// Nothing yet. FROM may use the variables `globals`.
    pub(super) fn new(escape: char, globals: BTreeSet<String>) -> Self {
        Self { escape, globals, ..Self::default() }
    }

    pub(super) fn add(&mut self, rule: &'static str, text: String, lines: Lines) {
        self.warnings.push(Warning { rule, text, lines });
    }

    pub(super) fn casing(&mut self, node: &Node, most_upper: bool) {
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

    pub(super) fn node(&mut self, node: &Node) {
        let Arguments::Words(words) = &node.arguments else { return };
        self.description(node, words);
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
                let near = nearest(&name, self.globals.iter().map(String::as_str));
                let near = near.map(|near| format!(" (did you mean {near}?)")).unwrap_or_default();
                let text = format!("FROM argument '{name}' is not declared{near}");
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

    /// The comment above what `--call` describes by it.
    fn description(&mut self, node: &Node, words: &[String]) {
        let Some(comment) = node.comments.last() else { return };
        let names: Vec<&str> = match (node.keyword.to_uppercase().as_str(), words) {
            ("FROM", [_, _, name]) => vec![name],
            ("ARG", words) => words.iter().map(|word| word.split('=').next().unwrap_or_default()).collect(),
            _ => return,
        };
        if names.contains(&comment.split(' ').next().unwrap_or_default()) {
            return;
        }
        let (keyword, name) = (node.keyword.to_uppercase(), if let [name] = names[..] { name } else { "<arg_key>" });
        let text = format!("Comment for {keyword} should follow the format: `# {name} <description>`");
        self.add("InvalidDefinitionDescription", text, node.lines);
    }
}

/// Whether a variable's name says that its value is a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let words = || name.split('_');
    words().any(|word| SECRETS.contains(&word)) && !words().any(|word| word == "public")
}
