//! The map of system calls: `book/calls.txt` says what each is for, the sources say who makes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// What nix offers that is no system call.
const NO_CALLS: [&str; 6] = ["cfmakeraw", "if_nametoindex", "major", "makedev", "malloc_trim", "minor"];
/// The heading of what libraries do by themselves.
const UNASKED: &str = "Unasked";
/// From so many chapters on a call is everywhere.
const EVERYWHERE: usize = 9;

/// A line of the map.
#[derive(Debug)]
pub struct Call {
    /// Its names in the kernel: the first is the one that the book uses.
    pub names: Vec<String>,
    /// How code names it.
    tokens: Vec<String>,
    purpose: String,
    group: String,
    /// The stages, by their directories, and `engine`.
    users: BTreeSet<String>,
}

/// The map, and the sources that it is about.
#[derive(Debug)]
pub struct Calls {
    /// All of them, in the order of the map.
    pub calls: Vec<Call>,
    repository: PathBuf,
    /// Code by file, without comments and tests.
    sources: Vec<(PathBuf, String)>,
}

impl Calls {
    /// Reads both; `None` where there is no map.
    pub fn read(repository: &Path) -> Option<Self> {
        let text = fs::read_to_string(repository.join("book/calls.txt")).ok()?;
        let mut sources = Vec::new();
        for place in ["stages", "mini-docker/src"] {
            collect(&repository.join(place), &mut sources);
        }
        // Below a stage there are tests, which make calls to attack.
        sources.retain(|(path, _)| path.iter().any(|part| part == "src"));
        let mut calls = parse(&text);
        for call in &mut calls {
            call.users = sources
                .iter()
                .filter(|(path, code)| !is_wrapper(path) && call.tokens.iter().any(|token| occurs(code, token)))
                .map(|(path, _)| user(repository, path))
                .collect();
        }
        Some(Self { calls, repository: repository.to_owned(), sources })
    }

    /// What the map lacks, and what it has too much.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for call in self.calls.iter().filter(|call| call.group != UNASKED) {
            let is_wrapped = self.sources.iter().any(|(_, code)| call.tokens.iter().any(|token| occurs(code, token)));
            if !is_wrapped {
                problems.push(format!("book/calls.txt: nobody makes the call {}", call.names[0]));
            }
        }
        let mut missing = BTreeMap::new();
        for (path, code) in &self.sources {
            let found = if is_wrapper(path) { raw(code) } else { of_nix(code) };
            for name in found.into_iter().filter(|name| !self.knows(name)) {
                missing.entry(name).or_insert(path);
            }
        }
        let short = |path: &Path| path.strip_prefix(&self.repository).unwrap_or(path).display().to_string();
        problems.extend(
            missing.into_iter().map(|(name, path)| format!("{}: book/calls.txt has no call {name}", short(path))),
        );
        problems
    }

    fn knows(&self, name: &str) -> bool {
        let tokens = [format!("{name}("), format!("libc::{name}(")];
        NO_CALLS.contains(&name)
            || self.calls.iter().any(|call| {
                call.names.iter().any(|its| its == name) || call.tokens.iter().any(|token| tokens.contains(token))
            })
    }

    /// Whether the map has a call of that name in the kernel.
    pub fn has(&self, name: &str) -> bool {
        self.calls.iter().any(|call| call.names.iter().any(|its| its == name))
    }

    /// The page of the book.
    pub fn page(&self) -> String {
        let mut page = String::from(
            "# A map of the system calls\n\n\
             What a container is, is what the kernel was asked for. These are all the questions: the calls that the code of this\n\
             book makes, what for, and the chapters whose code makes them. The table is made from the sources, and a test fails\n\
             where a program makes a call that is not in it. `man 2 NAME` tells the rest.\n",
        );
        let mut group = "";
        for call in &self.calls {
            if call.group != group {
                group = &call.group;
                let _ = write!(page, "\n## {group}\n\n");
                if group == UNASKED {
                    page += "What the C library and Rust's runtime do by themselves; a filter of system calls must let it pass.\n\n";
                }
                page += "| call | what for | chapters |\n|---|---|---|\n";
            }
            let names: Vec<_> = call.names.iter().map(|name| format!("`{name}`")).collect();
            let _ = writeln!(page, "| {} | {} | {} |", names.join(", "), call.purpose, self.chapters(call));
        }
        page
    }

    fn chapters(&self, call: &Call) -> String {
        if call.group == UNASKED {
            return "all".to_owned();
        }
        if call.users.len() >= EVERYWHERE {
            return "nearly all".to_owned();
        }
        let link = |user: &String| {
            let (page, label) = match user.split_once('-') {
                None => ("engine/run.md".to_owned(), "the engine"),
                Some((number, _)) => (format!("stages/{user}.md"), number),
            };
            let is_there = self.repository.join("book/src").join(&page).exists();
            if is_there { format!("[{label}]({page})") } else { label.to_owned() }
        };
        let links: Vec<_> = call.users.iter().map(link).collect();
        // What only the core's wrappers name is used by the core itself.
        if links.is_empty() { link(&"00-process".to_owned()) } else { links.join(", ") }
    }
}

fn parse(text: &str) -> Vec<Call> {
    let mut group = String::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            heading.clone_into(&mut group);
        } else if let [names, tokens, purpose] = line.split('|').map(str::trim).collect::<Vec<_>>()[..] {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
            if !line.starts_with('#') {
                let (names, tokens, purpose) = (words(names), words(tokens), purpose.to_owned());
                calls.push(Call { names, tokens, purpose, group: group.clone(), users: BTreeSet::new() });
            }
        }
    }
    calls
}

fn collect(directory: &Path, sources: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code = code.lines().map(|line| line.split("//").next().unwrap_or_default());
            sources.push((path, code.collect::<Vec<_>>().join("\n")));
        }
    }
}

/// Whether a file holds the core's wrappers, which others call.
fn is_wrapper(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().collect();
    parts.windows(3).any(|three| three == ["00-process", "src", "sys"])
}

/// The stage of a file, or `engine`.
fn user(repository: &Path, path: &Path) -> String {
    let mut parts = path.strip_prefix(repository).unwrap_or(path).iter().map(|part| part.to_string_lossy());
    match (parts.next().as_deref(), parts.next()) {
        (Some("stages"), Some(stage)) => stage.into_owned(),
        _ => "engine".to_owned(),
    }
}

/// Whether code has the token, and not only the end of a longer name.
fn occurs(code: &str, token: &str) -> bool {
    let continues = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(token).any(|(at, _)| !token.starts_with(continues) || !code[..at].ends_with(continues))
}

/// Names of calls in the core's wrappers: `SYS_name`, and functions of libc.
fn raw(code: &str) -> BTreeSet<String> {
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found: BTreeSet<String> = code.split("SYS_").skip(1).map(name).collect();
    for rest in code.split("libc::").skip(1) {
        let name = name(rest);
        let is_called = rest[name.len()..].starts_with('(') && name.starts_with(|c: char| !c.is_uppercase());
        // Whose number comes first.
        if is_called && name != "syscall" {
            found.insert(name);
        }
    }
    found
}

/// Functions of nix that code uses and calls.
fn of_nix(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for tree in code.split("use nix::").skip(1) {
        let tree = tree.split(';').next().unwrap_or_default();
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        // Modules are followed by colons.
        let mut rest = tree;
        while let Some(start) = rest.find(is_name) {
            let word = &rest[start..];
            let (word, after) = word.split_at(word.find(|c| !is_name(c)).unwrap_or(word.len()));
            if !after.starts_with("::") && word.starts_with(char::is_lowercase) {
                found.insert(word.to_owned());
            }
            rest = after;
        }
    }
    for path in code.split("nix::").skip(1) {
        let path: String = path.chars().take_while(|c| c.is_alphanumeric() || "_:(".contains(*c)).collect();
        let mut parts = path.split_once('(').map_or("", |(path, _)| path).rsplit("::");
        let (name, parent) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        // What belongs to a type is no function of the kernel's.
        if parent.starts_with(char::is_lowercase) && name.starts_with(char::is_lowercase) {
            found.insert(name.to_owned());
        }
    }
    found.retain(|name| {
        let call = format!("{name}(");
        code.match_indices(&call).any(|(at, _)| {
            let before = &code[..at];
            !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '.') && !before.ends_with("fn ")
        })
    });
    found
}
