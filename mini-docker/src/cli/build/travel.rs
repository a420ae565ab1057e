//! `--cache-from` and `--cache-to`: caches that come from elsewhere and go there.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::output::to;
use crate::{
    cli::image::push::push_as,
    engine::{
        Engine, Error,
        build::{Get, Steps, Whose},
        error::{Context as _, Result},
        image::Image,
        reference::Reference,
    },
};

/// The image in a directory.
const FILE: &str = "cache.tar";

/// Where a cache is.
#[derive(Debug, PartialEq, Eq)]
enum At {
    /// In the image itself.
    Inline,
    /// In a registry, or an image here: one that was built with a cache in it, or is nothing but a cache.
    Image(String),
    /// In a directory, as an archive of such an image.
    Local(PathBuf),
}

/// A cache that comes or goes.
#[derive(Debug)]
pub(super) struct Cache {
    at: At,
    whose: Whose,
    /// Whether a build is right that could not write it.
    optional: bool,
}

impl Cache {
    /// `IMAGE`, `type=registry,ref=IMAGE`, `type=local,src=DIRECTORY`.
    pub(super) fn from(text: &str) -> Result<Self> {
        Self::parse("--cache-from", text, "src")
    }

    /// `IMAGE`, `type=inline`, `type=registry,ref=IMAGE`, `type=local,dest=DIRECTORY`.
    pub(super) fn to(text: &str) -> Result<Self> {
        let cache = Self::parse("--cache-to", text, "dest")?;
        if let At::Image(name) = &cache.at {
            Reference::parse(name)?;
        }
        Ok(cache)
    }

    fn parse(flag: &str, text: &str, directory: &str) -> Result<Self> {
        let mut cache = Self { at: At::Image(text.to_owned()), whose: Whose::Image, optional: false };
        if !text.contains('=') {
            return Ok(cache);
        }
        let (mut kind, mut place) = ("registry", None);
        for field in text.split(',') {
            match field.split_once('=') {
                Some(("type", text)) => kind = text,
                Some((key, text)) if key == "ref" || key == directory => place = Some((key, text)),
                Some(("mode", "min")) => cache.whose = Whose::Image,
                Some(("mode", "max")) => cache.whose = Whose::All,
                Some(("ignore-error", "true")) => cache.optional = true,
                // So they are.
                Some(
                    ("ignore-error", "false") | ("image-manifest" | "oci-mediatypes", "true") | ("compression", "gzip"),
                ) => {}
                _ => return Err(Error::invalid(format!("invalid {flag} {text:?}: {field} is not supported"))),
            }
        }
        cache.at = match (kind, place) {
            ("inline", None) => At::Inline,
            ("registry", Some(("ref", image))) => At::Image(image.to_owned()),
            ("local", Some((key, path))) if key == directory => At::Local(path.into()),
            _ => {
                let inline = if directory == "dest" { ", type=inline" } else { "" };
                return Err(Error::invalid(format!(
                    "invalid {flag} {text:?}: give IMAGE{inline}, type=registry,ref=IMAGE or type=local,{directory}=DIRECTORY"
                )));
            }
        };
        Ok(cache)
    }

    pub(super) fn is_inline(&self) -> bool {
        self.at == At::Inline
    }

    /// Takes over what is there. Returns what came only for that, and may go when the build has what it needs of it.
    pub(super) fn import(&self, engine: &Engine, get: &Get) -> Result<Vec<String>> {
        let known = known(engine)?;
        let images: Vec<(Image, String)> = match &self.at {
            At::Inline => return Ok(Vec::new()),
            At::Image(name) => {
                if engine.image(name).is_err() {
                    get(name)?;
                }
                vec![(engine.image(name)?, name.clone())]
            }
            At::Local(directory) => {
                let path = directory.join(FILE);
                let archive = File::open(&path).doing("open", &path)?;
                let mut loaded = Vec::new();
                engine.load_images(archive, None, &mut |image| loaded.push(image))?;
                loaded.into_iter().map(|loaded| (loaded.image.clone(), loaded.image.id)).collect()
            }
        };
        let mut passing = Vec::new();
        for (image, name) in images {
            engine.import_cache(&image)?;
            if !known.contains(&image.id) {
                passing.push(name);
            }
        }
        Ok(passing)
    }

    /// Writes the cache where it goes beside the image.
    pub(super) fn export(&self, engine: &Engine, image: &Image, steps: &Steps) -> Result<()> {
        if self.is_inline() {
            return Ok(());
        }
        let known = known(engine)?;
        let cache = engine.record_cache(steps, image, self.whose)?;
        let written = match &self.at {
            At::Inline => Ok(()),
            At::Image(name) => Reference::parse(name).and_then(|name| push_as(engine, &cache, &name)).map(drop),
            At::Local(directory) => fs::create_dir_all(directory)
                .doing("make the directory", directory)
                .and_then(|()| to(&directory.join(Path::new(FILE)), |writer| engine.save(&[cache.digest()], writer))),
        };
        if !known.contains(&cache.id) {
            // It was there only to be sent.
            engine.remove_image(&cache.id, false, false)?;
        }
        match written {
            Err(e) if self.optional => {
                tell!("mini-docker: the cache is not written: {e}");
                Ok(())
            }
            written => written,
        }
    }
}

/// The images that are here.
fn known(engine: &Engine) -> Result<BTreeSet<String>> {
    Ok(engine.images()?.into_iter().map(|listed| listed.image.id).collect())
}
