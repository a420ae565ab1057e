//! `include`: another project's resources in this one.

use std::path::{Path as FilePath, PathBuf};

use serde_json::Value;

use super::{
    document::clear,
    dotenv,
    load::{Context, Environment, Source, load},
    merge,
    paths::absolute,
    tree::{Mapping, Path, text_of},
};
use crate::engine::error::{Context as _, Error, Result};

/// What is taken from an included file.
const SECTIONS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

/// Adds what the model includes, and takes the key away. `included` are the files that led here.
pub(super) fn apply(
    model: &mut Mapping,
    cleared: &[Path],
    source: &Source,
    context: &Context,
    included: &[PathBuf],
) -> Result<()> {
    let entries = match model.remove("include") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(Path::of(&["include"]).wrong("must be a list")),
    };
    let mut trail = included.to_vec();
    trail.push(source.path.clone());
    for (at, entry) in entries.into_iter().enumerate() {
        let place = Path::of(&["include"]).element(at);
        let entry = match entry {
            Value::Object(entry) => entry,
            path @ Value::String(_) => Mapping::from_iter([("path".to_owned(), path)]),
            _ => return Err(place.wrong("each entry must be a path or a mapping with a path")),
        };
        let (imported, environment) = load_entry(&entry, context, &trail, &place)?;
        take_values(&imported, &environment, context);
        import(model, imported, cleared)?;
    }
    Ok(())
}

/// Variables of secrets and configurations that only the included project's files give.
fn take_values(model: &Mapping, own: &Environment, context: &Context) {
    for kind in ["secrets", "configs"] {
        for resource in model.get(kind).and_then(Value::as_object).into_iter().flat_map(Mapping::values) {
            let Some(variable) = resource.get("environment").and_then(Value::as_str) else { continue };
            if let (None, Some(value)) = (context.environment.get(variable), own.get(variable)) {
                context.included.borrow_mut().insert(variable.to_owned(), value);
            }
        }
    }
}

fn load_entry(entry: &Mapping, context: &Context, trail: &[PathBuf], place: &Path) -> Result<(Mapping, Environment)> {
    let list = |key: &str| match entry.get(key) {
        Some(Value::Array(items)) => items.iter().map(text_of).collect(),
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![text_of(one)],
    };
    let files: Vec<_> = list("path").iter().map(|path| PathBuf::from(absolute(path, &context.directory))).collect();
    let Some(main) = files.first() else { return Err(place.wrong("an entry needs a path")) };
    if trail.contains(main) {
        let way: Vec<_> = trail.iter().chain([main]).map(|path| path.display().to_string()).collect();
        return Err(place.wrong(format!("include cycle detected: {}", way.join(" includes "))));
    }
    let directory = match entry.get("project_directory") {
        Some(directory) => PathBuf::from(absolute(&text_of(directory), &context.directory)),
        None => main.parent().unwrap_or(FilePath::new("/")).to_owned(),
    };
    let env_files = list("env_file");
    let env_files: Vec<PathBuf> = if env_files.is_empty() {
        Some(directory.join(".env")).into_iter().filter(|file| file.is_file()).collect()
    } else {
        env_files.iter().filter(|f| *f != "/dev/null").map(|f| absolute(f, &context.directory).into()).collect()
    };
    let environment = with_files(&context.environment, &env_files).map_err(|e| place.wrong(e))?;
    let context = Context { directory, environment, ..context.clone() };
    let sources = files.iter().map(|file| Source::read(file)).collect::<Result<Vec<_>>>();
    let sources = sources.map_err(|e| place.wrong(e))?;
    Ok((load(&sources, &context, trail)?, context.environment))
}

/// The environment, with variables from files that it does not have.
pub(super) fn with_files(environment: &Environment, files: &[PathBuf]) -> Result<Environment> {
    let mut variables = dotenv::Variables::default();
    for file in files {
        let missing = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::NotFound => Error::not_found(format!("couldn't find env file: {}", file.display())),
            _ => Error::system(format_args!("read {}", file.display()), &e),
        };
        let bytes = std::fs::read(file).map_err(missing)?;
        let text = String::from_utf8(bytes).map_err(|e| std::io::Error::new(std::io::ErrorKind::InvalidData, e));
        let parsed = dotenv::parse(&text.doing("read", file)?, &mut variables, &|name| environment.get(name));
        parsed.map_err(|why| Error::invalid(format!("failed to read {}: {why}", file.display())))?;
    }
    let mut all = environment.clone();
    for (key, value) in variables {
        all.0.entry(key).or_insert(value);
    }
    Ok(all)
}

fn import(model: &mut Mapping, imported: Mapping, cleared: &[Path]) -> Result<()> {
    for (section, resources) in imported {
        let Value::Object(resources) = resources else { continue };
        if !SECTIONS.contains(&section.as_str()) {
            continue;
        }
        let own = model.entry(section.clone()).or_insert_with(|| Value::Object(Mapping::new()));
        let Value::Object(own) = own else {
            return Err(Error::invalid(format!("{section} must be a mapping")));
        };
        for (name, resource) in resources {
            let merged = match own.remove(&name) {
                None => resource,
                Some(ours) => {
                    let below = Mapping::from_iter([(name.clone(), resource)]);
                    let mut theirs = Mapping::from_iter([(section.clone(), Value::Object(below))]);
                    clear(&mut theirs, cleared);
                    let theirs = theirs.get_mut(&section).and_then(|s| s.get_mut(&name)).map(Value::take);
                    merge::values(theirs.unwrap_or(Value::Null), ours, &Path::of(&[&section, &name]))?
                }
            };
            own.insert(name, merged);
        }
    }
    Ok(())
}
