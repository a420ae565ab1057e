//! `--mount`: `type=bind,src=/data,dst=/data,readonly`, with the quotes of CSV.

use std::str::FromStr;

use super::storage::absolute;
use crate::engine::{
    bytes::parse as bytes,
    container::storage::{BindOptions, DriverConfig, MountRequest, TmpfsOptions, VolumeOptions},
};

/// One of the flag's values.
#[derive(Debug, Clone)]
pub(super) struct MountFlag(pub(super) MountRequest);

impl FromStr for MountFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut request = MountRequest { kind: "volume".to_owned(), ..MountRequest::default() };
        for field in fields(text)? {
            match field.split_once('=') {
                Some((key, value)) => set(&mut request, &key.to_lowercase(), value, &field)?,
                None => set_flag(&mut request, &field)?,
            }
        }
        check(&request)?;
        Ok(Self(request))
    }
}

/// The fields of one line of CSV (RFC 4180).
pub(super) fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let mut field = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted;
            loop {
                let (part, after) = rest.split_once('"').ok_or("a quote is missing at the end of a field")?;
                field.push_str(part);
                rest = after;
                // Doubled, it stands for itself.
                match rest.strip_prefix('"') {
                    Some(after) => rest = after,
                    None => break,
                }
                field.push('"');
            }
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err("a quoted field ends before the comma".to_owned());
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            if part.contains('"') {
                return Err("a quote in a field that is not quoted".to_owned());
            }
            field.push_str(part);
            rest = after;
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

fn set_flag(request: &mut MountRequest, field: &str) -> Result<(), String> {
    match field.to_lowercase().as_str() {
        "readonly" | "ro" => request.read_only = true,
        "volume-nocopy" => volume(request).no_copy = true,
        "bind-nonrecursive" => bind(request).non_recursive = true,
        "bind-create-src" => bind(request).create_mountpoint = true,
        _ => return Err(format!("invalid field '{field}' must be a key=value pair")),
    }
    Ok(())
}

fn set(request: &mut MountRequest, key: &str, value: &str, field: &str) -> Result<(), String> {
    let invalid = || format!("invalid value for {key}: {value}");
    let boolean = || crate::engine::go::boolean(value).ok_or_else(invalid);
    match key {
        "type" => request.kind = value.to_lowercase(),
        "source" | "src" => request.source = absolute(value)?,
        "target" | "dst" | "destination" => value.clone_into(&mut request.target),
        "readonly" | "ro" => request.read_only = boolean()?,
        // For Docker Desktop; on Linux the host's files are the container's.
        "consistency" if ["default", "consistent", "cached", "delegated"].contains(&value) => {}
        "bind-propagation" => bind(request).propagation = value.to_lowercase(),
        "bind-nonrecursive" => bind(request).non_recursive = boolean()?,
        "bind-create-src" => bind(request).create_mountpoint = boolean()?,
        "bind-recursive" => recursive(bind(request), value)?,
        "volume-nocopy" => volume(request).no_copy = boolean()?,
        "volume-subpath" => value.clone_into(&mut volume(request).subpath),
        "volume-driver" => value.clone_into(&mut driver(request).name),
        "volume-label" => drop(volume(request).labels.insert(pair(value).0, pair(value).1)),
        "volume-opt" => drop(driver(request).options.insert(pair(value).0, pair(value).1)),
        "tmpfs-size" => tmpfs(request).size_bytes = bytes(value).map_err(|_| invalid())?,
        "tmpfs-mode" => tmpfs(request).mode = u32::from_str_radix(value, 8).map_err(|_| invalid())?,
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn recursive(options: &mut BindOptions, value: &str) -> Result<(), String> {
    match value {
        "enabled" => {}
        "disabled" => options.non_recursive = true,
        "writable" => options.read_only_non_recursive = true,
        "readonly" => options.read_only_force_recursive = true,
        _ => {
            return Err(format!(
                "invalid value for bind-recursive: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            ));
        }
    }
    Ok(())
}

fn check(request: &MountRequest) -> Result<(), String> {
    let given = [
        ("volume", request.volume_options.is_some()),
        ("bind", request.bind_options.is_some()),
        ("tmpfs", request.tmpfs_options.is_some()),
    ];
    if request.kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if request.target.is_empty() {
        return Err("target is required".to_owned());
    }
    if let Some((kind, _)) = given.iter().find(|(kind, is_given)| *is_given && *kind != request.kind) {
        return Err(format!("cannot mix '{kind}-*' options with mount type '{}'", request.kind));
    }
    let bind = request.bind_options.clone().unwrap_or_default();
    for (word, is_given) in [("writable", bind.read_only_non_recursive), ("readonly", bind.read_only_force_recursive)] {
        if is_given && !request.read_only {
            return Err(format!("option 'bind-recursive={word}' requires 'readonly' to be specified in conjunction"));
        }
    }
    if bind.read_only_force_recursive && bind.propagation != "rprivate" {
        return Err(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction"
                .to_owned(),
        );
    }
    Ok(())
}

fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

fn bind(request: &mut MountRequest) -> &mut BindOptions {
    request.bind_options.get_or_insert_default()
}

fn volume(request: &mut MountRequest) -> &mut VolumeOptions {
    request.volume_options.get_or_insert_default()
}

fn driver(request: &mut MountRequest) -> &mut DriverConfig {
    volume(request).driver_config.get_or_insert_default()
}

fn tmpfs(request: &mut MountRequest) -> &mut TmpfsOptions {
    request.tmpfs_options.get_or_insert_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_those_of_csv() {
        assert_eq!(fields("a,b=c,,").unwrap(), ["a", "b=c", "", ""]);
        assert_eq!(fields(r#"type=bind,"src=/a,b""c",ro"#).unwrap(), ["type=bind", "src=/a,b\"c", "ro"]);
        for bad in [r#""a"#, r#"a"b"#, r#""a"b,c"#] {
            assert!(fields(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_dockers_words() {
        for (text, why) in [
            ("src=vv", "target is required"),
            ("dst=/m,bogus", "invalid field 'bogus' must be a key=value pair"),
            ("dst=/m,bogus=1", "unexpected key 'bogus' in 'bogus=1'"),
            ("type=volume,dst=/m,bind-propagation=rshared", "cannot mix 'bind-*' options with mount type 'volume'"),
            ("type=bind,src=/tmp,dst=/m,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"),
            ("dst=/m,tmpfs-size=1m", "cannot mix 'tmpfs-*' options with mount type 'volume'"),
            ("dst=/m,ro=maybe", "invalid value for ro: maybe"),
            ("type=tmpfs,dst=/m,tmpfs-mode=999", "invalid value for tmpfs-mode: 999"),
            ("type=tmpfs,dst=/m,tmpfs-size=x", "invalid value for tmpfs-size: x"),
            ("type=bind,src=/a,dst=/b,bind-recursive=writable", "requires 'readonly'"),
            ("type=bind,src=/a,dst=/b,ro,bind-recursive=readonly", "requires 'bind-propagation=rprivate'"),
            ("type=bind,src=/a,dst=/b,bind-recursive=x", "must be \"enabled\""),
        ] {
            let error = text.parse::<MountFlag>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn keys_have_several_names() {
        let request = |text: &str| text.parse::<MountFlag>().unwrap().0;
        let bind = request("TYPE=BIND,source=/a,destination=/b,readonly=1,bind-propagation=RSLAVE");
        assert_eq!((bind.kind.as_str(), bind.source.as_str(), bind.target.as_str()), ("bind", "/a", "/b"));
        assert!(bind.read_only && bind.bind_options.unwrap().propagation == "rslave");
        let volume = request("dst=/v,volume-opt=type=tmpfs,volume-opt=o=size=1m,volume-label=a=b=c,volume-label=d");
        let options = volume.volume_options.unwrap();
        assert_eq!(options.driver_config.unwrap().options["o"], "size=1m");
        assert_eq!((options.labels["a"].as_str(), options.labels["d"].as_str()), ("b=c", ""));
        assert_eq!(request("type=tmpfs,dst=/t,tmpfs-size=1k,tmpfs-mode=1770").tmpfs_options.unwrap().size_bytes, 1024);
    }
}
