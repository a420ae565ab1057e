//! The book is whole and true: its listings, links, chapters, transcripts and exercises. [`tests::book`] says what is
//! looked at. `UPDATE_BOOK=1 cargo test -p tests --test book` writes again what is made from the sources.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;
use tests::{
    book::{Book, ENGINE_PARTS, PARTS},
    transcript::{Place, WORKSPACE, wrong},
};

#[test]
fn the_book_is_whole() {
    let book = Book::open(Path::new(WORKSPACE));
    if std::env::var_os("UPDATE_BOOK").is_some() {
        for (path, text) in book.generated() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        if let Some((path, map)) = book.map() {
            fs::write(path, map.page()).unwrap();
        }
    }
    let problems = book.problems();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_command_says_what_the_book_says() {
    assert!(nix::unistd::geteuid().is_root(), "the book's commands are run as root");
    let place = Place::make();
    let book = Book::open(Path::new(WORKSPACE));
    // For whoever writes a page: the tests of the workspace set nothing, and run all.
    let only = std::env::var("BOOK_PAGE").unwrap_or_default();
    let pages = book.pages().filter(|page| page.to_string_lossy().contains(&only));
    let wrong: String = pages.map(|page| wrong(&place, page)).collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn skeletons_fail_and_solutions_pass() {
    let built = std::env::current_exe().unwrap().parent().and_then(Path::parent).unwrap().to_owned();
    let rootfs = TempDir::with_prefix("exercises.").unwrap();
    let root = rootfs.path().join("rootfs");
    let made = Command::new(Path::new(WORKSPACE).join("rootfs-fetch.sh")).arg("busybox").arg(&root).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let exercises = Book::open(Path::new(WORKSPACE)).exercises();
    assert!(!exercises.is_empty());
    for exercise in exercises {
        let name = exercise.file_name().unwrap().to_string_lossy().into_owned();
        let number = name.split('-').next().unwrap();
        let check = |program: &str| -> Output {
            let program = built.join(format!("{program}-{number}"));
            assert!(program.exists(), "{} is missing: cargo build --workspace", program.display());
            Command::new("sh")
                .arg(exercise.join("check.sh"))
                .env("PROGRAM", program)
                .env("ROOTFS", &root)
                .output()
                .unwrap()
        };
        let skeleton = check("exercise");
        let said = String::from_utf8_lossy(&skeleton.stdout).into_owned();
        assert!(
            !skeleton.status.success() && !said.trim().is_empty(),
            "{name}: the skeleton passes, or nothing is said: {skeleton:?}"
        );
        let solution = check("solution");
        assert!(solution.status.success(), "{name}: the solution fails: {solution:?}");
    }
}

/// A small book that nothing is wrong with, in a repository of its own.
struct Small {
    directory: TempDir,
}

/// A chapter that has these parts, and in each what it has to have.
fn chapter(parts: &[&str]) -> String {
    let text = |part: &&str| match *part {
        "The problem" | "Run it" | "Break it" => format!("## {part}\n\n```console\n$ true\n```\n\n"),
        "Predict" => format!("## {part}\n\n<details>x</details>\n\n"),
        "The code" => format!("## {part}\n\n```rust\n{{{{#include ../../../stages/00-a/src/lib.rs:a}}}}\n```\n\n"),
        "Exercise" => format!("## {part}\n\n`book/exercises/00-a/` <details>x</details>\n\n"),
        _ => format!("## {part}\n\nx\n\n"),
    };
    format!("# A\n\n{}", parts.iter().map(text).collect::<String>())
}

impl Small {
    fn new() -> Self {
        let small = Self { directory: TempDir::with_prefix("book.").unwrap() };
        small.write("stages/00-a/src/lib.rs", "// ANCHOR: a\nfn a() {}\n// ANCHOR_END: a\n");
        small.write("stages/00-a/src/main.rs", "fn main() {}\n");
        small.write("stages/01-b/src/main.rs", "fn main() { b() }\n");
        small.write(
            "book/src/SUMMARY.md",
            "[Start](start.md)\n[A](stages/00-a.md)\n[Engine](engine/a.md)\n[Answers](answers.md)\n",
        );
        small.write("book/src/start.md", "# Start\n\n[the code](stages/00-a.md#the-code) ![](p.svg)\n");
        let answers =
            "# Answers\n\n[A](stages/00-a.md) [B](engine/a.md)\n\n{{#include ../exercises/00-a/solution.rs}}\n";
        small.write("book/src/answers.md", answers);
        small.write("book/src/p.svg", "<svg/>");
        small.write("book/src/stages/00-a.md", &chapter(&PARTS));
        small.write("book/src/engine/a.md", &chapter(&ENGINE_PARTS));
        for file in ["Cargo.toml", "src/main.rs", "solution.rs", "hint.md", "check.sh"] {
            small.write(&format!("book/exercises/00-a/{file}"), "x\n");
        }
        for (path, text) in Book::open(small.directory.path()).generated() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(small.problems(), [""; 0]);
        small
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(path)).unwrap();
        assert!(text.contains(from), "{path} has no {from:?}");
        self.write(path, &text.replace(from, to));
    }

    fn problems(&self) -> Vec<String> {
        Book::open(self.directory.path()).problems()
    }
}

#[test]
fn each_thing_that_can_be_wrong_is_found() {
    type Break = fn(&Small);
    let cases: [(&str, Break); 25] = [
        ("the sources make other calls", |book| {
            book.write("book/calls.txt", "## Some\nchroot | chroot( | moves\n");
        }),
        ("SUMMARY.md does not lead here", |book| {
            book.write("book/src/lost.md", "# Lost\n");
        }),
        ("has no anchor \"z\"", |book| {
            book.replace("book/src/stages/00-a.md", "lib.rs:a", "lib.rs:z");
        }),
        ("stages/00-a/src/lic.rs", |book| {
            book.replace("book/src/stages/00-a.md", "lib.rs:a", "lic.rs:a");
        }),
        ("is empty", |book| {
            book.replace("stages/00-a/src/lib.rs", "fn a() {}\n", "");
        }),
        ("no page shows the anchor \"more\"", |book| {
            book.write("stages/00-a/src/more.rs", "// ANCHOR: more\nfn b() {}\n// ANCHOR_END: more\n");
        }),
        ("the link stages/b.md leads nowhere", |book| {
            book.replace("book/src/start.md", "stages/00-a.md#the-code", "stages/b.md");
        }),
        ("leads to no heading", |book| {
            book.replace("book/src/start.md", "#the-code", "#the-core");
        }),
        ("no page shows this picture", |book| {
            book.write("book/src/q.svg", "<svg/>");
        }),
        ("lacks [\"Predict\"]", |book| {
            book.replace("book/src/stages/00-a.md", "## Predict", "## Preface");
        }),
        ("\"The problem\" lacks an attack", |book| {
            book.replace("book/src/stages/00-a.md", "## The problem\n\n```console\n", "## The problem\n\n```sh\n");
        }),
        ("\"Exercise\" lacks the exercise's directory", |book| {
            book.replace("book/src/stages/00-a.md", "book/exercises", "exercises");
        }),
        ("there is no file stages/00-b/x.rs", |book| {
            book.write("book/src/start.md", "# `stages/00-b/x.rs`\n![](p.svg)\n");
        }),
        ("there is no file SECURITY.md", |book| {
            book.write("book/src/start.md", "# `SECURITY.md`\n![](p.svg)\n");
        }),
        ("there is no file tests/attacks/x.rs", |book| {
            // What is included from beside the book is looked at, too.
            book.write("SECURITY.md", "`tests/attacks/x.rs::\"an attack\"`\n");
            book.write("book/src/start.md", "# Start\n{{#include ../../SECURITY.md}}\n![](p.svg)\n");
        }),
        ("the link tests/table.md leads nowhere", |book| {
            // It is there, and in the built book it is not.
            book.write("tests/table.md", "x\n");
            book.write("SECURITY.md", "[x](tests/table.md)\n");
            book.write("book/src/start.md", "# Start\n{{#include ../../SECURITY.md}}\n![](p.svg)\n");
        }),
        ("\"Predict\" lacks a folded answer", |book| {
            book.replace("book/src/stages/00-a.md", "## Predict\n\n<details>x</details>", "## Predict\n\nx");
        }),
        ("lacks [\"How it works\"]", |book| {
            book.replace("book/src/engine/a.md", "## How it works", "## How");
        }),
        ("engine/a.md: \"Break it\" lacks a command", |book| {
            book.replace("book/src/engine/a.md", "## Break it\n\n```console\n", "## Break it\n\n```sh\n");
        }),
        ("engine/a.md: \"Exercise\" lacks a folded hint", |book| {
            book.replace("book/src/engine/a.md", "00-a/` <details>", "00-a/` <p>");
        }),
        ("there is no hint.md", |book| {
            book.write("book/exercises/00-a/hint.md", "");
        }),
        ("answers.md does not lead here", |book| {
            book.replace("book/src/answers.md", "stages/00-a.md", "start.md");
        }),
        ("solution.rs: answers.md does not lead here", |book| {
            book.replace("book/src/answers.md", "{{#include ../exercises/00-a/solution.rs}}", "");
        }),
        ("01-b.diff: what it is made of differs", |book| {
            book.write("stages/01-b/src/main.rs", "fn main() { c() }\n");
        }),
        ("machines.table: what it is made of differs", |book| {
            book.write("benches/results/startup.md", "| docker, bridge and port | 1 |\n");
        }),
    ];
    for (problem, break_it) in cases {
        let book = Small::new();
        break_it(&book);
        let problems = book.problems();
        assert!(problems.iter().any(|found| found.contains(problem)), "{problem}: {problems:?}");
    }
}
