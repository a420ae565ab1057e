//! `compose run` and `compose exec`: one command of a service.

use std::{
    io::{self, IsTerminal},
    os::fd::AsFd,
    path::PathBuf,
};

use clap::Args;
use process::sys;

use super::images::{Images, Policy, ensure};
use crate::{
    cli::{
        Outcome,
        container::{
            execute,
            session::{Manner, stay, terminal_size},
        },
        create::{absolute, env},
        detach_keys::DetachKeys,
        print, warn,
    },
    compose::{converge::Up, execute::Running, oneoff::OneOff, service::Service},
    engine::{
        error::{Error, Result},
        exec,
        monitor::{
            Options,
            frame::{INPUT, STREAMS},
        },
    },
};

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Run container in background and print container ID
    #[arg(short, long)]
    detach: bool,
    /// Automatically remove the container when it exits
    #[arg(long)]
    rm: bool,
    /// Assign a name to the container
    #[arg(long)]
    name: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Set environment variables from file
    #[arg(long, value_name = "FILE")]
    env_from_file: Vec<PathBuf>,
    /// Add or override a label
    #[arg(short, long, visible_alias = "labels", value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Override the entrypoint of the image
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// Run as specified username or uid
    #[arg(short, long, value_name = "NAME|UID[:GROUP|GID]")]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Bind mount a volume
    #[arg(short, long, visible_alias = "volumes", value_name = "[SOURCE:]TARGET[:OPTIONS]")]
    volume: Vec<String>,
    /// Publish a container's port(s) to the host
    #[arg(short, long, value_name = "[[IP:]HOST:]PORT[/PROTOCOL]")]
    publish: Vec<String>,
    /// Run command with all service's ports enabled and mapped to the host
    #[arg(short = 'P', long)]
    service_ports: bool,
    /// Use the service's network aliases in the network(s) the container connects to
    #[arg(long)]
    use_aliases: bool,
    /// Add Linux capabilities
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Don't start linked services
    #[arg(long)]
    no_deps: bool,
    /// Allocate a pseudo-TTY, as without this flag where there is one: refused elsewhere
    #[arg(short = 't', long)]
    tty: bool,
    /// Disable pseudo-TTY allocation
    #[arg(short = 'T', long = "no-tty", visible_alias = "no-TTY")]
    no_tty: bool,
    /// Keep STDIN open even if not attached
    #[arg(short, long, default_value = "true", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    interactive: bool,
    /// Remove containers for services not defined in the Compose file
    #[arg(long)]
    remove_orphans: bool,
    /// Pull image before running
    #[arg(long, value_name = "always|missing|never|build")]
    pull: Option<Policy>,
    /// Build image before starting container
    #[arg(long)]
    build: bool,
    /// Say nothing but what the command says
    #[arg(short, long)]
    quiet: bool,
    /// Suppress progress output from the build process
    #[arg(long)]
    quiet_build: bool,
    /// Pull without printing progress information
    #[arg(long)]
    quiet_pull: bool,
    /// The service
    service: String,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Run {
    pub(super) fn services(&self) -> &[String] {
        std::slice::from_ref(&self.service)
    }

    pub(super) fn run(self, mut running: Running) -> Outcome {
        running.manner.quiet |= self.quiet;
        if self.tty && self.interactive && !self.detach && !io::stdin().is_terminal() {
            let why = "cannot attach stdin to a TTY-enabled container because stdin is not a terminal; leave --tty out";
            return Err(Error::conflict(why));
        }
        let keys = DetachKeys::choose(None, self.interactive && !self.detach)?;
        let service = running.service(&self.service)?;
        super::up::check(&[service])?;
        let images = Images {
            pull: self.pull,
            build: self.build,
            no_build: false,
            quiet: self.quiet_pull || self.quiet,
            quiet_build: self.quiet_build || self.quiet,
        };
        self.bring_up_dependencies(running, &service, &images)?;
        ensure(running, &[service], &images)?;
        let mut request = running.one_off(&service, &self.changes(running)?)?;
        let container = running.create(&mut request)?;
        let attach = match (self.detach, self.interactive) {
            (true, _) => 0,
            (false, true) => STREAMS | INPUT,
            (false, false) => STREAMS,
        };
        let started = running
            .engine
            .start(&container.config.id, Options { attach, explain: false, size: terminal_size(&container.config) });
        if started.is_err() && self.rm {
            // The error of the start says more than one of this.
            let _ = running.engine.remove(&container, true, true);
        }
        let started = started?;
        started.warnings.iter().for_each(|text| warn(text));
        let line = started.line;
        if self.detach {
            print(format_args!("{}\n", container.config.name));
            return Ok(0);
        }
        let manner = Manner { interactive: self.interactive, sig_proxy: true, keys };
        Ok(stay(running.engine, &container, line, manner)?.code(0))
    }

    fn bring_up_dependencies(&self, running: Running, service: &Service, images: &Images) -> Result<()> {
        let names = service.dependencies().into_iter().filter(|(name, ..)| running.service(name).is_ok());
        let services: Vec<_> = names.map(|(name, ..)| name.to_owned()).collect();
        running.make_networks(&[*service])?;
        running.make_volumes(&[*service])?;
        if self.no_deps || services.is_empty() {
            return Ok(());
        }
        ensure(running, &running.ordered(&services, false)?, images)?;
        let ignore_orphans = running.project.environment.is_on("COMPOSE_IGNORE_ORPHANS");
        running.up(&Up { services, remove_orphans: self.remove_orphans, ignore_orphans, ..Up::default() })?;
        running.await_dependencies(service)
    }

    /// What is to be set; a name alone that nobody knows changes nothing.
    fn variables(&self, running: Running) -> Result<Vec<String>> {
        let mut all = env::collect_with(&self.env_from_file, &self.env, &|key| running.project.environment.get(key))?;
        all.retain(|variable| variable.contains('='));
        Ok(all)
    }

    fn changes(&self, running: Running) -> Result<OneOff> {
        let words = |text: &String| crate::compose::words(text).map_err(Error::invalid);
        let volume = |text: &String| absolute(text).map_err(Error::invalid);
        Ok(OneOff {
            command: self.command.clone(),
            entrypoint: self.entrypoint.as_ref().map(words).transpose()?,
            env: self.variables(running)?,
            labels: self.label.clone(),
            name: self.name.clone(),
            user: self.user.clone(),
            working_dir: self.workdir.clone(),
            volumes: self.volume.iter().map(volume).collect::<Result<_>>()?,
            publish: self.publish.clone(),
            service_ports: self.service_ports,
            aliases: self.use_aliases,
            cap_add: self.cap_add.clone(),
            cap_drop: self.cap_drop.clone(),
            tty: !self.no_tty && !self.detach && terminal(self.interactive),
            stdin: self.interactive,
            remove: self.rm,
            detach: self.detach,
        })
    }
}

/// Whether the user sits at one.
fn terminal(interactive: bool) -> bool {
    io::stdout().is_terminal() && (!interactive || io::stdin().is_terminal())
}

#[derive(Debug, Args)]
pub(super) struct Exec {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    detach: bool,
    /// Set environment variables
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Index of the container if service has multiple replicas
    #[arg(long, value_name = "NUMBER")]
    index: Option<usize>,
    /// Give extended privileges to the process
    #[arg(long)]
    privileged: bool,
    /// Run the command as this user
    #[arg(short, long, value_name = "NAME|UID[:GROUP|GID]")]
    user: Option<String>,
    /// Disable pseudo-TTY allocation; by default a terminal is allocated where there is one
    #[arg(short = 'T', long = "no-tty", visible_alias = "no-TTY")]
    no_tty: bool,
    /// Keep STDIN open even if not attached
    #[arg(short, long, default_value = "true", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    interactive: bool,
    /// Path to workdir directory for this command
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// The service
    service: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Exec {
    pub(super) fn services(&self) -> &[String] {
        std::slice::from_ref(&self.service)
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        let tty = !self.no_tty && !self.detach && terminal(self.interactive);
        let container = running.nth(&self.service, self.index)?;
        let request = exec::Exec {
            env: env::collect(&[], &self.env)?,
            command: self.command,
            working_dir: self.workdir,
            user: self.user,
            privileged: self.privileged,
            tty,
            size: sys::window_size(io::stdout().as_fd()).ok().filter(|size| *size != (0, 0)),
            stdin: self.interactive && !self.detach,
        };
        let keys = DetachKeys::choose(None, request.stdin)?;
        execute(running.engine, &container, &request, self.detach, keys)
    }
}
