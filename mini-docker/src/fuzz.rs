//! What the fuzz targets (`tests/fuzz`) reach of this crate beside its public items: parsers of what strangers write. Each
//! says no more than whether it took its input, or what it read.

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    cli::{self, template},
    compose::{Options, Project, duration, load},
    engine::{
        build::{
            dockerfile::{Dockerfile, Expander, Instruction},
            expand, plan, scope,
        },
        image::archive::{self, place::Places},
        registry::auth::{Challenge, TokenAnswer},
    },
    runtime::user,
};

/// What is said of input that is refused.
pub type Outcome<T> = Result<T, String>;

fn text(e: &impl ToString) -> String {
    e.to_string()
}

/// Resolves the stages of a Dockerfile, and expands all its instructions, each with the variables that those before it set.
/// Returns how many bytes its variables have in the end.
pub fn expand(file: Dockerfile) -> Outcome<usize> {
    let expander = Expander::new(file.directives.escape);
    let plan = plan::Plan::new(file, &BTreeMap::new(), None).map_err(|failure| failure.error.to_string())?;
    let mut most = 0;
    for (stage, _) in &plan.stages {
        let mut env = vec!["PATH=/bin".to_owned()];
        for command in &stage.commands {
            let instruction =
                expand::expand(&command.instruction, |name| scope::get(&env, name), &expander).map_err(|e| text(&e))?;
            match &instruction {
                Instruction::Env(pairs) => pairs.iter().for_each(|pair| scope::set(&mut env, &pair.key, &pair.value)),
                Instruction::Arg(args) => {
                    let values = args.iter().filter_map(|arg| Some((&arg.name, arg.default.as_ref()?)));
                    values.for_each(|(name, value)| scope::set(&mut env, name, value));
                }
                _ => {}
            }
        }
        most = most.max(env.iter().map(String::len).sum());
    }
    Ok(most)
}

/// Renders a template of `--format` with a document, as `inspect` does, and as a table's heading.
pub fn template(source: &str, document: &Value) -> Outcome<String> {
    let template = template::Template::parse(source).map_err(|e| text(&e))?;
    let heading = template.render_heading(&template::Data::map([("ID", "CONTAINER ID"), ("Names", "NAMES")]));
    let rendered = template.render(&template::Data::document(document)).map_err(|e| text(&e))?;
    cli::table::align(&heading.map_err(|e| text(&e))?);
    cli::table::align(&rendered);
    Ok(rendered)
}

/// Reads a command line, and of `run` and `create` also what its flags ask for.
pub fn command_line(words: &[String]) -> Outcome<()> {
    cli::read(words)
}

/// Loads a compose file as if it were read from `directory`.
pub fn compose(source: &str, directory: &Path, variables: &[(&str, &str)]) -> Outcome<Project> {
    let variables = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let source = load::Source { path: directory.join("compose.yaml"), text: source.to_owned() };
    let environment = load::Environment(variables.collect());
    Project::of(vec![source], directory.to_owned(), environment, &Options::default()).map_err(|e| text(&e))
}

/// Reads a duration of compose's in nanoseconds, and writes it.
pub fn duration(source: &str) -> Option<(i64, String)> {
    let nanoseconds = duration::parse(source)?;
    Some((nanoseconds, duration::format(nanoseconds)))
}

/// Reads `WWW-Authenticate`; the realm of a bearer's, or nothing for a password.
pub fn challenge(header: &str) -> Option<Option<String>> {
    match Challenge::parse(header)? {
        Challenge::Basic => Some(None),
        Challenge::Bearer { realm, .. } => Some(Some(realm)),
    }
}

/// Reads what a token server answers.
pub fn token(bytes: &[u8]) -> Option<String> {
    serde_json::from_slice::<TokenAnswer>(bytes).ok()?.token()
}

/// Reads the small parts of an archive of `save`, from a file that is spooled to `scratch` where it is compressed.
pub fn image_archive(file: File, scratch: &Path) -> Outcome<usize> {
    const MOST: u64 = 1 << 20;
    let places = Places::find(file, scratch).map_err(|e| text(&e))?;
    let mut found = 0;
    for name in ["manifest.json", "index.json", "oci-layout", "../x", ""] {
        let Some(bytes) = places.read(name, MOST).map_err(|e| text(&e))? else { continue };
        found += bytes.len();
        for entry in serde_json::from_slice::<Vec<archive::Entry>>(&bytes).unwrap_or_default() {
            for layer in entry.layers.unwrap_or_default().iter().chain([&entry.config]) {
                found += places.read(layer, MOST).map_err(|e| text(&e))?.map_or(0, |bytes| bytes.len());
            }
        }
    }
    Ok(found)
}

/// Finds a user in /etc/passwd and /etc/group of an image: uid, gid, groups, and home.
pub fn user(passwd: &str, group: &str, name: &str) -> Outcome<(u32, u32, Vec<u32>, PathBuf)> {
    let user = user::resolve(passwd, group, name).map_err(|e| text(&e))?;
    Ok((user.ids.uid, user.ids.gid, user.ids.groups, user.home.into()))
}
