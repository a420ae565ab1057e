//! `cp`: files between a container and the host.

use std::{
    fs,
    io::{self, IsTerminal},
    os::unix::fs::FileTypeExt,
    path::Path,
};

use clap::Args;

use crate::{
    cli::{Outcome, out::Stdout, units, warn},
    engine::{
        Engine, Error, Result,
        cp::{self, End, How, LeftOut},
        tree::Tree,
    },
};

#[derive(Debug, Args)]
pub(crate) struct Cp {
    /// Archive mode (copy all uid/gid information; to the host also device nodes, set-user-id bits and capabilities)
    #[arg(short, long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress the note of what was copied
    #[arg(short, long)]
    quiet: bool,
    /// CONTAINER:PATH, a path of the host, or - for an archive from standard input
    source: String,
    /// CONTAINER:PATH, a path of the host, or - for an archive to standard output
    destination: String,
}

/// `CONTAINER:PATH`; a path of the host begins with a slash or a dot, or has no colon.
fn split(text: &str) -> Option<(&str, &str)> {
    if text.starts_with(['/', '.']) { None } else { text.split_once(':') }
}

impl Cp {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let how = How { archive: self.archive, follow: self.follow_link };
        let invalid = |message: &str| Err(Error::invalid(message));
        match (split(&self.source), split(&self.destination)) {
            (Some(_), Some(_)) => return invalid("copying between containers is not supported"),
            (None, None) => return invalid("must specify at least one container source"),
            (Some((_, "")), _) | (_, Some((_, ""))) => return invalid("container path cannot be empty"),
            _ => {}
        }
        let from_container = tree(engine, &self.source)?;
        let to_container = tree(engine, &self.destination)?;
        let from = end(&from_container, &self.source);
        let to = end(&to_container, &self.destination);
        if self.destination == "-" {
            if io::stdout().is_terminal() {
                return invalid("refusing to write an archive to a terminal: redirect it, or name a path");
            }
            cp::copy_out(&from, Stdout, how)?;
            return self.tell(engine).map(|()| 0);
        }
        if split(&self.destination).is_none() {
            no_device(Path::new(&self.destination))?;
        }
        let copied =
            if self.source == "-" { cp::copy_in(io::stdin().lock(), &to, how) } else { cp::copy(&from, &to, how) }?;
        self.tell(engine)?;
        warn_of(&copied.left_out, "--archive copies them too");
        if !self.quiet && io::stderr().is_terminal() {
            tell!("Successfully copied {} to {}", units::size(copied.bytes), self.destination);
        }
        Ok(0)
    }
    /// Writes the event: in Docker's words, who was read from, or written to.
    fn tell(&self, engine: &Engine) -> Result<()> {
        for (text, action) in [(&self.source, "archive-path"), (&self.destination, "extract-to-dir")] {
            if let Some((name, _)) = split(text) {
                engine.emit_container(&engine.container(name)?.config, action, &[]);
            }
        }
        Ok(())
    }
}

/// Says what did not go to the host as it is, and what to do about it.
pub(in crate::cli) fn warn_of(left_out: &LeftOut, otherwise: &str) {
    let LeftOut { devices, set_ids } = left_out;
    let devices = (*devices > 0).then(|| format!("{devices} device node(s) were not made"));
    let set_ids = (*set_ids > 0).then(|| format!("{set_ids} file(s) lost set-user-id bits or capabilities"));
    let all: Vec<_> = devices.into_iter().chain(set_ids).collect();
    if !all.is_empty() {
        warn(&format!("on the host, {}; {otherwise}", all.join(" and ")));
    }
}

/// Refuses, in Docker's words, to put a file in the place of a device of the host's, /dev/null for instance.
fn no_device(path: &Path) -> Result<()> {
    let is_device = |found: fs::Metadata| found.file_type().is_char_device() || found.file_type().is_block_device();
    if fs::metadata(path).is_ok_and(is_device) {
        let path = path.display();
        let what = format!("invalid output path: \"{path}\" must be a directory or a regular file: got a device");
        return Err(Error::invalid(what));
    }
    Ok(())
}

fn tree(engine: &Engine, text: &str) -> Result<Tree> {
    match split(text) {
        Some((name, _)) => engine.tree(&engine.container(name)?),
        None => Ok(Tree::Host),
    }
}

fn end<'a>(tree: &'a Tree, text: &'a str) -> End<'a> {
    let path = split(text).map_or(text, |(_, path)| path);
    End { tree, path, shown: text.to_owned() }
}
