//! Transcripts: the console blocks of READMEs and of the book are run, and say what they say they do.
//!
//! A block looks like a terminal. A line `$ command` is run by bash as root, with `> ` before lines that continue it,
//! and what follows up to the next `$ ` is its output and errors in the order of writing. In there
//!
//! - `…` stands for any text within a line, with the blanks around it;
//! - a line of only `…` stands for any number of lines;
//! - `(exit code 125)` as the last line is the command's exit code, which is 0 where nothing is said.
//!
//! The blocks of one document share a working directory, in which `rootfs`, `rootfs-fetch.sh` and `target/release` are
//! what they are in the workspace's root to somebody who has built it, and a store of their own. Blanks at the end of
//! lines do not count, and nobody types anything.

use std::{
    fmt::Write as _,
    fs::{self, File, Permissions},
    ops::Range,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::leaks;

/// The repository.
pub const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Seconds that a command may take: on a machine that does much else, too.
const LIMIT: &str = "60";
const ANY: char = '…';

// --- What a README says -----------------------------------------------------------------------------------------------

/// A command of a console block and what is said of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    /// What bash is given.
    pub script: String,
    /// Lines of output, and at last the exit code where it is not 0.
    pub output: Vec<String>,
    /// The lines of the document that the output stands in, from 0 on.
    pub place: Range<usize>,
}

/// The commands of a document.
///
/// # Panics
/// On output before a command.
pub fn steps(readme: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_block = false;
    for (number, line) in readme.lines().enumerate() {
        if line.starts_with("```") {
            in_block = line == "```console";
        } else if in_block {
            if let Some(script) = line.strip_prefix("$ ") {
                let place = number + 1..number + 1;
                steps.push(Step { script: script.to_owned(), output: Vec::new(), place });
                continue;
            }
            let step = steps.last_mut().unwrap_or_else(|| panic!("line {}: output before a command", number + 1));
            match line.strip_prefix("> ") {
                Some(more) if step.output.is_empty() => {
                    step.script.push('\n');
                    step.script.push_str(more);
                    step.place = number + 1..number + 1;
                }
                _ => {
                    step.output.push(line.trim_end().to_owned());
                    step.place.end = number + 1;
                }
            }
        }
    }
    steps
}

/// Whether a line is what `pattern` says.
fn fits_line(pattern: &str, line: &str) -> bool {
    let mut pieces = pattern.split(ANY);
    let first = pieces.next().unwrap_or_default();
    let mut pieces: Vec<&str> = pieces.map(str::trim_start).collect();
    let Some(last) = pieces.pop() else {
        return line == pattern;
    };
    let Some(mut rest) = line.strip_prefix(first.trim_end()) else {
        return false;
    };
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece.trim_end()) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

/// Whether lines are what `pattern` says.
fn fits(pattern: &[String], lines: &[String]) -> bool {
    match pattern.split_first() {
        None => lines.is_empty(),
        Some((any, rest)) if *any == ANY.to_string() => (0..=lines.len()).any(|skip| fits(rest, &lines[skip..])),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, others)| fits_line(first, line) && fits(rest, others))
        }
    }
}

// --- What is so -------------------------------------------------------------------------------------------------------

/// A directory to which nobody but its documents has a path, and everybody may go.
pub struct Place {
    directory: TempDir,
}

impl Place {
    /// With the programs, and a root filesystem that each document gets a copy of.
    pub fn make() -> Place {
        let directory = TempDir::with_prefix("readmes.").expect("make a temporary directory");
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("chmod");
        let place = Place { directory };
        let programs = place.path("release");
        fs::create_dir(&programs).expect("mkdir");
        // Where somebody has followed the book's commands from the beginning: see `make test-book-begin`.
        let followed = std::env::var_os("BOOK_MACHINE").map(PathBuf::from);
        let test = std::env::current_exe().expect("the test's own path");
        let built = test.parent().and_then(Path::parent).expect("cargo puts tests into a directory of target/PROFILE");
        let built = followed.as_ref().map_or(built.to_owned(), |machine| machine.join("target/release"));
        let stages = stages();
        let programs_of_stages = stages.iter().map(|stage| format!("stage-{}", name(stage)));
        for program in programs_of_stages.chain(["mini-docker".to_owned()]) {
            let (from, to) = (built.join(&program), programs.join(&program));
            assert!(from.exists(), "{} is missing: cargo build --workspace", from.display());
            // No symbolic link: an ordinary user could not follow it into somebody's home.
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).expect("link or copy a program");
        }
        let root = place.path("rootfs");
        if let Some(machine) = followed {
            let copied = Command::new("cp").arg("-a").args([machine.join("rootfs"), root]).status();
            assert!(copied.expect("cp").success(), "there is no rootfs: the beginning of the book makes it");
            return place;
        }
        let script = Path::new(WORKSPACE).join("rootfs-fetch.sh");
        let made = Command::new(script).args(["busybox".as_ref(), root.as_os_str()]).output().expect("rootfs-fetch.sh");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The working directory of one document.
    fn workspace(&self, stage: &str) -> PathBuf {
        let here = self.path(stage);
        fs::create_dir_all(here.join("target")).expect("mkdir");
        symlink(self.path("release"), here.join("target/release")).expect("symlink");
        let script = fs::canonicalize(WORKSPACE).expect("the workspace").join("rootfs-fetch.sh");
        symlink(script, here.join("rootfs-fetch.sh")).expect("symlink");
        let copied = Command::new("cp").arg("-a").args([self.path("rootfs"), here.join("rootfs")]).status();
        assert!(copied.expect("cp").success());
        let temporary = self.path("tmp");
        fs::create_dir_all(&temporary).expect("mkdir");
        fs::set_permissions(&temporary, Permissions::from_mode(0o1777)).expect("chmod");
        here
    }

    /// Runs a command, and returns what it said as a document would say it.
    fn run(&self, workspace: &Path, script: &str) -> Vec<String> {
        // A file: a pipe would keep us waiting for whatever process the command left behind.
        let said = self.path("output");
        let file = File::create(&said).expect("create");
        let mut command = Command::new("timeout")
            .args(["--kill-after=2", LIMIT, "bash", "-c", &format!("umask 022\n{script}")])
            .current_dir(workspace)
            .env("TMPDIR", self.path("tmp"))
            .env("MINI_DOCKER_ROOT", workspace.join("store"))
            .envs([("LC_ALL", "C"), ("TERM", "xterm")])
            // Kept open and silent: an end of input would be something that somebody typed.
            .stdin(Stdio::piped())
            .stderr(file.try_clone().expect("dup"))
            .stdout(file)
            .spawn()
            .expect("timeout (coreutils)");
        let input = command.stdin.take();
        let status = command.wait().expect("wait");
        drop(input);
        let text = fs::read(said).expect("read");
        let mut lines: Vec<String> =
            String::from_utf8_lossy(&text).lines().map(|line| line.trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        match status.code() {
            Some(0) => {}
            Some(code) => lines.push(format!("(exit code {code})")),
            None => lines.push("(killed: it took too long)".to_owned()),
        }
        lines
    }

    /// What commands left behind, other than in their working directory.
    fn left(&self) -> Vec<String> {
        let here = self.directory.path();
        let mut left: Vec<String> = entries(&self.path("tmp")).map(|path| path.display().to_string()).collect();
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        left.extend(mounts.lines().filter(|line| line.contains(&*here.to_string_lossy())).map(str::to_owned));
        for process in entries(Path::new("/proc")) {
            let is_ours = |link: &str| fs::read_link(process.join(link)).is_ok_and(|path| path.starts_with(here));
            if ["exe", "cwd", "root"].iter().any(|link| is_ours(link)) {
                let command = fs::read_to_string(process.join("cmdline")).unwrap_or_default();
                left.push(format!("{}: {}", process.display(), command.replace('\0', " ")));
            }
        }
        left
    }

    /// The same, once what is about to end had time to.
    fn left_for_good(&self) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            let left = self.left();
            if left.is_empty() || Instant::now() > end {
                return left;
            }
            sleep(Duration::from_millis(20));
        }
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).expect("readdir").filter_map(|entry| Some(entry.ok()?.path()))
}

/// The directories of the stages, in order.
pub fn stages() -> Vec<PathBuf> {
    let mut stages: Vec<PathBuf> =
        entries(&Path::new(WORKSPACE).join("stages")).filter(|path| path.join("Cargo.toml").exists()).collect();
    stages.sort();
    assert!(stages.len() >= 12, "stages are missing: {stages:?}");
    stages
}

/// The name of a stage: `04-uts`.
pub fn name(stage: &Path) -> String {
    stage.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Writes what commands said in the place of what the document says.
fn record(readme: &str, said: &[(Range<usize>, Vec<String>)]) -> String {
    let mut lines: Vec<String> = readme.lines().map(str::to_owned).collect();
    for (place, output) in said.iter().rev() {
        lines.splice(place.clone(), output.iter().cloned());
    }
    lines.join("\n") + "\n"
}

/// Runs the commands of a document, and says where they do not say what it says. With `UPDATE_READMES` in the environment
/// writes into it what they say now: read the difference before you believe it.
///
/// # Panics
/// Where the machine does not do its part.
pub fn wrong(place: &Place, document: &Path) -> String {
    let short = document.strip_prefix(WORKSPACE).unwrap_or(document).display().to_string();
    let text = fs::read_to_string(document).unwrap_or_else(|e| panic!("{}: {e}", document.display()));
    let workspace = place.workspace(&short.replace(['/', '.'], "_"));
    let (mut wrong, mut different) = (String::new(), Vec::new());
    for step in steps(&text) {
        let said = place.run(&workspace, &step.script);
        if !fits(&step.output, &said) {
            let (expected, got) = (step.output.join("\n"), said.join("\n"));
            let (line, script) = (step.place.start, &step.script);
            writeln!(wrong, "{short}:{line}\n$ {script}\n--- expected\n{expected}\n--- got\n{got}\n")
                .expect("a string");
            different.push((step.place, said));
        }
    }
    if std::env::var_os("UPDATE_READMES").is_some() && !different.is_empty() {
        fs::write(document, record(&text, &different)).expect("write the document");
    }
    let store = workspace.join("store");
    let mut left = place.left_for_good();
    if store.exists() {
        // The default network's bridge stays until then.
        place.run(&workspace, "target/release/mini-docker network prune --force");
        left.extend(leaks::of(&store));
        left.extend(leaks::of_networks(&store));
        leaks::run_directories(&store).for_each(|run| drop(fs::remove_dir_all(run)));
    }
    for left in left {
        writeln!(wrong, "{short} leaves behind: {left}").expect("a string");
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found() {
        let readme = "$ no\n```sh\n$ no\n```\n```console\n$ one\n$ two \\\n> more\n> 2\nout\n> out\n\n(exit code 3)\n```\n$ no\n";
        let step = |script: &str, output: &[&str], place| Step {
            script: script.to_owned(),
            output: output.iter().map(|line| (*line).to_owned()).collect(),
            place,
        };
        let output = ["out", "> out", "", "(exit code 3)"];
        assert_eq!(steps(readme), [step("one", &[], 6..6), step("two \\\nmore\n2", &output, 9..13)]);
        let recorded = record(readme, &[(6..6, vec!["1".to_owned()]), (9..13, Vec::new())]);
        assert_eq!(recorded, "$ no\n```sh\n$ no\n```\n```console\n$ one\n1\n$ two \\\n> more\n> 2\n```\n$ no\n");
    }

    #[test]
    fn only_what_differs_by_design_may_differ() {
        let fits = |pattern: &str, text: &str| {
            let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
            fits(&lines(pattern), &lines(text))
        };
        for (pattern, text) in [
            ("", ""),
            ("a b", "a b"),
            ("clone3(0)     … µs", "clone3(0)   116 µs"),
            ("a…b…c", "a1b2c"),
            ("/tmp/…/x", "/tmp/y/x"),
            ("…", ""),
            ("a\n…\nz", "a\nz"),
            ("a\n…\nz", "a\nb\nc\nz"),
            ("…\nb", "a\nb\nb"),
        ] {
            assert!(fits(pattern, text), "{pattern:?} {text:?}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("a b", "a  b"),
            ("a…b…c", "a1c2b"),
            ("ab…bc", "abc"),
            ("a…", "b"),
            ("a\n…\nz", "a\nb"),
            ("a", "a\n(exit code 1)"),
        ] {
            assert!(!fits(pattern, text), "{pattern:?} {text:?}");
        }
    }
}
