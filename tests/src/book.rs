//! What makes the book true, other than its transcripts: listings that are compiled, links that lead somewhere, chapters
//! with all their parts.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{calls::Calls, figures};

/// What each chapter of a stage has, in this order.
pub const PARTS: [&str; 11] = [
    "What you will have",
    "The problem",
    "Predict",
    "What the kernel does",
    "The code",
    "What changed",
    "Run it",
    "Break it",
    "What it does not protect from",
    "Exercise",
    "In Docker",
];

/// What each chapter of the engine has, in this order.
pub const ENGINE_PARTS: [&str; 10] = [
    "What you will have",
    "The problem",
    "Predict",
    "How it works",
    "The code",
    "Run it",
    "Break it",
    "What it does not protect from",
    "Exercise",
    "In Docker",
];

/// The book of a repository.
#[derive(Debug)]
pub struct Book {
    repository: PathBuf,
    /// Pages below `book/src`, with their text.
    pages: Vec<(PathBuf, String)>,
}

/// A piece of a file that a page shows.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
struct Include {
    file: PathBuf,
    anchor: Option<String>,
}

impl Book {
    /// # Panics
    /// Where there is no book.
    pub fn open(repository: &Path) -> Self {
        let repository = repository.canonicalize().expect("the repository");
        let mut pages: Vec<_> = files(&repository.join("book/src"), "md")
            .into_iter()
            .map(|path| (path.clone(), fs::read_to_string(&path).expect("a page")))
            .collect();
        pages.sort();
        assert!(!pages.is_empty(), "no pages below {}", repository.display());
        Self { repository, pages }
    }

    /// The pages.
    pub fn pages(&self) -> impl Iterator<Item = &Path> {
        self.pages.iter().map(|(path, _)| path.as_path())
    }

    /// All that is wrong with it.
    pub fn problems(&self) -> Vec<String> {
        [
            self.pages_unlisted(),
            self.includes_empty(),
            self.anchors_unused(),
            self.links_broken(),
            self.pictures_unused(),
            self.parts_missing(),
            self.exercises_incomplete(),
            self.answers_missing(),
            self.generated_old(),
            self.map_old(),
        ]
        .concat()
    }

    fn short(&self, path: &Path) -> String {
        path.strip_prefix(&self.repository).unwrap_or(path).display().to_string()
    }

    /// Pages that SUMMARY.md does not lead to.
    fn pages_unlisted(&self) -> Vec<String> {
        let summary = self.repository.join("book/src/SUMMARY.md");
        let text = fs::read_to_string(&summary).unwrap_or_default();
        let listed: BTreeSet<_> = links(&text).into_iter().map(|link| summary.with_file_name(link)).collect();
        let pages = self.pages().filter(|page| **page != summary && !listed.contains(*page));
        pages.map(|page| format!("{}: SUMMARY.md does not lead here", self.short(page))).collect()
    }

    fn includes(&self) -> impl Iterator<Item = (&Path, Include)> {
        self.pages
            .iter()
            .flat_map(|(page, text)| includes(page, text).into_iter().map(move |one| (page.as_path(), one)))
    }

    /// Listings of nothing.
    fn includes_empty(&self) -> Vec<String> {
        let wrong = |(page, include): (&Path, Include)| {
            let at = self.short(page);
            let Ok(text) = fs::read_to_string(&include.file) else {
                return Some(format!("{at}: there is no {}", self.short(&include.file)));
            };
            let shown = match &include.anchor {
                None => Some(text),
                Some(anchor) => piece(&text, anchor),
            };
            let anchor = include.anchor.unwrap_or_default();
            match shown {
                None => Some(format!("{at}: {} has no anchor {anchor:?}", self.short(&include.file))),
                Some(text) if text.trim().is_empty() => {
                    Some(format!("{at}: the anchor {anchor:?} of {} is empty", self.short(&include.file)))
                }
                Some(_) => None,
            }
        };
        self.includes().filter_map(wrong).collect()
    }

    /// Anchors of code that no page shows.
    fn anchors_unused(&self) -> Vec<String> {
        let shown: BTreeSet<Include> = self.includes().map(|(_, include)| include).collect();
        let sources = ["stages", "mini-docker/src"].map(|place| files(&self.repository.join(place), "rs")).concat();
        let sources = sources.into_iter().filter(|file| self.has_chapter(file));
        let mut unused = Vec::new();
        for file in sources {
            let text = fs::read_to_string(&file).unwrap_or_default();
            for anchor in text.lines().filter_map(|line| line.trim().strip_prefix("// ANCHOR: ")) {
                let include = Include { file: file.clone(), anchor: Some(anchor.to_owned()) };
                if !shown.contains(&include) {
                    unused.push(format!("{}: no page shows the anchor {anchor:?}", self.short(&file)));
                }
            }
        }
        unused
    }

    /// Whether a page is about the part that a source file is of.
    fn has_chapter(&self, file: &Path) -> bool {
        let mut parts =
            file.strip_prefix(&self.repository).unwrap_or(file).components().map(std::path::Component::as_os_str);
        let page = match (parts.next(), parts.next()) {
            // The core's words for the network are told of where the first cable is.
            (Some(place), Some(_)) if place == "stages" && file.iter().any(|part| part == "netlink") => {
                PathBuf::from("stages/21-bridge.md")
            }
            (Some(place), Some(stage)) if place == "stages" => Path::new("stages").join(stage).with_extension("md"),
            _ => PathBuf::from("engine/run.md"),
        };
        self.pages().any(|other| other.ends_with(&page))
    }

    /// Links within the book, and names of the repository's files, which the built book does not hold.
    fn links_broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let source = self.repository.join("book/src");
        for (page, _) in &self.pages {
            let text = expanded(page);
            for name in file_names(&text).filter(|name| !self.repository.join(name).exists()) {
                broken.push(format!("{}: there is no file {name}", self.short(page)));
            }
            for link in links(&text) {
                let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
                let target = if path.is_empty() { page.clone() } else { page.with_file_name(path) };
                if link.contains("://") || link.starts_with("mailto:") {
                    continue;
                }
                if !target.canonicalize().is_ok_and(|target| target.starts_with(&source)) {
                    broken.push(format!("{}: the link {link} leads nowhere", self.short(page)));
                } else if !heading.is_empty()
                    && target.extension().is_some_and(|e| e == "md")
                    && !headings(&expanded(&target)).any(|other| slug(other) == heading)
                {
                    broken.push(format!("{}: the link {link} leads to no heading", self.short(page)));
                }
            }
        }
        broken
    }

    fn pictures_unused(&self) -> Vec<String> {
        let shown: BTreeSet<PathBuf> = self
            .pages
            .iter()
            .flat_map(|(page, text)| {
                links(text).into_iter().filter_map(|link| page.with_file_name(link).canonicalize().ok())
            })
            .collect();
        let pictures = files(&self.repository.join("book/src"), "svg");
        let unused = pictures.into_iter().filter(|picture| !shown.contains(picture));
        unused.map(|picture| format!("{}: no page shows this picture", self.short(&picture))).collect()
    }

    /// Chapters that lack a part: an attack or a failure that is run, a question, a listing, an exercise.
    fn parts_missing(&self) -> Vec<String> {
        let of = |directory: &str, parts: &'static [&'static str]| {
            let directory = self.repository.join("book/src").join(directory);
            let pages = self.pages().filter(move |page| page.parent() == Some(&directory));
            pages.flat_map(|page| self.parts_missing_in(page, parts)).collect::<Vec<_>>()
        };
        [of("stages", &PARTS), of("engine", &ENGINE_PARTS)].concat()
    }

    fn parts_missing_in(&self, page: &Path, wanted: &[&str]) -> Vec<String> {
        let (at, text) = (self.short(page), expanded(page));
        let parts: Vec<&str> = headings(&text).filter(|heading| wanted.contains(heading)).collect();
        if parts != wanted {
            let lacking: Vec<_> = wanted.iter().filter(|part| !parts.contains(part)).collect();
            return vec![format!("{at}: lacks {lacking:?}, or has its parts in another order")];
        }
        let holds = |part: &str, what: &str| section(&text, part).contains(what);
        let mut rules = vec![
            ("The problem", "```console\n$ ", "an attack that is run"),
            ("Predict", "<details>", "a folded answer"),
            ("The code", "```rust", "a listing"),
            ("Run it", "```console\n$ ", "a command"),
            ("Break it", "```console\n$ ", "a command"),
            ("Exercise", "<details>", "a folded hint or answer"),
        ];
        if wanted.contains(&"What changed") {
            rules.push(("Exercise", "`book/exercises/", "the exercise's directory"));
        }
        let missing = rules.into_iter().filter(|(part, what, _)| !holds(part, what));
        missing.map(|(part, _, word)| format!("{at}: \"{part}\" lacks {word}")).collect()
    }

    /// The directories of the exercises, in order.
    pub fn exercises(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.repository.join("book/exercises")) else { return Vec::new() };
        let mut all: Vec<_> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
        all.sort();
        all
    }

    fn exercises_incomplete(&self) -> Vec<String> {
        let mut incomplete = Vec::new();
        for exercise in self.exercises() {
            for file in ["Cargo.toml", "src/main.rs", "solution.rs", "hint.md", "check.sh"] {
                if fs::read_to_string(exercise.join(file)).is_ok_and(|text| !text.trim().is_empty()) {
                    continue;
                }
                incomplete.push(format!("{}: there is no {file}, or nothing in it", self.short(&exercise)));
            }
        }
        incomplete
    }

    /// Chapters and solutions that the page of answers does not lead to.
    fn answers_missing(&self) -> Vec<String> {
        let answers = self.repository.join("book/src/answers.md");
        let text = fs::read_to_string(&answers).unwrap_or_default();
        let links: BTreeSet<PathBuf> = links(&text)
            .iter()
            .filter_map(|link| answers.with_file_name(link.split('#').next()?).canonicalize().ok())
            .collect();
        let is_chapter =
            |page: &&Path| page.parent().is_some_and(|of| of.ends_with("stages") || of.ends_with("engine"));
        let chapters = self.pages().filter(is_chapter).filter(|page| !links.contains(*page));
        let shown: Vec<PathBuf> = includes(&answers, &text).into_iter().map(|include| include.file).collect();
        let solutions = self.exercises().into_iter().map(|exercise| exercise.join("solution.rs"));
        let missing = solutions.filter(|solution| !shown.contains(solution));
        let all = chapters.map(Path::to_owned).chain(missing);
        all.map(|path| format!("{}: answers.md does not lead here", self.short(&path))).collect()
    }

    /// What is made of other files, and where it is kept: what changed since the last stage, the difference between the
    /// programs; and excerpts of what was measured.
    ///
    /// # Panics
    /// Without diff(1).
    pub fn generated(&self) -> Vec<(PathBuf, String)> {
        let mut stages: Vec<_> = fs::read_dir(self.repository.join("stages"))
            .expect("stages")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.join("src/main.rs").exists())
            .collect();
        stages.sort();
        let between = |pair: &[PathBuf]| {
            let [from, to] = pair else { unreachable!("windows of two") };
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let labels = [from, to].map(|path| format!("--label=stages/{}/src/main.rs", name(path)));
            let main = |path: &Path| path.join("src/main.rs");
            let diff = Command::new("diff").args(["-U2"]).args(labels).args([main(from), main(to)]).output();
            let text = String::from_utf8(diff.expect("diff (diffutils)").stdout).expect("UTF-8");
            (self.repository.join(format!("book/src/generated/{}.diff", name(to))), text)
        };
        let report = fs::read_to_string(self.repository.join("benches/results/startup.md")).ok();
        let excerpt = report
            .map(|report| (self.repository.join("book/src/generated/machines.table"), figures::machines(&report)));
        stages.windows(2).map(between).chain(excerpt).collect()
    }

    /// The map of system calls and the page that it is on, where the book has one.
    pub fn map(&self) -> Option<(PathBuf, Calls)> {
        Some((self.repository.join("book/src/calls.md"), Calls::read(&self.repository)?))
    }

    fn map_old(&self) -> Vec<String> {
        let old = |(path, map): (PathBuf, Calls)| {
            let differs = fs::read_to_string(&path).unwrap_or_default() != map.page();
            let how = "UPDATE_BOOK=1 cargo test -p tests --test book";
            differs.then(|| format!("{}: the sources make other calls: {how}", self.short(&path)))
        };
        self.map().and_then(old).into_iter().collect()
    }

    fn generated_old(&self) -> Vec<String> {
        let old = |(path, text): (PathBuf, String)| {
            let kept = fs::read_to_string(&path).unwrap_or_default();
            (kept != text).then(|| {
                format!(
                    "{}: what it is made of differs: UPDATE_BOOK=1 cargo test -p tests --test book",
                    self.short(&path)
                )
            })
        };
        self.generated().into_iter().filter_map(old).collect()
    }
}

/// Files below a directory, by their extension.
fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn includes(page: &Path, text: &str) -> Vec<Include> {
    let one = |rest: &str| {
        let what = rest.split("}}").next().unwrap_or_default().trim();
        let (file, anchor) =
            what.split_once(':').map_or((what, None), |(file, anchor)| (file, Some(anchor.to_owned())));
        let file = page.with_file_name(file);
        Include { file: file.canonicalize().unwrap_or(file), anchor }
    };
    text.split("{{#include ").skip(1).map(one).collect()
}

/// What stands between an anchor and its end, without other anchors.
fn piece(text: &str, anchor: &str) -> Option<String> {
    let marks = |line: &str, mark: &str| {
        line.split_once(mark).is_some_and(|(_, name)| name.split_whitespace().next() == Some(anchor))
    };
    let mut lines = text.lines();
    lines.find(|line| marks(line, "ANCHOR: "))?;
    let within: Vec<_> = lines.take_while(|line| !marks(line, "ANCHOR_END: ")).collect();
    let kept: Vec<_> = within.into_iter().filter(|line| !line.contains("ANCHOR")).collect();
    Some(kept.join("\n") + "\n")
}

/// A page with what it includes.
fn expanded(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap_or_default();
    let mut parts = text.split("{{#include ");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for (part, include) in parts.zip(includes(page, &text)) {
        let source = fs::read_to_string(&include.file).unwrap_or_default();
        whole += &include.anchor.map_or(Some(source.clone()), |anchor| piece(&source, &anchor)).unwrap_or_default();
        whole += part.split_once("}}").map_or("", |(_, rest)| rest);
    }
    whole
}

/// The text without its blocks of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut in_block = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    })
}

/// Where the links and pictures of a text lead.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        // Code in a line holds no links.
        let line: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        for rest in line.split("](").skip(1) {
            found.extend(rest.split(')').next().map(str::to_owned));
        }
    }
    found
}

/// Names of files of the repository, in a text's `code`: below its directories, and documents beside them.
fn file_names(text: &str) -> impl Iterator<Item = &str> {
    const PLACES: [&str; 7] =
        ["stages/", "book/", "mini-docker/src/", "mini-docker/tests/", "tests/", "benches/", ".cargo/"];
    let code = prose(text).flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_below =
        |name: &&str| PLACES.iter().any(|place| name.starts_with(place)) && !name.contains(['*', '…', 'N', '$']);
    let is_document = |name: &&str| {
        let stem = name.strip_suffix(".md").unwrap_or_default();
        !stem.is_empty() && stem.bytes().all(|letter| letter.is_ascii_uppercase())
    };
    // Behind a file may be the name of a test in it, which may be a sentence.
    let files = code.map(|name| name.split("::").next().unwrap_or(name).split(':').next().unwrap_or(name));
    files.filter(move |name| (is_below(name) && !name.contains(' ')) || is_document(name))
}

fn headings(text: &str) -> impl Iterator<Item = &str> {
    prose(text).filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim())
}

/// A heading's id, as mdBook makes it.
fn slug(heading: &str) -> String {
    let kept = heading.to_lowercase();
    kept.chars()
        .filter_map(|c| {
            if c.is_whitespace() { Some('-') } else { (c.is_alphanumeric() || c == '-' || c == '_').then_some(c) }
        })
        .collect()
}

/// The text below a heading of the second level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("\n## {heading}\n")).map_or(text.len(), |at| at + 1);
    let body = &text[start..];
    let end = body.get(3..).and_then(|rest| rest.find("\n## ")).map_or(body.len(), |at| at + 3);
    &body[..end]
}
