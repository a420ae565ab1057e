//! `compose logs`.

use std::os::fd::AsFd;

use clap::Args;
use jiff::Timestamp;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::output::{Show, Style};
use crate::{
    cli::{Outcome, events::moment},
    compose::execute::{Running, number},
    engine::{
        error::Error,
        events::{Follower as Events, Type},
    },
};

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Follow log output
    #[arg(short, long)]
    follow: bool,
    /// Index of the container if service has multiple replicas
    #[arg(long, value_name = "NUMBER")]
    index: Option<usize>,
    /// Show logs since a timestamp (2026-01-02T13:23:37Z) or a duration before now (42m)
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    since: Option<Timestamp>,
    /// Show logs before a timestamp (2026-01-02T13:23:37Z) or a duration before now (42m)
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    until: Option<Timestamp>,
    /// Number of lines to show from the end of the logs for each container
    #[arg(short = 'n', long, default_value = "all", value_name = "LINES", allow_negative_numbers = true)]
    tail: String,
    /// Produce monochrome output
    #[arg(long)]
    no_color: bool,
    /// Don't print prefix in logs
    #[arg(long)]
    no_log_prefix: bool,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Logs {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        let mut containers = running.of(&self.services)?;
        containers.retain(|c| self.index.is_none_or(|index| index == number(c)));
        let style = Style {
            plain: self.no_color,
            bare: self.no_log_prefix,
            timestamps: self.timestamps,
            tail: self.tail.parse().ok(),
            since: self.since,
            until: self.until,
        };
        // From before the containers are shown: none that starts meanwhile is missed.
        let mut news = if self.follow { Some(running.engine.events()?) } else { None };
        let mut show = Show::new(running, &containers, &|_| true, style, self.follow)?;
        loop {
            let over = show.over()?;
            if !show.print()? || over.len() >= containers.len() || !self.follow {
                return Ok(0);
            }
            wait(&show, news.as_ref())?;
            show.clear();
            if let Some(news) = &mut news
                && have_started(news)?
            {
                // Without files, a service is known by its containers alone.
                let all = self.services.is_empty();
                for container in if all { running.containers()? } else { running.of(&self.services)? } {
                    let is_meant = self.index.is_none_or(|index| index == number(&container));
                    if is_meant && show.add(running, &container, &|_| true)? {
                        containers.push(container);
                    }
                }
            }
        }
    }
}

/// Whether any container has started since it was asked last.
fn have_started(news: &mut Events) -> Result<bool, Error> {
    news.clear();
    let mut started = false;
    while let Some(event) = news.take()? {
        started |= event.kind == Type::Container && event.action == "start";
    }
    Ok(started)
}

fn wait(show: &Show, news: Option<&Events>) -> Result<(), Error> {
    let mut fds: Vec<_> = show.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    fds.extend(news.map(|news| PollFd::new(news.as_fd(), PollFlags::POLLIN)));
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(e) => Err(Error::system("wait for the containers' output", &e.into())),
    }
}
