//! `build`.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, ValueEnum};

use super::{Outcome, print};
use crate::engine::{
    Engine, Error,
    build::{
        Event, Failure, Request,
        context::{self, Context, Input},
        dockerfile::Lines,
    },
    error::{Context as _, Kind},
    reference::Reference,
};

#[derive(Debug, Args)]
pub(super) struct Build {
    /// A directory, or - for an archive or a Dockerfile on standard input
    #[arg(value_name = "PATH|-")]
    context: PathBuf,
    /// Name and optionally a tag (format: "name:tag")
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// Name of the Dockerfile (default: "PATH/Dockerfile"), or - for standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Set the target build stage to build
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Set build-time variables
    #[arg(long = "build-arg", value_name = "NAME[=VALUE]")]
    variables: Vec<String>,
    /// Set metadata for an image
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Do not use cache when building the image
    #[arg(long)]
    no_cache: bool,
    /// Set the networking mode for the RUN instructions during build
    #[arg(long, default_value = "default", value_parser = ["default", "none", "host"])]
    network: String,
    /// Secret to expose to the build (format: "id=mysecret[,src=/local/secret]" or "id=mysecret,env=NAME")
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Write the image ID to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Suppress the build output and print image ID on success
    #[arg(short, long)]
    quiet: bool,
    /// Set type of progress output
    #[arg(long, default_value = "auto", env = "BUILDKIT_PROGRESS")]
    progress: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    Auto,
    Plain,
    Quiet,
}

impl Build {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let scratch = engine.scratch()?;
        let source = self.source(&scratch.path)?;
        let tags: Vec<_> = self.tag.iter().map(|tag| Reference::parse(tag)).collect::<Result<_, _>>()?;
        let request = Request {
            dockerfile: source.dockerfile,
            context: source.context,
            target: self.target.clone(),
            args: self.variables.iter().filter_map(|arg| arg_value(arg)).collect(),
            labels: pairs(&self.label),
            tags,
            no_cache: self.no_cache,
            network: self.network.clone(),
            secrets: self.secret.iter().map(|text| secret(text)).collect::<Result<_, _>>()?,
        };
        let quiet = self.quiet || self.progress == Style::Quiet;
        let mut printer = Printer::new(quiet);
        let built = engine.build(&request, &mut |event| printer.event(&event));
        let image = built.map_err(|failure| {
            printer.failure(&failure, &source.name, &request.dockerfile);
            Error::new(failure.error.kind, format!("failed to build: failed to solve: {}", failure.error))
        })?;
        if let Some(path) = &self.iidfile {
            fs::write(path, image.digest()).doing("write", path)?;
        }
        if quiet {
            print(format_args!("{}\n", image.digest()));
        } else {
            printer.finish(&image.digest(), &request.tags);
        }
        Ok(0)
    }

    /// Reads the Dockerfile, and finds the context.
    fn source(&self, scratch: &Path) -> Result<Source, Error> {
        let stdin = Path::new("-");
        let file_is_stdin = self.file.as_deref() == Some(stdin);
        if self.context == stdin {
            if file_is_stdin {
                return Err(Error::invalid("invalid argument: can't use stdin for both build context and dockerfile"));
            }
            let directory = scratch.join("context");
            fs::create_dir(&directory).doing("make the directory", &directory)?;
            return match context::input(io::stdin().lock(), &directory)? {
                Input::Archive => {
                    let file = directory.join(self.file.as_deref().unwrap_or(Path::new("Dockerfile")));
                    read(&file, &directory)
                }
                Input::Dockerfile(dockerfile) => {
                    let context = Context::new(&directory, "")?;
                    Ok(Source { dockerfile, name: "Dockerfile".to_owned(), context })
                }
            };
        }
        let text = self.context.to_string_lossy();
        if text.contains("://") || text.starts_with("git@") {
            return Err(Error::invalid(format!(
                "the context {text}: contexts from the network are not there yet: use a directory"
            )));
        }
        if file_is_stdin {
            let dockerfile = io::read_to_string(io::stdin()).doing("read", Path::new("standard input"))?;
            let context = Context::new(&self.context, &context::ignore_file(None, &self.context)?)?;
            return Ok(Source { dockerfile, name: "Dockerfile".to_owned(), context });
        }
        match &self.file {
            Some(file) => read(file, &self.context),
            None => read(&self.context.join("Dockerfile"), &self.context),
        }
    }
}

struct Source {
    dockerfile: String,
    name: String,
    context: Context,
}

fn read(file: &Path, directory: &Path) -> Result<Source, Error> {
    if !directory.is_dir() {
        return Err(Error::invalid(format!(
            "unable to prepare context: path {:?} not found",
            directory.display().to_string()
        )));
    }
    let Some(dockerfile) = context::read(file)? else {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        return Err(Error::not_found(format!(
            "failed to read dockerfile: open {name}: no such file or directory: {}; name another with -f",
            file.display()
        )));
    };
    let context = Context::new(directory, &context::ignore_file(Some(file), directory)?)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Source { dockerfile, name, context })
}

/// `NAME=value`, or the value of the user's own variable, if it has one.
fn arg_value(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) => Some((name.to_owned(), value.to_owned())),
        None => Some((text.to_owned(), env::var(text).ok()?)),
    }
}

fn pairs(list: &[String]) -> BTreeMap<String, String> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    list.iter().map(pair).collect()
}

/// `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`; the id alone is a variable or a file of that name.
fn secret(text: &str) -> Result<(String, Vec<u8>), Error> {
    let (mut id, mut file, mut variable) = (None, None, None);
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("id", value)) => id = Some(value),
            Some(("src" | "source", value)) => file = Some(value),
            Some(("env", value)) => variable = Some(value),
            Some(("type", kind @ ("file" | "env"))) => {
                variable = variable.or(if kind == "env" { Some("") } else { None });
            }
            _ => {
                return Err(Error::invalid(format!(
                    "invalid --secret {text:?}: use id=NAME,src=FILE or id=NAME,env=VARIABLE"
                )));
            }
        }
    }
    let id = id.or(file).ok_or_else(|| Error::invalid(format!("invalid --secret {text:?}: it needs an id")))?;
    let by_name = variable.filter(|name| !name.is_empty()).or(if file.is_none() { Some(id) } else { None });
    if let Some(value) = by_name.and_then(env::var_os) {
        return Ok((id.to_owned(), value.into_encoded_bytes()));
    }
    let path = Path::new(file.unwrap_or(id));
    if variable.is_some() {
        return Err(Error::not_found(format!(
            "secret {id}: the environment variable {} is not set",
            by_name.unwrap_or(id)
        )));
    }
    Ok((id.to_owned(), fs::read(path).doing("read the secret", path)?))
}

/// Says what happens, as BuildKit's plain progress does.
struct Printer {
    quiet: bool,
    number: usize,
    name: String,
    since: Instant,
    /// What the step has written last, for when it fails.
    output: Vec<u8>,
    /// Whether the output stands in the middle of a line.
    inside: bool,
}

/// Bytes of a step's output that are shown again when it fails.
const SHOWN: usize = 16 << 10;

impl Printer {
    fn new(quiet: bool) -> Self {
        Self { quiet, number: 0, name: String::new(), since: Instant::now(), output: Vec::new(), inside: false }
    }

    fn say(&self, text: std::fmt::Arguments) {
        if !self.quiet {
            // The terminal may have gone; the build goes on.
            let _ = io::stderr().write_fmt(text);
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Step { number, name } => {
                self.number = *number;
                (*name).clone_into(&mut self.name);
                self.since = Instant::now();
                self.output.clear();
                self.inside = false;
                self.say(format_args!("#{number} {name}\n"));
            }
            Event::Cached => self.say(format_args!("#{} CACHED\n\n", self.number)),
            Event::Output(bytes) => {
                self.output.extend_from_slice(bytes);
                let surplus = self.output.len().saturating_sub(2 * SHOWN);
                if surplus > 0 {
                    self.output.drain(..surplus + SHOWN);
                }
                for line in String::from_utf8_lossy(bytes).split_inclusive('\n') {
                    if self.inside {
                        self.say(format_args!("{line}"));
                    } else {
                        self.say(format_args!("#{} {:.3} {line}", self.number, self.since.elapsed().as_secs_f64()));
                    }
                    self.inside = !line.ends_with('\n');
                }
            }
            Event::Done => {
                let end = if std::mem::take(&mut self.inside) { "\n" } else { "" };
                self.say(format_args!("{end}#{} DONE {:.1}s\n\n", self.number, self.since.elapsed().as_secs_f64()));
            }
        }
    }

    fn finish(&self, id: &str, tags: &[Reference]) {
        let number = self.number + 1;
        self.say(format_args!("#{number} exporting to image\n#{number} writing image {id} done\n"));
        for tag in tags {
            self.say(format_args!("#{number} naming to {tag} done\n"));
        }
        self.say(format_args!("#{number} DONE\n"));
    }

    /// Shows the step that failed: what it wrote, and where it stands.
    fn failure(&self, failure: &Failure, name: &str, dockerfile: &str) {
        let mut text = String::new();
        if self.number > 0 && failure.error.kind != Kind::NotFound {
            let output = String::from_utf8_lossy(&self.output);
            text = format!("------\n > {}:\n{output}", self.name);
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str("------\n");
        }
        if let Some(lines) = failure.lines {
            text.push_str(&excerpt(name, dockerfile, lines));
        }
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// The lines around, the failed ones marked.
fn excerpt(name: &str, dockerfile: &str, lines: Lines) -> String {
    use std::fmt::Write;
    let mut text = format!("{name}:{}\n--------------------\n", lines.start);
    let first = lines.start.saturating_sub(2).max(1);
    for (number, line) in dockerfile.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        if (first..=lines.end + 2).contains(&number) {
            let mark = if (lines.start..=lines.end).contains(&number) { ">>>" } else { "   " };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{number:4} | {mark} {line}");
        }
    }
    text.push_str("--------------------\n");
    text
}
