//! Where the sources of a COPY are: in a directory of the user's, in a stage or an image, or at an address.

use std::{
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

use super::select::{self, Selected};
use crate::engine::{
    build::{
        Builder, Failure, Place,
        context::Context,
        dockerfile::{self, Ignore},
        remote,
        workspace::Workspace,
    },
    error::{Error, Result},
    image::ImageConfig,
};

/// Where files come from.
pub(super) enum Origin<'a> {
    /// The user's files.
    Directory(&'a Context),
    /// Those of a stage or an image.
    Image(Box<ImageConfig>),
}

/// The same, where it can be looked at.
pub(super) enum Opened<'a> {
    Directory(&'a Context),
    Layers(Workspace, Ignore),
}

impl Opened<'_> {
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        match self {
            Self::Directory(context) => context.root.as_fd(),
            Self::Layers(workspace, _) => workspace.root(),
        }
    }

    /// What is left out.
    pub(super) fn ignore(&self) -> &Ignore {
        match self {
            Self::Directory(context) => &context.ignore,
            Self::Layers(_, nothing) => nothing,
        }
    }
}

impl<'a> Builder<'a> {
    /// Finds what `--from` names; a stage is built if it is not yet.
    pub(super) fn origin(&mut self, from: Option<&str>) -> Result<Origin<'a>, Failure> {
        let request = self.request;
        let Some(name) = from else { return Ok(Origin::Directory(&request.context)) };
        let place = request.contexts.get(name);
        if let Some(Place::Directory(context)) = place {
            return Ok(Origin::Directory(context));
        }
        let stage = if place.is_some() { None } else { self.plan.stage(name)? };
        Ok(Origin::Image(Box::new(match stage {
            Some(index) => self.stage(index)?.image,
            None => self.image_of(name)?,
        })))
    }

    pub(super) fn open<'o>(&self, origin: &'o Origin<'a>) -> Result<Opened<'o>> {
        Ok(match origin {
            Origin::Directory(context) => Opened::Directory(context),
            Origin::Image(image) => {
                let base = self.intake.directory()?;
                Opened::Layers(Workspace::new(self.engine, image, &base)?, Ignore::default())
            }
        })
    }

    /// Gets what ADD names that is not here.
    pub(super) fn fetch(&self, source: &str, copy: &dockerfile::Copy, exclude: &Ignore) -> Result<Vec<Selected>> {
        let directory = self.intake.directory()?;
        let keep_git = copy.keep_git_dir == Some(true);
        let says = remote::Says::Dockerfile { agent: self.request.agents.get("default").map(PathBuf::as_path) };
        let path = remote::fetch(source, says, &directory, copy.checksum.as_deref(), keep_git)?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return Err(Error::invalid(format!("ADD {source}: it has no name")));
        };
        let context = Context::new(parent, "")?;
        // Not a pattern, whatever is in it.
        let name = name.chars().flat_map(|c| if "*?[\\".contains(c) { vec!['\\', c] } else { vec![c] }).collect();
        let one = dockerfile::Copy { sources: vec![name], ..dockerfile::Copy::default() };
        select::select(context.root.as_fd(), &context.ignore, exclude, &one)
    }
}
