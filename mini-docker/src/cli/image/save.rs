//! `save` and `load`.

use std::{
    fs::File,
    io::{self, IsTerminal},
    os::fd::AsFd,
    path::PathBuf,
};

use clap::Args;

use crate::{
    cli::{Outcome, out, print},
    engine::{
        Engine, Error,
        error::{Context, Result},
        image::platform::Platform,
    },
};

#[derive(Debug, Args)]
pub(crate) struct Save {
    /// Images, by name or id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Save {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        out::archive(self.output.as_deref(), |writer| engine.save(&self.images, writer)).map(|()| 0)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
    /// Load the image for this platform, where the archive has several
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    platform: Option<String>,
}

impl Load {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let platform = self.platform.as_deref().map(Platform::parse).transpose()?;
        engine.load_images(self.open()?, platform.as_ref(), &mut |loaded| {
            for name in &loaded.names {
                print(format_args!("Loaded image: {name}\n"));
            }
            if loaded.names.is_empty() {
                print(format_args!("Loaded image ID: {}\n", loaded.image.digest()));
            }
        })?;
        Ok(0)
    }

    fn open(&self) -> Result<File> {
        match &self.input {
            Some(path) => File::open(path).doing("open", path),
            None if io::stdin().is_terminal() => Err(Error::invalid("requested load from stdin, but stdin is empty")),
            None => {
                let input = io::stdin().as_fd().try_clone_to_owned();
                input.map(File::from).map_err(|e| Error::system("read standard input", &e))
            }
        }
    }
}
