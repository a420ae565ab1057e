//! Commands of one container, said of a service: they are the engine's own, on the service's container.

use clap::{Args, Parser};

use crate::{
    cli::{Outcome, compose::print_lines, container, image, print},
    compose::execute::{Running, number},
    engine::{
        container::Container,
        error::{Error, Result},
    },
};

/// A command of the engine's, by its words.
#[derive(Debug, Parser)]
#[command(no_binary_name = true)]
struct Line<T: Args> {
    #[command(flatten)]
    command: T,
}

/// Reads the words of a command.
pub(super) fn parse<T: Args>(words: impl IntoIterator<Item = String>) -> Result<T> {
    let line = Line::try_parse_from(words).map_err(|e| {
        let text = e.to_string();
        Error::invalid(text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned())
    })?;
    Ok(line.command)
}

/// `--flag=value`, where there is one.
fn option(flag: &str, value: Option<String>) -> Option<String> {
    value.map(|value| format!("--{flag}={value}"))
}

fn name(container: &Container) -> String {
    container.config.name.clone()
}

#[derive(Debug, Args)]
pub(super) struct Attach {
    /// Index of the container if service has multiple replicas
    #[arg(long, value_name = "NUMBER")]
    index: Option<usize>,
    /// Override the key sequence for detaching from a container
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    /// Proxy all received signals to the process
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sig_proxy: Option<String>,
    /// The service
    service: String,
}

impl Attach {
    pub(super) fn run(self, running: Running) -> Outcome {
        let mut words = vec![name(&running.nth(&self.service, self.index)?)];
        words.extend(option("detach-keys", self.detach_keys).into_iter().chain(option("sig-proxy", self.sig_proxy)));
        words.extend(self.no_stdin.then(|| "--no-stdin".to_owned()));
        parse::<container::Attach>(words)?.run(running.engine)
    }
}

#[derive(Debug, Args)]
pub(super) struct Commit {
    /// Index of the container if service has multiple replicas
    #[arg(long, value_name = "NUMBER")]
    index: Option<usize>,
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short, long)]
    author: Option<String>,
    /// Apply a Dockerfile instruction to the created image
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Commit message
    #[arg(short, long)]
    message: Option<String>,
    /// Pause container during commit
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pause: Option<String>,
    /// The service
    service: String,
    /// Name and tag of the new image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

impl Commit {
    pub(super) fn run(self, running: Running) -> Outcome {
        let options = [option("author", self.author), option("message", self.message), option("pause", self.pause)];
        let mut words: Vec<_> = options.into_iter().flatten().collect();
        words.extend(self.change.into_iter().map(|change| format!("--change={change}")));
        words.push(name(&running.nth(&self.service, self.index)?));
        words.extend(self.name);
        parse::<image::Commit>(words)?.run(running.engine)
    }
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Index of the container if service has multiple replicas
    #[arg(long, value_name = "NUMBER")]
    index: Option<usize>,
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// The service
    service: String,
}

impl Export {
    pub(super) fn run(self, running: Running) -> Outcome {
        let mut words = vec![name(&running.nth(&self.service, self.index)?)];
        words.extend(option("output", self.output));
        parse::<container::Export>(words)?.run(running.engine)
    }
}

#[derive(Debug, Args)]
pub(super) struct Port {
    /// Index of the container if service has multiple replicas
    #[arg(long, value_name = "NUMBER")]
    index: Option<usize>,
    /// tcp or udp
    #[arg(long, default_value = "tcp", value_parser = ["tcp", "udp", "sctp"])]
    protocol: String,
    /// The service
    service: String,
    /// Its port
    #[arg(value_name = "PRIVATE_PORT")]
    number: u16,
}

impl Port {
    pub(super) fn run(self, running: Running) -> Outcome {
        let container = running.nth(&self.service, self.index)?;
        let port = format!("{}/{}", self.number, self.protocol);
        // One, for `curl $(... port web 80)`: a port without an address is on IPv6 as well.
        let addresses = container::addresses(running.engine, &container, &port)?;
        print_lines(addresses.first());
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Top {
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Top {
    pub(super) fn run(self, running: Running) -> Outcome {
        for container in running.of(&self.services)?.iter().filter(|c| c.status.state.is_alive()) {
            print(format_args!("{}\n", container.config.name));
            parse::<container::Top>([name(container)])?.run(running.engine)?;
            print(format_args!("\n"));
        }
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Stats {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
    /// The service; all where none is named
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
}

impl Stats {
    pub(super) fn run(self, running: Running) -> Outcome {
        let services: Vec<_> = self.service.into_iter().collect();
        let mut containers = running.of(&services)?;
        containers.retain(|c| self.all || c.status.state.is_active());
        if containers.is_empty() {
            // Without a name, the engine's command would show those of others.
            return Err(Error::not_found(format!(
                "no container of project {} runs: bring it up first",
                running.project.name
            )));
        }
        let mut words: Vec<_> = containers.iter().map(name).collect();
        words.extend(option("format", self.format));
        for (on, flag) in [(self.all, "--all"), (self.no_stream, "--no-stream"), (self.no_trunc, "--no-trunc")] {
            words.extend(on.then(|| flag.to_owned()));
        }
        parse::<container::Stats>(words)?.run(running.engine)
    }
}

#[derive(Debug, Args)]
pub(super) struct Cp {
    /// Index of the container if service has multiple replicas
    #[arg(long, value_name = "NUMBER", conflicts_with = "all")]
    index: Option<usize>,
    /// Include containers created by the run command
    #[arg(long)]
    all: bool,
    /// Archive mode (copy all uid/gid information; to the host also device nodes, set-user-id bits and capabilities)
    #[arg(short, long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// SERVICE:PATH, a path of the host, or - for an archive from standard input
    source: String,
    /// SERVICE:PATH, a path of the host, or - for an archive to standard output
    destination: String,
}

impl Cp {
    pub(super) fn run(self, running: Running) -> Outcome {
        let split = |text: &str| {
            let (service, path) = if text.starts_with(['/', '.']) { None } else { text.split_once(':') }?;
            Some((service.to_owned(), path.to_owned()))
        };
        let (service, path, out) = match (split(&self.source), split(&self.destination)) {
            (Some((service, path)), None) => (service, path, true),
            (None, Some((service, path))) => (service, path, false),
            (Some(_), Some(_)) => return Err(Error::invalid("copying between services is not supported")),
            (None, None) => return Err(Error::invalid("must specify at least one service: SERVICE:PATH")),
        };
        // One that has ended has files too.
        let mut containers = running.of(std::slice::from_ref(&service))?;
        if self.all {
            containers.extend(running.one_offs(&service)?);
        }
        containers.retain(|container| self.index.is_none_or(|index| index == number(container)));
        if out {
            containers.truncate(1);
        }
        if containers.is_empty() {
            let which = self.index.map_or_else(String::new, |index| format!(" with the number {index}"));
            return Err(Error::not_found(format!("service {service:?} has no container{which}: bring it up first")));
        }
        for container in &containers {
            let place = format!("{}:{path}", container.config.name);
            let (from, to) = if out { (place, self.destination.clone()) } else { (self.source.clone(), place) };
            let flags = [(self.archive, "--archive"), (self.follow_link, "--follow-link")];
            let flags = flags.into_iter().filter(|(on, _)| *on).map(|(_, flag)| flag.to_owned());
            parse::<container::Cp>(flags.chain(["--".to_owned(), from, to]))?.run(running.engine)?;
        }
        Ok(0)
    }
}
