//! `--secret` and `--ssh`: what a step may see and no layer keeps.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::engine::{Error, error::Context as _};

/// `id=NAME,src=FILE` or `id=NAME,env=VARIABLE`; the id alone is a variable or a file of that name.
pub(super) fn secret(text: &str) -> Result<(String, Vec<u8>), Error> {
    let (mut id, mut file, mut variable) = (None, None, None);
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("id", value)) => id = Some(value),
            Some(("src" | "source", value)) => file = Some(value),
            Some(("env", value)) => variable = Some(value),
            Some(("type", kind @ ("file" | "env"))) => {
                variable = variable.or(if kind == "env" { Some("") } else { None });
            }
            _ => {
                return Err(Error::invalid(format!(
                    "invalid --secret {text:?}: use id=NAME,src=FILE or id=NAME,env=VARIABLE"
                )));
            }
        }
    }
    let id = id.or(file).ok_or_else(|| Error::invalid(format!("invalid --secret {text:?}: it needs an id")))?;
    let by_name = variable.filter(|name| !name.is_empty()).or(if file.is_none() { Some(id) } else { None });
    if let Some(value) = by_name.and_then(env::var_os) {
        return Ok((id.to_owned(), value.into_encoded_bytes()));
    }
    let path = Path::new(file.unwrap_or(id));
    if variable.is_some() {
        return Err(Error::not_found(format!(
            "secret {id}: the environment variable {} is not set",
            by_name.unwrap_or(id)
        )));
    }
    Ok((id.to_owned(), fs::read(path).doing("read the secret", path)?))
}

/// `default` or `ID`: the user's agent; `ID=SOCKET`: that one.
pub(super) fn ssh(text: &str) -> Result<(String, PathBuf), Error> {
    use std::os::unix::fs::FileTypeExt;
    let (id, path) = if let Some((id, path)) = text.split_once('=') {
        (id, PathBuf::from(path))
    } else {
        let agent = env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty());
        let missing = || {
            Error::invalid(format!("invalid empty ssh agent socket for --ssh {text}: make sure SSH_AUTH_SOCK is set"))
        };
        (text, PathBuf::from(agent.ok_or_else(missing)?))
    };
    let found = fs::metadata(&path).doing("look at the agent's socket", &path)?;
    if !found.file_type().is_socket() {
        return Err(Error::invalid(format!(
            "--ssh {text}: {} is no socket: give keys to an agent (ssh-add), and name its socket",
            path.display()
        )));
    }
    Ok((id.to_owned(), path))
}
