//! Where the Dockerfile and its files come from.

use std::{
    fs,
    io::{self},
    path::Path,
};

use super::Build;
use crate::engine::{
    Error,
    build::{
        context::{self, Context, Input},
        remote,
    },
    error::Context as _,
};

impl Build {
    /// Reads the Dockerfile, and finds the context.
    pub(super) fn source(&self, scratch: &Path) -> Result<Source, Error> {
        let stdin = Path::new("-");
        let file_is_stdin = self.file.as_deref() == Some(stdin);
        if self.context == stdin {
            if file_is_stdin {
                return Err(Error::invalid("invalid argument: can't use stdin for both build context and dockerfile"));
            }
            let directory = scratch.join("context");
            fs::create_dir(&directory).doing("make the directory", &directory)?;
            return match context::input(io::stdin().lock(), &directory)? {
                Input::Archive => read_fetched(self.file.as_deref(), &directory),
                Input::Dockerfile(dockerfile) => {
                    let context = Context::new(&directory, "")?;
                    Ok(Source { dockerfile, name: "Dockerfile".to_owned(), context })
                }
            };
        }
        let text = self.context.to_string_lossy();
        let repository = text.starts_with("github.com/");
        if repository || remote::is_remote(&text) {
            let address = if repository { format!("https://{text}") } else { text.into_owned() };
            return self.fetched(&address, repository, scratch);
        }
        if file_is_stdin {
            let dockerfile = io::read_to_string(io::stdin()).doing("read", Path::new("standard input"))?;
            let context = Context::new(&self.context, &context::ignore_file(None, None, &self.context)?)?;
            return Ok(Source { dockerfile, name: "Dockerfile".to_owned(), context });
        }
        match &self.file {
            Some(file) => read(None, file, &self.context),
            None => read(None, &self.context.join("Dockerfile"), &self.context),
        }
    }
}

impl Build {
    /// A context from elsewhere: a repository, an archive, or a Dockerfile alone.
    fn fetched(&self, address: &str, repository: bool, scratch: &Path) -> Result<Source, Error> {
        let directory = scratch.join("fetched");
        fs::create_dir(&directory).doing("make the directory", &directory)?;
        let address = match address.split_once('#') {
            Some((start, end)) if repository && !remote::is_git(address) => format!("{start}.git#{end}"),
            None if repository && !remote::is_git(address) => format!("{address}.git"),
            _ => address.to_owned(),
        };
        let path = remote::fetch(&address, remote::Says::User, &directory, None, false)?;
        if path.is_dir() {
            return read_fetched(self.file.as_deref(), &path);
        }
        let directory = scratch.join("context");
        fs::create_dir(&directory).doing("make the directory", &directory)?;
        let file = fs::File::open(&path).doing("open", &path)?;
        match context::input(file, &directory)? {
            Input::Archive => read_fetched(self.file.as_deref(), &directory),
            Input::Dockerfile(dockerfile) => {
                let context = Context::new(&directory, "")?;
                Ok(Source { dockerfile, name: "Dockerfile".to_owned(), context })
            }
        }
    }
}

/// A Dockerfile, its name, and the files beside it.
pub(super) struct Source {
    pub(super) dockerfile: String,
    pub(super) name: String,
    pub(super) context: Context,
}

/// Of files that came from elsewhere: no link among them leads to the user's.
fn read_fetched(file: Option<&Path>, directory: &Path) -> Result<Source, Error> {
    read(Some(directory), file.unwrap_or(Path::new("Dockerfile")), directory)
}

fn read(root: Option<&Path>, file: &Path, directory: &Path) -> Result<Source, Error> {
    if !directory.is_dir() {
        return Err(Error::invalid(format!(
            "unable to prepare context: path {:?} not found",
            directory.display().to_string()
        )));
    }
    let Some(dockerfile) = context::read(root, file)? else {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        return Err(Error::not_found(format!(
            "failed to read dockerfile: open {name}: no such file or directory: {}; name another with -f",
            file.display()
        )));
    };
    let context = Context::new(directory, &context::ignore_file(root, Some(file), directory)?)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(Source { dockerfile, name, context })
}
