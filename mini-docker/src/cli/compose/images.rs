//! The images of services: pulled or built before the containers are made.

use std::{fs::File, os::fd::AsFd, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use process::sys;

use super::others::parse;
use crate::{
    cli::{
        build::Build,
        image::pull::{When, before},
    },
    compose::{execute::Running, job::Job, service::Service},
    engine::error::{Error, Result},
};

/// When an image is pulled: `pull_policy`, and `--pull`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Always,
    Missing,
    Never,
    /// It is built.
    Build,
    /// Where the last time was so many seconds ago.
    Every(i64),
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const DAY: i64 = 86_400;
        let unknown = || {
            format!(
                "unknown pull policy {text:?}: there are always, missing, never, build, daily, weekly and every_DURATION"
            )
        };
        Ok(match text {
            "always" => Self::Always,
            "missing" | "if_not_present" => Self::Missing,
            "never" => Self::Never,
            "build" => Self::Build,
            "daily" => Self::Every(DAY),
            "weekly" => Self::Every(7 * DAY),
            _ => {
                let every = text.strip_prefix("every_").ok_or_else(unknown)?;
                let mut seconds = 0;
                let mut digits = String::new();
                for c in every.chars() {
                    let unit = match c {
                        '0'..='9' => {
                            digits.push(c);
                            continue;
                        }
                        'w' => 7 * DAY,
                        'd' => DAY,
                        'h' => 3600,
                        'm' => 60,
                        's' => 1,
                        _ => return Err(unknown()),
                    };
                    let count: i64 = digits.parse().map_err(|_| unknown())?;
                    seconds = count.checked_mul(unit).and_then(|s| s.checked_add(seconds)).ok_or_else(unknown)?;
                    digits.clear();
                }
                if every.is_empty() || !digits.is_empty() {
                    return Err(unknown());
                }
                Self::Every(seconds)
            }
        })
    }
}

/// What the command line says about them.
#[derive(Debug, Clone, Default)]
pub(super) struct Images {
    /// Over what the services say.
    pub(super) pull: Option<Policy>,
    /// Whether those that can be built are.
    pub(super) build: bool,
    /// Whether none is.
    pub(super) no_build: bool,
    /// Pulls without progress.
    pub(super) quiet: bool,
    /// Builds without progress.
    pub(super) quiet_build: bool,
}

/// Sees to it that the services' images are there.
pub(super) fn ensure(running: Running, services: &[Service], how: &Images) -> Result<()> {
    if running.manner.dry {
        return Ok(());
    }
    let how = &Images {
        quiet: how.quiet || running.manner.quiet,
        quiet_build: how.quiet_build || running.manner.quiet,
        ..how.clone()
    };
    let quiet: &[String] = if how.quiet_build { &["--quiet".to_owned()] } else { &[] };
    let mut to_build = Vec::new();
    // One may run what another builds.
    let built: Vec<_> =
        services.iter().filter(|service| service.is_built() && !how.no_build).map(Service::image).collect();
    for service in services {
        if !service.is_built() && built.contains(&service.image()) {
            continue;
        }
        if is_to_be_built(running, service, how).map_err(|e| service.in_it(&e))? {
            to_build.push(*service);
        }
    }
    build_all(running, &to_build, quiet)
}

/// Pulls the service's image where that is wanted; true where it is to be built.
fn is_to_be_built(running: Running, service: &Service, how: &Images) -> Result<bool> {
    let name = service.image();
    let own = service.keys.get("pull_policy").and_then(|policy| policy.as_str());
    let own = own.map(|text| text.parse().map_err(|e| Error::invalid(format!("services.{}.{e}", service.name))));
    let policy = how.pull.or(own.transpose()?);
    let can_build = service.is_built() && !how.no_build;
    if can_build && (how.build || policy == Some(Policy::Build)) {
        return Ok(true);
    }
    let is_here = running.engine.image(&name).is_ok();
    let platform = service.keys.get("platform").and_then(|platform| platform.as_str());
    let when = match policy {
        // What is built has no image elsewhere, unless it is named.
        _ if service.is_built() && service.keys.get("image").is_none() => When::Never,
        Some(Policy::Always) => When::Always,
        Some(Policy::Every(seconds)) if is_older(running, &name, seconds)? => When::Always,
        Some(Policy::Never | Policy::Build) => When::Never,
        None if service.is_built() => When::Never,
        _ => When::Missing,
    };
    match before(running.engine, &name, when, platform, how.quiet) {
        Err(e) if !can_build => Err(e),
        Err(_) => Ok(true),
        Ok(()) if is_here || when != When::Never => Ok(false),
        Ok(()) if can_build => Ok(true),
        Ok(()) => Err(Error::not_found(format!(
            "No such image: {name}, for service {:?}: pull or build it first (mini-docker compose pull, or build)",
            service.name
        ))),
    }
}

/// Whether the image was not pulled or named for so many seconds.
fn is_older(running: Running, name: &str, seconds: i64) -> Result<bool> {
    let Ok(image) = running.engine.image(name) else { return Ok(true) };
    let tagged = running.engine.notes(&image.id).tagged;
    let limit = Timestamp::now().checked_sub(SignedDuration::from_secs(seconds));
    Ok(limit.is_ok_and(|limit| tagged.is_none_or(|tagged| tagged < limit)))
}

/// Builds the services' images, each after those that it is built with; `flags` are more of `build`'s.
pub(super) fn build_all(running: Running, services: &[Service], flags: &[String]) -> Result<()> {
    let mut done = Vec::new();
    services.iter().try_for_each(|service| build(running, service, flags, &mut done))
}

fn build(running: Running, service: &Service, flags: &[String], done: &mut Vec<String>) -> Result<()> {
    if done.iter().any(|name| name == service.name) {
        return Ok(());
    }
    done.push(service.name.to_owned());
    for other in service.built_with() {
        build(running, &running.service(&other)?, flags, done)?;
    }
    let engine = running.engine;
    running.say("Image", &service.image(), "Building");
    // In a process of its own: what it needs of memory is no container's.
    let job = Job::begin(|| {
        let scratch = engine.scratch()?;
        let line: Build = parse(service.build_words(flags, &scratch.path)?)
            .map_err(|e| Error::new(e.kind, format!("services.{}.build: {e}", service.name)))?;
        let null = File::options().write(true).open("/dev/null").map_err(|e| Error::system("open /dev/null", &e))?;
        sys::duplicate_to(null.as_fd(), 1).map_err(|e| Error::system("close standard output", &e.into()))?;
        match line.run(engine)? {
            0 => Ok(()),
            code => Err(Error::conflict(format!("service {:?}: the build has ended with {code}", service.name))),
        }
    });
    job?.finish()?;
    running.say("Image", &service.image(), "Built");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_the_specifications() {
        for (text, policy) in [
            ("if_not_present", Policy::Missing),
            ("daily", Policy::Every(86_400)),
            ("every_1d12h", Policy::Every(129_600)),
        ] {
            assert_eq!(text.parse(), Ok(policy));
        }
        for text in ["", "every_", "every_5", "every_5y", "every_99999999999999999w", "Always"] {
            assert!(text.parse::<Policy>().is_err(), "{text}");
        }
    }
}
