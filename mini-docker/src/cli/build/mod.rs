//! `build`.

mod accepted;
pub(super) mod builder;
mod call;
mod debug;
mod environs;
mod output;
mod printer;
mod publish;
mod screen;
mod secret;
mod source;
mod travel;

use std::{
    collections::BTreeMap,
    env,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{
    Outcome,
    image::pull::{When, before},
    print,
};
use crate::engine::{
    Engine, Error,
    build::{Place, Pull, Request, check_platform, context::Context},
    docker_config::DockerConfig,
    reference::Reference,
};
use accepted::AcceptedFlags;
use call::{Call, Method};
use environs::EnvironsFlags;
use output::Output;
use printer::{Printer, View};
use publish::PublishFlags;
use screen::Screen;
use secret::{secret, ssh};
use travel::Cache;

#[derive(Debug, Args)]
pub(super) struct Build {
    /// A directory, an address of an archive, a Dockerfile or a git repository, or - for standard input
    #[arg(value_name = "PATH|URL|-")]
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
    /// Always attempt to pull a newer version of the images
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    pull: Option<bool>,
    /// Set the platform to build for: this machine's
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    platform: Vec<String>,
    /// Additional build contexts: a directory, or docker-image://IMAGE
    #[arg(long = "build-context", value_name = "NAME=PATH|docker-image://IMAGE")]
    places: Vec<String>,
    /// Stages that are built without the cache, by their names
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    no_cache_filter: Vec<String>,
    /// Images, caches in registries or directories to take cached steps from: they are trusted with what they say
    #[arg(long, value_name = "IMAGE|type=registry,ref=IMAGE|type=local,src=DIRECTORY")]
    cache_from: Vec<String>,
    /// Where others may take cached steps from; those of all stages with mode=max
    #[arg(long, value_name = "type=inline|type=registry,ref=IMAGE|type=local,dest=DIRECTORY[,mode=max]")]
    cache_to: Vec<String>,
    /// Open a shell in the state before a step that failed
    #[arg(long)]
    debug_shell: bool,
    /// Look the Dockerfile through, and build nothing: --call=check
    #[arg(long)]
    check: bool,
    /// What to do with the Dockerfile: build it, check it, or say what it takes (outline) or has (targets)
    #[arg(long, default_value = "build", value_name = "build|check|outline|targets[,format=json][,ignorestatus=true]")]
    call: Call,
    #[command(flatten)]
    environs: EnvironsFlags,
    #[command(flatten)]
    publish: PublishFlags,
    #[command(flatten)]
    accepted: AcceptedFlags,
    /// SSH agent socket to expose to the build
    #[arg(long, value_name = "default|ID[=SOCKET]")]
    ssh: Vec<String>,
    /// Secret to expose to the build (format: "id=mysecret[,src=/local/secret]" or "id=mysecret,env=NAME")
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Suppress the build output and print image ID on success
    #[arg(short, long)]
    quiet: bool,
    /// Set type of progress output
    #[arg(long, default_value = "auto", env = "BUILDKIT_PROGRESS")]
    progress: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    /// tty on a terminal, plain elsewhere
    Auto,
    /// Line after line
    Plain,
    /// What runs, with its time and its last lines
    Tty,
    /// Nothing
    Quiet,
}

impl Style {
    /// Whether standard error is a terminal that shows what runs.
    fn is_live(self) -> Result<bool, Error> {
        let terminal = io::stderr().is_terminal();
        match self {
            Self::Tty if !terminal => {
                Err(Error::invalid("--progress=tty: standard error is no terminal; use plain or auto"))
            }
            Self::Tty => Ok(true),
            // Without a kind it is one that cannot move its cursor.
            Self::Auto => Ok(terminal && env::var("TERM").is_ok_and(|kind| !["", "dumb"].contains(&kind.as_str()))),
            Self::Plain | Self::Quiet => Ok(false),
        }
    }
}

impl Build {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        self.accepted.check()?;
        self.platform.iter().flat_map(|list| list.split(',')).try_for_each(check_platform)?;
        let outputs = self.publish.outputs()?;
        let scratch = engine.scratch()?;
        let source = self.source(&scratch.path)?;
        let call = if self.check { self.call.check() } else { self.call };
        if call.method != Method::Build {
            return call.answer(engine, &source, &self.args(), self.target.as_deref());
        }
        let name = source.name.clone();
        let quiet = self.quiet || self.progress == Style::Quiet;
        let live = !quiet && self.progress.is_live()?;
        let mut request = self.request(engine, source, &outputs, quiet || live)?;
        request.ticks = live;
        let caches: Vec<_> = self.cache_to.iter().map(|text| Cache::to(text)).collect::<Result<_, _>>()?;
        request.inline_cache |= caches.iter().any(Cache::is_inline);
        request.keep_steps = !caches.is_empty();
        let mut passing = Vec::new();
        for text in &self.cache_from {
            match Cache::from(text)?.import(engine, &*request.pull.get) {
                Ok(images) => passing.extend(images),
                // A build is right without it.
                Err(e) => tell!("mini-docker: nothing is taken from the cache {text}: {e}"),
            }
        }
        let mut printer = Printer::new(match (quiet, live) {
            (true, _) => View::Quiet,
            (_, true) => View::Live(Screen::new()),
            _ => View::Plain,
        });
        let built = engine.build(&request, &mut |event| printer.event(&event));
        for image in passing {
            // Where somebody uses it by now, it stays.
            let _ = engine.remove_image(&image, false, false);
        }
        let (image, steps) = built.map_err(|failure| {
            printer.failure(&failure, &name, &request.dockerfile);
            if let Some(Err(e)) = failure.before.as_ref().map(|state| debug::shell(engine, state)) {
                super::complain(&e);
            }
            Error::new(failure.error.kind, format!("failed to build: failed to solve: {}", failure.error))
        })?;
        let digest = image.digest();
        printer.finish(request.record.then_some((digest.as_str(), &request.tags[..])));
        let tell = |text: &str| {
            if !quiet {
                tell!("{text}");
            }
        };
        self.publish.publish(engine, &request, &outputs, &image, tell)?;
        caches.iter().try_for_each(|cache| cache.export(engine, &image, &steps))?;
        if quiet && !outputs.iter().any(Output::is_stdout) {
            print(format_args!("{digest}\n"));
        }
        Ok(0)
    }

    fn args(&self) -> BTreeMap<String, String> {
        let proxies = DockerConfig::read().proxy_variables(&self.variables);
        self.variables.iter().chain(&proxies).filter_map(|arg| arg_value(arg)).collect()
    }

    fn request(
        &self,
        engine: &Engine,
        source: source::Source,
        outputs: &[Output],
        quiet: bool,
    ) -> Result<Request, Error> {
        let names = self.tag.iter().map(String::as_str).chain(outputs.iter().filter_map(Output::name));
        let always = self.pull == Some(true);
        let when = if always { When::Always } else { When::Missing };
        let same = engine.clone();
        let get = move |name: &str| before(&same, name, when, None, quiet);
        let mut args = self.args();
        if let Ok(epoch) = env::var("SOURCE_DATE_EPOCH") {
            args.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert(epoch);
        }
        Ok(Request {
            ticks: false,
            keep_steps: false,
            no_cache_of: self.no_cache_filter.clone(),
            inline_cache: args.get("BUILDKIT_INLINE_CACHE").is_some_and(|value| value == "1"),
            debug: self.debug_shell,
            dockerfile: source.dockerfile,
            context: source.context,
            target: self.target.clone(),
            args,
            labels: pairs(&self.label),
            tags: names.map(Reference::parse).collect::<Result<_, _>>()?,
            no_cache: self.no_cache,
            environs: self.environs.environs()?,
            record: outputs.is_empty() || !outputs.iter().all(Output::is_files),
            pull: Pull { get: Box::new(get), always },
            contexts: self.places.iter().map(|text| place(text)).collect::<Result<_, _>>()?,
            agents: self.ssh.iter().map(|text| ssh(text)).collect::<Result<_, _>>()?,
            secrets: self.secret.iter().map(|text| secret(text)).collect::<Result<_, _>>()?,
        })
    }
}

/// `NAME=PATH` or `NAME=docker-image://IMAGE`.
fn place(text: &str) -> Result<(String, Place), Error> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| Error::invalid(format!("invalid context value: {text:?}, expected NAME=PATH")))?;
    if let Some(image) = value.strip_prefix("docker-image://") {
        return Ok((name.to_owned(), Place::Image(image.to_owned())));
    }
    if value.contains("://") {
        return Err(Error::invalid(format!("--build-context {text}: give a directory or docker-image://IMAGE")));
    }
    let path = Path::new(value);
    let ignore = crate::engine::build::context::ignore_file(None, None, path)?;
    Ok((name.to_owned(), Place::Directory(Context::new(path, &ignore)?)))
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
