//! Registries (the OCI distribution specification): where images come from and go to.
//!
//! | module | what it is |
//! |---|---|
//! | `config` | mirrors, and registries without TLS |
//! | `credentials` | Docker's config.json and its helpers |
//! | `auth` | how a registry asks who we are |
//! | `client` | one request, with the right token, and again where that can help |
//! | `tls` | certificates, the registry's and ours |
//! | `blob` | a blob as it comes, over as many connections as it takes |
//! | `pull`, `push` | whole images |
//! | `search` | repositories by words |

pub(crate) mod auth;
mod blob;
mod client;
pub mod config;
pub mod credentials;
mod pull;
mod push;
mod search;
mod tls;

use super::{
    digest::Digest,
    error::{Error, Result},
    image::config::MOST_BYTES,
    reference::{DEFAULT_DOMAIN, Reference},
};
use client::{Call, Client, contents};
use config::Config;
use credentials::Credentials;

pub use auth::escape;
pub use pull::Pulled;
pub use push::Pushed;
pub use search::{Hit, search};
pub(in crate::engine) use tls::tls;

/// What is known of a transfer as it goes on. The engine prints nothing: this is for who does.
pub trait Progress: Sync {
    /// Something happened to a blob, which has this short name.
    fn blob(&self, name: &str, event: Event);
    /// The image is about to be transferred: what is asked for, and from or to which repository.
    fn begin(&self, reference: &Reference);
}

/// What happens to a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It waits for its turn.
    Waiting,
    /// It need not move: the store has it.
    Exists,
    /// So many bytes of so many have come.
    Downloading(u64, u64),
    /// It has come, and is being verified and written to the disk.
    Downloaded,
    /// It is in the store.
    Pulled,
    /// So many bytes of so many have gone.
    Uploading(u64, u64),
    /// It has arrived.
    Pushed,
    /// The registry had it in this repository.
    Present,
    /// The registry had it in another repository.
    Mounted,
}

/// A manifest or index, as it came.
struct Fetched {
    bytes: Vec<u8>,
    content_type: String,
    digest: Digest,
}

const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json";

impl Client {
    /// Gets a manifest or index by tag or digest. One by digest is what its digest says.
    fn manifest(&self, name: &str) -> Result<Fetched> {
        let path = self.path(&format!("manifests/{name}"));
        let answer = self.expect(&Call::get(&path, &[("Accept", ACCEPT)]))?;
        let content_type =
            answer.headers().get("Content-Type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let content_type = content_type.to_owned();
        let bytes = contents(answer, MOST_BYTES).map_err(|e| Error::system("read the manifest", &e))?;
        let digest = Digest::of(&bytes);
        if let Ok(wanted) = Digest::parse(name)
            && wanted != digest
        {
            return Err(Error::invalid(format!(
                "verify the manifest {}: its digest is {digest}; the registry gives something else than was asked for",
                wanted.short()
            )));
        }
        Ok(Fetched { bytes, content_type, digest })
    }
}

/// The tags of a repository.
pub fn tags(reference: &Reference) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Answer {
        tags: Option<Vec<String>>,
    }
    let config = Config::read()?;
    let endpoints = config.endpoints(reference.domain());
    let endpoint = endpoints.last().ok_or_else(|| Error::invalid("no registry is known"))?;
    let client = Client::connect(&config, endpoint, reference.domain(), reference.path(), "pull")?;
    let answer = client.expect(&Call::get(&client.path("tags/list?n=10000"), &[]))?;
    let bytes = contents(answer, MOST_BYTES).map_err(|e| Error::system("read the list of tags", &e))?;
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|e| Error::invalid(format!("read the list of tags: {e}")))?;
    Ok(answer.tags.unwrap_or_default())
}

/// Asks a registry whether a name and a password are good: the token that it gives to be kept in place of the password, if
/// it gives one.
pub fn log_in(domain: &str, credentials: Credentials) -> Result<Option<String>> {
    let config = Config::read()?;
    let endpoints = config.endpoints(domain);
    let endpoint = endpoints.last().ok_or_else(|| Error::invalid("no registry is known"))?;
    let client = Client::connect(&config, endpoint, domain, "", "")?.logging_in(credentials);
    client.expect(&Call::get("/v2/", &[]))?;
    Ok(client.identity())
}

/// A registry as users name it: with or without a scheme and a path, or Docker's own.
pub fn domain_of(server: Option<&str>) -> Result<String> {
    let Some(server) = server.filter(|server| !server.is_empty()) else {
        return Ok(DEFAULT_DOMAIN.to_owned());
    };
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or(rest);
    if ["index.docker.io", "docker.io", "registry-1.docker.io"].contains(&host) {
        return Ok(DEFAULT_DOMAIN.to_owned());
    }
    // What can stand before a name.
    let named = if host.contains(['.', ':']) || host == "localhost" {
        Reference::parse(&format!("{host}/x"))
    } else {
        Reference::parse(&format!("{host}:443/x"))
    };
    named
        .map(|_| host.to_owned())
        .map_err(|_| Error::invalid(format!("invalid registry {server:?}: write it as HOST[:PORT]")))
}
