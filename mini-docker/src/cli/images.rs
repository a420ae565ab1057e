//! `import`, `images`, `rmi`.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use clap::Args;

use super::{Outcome, complain, print, table};
use crate::engine::{
    Engine, Error,
    error::Context,
    image::{Removed, short},
    reference::Reference,
};

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The archive, or `-` for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Name and tag of the new image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
    /// A remark, kept in the image's history
    #[arg(short, long, default_value = "Imported from -", hide_default_value = true)]
    message: String,
}

impl Import {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let name = self.name.as_deref().map(Reference::parse).transpose()?;
        let archive: Box<dyn Read> = if self.file.as_os_str() == "-" {
            Box::new(io::stdin().lock())
        } else {
            let file = File::open(&self.file).doing("open", &self.file)?;
            if file.metadata().doing("open", &self.file)?.is_dir() {
                let message = format!(
                    "{} is a directory: pack it first, `tar -C {0} -c . | mini-docker import - NAME`",
                    self.file.display()
                );
                return Err(Error::invalid(message));
            }
            Box::new(file)
        };
        let image = engine.import(archive, name.as_ref(), &self.message)?;
        print(format_args!("sha256:{}\n", image.id));
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Images {
    /// Only show images of this name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
    /// Only display image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
}

impl Images {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let wanted =
            |name: &Reference| self.name.as_ref().is_none_or(|w| name.repository() == *w || name.to_string() == *w);
        let mut rows = Vec::new();
        for (image, names) in engine.images()? {
            let id = if self.no_trunc { format!("sha256:{}", image.id) } else { short(&image.id).to_owned() };
            let created = image.config.created.map_or_else(|| "N/A".to_owned(), table::ago);
            let size = table::size(image.size(engine));
            let mut row = |repository: String, tag: &str| {
                rows.push(vec![repository, tag.to_owned(), id.clone(), created.clone(), size.clone()]);
            };
            for name in names.iter().filter(|name| wanted(name)) {
                row(name.repository(), name.tag());
            }
            if names.is_empty() && self.name.is_none() {
                row("<none>".to_owned(), "<none>");
            }
        }
        if self.quiet {
            let mut ids: Vec<_> = rows.into_iter().map(|mut row| row.remove(2)).collect();
            ids.dedup();
            for id in ids {
                print(format_args!("{id}\n"));
            }
        } else {
            print(format_args!("{}", table::render(&["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"], &rows)));
        }
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Rmi {
    /// Images, by name or id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Remove an image of several names by its id, or one that a stopped container uses
    #[arg(short, long)]
    force: bool,
}

impl Rmi {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let mut code = 0;
        for name in &self.images {
            match engine.remove_image(name, self.force) {
                Ok(removed) => removed.iter().for_each(|part| match part {
                    Removed::Untagged(name) => print(format_args!("Untagged: {name}\n")),
                    Removed::Deleted(id) => print(format_args!("Deleted: {id}\n")),
                }),
                Err(e) => {
                    complain(&e);
                    code = 1;
                }
            }
        }
        Ok(code)
    }
}
