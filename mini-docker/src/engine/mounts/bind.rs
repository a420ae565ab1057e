//! The short forms: `HOST:CONTAINER[:OPTIONS]` of `-v`, and `NAME[:OPTIONS]` of `--volumes-from`.

use super::request::place;
use crate::engine::{
    container::storage::{Access, From, Point},
    error::{Error, Result},
};

/// What may be given only once: rights, label, propagation, copying, consistency.
const GROUPS: [&[&str]; 5] = [
    &["rw", "ro"],
    // Labels of SELinux; where there is none, Docker's do nothing either.
    &["z", "Z"],
    &PROPAGATIONS,
    &["nocopy"],
    // For Docker Desktop; on Linux the host's files are the container's.
    &["consistent", "cached", "delegated"],
];

/// Docker's words for propagation; with an `r` it holds for the mounts below too.
pub(super) const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/// Parses one of `-v` that has a source.
pub(super) fn parse(text: &str) -> Result<Point> {
    let parts: Vec<&str> = text.splitn(4, ':').collect();
    let invalid = || Error::invalid(format!("invalid volume specification: '{text}'"));
    let (source, target, mode) = match parts[..] {
        [source, target] if !is_mode(target) => (source, target, ""),
        [source, target, mode] => (source, target, mode),
        _ => return Err(invalid()),
    };
    if source.is_empty() {
        return Err(invalid());
    }
    if !is_mode(mode) {
        return Err(Error::invalid(format!("invalid mode: {mode}")));
    }
    let is_bind = source.starts_with('/');
    let kind = if is_bind { "bind" } else { "volume" };
    let refused = |why: &str| {
        Error::invalid(format!(
            "invalid volume specification: '{text}': invalid mount config for type \"{kind}\": {why}"
        ))
    };
    let destination = place(target).map_err(|why| refused(&why))?;
    let has = |option| mode.split(',').any(|o| o == option);
    let propagation = mode.split(',').find(|option| PROPAGATIONS.contains(option));
    let from = if is_bind {
        if has("nocopy") {
            return Err(refused("field VolumeOptions must not be specified"));
        }
        From::Bind { path: super::clean(source), create: true, recursive: true }
    } else {
        if propagation.is_some() {
            return Err(refused("field BindOptions must not be specified"));
        }
        From::Volume { name: source.to_owned(), anonymous: false, copy: !has("nocopy"), subpath: String::new() }
    };
    Ok(Point {
        propagation: if is_bind { propagation.unwrap_or("rprivate").to_owned() } else { String::new() },
        // What Docker shows for volumes.
        mode: if mode.is_empty() && !is_bind { "z".to_owned() } else { mode.to_owned() },
        access: if has("ro") { Access::Read } else { Access::Write },
        from,
        destination,
    })
}

/// Parses one of `--volumes-from`: the container, and whether its volumes are to be read only.
pub(super) fn parse_volumes_from(text: &str) -> Result<(&str, bool)> {
    if text.is_empty() {
        return Err(Error::invalid("volumes-from specification cannot be an empty string"));
    }
    let (container, mode) = text.split_once(':').unwrap_or((text, "rw"));
    let is_own = |option: &str| PROPAGATIONS.contains(&option) || option == "nocopy";
    if !is_mode(mode) || mode.split(',').any(is_own) {
        return Err(Error::invalid(format!("invalid mode: {mode}")));
    }
    Ok((container, mode.split(',').any(|option| option == "ro")))
}

/// Whether these are options, at most one of each sort.
fn is_mode(mode: &str) -> bool {
    let mut seen = [false; GROUPS.len()];
    mode.is_empty()
        || mode.split(',').all(|option| {
            let group = GROUPS.iter().position(|group| group.contains(&option));
            group.is_some_and(|group| !std::mem::replace(&mut seen[group], true))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_means_what_it_means_to_docker() {
        let point = parse("/a/../b:/c/./d:ro,rslave,z").unwrap();
        assert_eq!(point.from, From::Bind { path: "/b".into(), create: true, recursive: true });
        assert_eq!((point.destination.as_str(), point.propagation.as_str()), ("/c/d", "rslave"));
        assert_eq!((point.access, point.mode.as_str()), (Access::Read, "ro,rslave,z"));
        let point = parse("data:/d").unwrap();
        assert_eq!((point.mode.as_str(), point.propagation.as_str(), point.access), ("z", "", Access::Write));
        assert!(matches!(parse("data:/d:nocopy").unwrap().from, From::Volume { copy: false, .. }));
        for (text, why) in [
            (
                "/:/",
                "invalid volume specification: '/:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
            ),
            ("/a:/b/..", "destination can't be '/'"),
            ("/a:/b:bogus", "invalid mode: bogus"),
            ("/a:/b:ro,rw", "invalid mode: ro,rw"),
            ("/a:b", "invalid mount path: 'b' mount path must be absolute"),
            ("/a:/b:c:d", "invalid volume specification: '/a:/b:c:d'"),
            ("/x:rw", "invalid volume specification: '/x:rw'"),
            (":/x", "invalid volume specification: ':/x'"),
            ("v:/x:copy", "invalid mode: copy"),
            ("v:/x:rshared", "field BindOptions must not be specified"),
            ("/a:/b:nocopy", "field VolumeOptions must not be specified"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn volumes_come_from_a_container() {
        assert_eq!(parse_volumes_from("web").unwrap(), ("web", false));
        assert_eq!(parse_volumes_from("web:ro,z").unwrap(), ("web", true));
        for text in ["", "web:bad", "web:rshared", "web:nocopy"] {
            assert!(parse_volumes_from(text).is_err(), "{text}");
        }
    }
}
