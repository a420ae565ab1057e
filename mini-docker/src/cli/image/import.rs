//! `import`.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
};

use clap::Args;

use crate::{
    cli::{Outcome, print},
    engine::{
        Engine, Error,
        build::remote,
        error::Context,
        image::{self, platform::Platform},
        reference::Reference,
    },
};

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The archive, its address (`http://`, `https://`), or `-` for standard input
    #[arg(value_name = "FILE|URL|-")]
    file: PathBuf,
    /// Name and tag of the new image
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
    /// Apply a Dockerfile instruction to the created image
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Set a commit message for the imported image
    #[arg(short, long)]
    message: Option<String>,
    /// What the image runs on, as linux/arm64
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    platform: Option<String>,
}

impl Import {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let import = image::Import {
            name: self.name.as_deref().map(Reference::parse).transpose()?,
            message: self.message.unwrap_or_else(|| format!("Imported from {}", self.file.display())),
            changes: self.change,
            platform: self.platform.as_deref().map(Platform::parse).transpose()?,
        };
        let source = self.file.to_string_lossy();
        let image = if remote::is_remote(&source) && !remote::is_git(&source) && !self.file.exists() {
            let scratch = engine.scratch()?;
            let path = remote::fetch(&source, remote::Says::User, &scratch.path, None, false)?;
            engine.import(open(&path)?, &import)?
        } else {
            engine.import(open(&self.file)?, &import)?
        };
        print(format_args!("{}\n", image.digest()));
        Ok(0)
    }
}

fn open(path: &PathBuf) -> Result<Box<dyn Read + Send>, Error> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let shown = path.display();
    let file = File::open(path).doing("open", path)?;
    if file.metadata().doing("open", path)?.is_dir() {
        let message =
            format!("{shown} is a directory: pack it first, `tar -C {shown} -c . | mini-docker import - NAME`");
        return Err(Error::invalid(message));
    }
    Ok(Box::new(file))
}
