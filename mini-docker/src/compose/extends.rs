//! `extends`: a service that begins as another one.

use std::path::{Path as FilePath, PathBuf};

use serde_json::Value;

use super::{
    document::clear,
    load::{Context, Source, load_extended},
    merge,
    paths::absolute,
    tree::{Mapping, Path, kind_of},
};
use crate::engine::error::Result;

/// Which services of which files led here: the way back would be a circle.
type Trail = Vec<(PathBuf, String)>;

/// Replaces every service that extends another by what comes of it.
pub(super) fn apply(model: &mut Mapping, cleared: &[Path], file: &FilePath, context: &Context) -> Result<()> {
    let Some(Value::Object(services)) = model.get("services") else { return Ok(()) };
    let services = services.clone();
    let mut extended = Mapping::new();
    for name in services.keys() {
        let mut trail = Trail::new();
        extended.insert(name.clone(), extend(name, &services, cleared, file, context, &mut trail)?);
    }
    model.insert("services".to_owned(), Value::Object(extended));
    Ok(())
}

fn extend(
    name: &str,
    services: &Mapping,
    cleared: &[Path],
    file: &FilePath,
    context: &Context,
    trail: &mut Trail,
) -> Result<Value> {
    let path = Path::of(&["services", name]);
    let invalid = |why: String| path.next("extends").wrong(why);
    let service = match services.get(name) {
        None | Some(Value::Null) => return Ok(Value::Null),
        Some(Value::Object(service)) => service.clone(),
        Some(other) => return Err(path.wrong(format!("must be a mapping, not {}", kind_of(other)))),
    };
    let Some(base) = service.get("extends") else { return Ok(Value::Object(service)) };
    let (base_name, base_file) = match base {
        Value::String(base) => (base.clone(), None),
        Value::Object(base) => {
            let text = |key: &str| base.get(key).and_then(Value::as_str).map(str::to_owned);
            (text("service").ok_or_else(|| invalid("extends needs a service".to_owned()))?, text("file"))
        }
        _ => {
            return Err(invalid(
                "extends must be the name of a service, or a mapping with service and file".to_owned(),
            ));
        }
    };
    let step = match &base_file {
        Some(other) => (PathBuf::from(absolute(other, &context.directory)), name.to_owned()),
        None => (file.to_owned(), name.to_owned()),
    };
    if trail.contains(&step) {
        let way: Vec<_> = trail.iter().map(|(file, name)| format!("{name} in {}", file.display())).collect();
        return Err(invalid(format!("circular reference by extends: {}", way.join(", "))));
    }
    let base_path = step.0.clone();
    trail.push(step);
    let source = base_file.map(|_| Source::read(&base_path)).transpose().map_err(|e| invalid(e.to_string()))?;
    let loaded = source.map(|source| load_extended(&source, context)).transpose()?;
    let (base_services, base_cleared) = match &loaded {
        Some(loaded) => {
            let services = loaded.model.get("services").and_then(Value::as_object);
            let none = || invalid(format!("cannot extend {base_name}: {} has no services", base_path.display()));
            (services.ok_or_else(none)?, loaded.cleared.as_slice())
        }
        None => (services, cleared),
    };
    if !base_services.contains_key(&base_name) {
        return Err(invalid(format!("cannot extend service {base_name:?}: not found in {}", base_path.display())));
    }
    let base = extend(&base_name, base_services, base_cleared, &base_path, context, trail)?;
    trail.pop();
    let Value::Object(base) = base else { return Ok(Value::Object(service)) };
    let base = without_cleared(name, base, cleared);
    match merge::values(Value::Object(base), Value::Object(service), &Path::of(&["services", name]))? {
        Value::Object(mut merged) => {
            merged.remove("extends");
            Ok(Value::Object(merged))
        }
        other => Ok(other),
    }
}

/// The base without what the extending file wants gone.
fn without_cleared(name: &str, base: Mapping, cleared: &[Path]) -> Mapping {
    let service = Mapping::from_iter([(name.to_owned(), Value::Object(base))]);
    let mut model = Mapping::from_iter([("services".to_owned(), Value::Object(service))]);
    clear(&mut model, cleared);
    match model.remove("services").and_then(|mut services| services.get_mut(name).map(Value::take)) {
        Some(Value::Object(base)) => base,
        _ => Mapping::new(),
    }
}
