//! `compose up` and `compose down`.

use std::time::Duration;

use clap::Args;

use super::{
    build::remove_images,
    foreground::{Abort, Foreground, Manner},
    images::{Images, Policy, ensure},
    output::Style,
    watch::Watching,
};
use crate::{
    cli::Outcome,
    compose::{
        converge::Up as Request,
        execute::{self, Running, label},
        service::Service,
        watch::Watcher,
    },
    engine::{
        container::Container,
        error::{Error, Result},
    },
};

#[derive(Debug, Args)]
pub(super) struct Up {
    /// Detached mode: run containers in the background
    #[arg(short, long)]
    detach: bool,
    /// Recreate containers even if their configuration and image haven't changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// If containers already exist, don't recreate them
    #[arg(long)]
    no_recreate: bool,
    /// Don't start linked services
    #[arg(long)]
    no_deps: bool,
    /// Stops all containers if any container was stopped
    #[arg(long, conflicts_with_all = ["detach", "wait", "abort_on_container_failure"])]
    abort_on_container_exit: bool,
    /// Stops all containers if any container exited with failure
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    abort_on_container_failure: bool,
    /// Return the exit code of the selected service container. Implies --abort-on-container-exit
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait"])]
    exit_code_from: Option<String>,
    /// Restrict attaching to the specified services
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait"])]
    attach: Vec<String>,
    /// Do not attach (stream logs) to the specified services
    #[arg(long, value_name = "SERVICE", conflicts_with_all = ["detach", "wait"])]
    no_attach: Vec<String>,
    /// Automatically attach to log output of dependent services
    #[arg(long, conflicts_with_all = ["detach", "wait"])]
    attach_dependencies: bool,
    /// Produce monochrome output
    #[arg(long)]
    no_color: bool,
    /// Don't print prefix in logs
    #[arg(long)]
    no_log_prefix: bool,
    /// Show timestamps
    #[arg(long)]
    timestamps: bool,
    /// Don't start the services after creating them
    #[arg(long)]
    no_start: bool,
    /// Remove containers for services not defined in the Compose file
    #[arg(long)]
    remove_orphans: bool,
    /// Scale SERVICE to NUM instances
    #[arg(long, value_name = "SERVICE=NUM", value_parser = scale)]
    scale: Vec<(String, usize)>,
    /// Wait for services to be running|healthy. Implies detached mode
    #[arg(long)]
    wait: bool,
    /// Maximum duration in seconds to wait for the project to be running|healthy
    #[arg(long, value_name = "SECONDS")]
    wait_timeout: Option<u64>,
    /// Pull image before running
    #[arg(long, value_name = "always|missing|never|build")]
    pull: Option<Policy>,
    /// Build images before starting containers
    #[arg(long, conflicts_with = "no_build")]
    build: bool,
    /// Don't build an image, even if it's policy
    #[arg(long)]
    no_build: bool,
    /// Suppress the build output
    #[arg(long)]
    quiet_build: bool,
    /// Pull without printing progress information
    #[arg(long)]
    quiet_pull: bool,
    /// Seconds before a container that is to be replaced is killed
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    timeout: Option<i64>,
    /// Recreate anonymous volumes instead of retrieving data from the previous containers
    #[arg(short = 'V', long)]
    renew_anon_volumes: bool,
    /// Recreate dependent containers
    #[arg(long)]
    always_recreate_deps: bool,
    /// Watch source code and rebuild/refresh containers when files are updated
    #[arg(short, long, conflicts_with_all = ["detach", "wait", "no_start", "abort_on_container_exit", "abort_on_container_failure", "exit_code_from"])]
    watch: bool,
    /// Say yes to all questions, of which there are none
    #[arg(short, long)]
    yes: bool,
    /// Interactive shortcuts, of which there are none: refused, unless it is --menu=false
    #[arg(long)]
    menu: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

fn say_dry(lines: Vec<String>) {
    for line in lines {
        tell!("DRY-RUN MODE -  {line}");
    }
}

/// Refuses what is not done, and names what is ignored.
pub(super) fn check(services: &[Service]) -> Result<()> {
    services.iter().try_for_each(Service::check)?;
    for warning in services.iter().flat_map(Service::ignored) {
        tell!("mini-docker: warning: {warning}");
    }
    Ok(())
}

fn scale(text: &str) -> Result<(String, usize), String> {
    let invalid = || format!("invalid --scale option {text:?}: write it as SERVICE=NUM");
    let (name, count) = text.split_once('=').ok_or_else(invalid)?;
    Ok((name.to_owned(), count.parse().map_err(|_| invalid())?))
}

impl Up {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        if self.menu {
            return Err(Error::invalid("--menu: there are no shortcuts on the keyboard: leave it out").usage());
        }
        self.scale.iter().try_for_each(|(name, _)| running.service(name).map(drop))?;
        let services = running.ordered(&self.services, self.no_deps)?;
        check(&services)?;
        let watching = if self.watch {
            Some(Watching::new(running, &services, &self.services, true, self.quiet_build)?)
        } else {
            None
        };
        // Before the images are built: what changes meanwhile is not in them.
        let watch = match &watching {
            Some(watching) => Some((watching, watching.begin()?)),
            None => None,
        };
        let images = Images {
            pull: self.pull,
            build: self.build,
            no_build: self.no_build,
            quiet: self.quiet_pull,
            quiet_build: self.quiet_build,
        };
        ensure(running, &services, &images)?;
        let request = Request {
            services: self.services.clone(),
            no_deps: self.no_deps,
            force_recreate: self.force_recreate,
            no_recreate: self.no_recreate,
            remove_orphans: self.remove_orphans || running.project.environment.is_on("COMPOSE_REMOVE_ORPHANS"),
            ignore_orphans: running.project.environment.is_on("COMPOSE_IGNORE_ORPHANS"),
            scale: self.scale.iter().cloned().collect(),
            timeout: self.timeout,
            renew_volumes: self.renew_anon_volumes,
            recreate_dependencies: self.always_recreate_deps,
        };
        if running.manner.dry {
            say_dry(running.would_bring_up(&request, !self.no_start)?);
            return Ok(0);
        }
        running.make(&request)?;
        if self.no_start {
            return Ok(0);
        }
        let services: Vec<_> = services.iter().map(|service| service.name.to_owned()).collect();
        if !(self.detach || self.wait) {
            return self.stay(running, &request, &services, watch);
        }
        running.start_all(&request)?;
        if self.wait {
            let limit = self.wait_timeout.map(Duration::from_secs);
            running.await_ready(running.of(&services)?, limit)?;
        }
        Ok(0)
    }

    fn stay(
        &self,
        running: Running,
        request: &Request,
        services: &[String],
        watch: Option<(&Watching, Watcher)>,
    ) -> Outcome {
        let meant = if self.services.is_empty() { services } else { &self.services };
        let is_shown = |name: &str| {
            let on = |list: &[String]| list.iter().any(|other| other == name);
            let own = running.service(name).is_ok_and(|service| service.is_attached());
            let wanted = if self.attach.is_empty() { on(meant) || self.attach_dependencies } else { on(&self.attach) };
            wanted && own && !on(&self.no_attach)
        };
        self.attach
            .iter()
            .chain(&self.no_attach)
            .chain(&self.exit_code_from)
            .try_for_each(|name| running.service(name).map(drop))?;
        let abort =
            match (self.abort_on_container_exit || self.exit_code_from.is_some(), self.abort_on_container_failure) {
                (true, _) => Abort::OnExit,
                (false, true) => Abort::OnFailure,
                (false, false) => Abort::Never,
            };
        let manner = Manner {
            style: Style {
                plain: self.no_color,
                bare: self.no_log_prefix,
                timestamps: self.timestamps,
                ..Style::default()
            },
            abort,
            code_from: self.exit_code_from.clone(),
            timeout: self.timeout,
        };
        // One that ends all others may be one that is not meant otherwise.
        let mut waited = running.of(if abort == Abort::Never { meant } else { services })?;
        waited.retain(|c| services.iter().any(|service| service == label(c, "service")));
        let all = running.of(services)?;
        let is_shown = |c: &Container| is_shown(label(c, "service"));
        let foreground =
            Foreground::new(running, manner, (services.to_owned(), self.services.clone()), waited, &all, &is_shown)?;
        // What they write says enough of their start.
        let quiet = Running { manner: execute::Manner { quiet: true, ..running.manner }, ..running };
        let beside = watch.map(|(watching, watcher)| move |done: &dyn Fn()| watching.stay(watcher, done));
        foreground.run(|| quiet.start_all(request), beside)
    }
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// Build images before starting containers
    #[arg(long, conflicts_with = "no_build")]
    build: bool,
    /// Don't build an image, even if it's policy
    #[arg(long)]
    no_build: bool,
    /// Recreate containers even if their configuration and image haven't changed
    #[arg(long, conflicts_with = "no_recreate")]
    force_recreate: bool,
    /// If containers already exist, don't recreate them
    #[arg(long)]
    no_recreate: bool,
    /// Pull image before running
    #[arg(long, value_name = "always|missing|never|build")]
    pull: Option<Policy>,
    /// Pull without printing progress information
    #[arg(long)]
    quiet_pull: bool,
    /// Remove containers for services not defined in the Compose file
    #[arg(long)]
    remove_orphans: bool,
    /// Scale SERVICE to NUM instances
    #[arg(long, value_name = "SERVICE=NUM", value_parser = scale)]
    scale: Vec<(String, usize)>,
    /// Say yes to all questions, of which there are none
    #[arg(short, long)]
    yes: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Create {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        self.scale.iter().try_for_each(|(name, _)| running.service(name).map(drop))?;
        let services = running.ordered(&self.services, false)?;
        check(&services)?;
        let images = Images {
            pull: self.pull,
            build: self.build,
            no_build: self.no_build,
            quiet: self.quiet_pull,
            quiet_build: false,
        };
        ensure(running, &services, &images)?;
        let request = Request {
            services: self.services,
            force_recreate: self.force_recreate,
            no_recreate: self.no_recreate,
            remove_orphans: self.remove_orphans || running.project.environment.is_on("COMPOSE_REMOVE_ORPHANS"),
            ignore_orphans: running.project.environment.is_on("COMPOSE_IGNORE_ORPHANS"),
            scale: self.scale.into_iter().collect(),
            ..Request::default()
        };
        if running.manner.dry {
            say_dry(running.would_bring_up(&request, false)?);
        } else {
            running.make(&request)?;
        }
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Scale {
    /// Don't start linked services
    #[arg(long)]
    no_deps: bool,
    /// How many containers each service is to have
    #[arg(value_name = "SERVICE=REPLICAS", value_parser = scale, required = true)]
    scale: Vec<(String, usize)>,
}

impl Scale {
    pub(super) fn run(self, running: Running) -> Outcome {
        let services: Vec<_> = self.scale.iter().map(|(name, _)| name.clone()).collect();
        let all = running.ordered(&services, self.no_deps)?;
        check(&all)?;
        ensure(running, &all, &Images::default())?;
        running.up(&Request {
            services,
            no_deps: self.no_deps,
            no_recreate: true,
            scale: self.scale.into_iter().collect(),
            ..Request::default()
        })?;
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Down {
    /// Remove named volumes declared in the "volumes" section and anonymous volumes
    #[arg(short, long)]
    volumes: bool,
    /// Remove containers for services not defined in the Compose file
    #[arg(long)]
    remove_orphans: bool,
    /// Remove images used by services: `local` those that have no name of their own in the file, or `all`
    #[arg(long, value_name = "local|all", value_parser = ["local", "all"])]
    rmi: Option<String>,
    /// Seconds before a container is killed
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    timeout: Option<i64>,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Down {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        if running.manner.dry {
            if !self.services.is_empty() || self.rmi.is_some() {
                return Err(Error::invalid("--dry-run of `down` is there for the whole project, without --rmi"));
            }
            say_dry(running.would_take_down(self.volumes, self.remove_orphans)?);
            return Ok(0);
        }
        if !self.services.is_empty() {
            running.take_down(&running.of(&self.services)?, self.timeout, self.volumes)?;
            return Ok(0);
        }
        running.down(self.timeout, self.volumes, self.remove_orphans)?;
        self.rmi.map_or(Ok(()), |which| remove_images(running, which == "all"))?;
        Ok(0)
    }
}
