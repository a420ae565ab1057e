//! The long form: one mount of `--mount`, or of Docker's API.

use super::{bind::PROPAGATIONS, clean, tmpfs};
use crate::engine::{
    container::storage::{Access, BindOptions, From, MountRequest, Point, VolumeOptions},
    error::{Error, Result},
};

/// Checks it, and says what it comes to. A volume without a name has an empty one.
pub(super) fn resolve(request: &MountRequest) -> Result<Point> {
    let MountRequest { kind, source, target, read_only, .. } = request;
    let refused = |why: &str| Error::invalid(format!("invalid mount config for type \"{kind}\": {why}"));
    if target.is_empty() {
        return Err(refused("field Target must not be empty"));
    }
    let destination = place(target).map_err(|why| refused(&why))?;
    foreign_options(request).map_err(|why| refused(&why))?;
    let bind = request.bind_options.clone().unwrap_or_default();
    let mut mode = String::new();
    let from = match kind.as_str() {
        "bind" => bind_source(source, &bind).map_err(|why| refused(&why))?,
        "volume" => {
            if source.is_empty() && *read_only {
                return Err(refused("must not set ReadOnly mode when using anonymous volumes"));
            }
            // What Docker shows for volumes.
            "z".clone_into(&mut mode);
            volume_source(source, &request.volume_options.clone().unwrap_or_default()).map_err(|why| refused(&why))?
        }
        "tmpfs" if source.is_empty() => From::Tmpfs(tmpfs::of(&request.tmpfs_options.clone().unwrap_or_default())),
        "tmpfs" => return Err(refused("field Source must not be specified")),
        _ => return Err(refused("mount type unknown")),
    };
    let propagation = match (kind.as_str(), bind.propagation.as_str()) {
        ("bind", "") => "rprivate",
        (_, given) => given,
    };
    let access = match (read_only, bind.read_only_non_recursive) {
        (false, _) => Access::Write,
        (true, false) => Access::Read,
        (true, true) => Access::ReadTop,
    };
    Ok(Point { from, destination, mode, access, propagation: propagation.to_owned() })
}

fn bind_source(source: &str, options: &BindOptions) -> Result<From, String> {
    if source.is_empty() {
        return Err("field Source must not be empty".to_owned());
    }
    if !options.propagation.is_empty() && !PROPAGATIONS.contains(&options.propagation.as_str()) {
        return Err(format!("invalid propagation mode: {}", options.propagation));
    }
    absolute(source)?;
    if !options.create_mountpoint && std::fs::metadata(source).is_err() {
        return Err(format!("bind source path does not exist: {source}"));
    }
    Ok(From::Bind { path: clean(source), create: options.create_mountpoint, recursive: !options.non_recursive })
}

fn volume_source(source: &str, options: &VolumeOptions) -> Result<From, String> {
    let subpath = options.subpath.clone();
    let leads_out = || subpath.starts_with('/') || subpath.split('/').any(|part| part == "..");
    if !subpath.is_empty() && source.is_empty() {
        return Err("must not set Subpath when using anonymous volumes".to_owned());
    }
    if !subpath.is_empty() && leads_out() {
        return Err(format!("subpath must be a relative path within the volume: {subpath}"));
    }
    Ok(From::Volume { name: source.to_owned(), anonymous: source.is_empty(), copy: !options.no_copy, subpath })
}

/// Options of another type than the mount's own.
fn foreign_options(request: &MountRequest) -> Result<(), String> {
    let given = [
        ("bind", "BindOptions", request.bind_options.is_some()),
        ("volume", "VolumeOptions", request.volume_options.is_some()),
        ("tmpfs", "TmpfsOptions", request.tmpfs_options.is_some()),
    ];
    match given.iter().find(|(kind, _, is_given)| *is_given && *kind != request.kind) {
        Some((_, field, _)) => Err(format!("field {field} must not be specified")),
        None => Ok(()),
    }
}

/// A place in the container: clean, absolute, and not its root.
pub(super) fn place(target: &str) -> Result<String, String> {
    absolute(target)?;
    let clean = clean(target);
    if clean == "/" { Err("invalid specification: destination can't be '/'".to_owned()) } else { Ok(clean) }
}

fn absolute(path: &str) -> Result<(), String> {
    if path.contains('\0') {
        return Err("invalid mount path: it has a null byte".to_owned());
    }
    if path.starts_with('/') {
        Ok(())
    } else {
        Err(format!("invalid mount path: '{path}' mount path must be absolute"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: &str, source: &str, target: &str) -> MountRequest {
        MountRequest { kind: kind.into(), source: source.into(), target: target.into(), ..MountRequest::default() }
    }

    #[test]
    fn the_long_form_is_checked_as_by_docker() {
        let ro = MountRequest { read_only: true, ..request("volume", "", "/m") };
        let propagation = BindOptions { propagation: "x".into(), ..BindOptions::default() };
        let propagation = MountRequest { bind_options: Some(propagation), ..request("bind", "/tmp", "/m") };
        let foreign = MountRequest { bind_options: Some(BindOptions::default()), ..request("volume", "a1", "/m") };
        let subpath = VolumeOptions { subpath: "a/../../b".into(), ..VolumeOptions::default() };
        let subpath = MountRequest { volume_options: Some(subpath), ..request("volume", "a1", "/m") };
        for (request, why) in [
            (request("bind", "/nope", "/m"), "type \"bind\": bind source path does not exist: /nope"),
            (request("bind", "", "/m"), "field Source must not be empty"),
            (request("bind", "d", "/m"), "invalid mount path: 'd' mount path must be absolute"),
            (request("bind", "/tmp", "m"), "invalid mount path: 'm' mount path must be absolute"),
            (request("bind", "/tmp", "/"), "destination can't be '/'"),
            (request("bind", "/tmp", ""), "field Target must not be empty"),
            (request("x", "", "/m"), "type \"x\": mount type unknown"),
            (request("tmpfs", "a", "/m"), "field Source must not be specified"),
            (ro, "must not set ReadOnly mode when using anonymous volumes"),
            (propagation, "invalid propagation mode: x"),
            (foreign, "field BindOptions must not be specified"),
            (subpath, "subpath must be"),
        ] {
            let error = resolve(&request).unwrap_err().to_string();
            assert!(error.contains(why), "{request:?}: {error}");
        }
    }

    #[test]
    fn the_long_form_means_what_it_means_to_docker() {
        let point = resolve(&MountRequest { read_only: true, ..request("bind", "/tmp/", "/m/") }).unwrap();
        assert_eq!(point.from, From::Bind { path: "/tmp".into(), create: false, recursive: true });
        assert_eq!((point.destination.as_str(), point.propagation.as_str()), ("/m", "rprivate"));
        assert_eq!(point.access, Access::Read);
        let point = resolve(&request("volume", "", "/m")).unwrap();
        assert!(matches!(point.from, From::Volume { anonymous: true, copy: true, .. }));
    }
}
