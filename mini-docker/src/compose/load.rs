//! Files to one model: read, fill in, include, extend, merge, check, write out.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path as FilePath, PathBuf},
    rc::Rc,
};

use serde_json::{Value, json};

use super::{
    canonical::canonical,
    complete,
    document::{self, clear},
    extends, include,
    interpolate::interpolate,
    merge, paths,
    position::find,
    shape::{self, PROJECT},
    tree::{Mapping, Path},
    unique,
};
use crate::engine::error::{Context as _, Error, Result};

/// Variables by name.
#[derive(Debug, Clone, Default)]
pub struct Environment(pub BTreeMap<String, String>);

impl Environment {
    /// A variable's value.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// Whether one of compose's own variables says yes.
    pub fn is_on(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| ["1", "true"].contains(&&*value.to_lowercase()))
    }
}

/// A file, as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Absolute; `-` for standard input.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    pub(super) fn read(path: &FilePath) -> Result<Self> {
        let text = std::fs::read_to_string(path).doing("read", path)?;
        Ok(Self { path: path.to_owned(), text })
    }
}

/// What files are read with.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// What relative paths begin at; absolute.
    pub(super) directory: PathBuf,
    pub(super) environment: Environment,
    /// Variables of secrets and configurations that included projects have of their own.
    pub(super) included: Rc<RefCell<BTreeMap<String, String>>>,
    /// Whether variables are filled in.
    pub(super) interpolate: bool,
    /// For all files together.
    pub(super) warnings: Rc<RefCell<Warnings>>,
}

/// What the user did not mean, perhaps.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    /// A line each.
    pub(super) lines: Vec<String>,
    /// Variables that were named already.
    unset: BTreeSet<String>,
}

/// Variables whose place is looked for: it takes reading the file once more.
const PLACED: usize = 50;

impl Warnings {
    fn unset(&mut self, name: &str, sources: &[Source], path: &Path) {
        if self.unset.insert(name.to_owned()) {
            let place = if self.unset.len() > PLACED { None } else { find(sources, path.keys()) };
            let place = place.unwrap_or_default();
            self.lines.push(format!("{place}{path}: the {name:?} variable is not set. Defaulting to a blank string."));
        }
    }
}

/// A model, and what its last document cleared.
pub(super) struct Loaded {
    pub(super) model: Mapping,
    pub(super) cleared: Vec<Path>,
}

/// The files over each other, with defaults and absolute paths. `included` are the files whose `include` led here.
pub(super) fn load(sources: &[Source], context: &Context, included: &[PathBuf]) -> Result<Mapping> {
    let mut model = Mapping::new();
    for (at, source) in sources.iter().enumerate() {
        // What is wrong stands in this file, or in one before it.
        model = add(source, context, model, included).map_err(|e| e.placed(|keys| find(&sources[..=at], keys)))?;
    }
    complete::defaults(&mut model);
    complete::check(&model).map_err(|e| e.placed(|keys| find(sources, keys)))?;
    paths::resolve(&mut model, &context.directory);
    complete::environment(&mut model, &context.environment);
    Ok(model)
}

/// Merges one file over the model so far.
fn add(source: &Source, context: &Context, mut model: Mapping, included: &[PathBuf]) -> Result<Mapping> {
    let file = source.path.display().to_string();
    for document in document::read(&file, &source.text)? {
        let mut own = document.model;
        prepare(&mut own, source, context)?;
        obsolete(&own, source, context);
        include::apply(&mut own, &document.cleared, source, context, included)?;
        clear(&mut model, &document.cleared);
        extends::apply(&mut own, &document.cleared, &source.path, context)?;
        model = merge::merge(model, own)?;
        unique::enforce(&mut model)?;
        check(&model)?;
        model.remove("version");
        canonical(&mut model)?;
        omit_empty(&mut model);
        unique::enforce(&mut model)?;
    }
    Ok(model)
}

/// A file that a service extends: its own services, not checked yet, with absolute paths.
pub(super) fn load_extended(source: &Source, context: &Context) -> Result<Loaded> {
    extended(source, context).map_err(|e| e.placed(|keys| find(std::slice::from_ref(source), keys)))
}

fn extended(source: &Source, context: &Context) -> Result<Loaded> {
    let path = &source.path;
    let mut loaded = Loaded { model: Mapping::new(), cleared: Vec::new() };
    for document in document::read(&path.display().to_string(), &source.text)? {
        let mut own = document.model;
        prepare(&mut own, source, context)?;
        clear(&mut loaded.model, &document.cleared);
        loaded.model = merge::merge(loaded.model, own)?;
        unique::enforce(&mut loaded.model)?;
        canonical(&mut loaded.model)?;
        omit_empty(&mut loaded.model);
        loaded.cleared = document.cleared;
    }
    paths::resolve(&mut loaded.model, path.parent().unwrap_or(FilePath::new("/")));
    Ok(loaded)
}

fn prepare(model: &mut Mapping, source: &Source, context: &Context) -> Result<()> {
    let sources = std::slice::from_ref(source);
    let missing = |path: &Path, name: &str| context.warnings.borrow_mut().unset(name, sources, path);
    if context.interpolate {
        interpolate(model, &|name| context.environment.get(name), &missing)?;
    }
    Ok(())
}

fn obsolete(model: &Mapping, source: &Source, context: &Context) {
    if model.contains_key("version") {
        let place = find(std::slice::from_ref(source), &["version".to_owned()]).unwrap_or_default();
        let line = format!("{place}version: the attribute is obsolete and ignored: remove it");
        context.warnings.borrow_mut().lines.push(line);
    }
}

fn check(model: &Mapping) -> Result<()> {
    let checked = shape::check(&Value::Object(model.clone()), &PROJECT, &Path::default());
    checked.map_err(|mistake| Error::invalid(format!("{} {}", mistake.path, mistake.why)).about(mistake.path.keys()))
}

/// Empty entries that would be no servers.
fn omit_empty(model: &mut Mapping) {
    let Some(Value::Object(services)) = model.get_mut("services") else { return };
    for service in services.values_mut() {
        if let Some(Value::Array(servers)) = service.get_mut("dns") {
            servers.retain(|server| *server != json!("") && !server.is_null());
        }
    }
}
