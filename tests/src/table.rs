//! The table of the stages: what can be counted is counted, the rest stands in each stage's Cargo.toml.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// What a stage's Cargo.toml has to say of it, as strings under `[package.metadata.stage]`: the primitive; the first
/// kernel with it; the main system calls; whether it takes root; what it hides or stops; the stage that replaces it.
pub const KEYS: [&str; 6] = ["primitive", "linux", "calls", "root", "stops", "replaced_by"];

/// Where the measured costs are, from the workspace's root.
pub const RESULTS: &str = "benches/results/stages.json";

/// Costs below, in µs, are no more than the difference of two measurements.
const NOISE: f64 = 50.0;

/// One stage.
#[derive(Debug)]
pub struct Stage {
    /// Its directory.
    pub directory: PathBuf,
    /// Its directory's name, `09-overlay`.
    pub name: String,
    /// The facts, by their key.
    pub facts: BTreeMap<String, String>,
}

impl Stage {
    /// Reads all stages, in order.
    ///
    /// # Errors
    /// Every key that is missing, with its file.
    pub fn all(workspace: &Path) -> Result<Vec<Self>, String> {
        let mut directories: Vec<PathBuf> = fs::read_dir(workspace.join("stages"))
            .map_err(|e| format!("stages: {e}"))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.join("Cargo.toml").exists())
            .collect();
        directories.sort();
        let (mut stages, mut missing) = (Vec::new(), String::new());
        for directory in directories {
            let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let manifest = read(&directory.join("Cargo.toml"));
            let facts = section(&manifest, "package.metadata.stage");
            let absent: Vec<&str> = KEYS.into_iter().filter(|key| !facts.contains_key(*key)).collect();
            if !absent.is_empty() {
                let keys = absent.join(", ");
                let _ = writeln!(missing, "stages/{name}/Cargo.toml: [package.metadata.stage] lacks {keys}");
            }
            stages.push(Self { directory, name, facts });
        }
        if missing.is_empty() { Ok(stages) } else { Err(missing) }
    }

    /// The library's source: all but the binary and the tests.
    pub fn library(&self) -> Vec<String> {
        let mut files = Vec::new();
        sources(&self.directory.join("src"), &mut files);
        files.iter().map(|path| without_tests(&read(path))).collect()
    }

    /// Lines of the library's code: no tests, comments or blank lines.
    pub fn lines(&self) -> usize {
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        self.library().iter().map(|text| text.lines().filter(is_code).count()).sum()
    }

    /// How many primitives the library has.
    pub fn primitives(&self) -> usize {
        let is_one = |line: &&str| line.starts_with("impl") && line.contains("Primitive for ");
        self.library().iter().map(|text| text.lines().filter(is_one).count()).sum()
    }
}

/// The table's Markdown.
pub fn render(stages: &[Stage], costs: &BTreeMap<String, f64>) -> String {
    let mut table =
        "| stage | primitive | Linux | main system calls | lines | root? | µs | hides or stops | replaced by |\n\
                     |---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for stage in stages {
        let number = stage.name.split('-').next().unwrap_or_default();
        let cost = match costs.get(number) {
            None => "—".to_owned(),
            Some(cost) if *cost < NOISE => format!("< {NOISE}"),
            Some(cost) => format!("{cost:.0}"),
        };
        let [primitive, linux, calls, root, stops, replaced] =
            KEYS.map(|key| stage.facts.get(key).map_or("", String::as_str));
        let (name, lines) = (&stage.name, stage.lines());
        let _ = writeln!(
            table,
            "| [{number}]({name}/README.md) | {primitive} | {linux} | {calls} | {lines} | {root} | {cost} | {stops} | {replaced} |"
        );
    }
    table
}

/// The cost of each stage in µs, by its number; empty where nothing was measured.
///
/// # Panics
/// Where the file is none that the benchmark writes.
pub fn costs(workspace: &Path) -> BTreeMap<String, f64> {
    let Ok(text) = fs::read_to_string(workspace.join(RESULTS)) else {
        return BTreeMap::new();
    };
    let results: serde_json::Value = serde_json::from_str(&text).expect(RESULTS);
    let stages = results["stages"].as_object().expect("stages");
    stages.iter().filter_map(|(number, stage)| Some((number.clone(), stage["cost_us"].as_f64()?))).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// `key = "value"` of one table of a TOML file; values are on one line and without escapes.
fn section(manifest: &str, name: &str) -> BTreeMap<String, String> {
    let header = format!("[{name}]");
    let lines = manifest.lines().skip_while(|line| line.trim() != header).skip(1);
    let pair = |line: &str| {
        let (key, value) = line.split_once('=')?;
        let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
        Some((key.trim().to_owned(), value.to_owned()))
    };
    lines.take_while(|line| !line.trim_start().starts_with('[')).filter_map(pair).collect()
}

fn sources(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|name| name != "main.rs")
        {
            files.push(path);
        }
    }
}

/// A file's tests are its last module.
fn without_tests(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let manifest = "[package]\nroot = \"x\"\n\n[package.metadata.stage]\nroot = \"no\"\ncalls = \"a, `b`\"\nn = 3\n[lib]\nname = \"y\"\n";
        let found = section(manifest, "package.metadata.stage");
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("calls".to_owned(), "a, `b`".to_owned()), ("root".to_owned(), "no".to_owned())]
        );
    }

    #[test]
    fn tests_are_no_part_of_the_library() {
        assert_eq!(without_tests("a\n#[cfg(test)]\nmod tests {\n}\n"), "a\n");
        assert_eq!(without_tests("a\n"), "a\n");
    }
}
