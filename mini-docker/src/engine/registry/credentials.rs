//! Who we are at a registry: Docker's own config.json, and the helpers that it names.

use std::{
    env,
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::engine::{
    error::{Context, Error, Kind, Result},
    files::{Durability, read_json, write_json},
    reference::DEFAULT_DOMAIN,
};

/// What a user is known by.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token to get others with.
    Identity(String),
    /// A token as it is.
    Token(String),
}

/// Secrets stay out of logs.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

/// Docker's config.json, of which all that is not known here stays as it is.
#[derive(Debug, Default)]
pub struct Store {
    path: PathBuf,
    /// By server.
    auths: Map<String, Value>,
    /// All the rest.
    contents: Map<String, Value>,
}

/// Where the file is, whatever the environment says.
static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();

/// Takes this process's credentials from config.json in `directory`. The first call counts.
pub fn set_directory(directory: PathBuf) {
    let _ = DIRECTORY.set(directory);
}

/// What [`set_directory`] was given.
pub fn directory() -> Option<&'static Path> {
    DIRECTORY.get().map(PathBuf::as_path)
}

/// The file: where [`set_directory`] says, `DOCKER_CONFIG`, or ~/.docker.
pub fn path() -> PathBuf {
    let set = |key: &str| env::var_os(key).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = directory().map(Path::to_owned).or_else(|| set("DOCKER_CONFIG"));
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".docker");
    directory.unwrap_or_else(home).join("config.json")
}

impl Store {
    /// Reads the file.
    pub fn read() -> Result<Self> {
        let path = path();
        let mut contents: Map<String, Value> = read_json(&path)?.unwrap_or_default();
        let auths = match contents.shift_remove("auths") {
            Some(Value::Object(auths)) => auths,
            _ => Map::new(),
        };
        Ok(Self { path, auths, contents })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known for the registry `domain`.
    pub fn find(&self, domain: &str) -> Result<Option<Credentials>> {
        let key = key(domain);
        if let Some(helper) = self.helper(key) {
            return Helper(helper).get(key);
        }
        let Some(entry) = self.entry(domain) else { return Ok(None) };
        let text = |field: &str| entry.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(token) = text("identitytoken") {
            return Ok(Some(Credentials::Identity(token.to_owned())));
        }
        if let Some(token) = text("registrytoken") {
            return Ok(Some(Credentials::Token(token.to_owned())));
        }
        let named = || Some((text("username")?.to_owned(), text("password")?.to_owned()));
        let pair = match text("auth") {
            Some(auth) => Some(decode(auth).ok_or_else(|| {
                Error::invalid(format!("read {}: the entry of {key} is damaged; log in again", self.path.display()))
            })?),
            None => named(),
        };
        Ok(pair.map(|(user, password)| Credentials::Password { user, password }))
    }

    /// Keeps a name and a password, or the token that stands for it. Returns whether they are safe, with a helper.
    pub fn put(&mut self, domain: &str, user: &str, password: &str, identity: Option<&str>) -> Result<bool> {
        let key = key(domain);
        if let Some(helper) = self.helper(key) {
            let (user, secret) = identity.map_or((user, password), |token| (TOKEN, token));
            let entry = json!({ "ServerURL": key, "Username": user, "Secret": secret });
            Helper(helper).call("store", entry.to_string().as_bytes())?;
            // Docker notes that there is something, but not what.
            self.auths.insert(key.to_owned(), json!({}));
            return self.write().map(|()| true);
        }
        let auth = |password: &str| STANDARD.encode(format!("{user}:{password}"));
        let entry = match identity {
            Some(token) => json!({ "auth": auth(""), "identitytoken": token }),
            None => json!({ "auth": auth(password) }),
        };
        self.auths.insert(key.to_owned(), entry);
        self.write().map(|()| false)
    }

    /// Forgets a registry. Returns whether it was known.
    pub fn remove(&mut self, domain: &str) -> Result<bool> {
        let key = key(domain);
        let mut known = false;
        if let Some(helper) = self.helper(key) {
            known = Helper(helper).get(key)?.is_some();
            if known {
                Helper(helper).call("erase", key.as_bytes())?;
            }
        }
        let found = self.auths.iter().map(|(key, _)| key.clone()).filter(|other| host_of(other) == host_of(key));
        for other in found.collect::<Vec<_>>() {
            known |= self.auths.shift_remove(&other).is_some();
        }
        if known {
            self.write()?;
        }
        Ok(known)
    }

    fn entry(&self, domain: &str) -> Option<&Map<String, Value>> {
        let auths = &self.auths;
        let key = key(domain);
        let exact = auths.get(key);
        exact
            .or_else(|| auths.iter().find(|(other, _)| host_of(other) == host_of(key)).map(|(_, entry)| entry))?
            .as_object()
    }

    fn helper(&self, key: &str) -> Option<&str> {
        let of = self.contents.get("credHelpers").and_then(|helpers| helpers.get(host_of(key)).or(helpers.get(key)));
        of.or_else(|| self.contents.get("credsStore")).and_then(Value::as_str).filter(|name| !name.is_empty())
    }

    fn write(&self) -> Result<()> {
        if let Some(directory) = self.path.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
            made.doing("make the directory", directory)?;
        }
        let mut contents = self.contents.clone();
        contents.insert("auths".to_owned(), Value::Object(self.auths.clone()));
        write_json(&self.path, &contents, Durability::Machine)
    }
}

/// A helper's user where the secret is a token to get others with.
const TOKEN: &str = "<token>";

/// Docker's own registry has kept the name that its first interface had.
fn key(domain: &str) -> &str {
    if domain == DEFAULT_DOMAIN { "https://index.docker.io/v1/" } else { domain }
}

fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

fn decode(auth: &str) -> Option<(String, String)> {
    let bytes = STANDARD.decode(auth).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.trim_end_matches('\0').split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// A program `docker-credential-NAME` that keeps secrets in a place of its own.
struct Helper<'a>(&'a str);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    username: String,
    secret: String,
}

impl Helper<'_> {
    fn get(&self, key: &str) -> Result<Option<Credentials>> {
        let output = match self.call("get", key.as_bytes()) {
            // By these words all helpers say that they have nothing.
            Err(e) if e.to_string().contains("credentials not found") => return Ok(None),
            output => output?,
        };
        let secret: Secret =
            serde_json::from_slice(&output).map_err(|e| self.failed(&format!("it answered nonsense: {e}")))?;
        Ok(Some(match secret.username.as_str() {
            TOKEN => Credentials::Identity(secret.secret),
            _ => Credentials::Password { user: secret.username, password: secret.secret },
        }))
    }

    fn call(&self, verb: &str, input: &[u8]) -> Result<Vec<u8>> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !self.0.chars().all(plain) {
            return Err(self.failed("its name is no plain word"));
        }
        let mut command = Command::new(format!("docker-credential-{}", self.0));
        command.arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| self.failed(&e.to_string()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read says why.
            let _ = stdin.write_all(input);
        }
        let output = child.wait_with_output().map_err(|e| self.failed(&e.to_string()))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        Err(self.failed(String::from_utf8_lossy(&said).trim()))
    }

    fn failed(&self, why: &str) -> Error {
        let name = self.0;
        Error::new(
            Kind::System,
            format!("ask docker-credential-{name}: {why}; config.json names it in credsStore or credHelpers"),
        )
    }
}
