//! `compose watch`: what is changed in the files of a service is changed in its containers.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    images::{Images, build_all, ensure},
    others::parse,
    up::check,
};
use crate::{
    cli::{Outcome, complain, container},
    compose::{
        converge::Up,
        execute::Running,
        service::Service,
        watch::{Action, Trigger, Watcher},
    },
    engine::{
        container::Container,
        error::{Error, Kind, Result},
    },
};

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Do not build & start services before watching
    #[arg(long)]
    no_up: bool,
    /// Prune dangling images on rebuild
    #[arg(long, action = clap::ArgAction::Set, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    prune: bool,
    /// Hide build output
    #[arg(long)]
    quiet: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Watch {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        let services = running.ordered(&self.services, false)?;
        check(&services)?;
        let watching = Watching::new(running, &services, &self.services, self.prune, self.quiet)?;
        // Before the images are built: what changes meanwhile is not in them.
        let watcher = watching.begin()?;
        if !self.no_up {
            ensure(running, &services, &Images { build: true, quiet_build: self.quiet, ..Images::default() })?;
            running.up(&Up { services: self.services.clone(), ..Up::default() })?;
        }
        watching.stay(watcher, &|| ())?;
        Ok(0)
    }
}

/// What is watched, and what is done then.
pub(super) struct Watching<'a> {
    running: Running<'a>,
    triggers: Vec<Trigger<'a>>,
    prune: bool,
    quiet: bool,
}

impl<'a> Watching<'a> {
    /// Of those of these services that are `named`, or of all.
    ///
    /// # Errors
    /// None of them wants anything to be watched.
    pub(super) fn new(
        running: Running<'a>,
        services: &[Service<'a>],
        named: &[String],
        prune: bool,
        quiet: bool,
    ) -> Result<Self> {
        let mut triggers = Vec::new();
        for service in services.iter().filter(|s| named.is_empty() || named.iter().any(|name| name == s.name)) {
            triggers.extend(service.triggers()?);
        }
        if triggers.is_empty() {
            return Err(Error::invalid("none of the selected services is configured for watch: see `develop.watch`"));
        }
        Ok(Self { running, triggers, prune, quiet })
    }

    /// From now on no change is missed.
    pub(super) fn begin(&self) -> Result<Watcher<'a, '_>> {
        Watcher::new(&self.triggers)
    }

    /// Does for ever what changes ask for; `done` hears of each time that containers may be others.
    pub(super) fn stay(&self, mut watcher: Watcher, done: &dyn Fn()) -> Result<()> {
        for trigger in self.triggers.iter().filter(|trigger| trigger.initial_sync) {
            self.act(trigger, &trigger.files().into_iter().collect())?;
        }
        tell!("Watch enabled");
        loop {
            let changed = watcher.wait()?;
            // One that is made anew needs no copies before.
            let mut rebuilt = BTreeSet::new();
            let mut sorted: Vec<&Trigger> = self.triggers.iter().collect();
            sorted.sort_by_key(|trigger| trigger.action);
            for trigger in sorted {
                let name = trigger.service.name;
                let files: BTreeSet<_> = changed.iter().filter(|file| trigger.place(file).is_some()).cloned().collect();
                if files.is_empty() || rebuilt.contains(name) {
                    continue;
                }
                match self.act(trigger, &files) {
                    Ok(()) if trigger.action == Action::Rebuild => drop(rebuilt.insert(name)),
                    Ok(()) => {}
                    // The next change may mend it.
                    Err(e) => complain(&e),
                }
                done();
            }
        }
    }

    fn act(&self, trigger: &Trigger, files: &BTreeSet<PathBuf>) -> Result<()> {
        let running = self.running;
        let service = &trigger.service;
        let name = service.name.to_owned();
        let containers = || -> Result<Vec<Container>> {
            let mut all = running.of(std::slice::from_ref(&name))?;
            all.retain(|container| container.status.state.is_alive());
            Ok(all)
        };
        if trigger.action == Action::Rebuild {
            tell!("Rebuilding service {name:?} after changes were detected...");
            let quiet: &[String] = if self.quiet { &["--quiet".to_owned()] } else { &[] };
            let before = running.engine.image(&service.image()).ok().map(|image| image.id);
            build_all(running, &[*service], quiet)?;
            running.up(&Up { services: vec![name], no_deps: true, ..Up::default() })?;
            let image = running.engine.image(&service.image())?.id;
            if let Some(before) = before.filter(|before| self.prune && *before != image) {
                match running.engine.remove_image(&before, false, true) {
                    // It has another name, or another container.
                    Err(e) if matches!(e.kind, Kind::Conflict | Kind::NotFound) => {}
                    removed => drop(removed?),
                }
            }
            return Ok(());
        }
        if trigger.action != Action::Restart {
            tell!("Syncing service {name:?} after {} changes were detected", files.len());
            for container in containers()? {
                for file in files {
                    copy(running, &container, file, &trigger.place(file).unwrap_or_default())?;
                }
            }
        }
        match trigger.action {
            Action::Restart | Action::SyncRestart => {
                running.restart(std::slice::from_ref(&name), true, None)?;
                tell!("service(s) [{name:?}] restarted");
            }
            Action::SyncExec => {
                for container in containers()? {
                    service.run_hook("develop.watch", &trigger.exec, running.engine, &container)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Brings a file to where it is, or takes it away where it is no more.
fn copy(running: Running, container: &Container, file: &Path, target: &str) -> Result<()> {
    let execute = |words: &[&str]| {
        let words: Vec<_> = [container.config.name.as_str()].iter().chain(words).map(|&word| word.to_owned()).collect();
        match parse::<container::Exec>(words)?.run(running.engine)? {
            0 => Ok(()),
            code => Err(Error::conflict(format!("{target}: it cannot be changed in the container: exit code {code}"))),
        }
    };
    if file.symlink_metadata().is_err() {
        return execute(&["rm", "-rf", "--", target]);
    }
    let copy = || {
        let place = format!("{}:{target}", container.config.name);
        let words = ["--quiet".to_owned(), "--".to_owned(), file.display().to_string(), place];
        parse::<container::Cp>(words)?.run(running.engine).map(drop)
    };
    match copy() {
        Err(e) if e.kind == Kind::NotFound => {
            let parent = target.rsplit_once('/').map_or("/", |(parent, _)| parent);
            execute(&["mkdir", "-p", "--", parent])?;
            copy()
        }
        copied => copied,
    }
}
