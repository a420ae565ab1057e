//! A project: what a command works on.

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path as FilePath, PathBuf},
    rc::Rc,
};

use serde_json::{Value, json};

use super::{
    complete, consistency, dotenv,
    encode::encode,
    include::with_files,
    interpolate,
    load::{Context, Environment, Source, load},
    paths::absolute,
    position::{find, place},
    shape::{self, PROJECT},
    template::{Lookup, Variable, substitute, variables},
    tree::{Mapping, Path, section, text_of},
};
use crate::engine::error::{Context as _, Error, Kind, Result};

/// What the command line and the environment say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The files; none: looked for.
    pub files: Vec<PathBuf>,
    /// The project's name.
    pub name: Option<String>,
    /// Profiles to enable; `*` is all of them.
    pub profiles: Vec<String>,
    /// Services that the command line names: their profiles are enabled too.
    pub named: Vec<String>,
    /// Files of variables; none: `.env` of the project's directory.
    pub env_files: Vec<PathBuf>,
    /// What relative paths begin at; the first file's directory where it is missing.
    pub directory: Option<PathBuf>,
    /// Whether names are joined by underscores, as the first Compose did.
    pub compatibility: bool,
    /// Whether variables are left alone.
    pub no_interpolate: bool,
    /// Whether the parts need not fit together.
    pub no_consistency: bool,
    /// Whether the services' files of variables are only named.
    pub no_env_resolution: bool,
}

/// A whole project.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// What is between the parts of the names of its containers and images.
    pub separator: &'static str,
    /// What its relative paths began at.
    pub directory: PathBuf,
    /// The files that it came from.
    pub files: Vec<PathBuf>,
    /// The canonical model, with the services that are enabled.
    pub model: Value,
    /// The services that no profile asks for.
    pub disabled: Value,
    /// All its variables.
    pub environment: Environment,
    /// Services whose files of variables are not there, and why they cannot be used: others can.
    pub(super) missing: BTreeMap<String, Error>,
    /// What the user did not mean, perhaps: a line each.
    pub warnings: Vec<String>,
    /// The files' text, for the places of what is wrong in them.
    pub(super) sources: Vec<Source>,
}

const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

impl Project {
    /// Reads the project that the options name.
    pub fn load(options: &Options) -> Result<Self> {
        let here = std::env::current_dir().map_err(|e| Error::system("find the current directory", &e))?;
        let process = Environment(std::env::vars().collect());
        let first = options.files.iter().find(|file| file.as_os_str() != "-");
        let beside = first.map(|file| here.join(file)).and_then(|file| file.parent().map(FilePath::to_owned));
        let directory = options.directory.as_ref().map(|directory| here.join(directory)).or(beside);
        let disabled = process.is_on("COMPOSE_DISABLE_ENV_FILE");
        let is_wanted = |file: &PathBuf| file.is_file() && !disabled;
        let named: Vec<PathBuf> = match process.get("COMPOSE_ENV_FILES").filter(|names| !names.is_empty()) {
            Some(names) if options.env_files.is_empty() => names.split(',').map(PathBuf::from).collect(),
            _ => options.env_files.clone(),
        };
        let env_files: Vec<_> = if named.is_empty() {
            let default = directory.as_deref().unwrap_or(&here).join(".env");
            Some(default).into_iter().filter(is_wanted).collect()
        } else {
            named.iter().map(|file| here.join(file)).collect()
        };
        let mut environment = with_files(&process, &env_files)?;
        let files = find_files(options, &environment, &here)?;
        let directory = directory
            .or_else(|| files.iter().find(|f| f.as_os_str() != "-")?.parent().map(FilePath::to_owned))
            .unwrap_or(here);
        let directory = PathBuf::from(absolute(&directory.to_string_lossy(), FilePath::new("/")));
        // The files may be elsewhere: what is said here goes over what is said there.
        let own = directory.join(".env");
        if named.is_empty() && !env_files.contains(&own) && is_wanted(&own) {
            environment = with_files(&environment, &[own])?;
        }
        let sources = files.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
        Self::of(sources, directory, environment, options)
    }

    /// What files that have been read describe, in an absolute `directory`.
    pub(crate) fn of(
        sources: Vec<Source>,
        directory: PathBuf,
        mut environment: Environment,
        options: &Options,
    ) -> Result<Self> {
        let name = project_name(options, &environment, &sources, &directory)?;
        environment.0.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
        let warnings = Rc::default();
        let included = Rc::default();
        let mut context = Context { directory, environment, included, interpolate: !options.no_interpolate, warnings };
        let model = load(&sources, &context, &[])?;
        context.environment.0.extend(context.included.take());
        if model.is_empty() {
            let names: Vec<_> = sources.iter().map(|source| source.path.display().to_string()).collect();
            return Err(Error::invalid(format!("empty compose file: {}", names.join(", "))));
        }
        let kept = sources.clone();
        Self::complete(model, name, context, sources, options).map_err(|e| e.placed(|keys| find(&kept, keys)))
    }

    /// The variables that the files name, by name; the files need not be right otherwise.
    pub fn variables(options: &Options) -> Result<Vec<Variable>> {
        let here = std::env::current_dir().map_err(|e| Error::system("find the current directory", &e))?;
        let process = Environment(std::env::vars().collect());
        let mut all = Vec::new();
        for file in find_files(options, &process, &here)? {
            let source = read(&file)?;
            for document in super::document::read(&source.path.display().to_string(), &source.text)? {
                collect_variables(&Value::Object(document.model), &mut all);
            }
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all.dedup();
        Ok(all)
    }

    /// A name of its own, that begins with the project's.
    pub fn own_name(&self, rest: &[&str]) -> String {
        [&[self.name.as_str()], rest].concat().join(self.separator)
    }

    /// The project's name, where it is said beside the files and there are none.
    pub fn name_without_files(options: &Options) -> Option<String> {
        let here = std::env::current_dir().ok()?;
        let process = Environment(std::env::vars().collect());
        let missing = find_files(options, &process, &here).is_err();
        let given = options.name.clone().or_else(|| process.get("COMPOSE_PROJECT_NAME"));
        given.filter(|name| missing && !name.is_empty() && normal_name(name) == *name)
    }

    fn complete(
        mut model: Mapping,
        name: String,
        context: Context,
        sources: Vec<Source>,
        options: &Options,
    ) -> Result<Self> {
        complete::normalise(&mut model, &name, &context.environment);
        let extensions: Vec<_> = shape::extensions(&model).map(|(key, value)| (key.clone(), value.clone())).collect();
        model.insert("name".to_owned(), json!(name));
        let encoded = encode(Value::Object(model), &PROJECT, &Path::default())?;
        let Some(Value::Object(mut model)) = encoded else { return Err(Error::invalid("empty compose file")) };
        model.extend(extensions);
        let mut profiles = profiles(options, &context.environment);
        let all = match model.remove("services") {
            Some(Value::Object(services)) => services,
            _ => Mapping::new(),
        };
        for service in options.named.iter().filter_map(|name| all.get(name)) {
            profiles.extend(service.get("profiles").and_then(Value::as_array).into_iter().flatten().map(text_of));
        }
        let (services, disabled): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(_, service)| is_enabled(service, &profiles));
        let disabled: Mapping = disabled.into_iter().collect();
        model.insert("services".to_owned(), Value::Object(services.into_iter().collect()));
        if !options.no_consistency {
            consistency::check(&model, &disabled)?;
        }
        let mut missing = BTreeMap::new();
        for (name, service) in model.get_mut("services").and_then(Value::as_object_mut).into_iter().flatten() {
            let Value::Object(service) = service else { continue };
            if options.no_env_resolution {
                continue;
            }
            match resolve_files(service, &context.environment) {
                Err(("env_file", e)) if e.kind == Kind::NotFound => drop(missing.insert(name.clone(), e)),
                resolved => resolved.map_err(|(key, e)| {
                    let path = Path::of(&["services", name, key]);
                    Error::new(e.kind, format!("{path}: {e}")).about(path.keys())
                })?,
            }
        }
        hide_contents(&mut model);
        let compatibility = options.compatibility || context.environment.is_on("COMPOSE_COMPATIBILITY");
        Ok(Self {
            name,
            separator: if compatibility { "_" } else { "-" },
            directory: context.directory,
            files: sources.iter().map(|source| source.path.clone()).collect(),
            model: Value::Object(model),
            disabled: Value::Object(disabled),
            environment: context.environment,
            missing,
            warnings: context.warnings.take().lines,
            sources,
        })
    }

    /// `FILE:LINE:COLUMN: ` of a key of the model, or of the nearest above it that stands in one of the files.
    pub(super) fn place(&self, keys: &[&str]) -> String {
        place(&self.sources, keys)
    }

    /// Leaves out the services that neither are named nor depended on by those.
    ///
    /// # Errors
    /// An error of the kind `NotFound` for a name that is none of theirs.
    pub fn select(&mut self, names: &[String]) -> Result<()> {
        let mut wanted: Vec<String> = Vec::new();
        let mut next: Vec<String> = names.to_vec();
        while let Some(name) = next.pop() {
            let found = self.services().find(|(other, _)| **other == name).map(|(_, keys)| keys);
            match found {
                // A dependency that need not be there.
                None if !names.contains(&name) => continue,
                None => return Err(Error::not_found(format!("no such service: {name}"))),
                Some(_) if wanted.contains(&name) => continue,
                Some(keys) => {
                    next.extend(
                        keys.get("depends_on")
                            .and_then(Value::as_object)
                            .into_iter()
                            .flatten()
                            .map(|(key, _)| key.clone()),
                    );
                }
            }
            wanted.push(name);
        }
        if let Some(Value::Object(services)) = self.model.get_mut("services") {
            services.retain(|name, _| wanted.contains(name));
        }
        Ok(())
    }

    /// Whether a service waits for this one's end.
    pub fn is_job(&self, service: &str) -> bool {
        let needs = self.services().filter_map(|(_, keys)| keys.get("depends_on")?.get(service)?.get("condition"));
        needs.into_iter().any(|condition| condition == "service_completed_successfully")
    }

    /// The enabled services by name.
    pub fn services(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.model.as_object().and_then(|model| section(model, "services")).into_iter().flatten()
    }
}

/// The files named, or those that are there by custom, upwards from here.
fn find_files(options: &Options, environment: &Environment, here: &FilePath) -> Result<Vec<PathBuf>> {
    if !options.files.is_empty() {
        let place = |file: &PathBuf| if file.as_os_str() == "-" { file.clone() } else { here.join(file) };
        return Ok(options.files.iter().map(place).collect());
    }
    if let Some(list) = environment.get("COMPOSE_FILE") {
        let separator = environment.get("COMPOSE_PATH_SEPARATOR").filter(|s| !s.is_empty());
        let separator = separator.unwrap_or_else(|| ":".to_owned());
        return Ok(list.split(&separator).map(|file| here.join(file)).collect());
    }
    let start = options.directory.as_ref().map_or_else(|| here.to_owned(), |directory| here.join(directory));
    for directory in start.ancestors() {
        let found = |names: &[&str]| names.iter().map(|name| directory.join(name)).find(|file| file.exists());
        if let Some(file) = found(&NAMES) {
            return Ok([Some(file), found(&OVERRIDES)].into_iter().flatten().collect());
        }
    }
    Err(Error::not_found(format!(
        "no configuration file provided: there is no {} in {} or above it; name one with -f",
        NAMES[0],
        start.display()
    )))
}

fn read(file: &FilePath) -> Result<Source> {
    if file.as_os_str() != "-" {
        return Source::read(file);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).doing("read standard input as", file)?;
    Ok(Source { path: file.to_owned(), text })
}

/// `-p`, the environment, the files' own `name`, the directory's.
fn project_name(
    options: &Options,
    environment: &Environment,
    sources: &[Source],
    directory: &FilePath,
) -> Result<String> {
    let given = options.name.clone().or_else(|| environment.get("COMPOSE_PROJECT_NAME").filter(|n| !n.is_empty()));
    if let Some(name) = given {
        if normal_name(&name) != name || name.is_empty() {
            return Err(Error::invalid(format!(
                "invalid project name {name:?}: must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number"
            )));
        }
        return Ok(name);
    }
    let mut own = String::new();
    for source in sources {
        let documents = super::document::read(&source.path.display().to_string(), &source.text)?;
        let names = documents.iter().filter_map(|document| document.model.get("name"));
        own = names.map(text_of).rfind(|name| !name.is_empty()).unwrap_or(own);
    }
    let filled = substitute(&own, Lookup::new(&|name| environment.get(name)));
    let own = normal_name(&filled.map_err(|e| Error::invalid(format!("name: {e}")))?);
    let base = directory.file_name().map_or_else(String::new, |name| normal_name(&name.to_string_lossy()));
    match [own, base].into_iter().find(|name| !name.is_empty()) {
        Some(name) => Ok(name),
        None => Err(Error::invalid("project name must not be empty: give one with -p")),
    }
}

fn collect_variables(value: &Value, into: &mut Vec<Variable>) {
    match value {
        Value::String(text) => into.extend(variables(text)),
        Value::Array(items) => items.iter().for_each(|item| collect_variables(item, into)),
        Value::Object(below) => below.values().for_each(|value| collect_variables(value, into)),
        _ => {}
    }
}

/// What of a name a project's may consist of.
fn normal_name(name: &str) -> String {
    let good = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(*c);
    let kept: String = name.to_lowercase().chars().filter(good).collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

fn profiles(options: &Options, environment: &Environment) -> Vec<String> {
    if !options.profiles.is_empty() {
        return options.profiles.clone();
    }
    let all = environment.get("COMPOSE_PROFILES").unwrap_or_default();
    all.split(',').map(|profile| profile.trim().to_owned()).collect()
}

fn is_enabled(service: &Value, enabled: &[String]) -> bool {
    let its = service.get("profiles").and_then(Value::as_array);
    its.is_none_or(|its| its.is_empty() || its.iter().any(|p| enabled.iter().any(|e| e == "*" || *p == **e)))
}

/// Puts what the files of variables and labels say into the service, below what it says itself.
fn resolve_files(service: &mut Mapping, environment: &Environment) -> Result<(), (&'static str, Error)> {
    env_files(service, environment).map_err(|e| ("env_file", e))?;
    label_files(service).map_err(|e| ("label_file", e))
}

fn env_files(service: &mut Mapping, environment: &Environment) -> Result<()> {
    let own = match service.get("environment") {
        Some(Value::Object(own)) => own.clone(),
        _ => Mapping::new(),
    };
    let own_value = |name: &str| own.get(name).filter(|value| !value.is_null()).map(text_of);
    let mut variables = dotenv::Variables::default();
    for file in list(service.remove("env_file")) {
        let path = PathBuf::from(file.get("path").map(text_of).unwrap_or_default());
        let required = file.get("required").map(text_of).is_none_or(|text| interpolate::boolean(&text) != Some(false));
        if !path.exists() {
            if required {
                return Err(Error::not_found(format!("env file {} not found", path.display())));
            }
            continue;
        }
        let lookup = |name: &str| environment.get(name).or_else(|| own_value(name));
        let text = std::fs::read_to_string(&path).doing("read", &path)?;
        let parsed = match file.get("format").map(text_of).as_deref() {
            None | Some("") => dotenv::parse(&text, &mut variables, &lookup),
            Some("raw") => dotenv::parse_raw(&text, &mut variables, &lookup),
            Some(other) => Err(format!("unsupported env_file format {other:?}: there is `raw`")),
        };
        parsed.map_err(|why| Error::invalid(format!("failed to read {}: {why}", path.display())))?;
    }
    let mut merged: Mapping = variables.into_iter().map(|(key, value)| (key, json!(value))).collect();
    merged.extend(own.clone());
    if !merged.is_empty() {
        service.insert("environment".to_owned(), Value::Object(merged));
    }
    Ok(())
}

fn label_files(service: &mut Mapping) -> Result<()> {
    let mut labels = dotenv::Variables::default();
    for file in list(service.remove("label_file")) {
        let path = PathBuf::from(text_of(&file));
        let text = std::fs::read_to_string(&path).doing("read the labels in", &path)?;
        dotenv::parse(&text, &mut labels, &|_| None)
            .map_err(|why| Error::invalid(format!("failed to read {}: {why}", path.display())))?;
    }
    if !labels.is_empty() {
        let mut merged: Mapping = labels.into_iter().map(|(key, value)| (key, json!(value))).collect();
        if let Some(Value::Object(own)) = service.get("labels") {
            merged.extend(own.clone());
        }
        service.insert("labels".to_owned(), Value::Object(merged));
    }
    Ok(())
}

fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![one],
    }
}

/// What comes from the environment is not printed.
fn hide_contents(model: &mut Mapping) {
    let Some(Value::Object(configs)) = model.get_mut("configs") else { return };
    for config in configs.values_mut().filter_map(Value::as_object_mut) {
        if config.contains_key("environment") {
            config.remove("content");
        }
    }
}
