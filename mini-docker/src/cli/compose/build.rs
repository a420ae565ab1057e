//! `compose build`, `compose pull` and `compose push`.

use clap::Args;

use super::images::{Policy, build_all};
use crate::{
    cli::{
        Outcome, complain,
        image::pull::{When, before},
        image::push::push,
    },
    compose::{execute::Running, service::Service},
    engine::{
        error::{Error, Kind, Result},
        reference::Reference,
    },
};

#[derive(Debug, Args)]
pub(super) struct Build {
    /// Set build-time variables for services
    #[arg(long = "build-arg", value_name = "KEY[=VALUE]")]
    variables: Vec<String>,
    /// Check build configuration
    #[arg(long)]
    check: bool,
    /// Set memory limit for the build container
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// Do not use cache when building the image
    #[arg(long)]
    no_cache: bool,
    /// Always attempt to pull a newer version of the image
    #[arg(long)]
    pull: bool,
    /// Push service images
    #[arg(long)]
    push: bool,
    /// Suppress the build output
    #[arg(short, long)]
    quiet: bool,
    /// Set SSH authentications used when building service images (use 'default' for the default agent)
    #[arg(long, value_name = "default|ID=SOCKET")]
    ssh: Vec<String>,
    /// Also build dependencies
    #[arg(long)]
    with_dependencies: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Build {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        let mut services = running.ordered(&self.services, !self.with_dependencies)?;
        services.retain(Service::is_built);
        if services.is_empty() {
            tell!("mini-docker: no services to build");
            return Ok(0);
        }
        let mut flags: Vec<String> = Vec::new();
        for (on, flag) in
            [(self.check, "--check"), (self.no_cache, "--no-cache"), (self.pull, "--pull"), (self.quiet, "--quiet")]
        {
            flags.extend(on.then(|| flag.to_owned()));
        }
        for (flag, values) in
            [("--build-arg", self.variables), ("--ssh", self.ssh), ("--memory", self.memory.into_iter().collect())]
        {
            flags.extend(values.into_iter().map(|value| format!("{flag}={value}")));
        }
        build_all(running, &services, &flags)?;
        if self.push {
            for service in services.iter().filter(|service| service.keys.get("image").is_some()) {
                push(running.engine, &Reference::parse(&service.image())?, self.quiet)?;
            }
        }
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Pull {
    /// Ignore images that can be built
    #[arg(long)]
    ignore_buildable: bool,
    /// Pull what it can and ignores images with pull failures
    #[arg(long)]
    ignore_pull_failures: bool,
    /// Also pull services declared as dependencies
    #[arg(long)]
    include_deps: bool,
    /// Apply pull policy ("missing"|"always")
    #[arg(long, value_name = "POLICY")]
    policy: Option<Policy>,
    /// Pull without printing progress information
    #[arg(short, long)]
    quiet: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Pull {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        let when = match self.policy {
            None | Some(Policy::Always) => When::Always,
            Some(Policy::Missing) => When::Missing,
            Some(_) => return Err(Error::invalid("--policy: there are missing and always")),
        };
        let (mut pulled, mut to_build) = (Vec::new(), Vec::new());
        for service in running.ordered(&self.services, !self.include_deps)? {
            let name = service.image();
            let skipped = service.is_built() && (self.ignore_buildable || service.keys.get("image").is_none());
            let never = service.keys.get("pull_policy").and_then(|policy| policy.as_str()) == Some("never");
            if skipped || never || pulled.contains(&name) {
                if service.is_built() && service.keys.get("image").is_none() {
                    running.say("Image", &name, "Skipped No image to be pulled");
                }
                continue;
            }
            let platform = service.keys.get("platform").and_then(|platform| platform.as_str());
            match before(running.engine, &name, when, platform, self.quiet) {
                // It may not have been pushed yet.
                Err(e) if self.ignore_pull_failures || service.is_built() => {
                    complain(&e);
                    to_build.extend(service.is_built().then_some(service.name));
                }
                outcome => outcome?,
            }
            pulled.push(name);
        }
        if !to_build.is_empty() {
            tell!(
                "mini-docker: warning: Some service image(s) must be built from source by running:\n    mini-docker compose build {}",
                to_build.join(" ")
            );
        }
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Push {
    /// Push what it can and ignores images with push failures
    #[arg(long)]
    ignore_push_failures: bool,
    /// Also push images of services declared as dependencies
    #[arg(long)]
    include_deps: bool,
    /// Push without printing progress information
    #[arg(short, long)]
    quiet: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Push {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    /// What is built here and has a name to go by.
    pub(super) fn run(self, running: Running) -> Outcome {
        for service in running.ordered(&self.services, !self.include_deps)? {
            if !service.is_built() || service.keys.get("image").is_none() {
                continue;
            }
            match push(running.engine, &Reference::parse(&service.image())?, self.quiet) {
                Err(e) if self.ignore_push_failures => complain(&e),
                outcome => outcome?,
            }
        }
        Ok(0)
    }
}

/// The images that are the services' own, or all that they use, with `all`.
pub(super) fn remove_images(running: Running, all: bool) -> Result<()> {
    for (name, keys) in running.project.services() {
        let service = Service { project: running.project, name, keys };
        if !all && keys.get("image").is_some() {
            continue;
        }
        match running.engine.remove_image(&service.image(), false, true) {
            Err(e) if e.kind == Kind::NotFound => {}
            // Another project uses it.
            Err(e) if e.kind == Kind::Conflict => complain(&e),
            removed => drop(removed?),
        }
    }
    Ok(())
}
