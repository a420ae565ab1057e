//! `--cache-from` and `--cache-to`: caches that come from elsewhere and go there.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::output::to;
use crate::engine::{
    Engine, Error,
    build::Get,
    error::{Context as _, Result},
    image::Image,
};

/// The image in a directory.
const FILE: &str = "cache.tar";

/// Where a cache is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cache {
    /// In the image itself.
    Inline,
    /// In an image that was built with one.
    Image(String),
    /// In a directory, as an archive of such an image.
    Local(PathBuf),
}

impl Cache {
    /// `IMAGE`, `type=registry,ref=IMAGE`, `type=local,src=DIRECTORY`.
    pub(super) fn from(text: &str) -> Result<Self> {
        match fields("--cache-from", text, &["ref", "src"])? {
            ("", None) => Ok(Self::Image(text.to_owned())),
            ("registry", Some(image)) => Ok(Self::Image(image.to_owned())),
            ("local", Some(path)) => Ok(Self::Local(path.into())),
            _ => Err(Error::invalid(format!(
                "invalid --cache-from {text:?}: give IMAGE, type=registry,ref=IMAGE or type=local,src=DIRECTORY"
            ))),
        }
    }

    /// `type=inline` or `type=local,dest=DIRECTORY`.
    pub(super) fn to(text: &str) -> Result<Self> {
        match fields("--cache-to", text, &["dest"])? {
            ("inline", None) => Ok(Self::Inline),
            ("local", Some(path)) => Ok(Self::Local(path.into())),
            _ => Err(Error::invalid(format!(
                "invalid --cache-to {text:?}: give type=inline, and push the image, or type=local,dest=DIRECTORY"
            ))),
        }
    }

    /// Takes over what is there; a cache that is not to be had is none.
    pub(super) fn import(&self, engine: &Engine, get: &Get) -> Result<usize> {
        match self {
            Self::Inline => Ok(0),
            Self::Image(name) => {
                if engine.image(name).is_err() {
                    get(name)?;
                }
                engine.import_cache(&engine.image(name)?)
            }
            Self::Local(directory) => {
                let path = directory.join(FILE);
                let archive = File::open(&path).doing("open", &path)?;
                let mut names = Vec::new();
                engine.load_images(archive, None, &mut |loaded| names.push(loaded))?;
                names.iter().try_fold(0, |sum, loaded| Ok(sum + engine.import_cache(&loaded.image)?))
            }
        }
    }

    /// Writes the cache where it goes beside the image.
    pub(super) fn export(&self, engine: &Engine, image: &Image) -> Result<()> {
        let Self::Local(directory) = self else { return Ok(()) };
        fs::create_dir_all(directory).doing("make the directory", directory)?;
        to(&directory.join(Path::new(FILE)), |writer| engine.save(&[image.digest()], writer))
    }
}

/// The type, and the value of one of `keys`.
fn fields<'a>(flag: &str, text: &'a str, keys: &[&str]) -> Result<(&'a str, Option<&'a str>)> {
    let (mut kind, mut value) = ("", None);
    if !text.contains('=') {
        return Ok((kind, value));
    }
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("type", text)) => kind = text,
            // The steps of the image are all that there is.
            Some(("mode", "min")) => {}
            Some((key, text)) if keys.contains(&key) => value = Some(text),
            _ => return Err(Error::invalid(format!("invalid {flag} {text:?}: {field} is not supported"))),
        }
    }
    Ok((kind, value))
}
