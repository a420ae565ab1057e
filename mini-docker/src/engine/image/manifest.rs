//! Manifests and indexes, Docker's (schema 2) and OCI's, which differ in names only.

use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    config::{MOST_BYTES, MOST_LAYERS},
    platform::Platform,
};
use crate::engine::{
    digest::Digest,
    error::{Error, Result},
};

/// Docker's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's index.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// OCI's manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI's configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI's layers.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Docker's configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker's compressed layers.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker's layers.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// Manifests in an index.
const MOST_MANIFESTS: usize = 1000;

// ANCHOR: manifest
/// A reference to a blob by what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// Of those bytes.
    pub digest: Digest,
    /// What the image behind it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<std::collections::BTreeMap<String, String>>,
}

/// An image for one platform.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// One of the two; OCI's may leave it out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The image's configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
}
// ANCHOR_END: manifest

/// Images for several platforms.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// One of the two; OCI's may leave it out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// One for each.
    pub manifests: Vec<Descriptor>,
}

/// What a name in a registry leads to.
#[derive(Debug, Clone)]
pub enum Document {
    /// An image.
    Manifest(Manifest),
    /// A choice of images.
    Index(Index),
}

impl Document {
    /// Reads a manifest or index from outside. `content_type` is what its bearer calls it, which counts only where it
    /// says nothing itself.
    ///
    /// # Errors
    /// What is malformed, too large, or of a kind that is not known.
    pub fn parse(bytes: &[u8], content_type: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            #[serde(default)]
            schema_version: u32,
            #[serde(default)]
            media_type: String,
            manifests: Option<IgnoredAny>,
            config: Option<IgnoredAny>,
            layers: Option<IgnoredAny>,
        }
        let invalid = |why: String| Error::invalid(format!("read the manifest: {why}"));
        if bytes.len() as u64 > MOST_BYTES {
            return Err(invalid(format!("it has more than {MOST_BYTES} bytes")));
        }
        let malformed = |e: serde_json::Error| invalid(e.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
        let named = if head.media_type.is_empty() { content_type } else { &head.media_type };
        if head.schema_version != 2 {
            return Err(invalid(
                "it is of Docker's schema 1, which is no longer in use: push the image again".to_owned(),
            ));
        }
        let is_index = match named.split(';').next().unwrap_or_default().trim() {
            DOCKER_LIST | OCI_INDEX => true,
            DOCKER_MANIFEST | OCI_MANIFEST => false,
            "" | "application/json" | "text/plain" | "application/octet-stream" => head.manifests.is_some(),
            other => return Err(invalid(format!("its type {} is not known", super::shown(other)))),
        };
        // One digest would be two images: one for who asked whether it is good, another for us (CVE-2021-41190).
        if head.manifests.is_some() && (head.config.is_some() || head.layers.is_some()) {
            return Err(invalid(
                "it is an index and a manifest at once, so that nobody knows what is meant".to_owned(),
            ));
        }
        if is_index {
            let index: Index = serde_json::from_slice(bytes).map_err(malformed)?;
            if index.manifests.len() > MOST_MANIFESTS {
                return Err(invalid(format!("it has more than {MOST_MANIFESTS} images")));
            }
            return Ok(Self::Index(index));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(malformed)?;
        manifest.check().map_err(invalid)?;
        Ok(Self::Manifest(manifest))
    }
}

impl Manifest {
    fn check(&self) -> Result<(), String> {
        if self.layers.len() > MOST_LAYERS {
            return Err(format!("it has more than {MOST_LAYERS} layers"));
        }
        if self.config.size > MOST_BYTES {
            return Err(format!("its configuration has more than {MOST_BYTES} bytes"));
        }
        match self.config.media_type.as_str() {
            OCI_CONFIG | DOCKER_CONFIG | "" | "application/octet-stream" => {}
            other => return Err(format!("it is no image of a container, but {}", super::shown(other))),
        }
        for layer in &self.layers {
            if layer.media_type.contains("foreign") || layer.media_type.contains("nondistributable") {
                return Err("it has a layer that is kept elsewhere, as only Windows images do".to_owned());
            }
        }
        Ok(())
    }

    /// The type to send it as.
    pub fn content_type(&self) -> &str {
        if self.media_type.is_empty() { OCI_MANIFEST } else { &self.media_type }
    }
}

impl Index {
    /// The image that runs best on `platform`.
    pub fn choose(&self, platform: &Platform) -> Result<&Descriptor> {
        let fits = |descriptor: &&Descriptor| platform.fits(descriptor.platform.as_ref()?);
        // The first of equals, as Docker.
        let best = self.manifests.iter().rev().filter(|d| fits(d).is_some()).max_by_key(fits);
        // One that says nothing of platforms is taken by what its configuration says.
        let only = || self.manifests.first().filter(|d| self.manifests.len() == 1 && d.platform.is_none());
        best.or_else(only).ok_or_else(|| {
            let known = self.manifests.iter().filter_map(|d| d.platform.as_ref()).filter(|p| p.os != "unknown");
            let mut known: Vec<_> = known.map(|p| super::shown(&p.to_string())).collect();
            known.dedup();
            known.truncate(12);
            Error::not_found(format!(
                "no matching manifest for {platform} in the manifest list entries; there is: {}",
                known.join(", ")
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(media: &str) -> String {
        format!(r#"{{"mediaType":"{media}","size":3,"digest":"sha256:{}"}}"#, "0".repeat(64))
    }

    #[test]
    fn hostile_manifests_are_refused() {
        let with = |config: &str, layers: &[String]| {
            format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","))
        };
        let config = descriptor(OCI_CONFIG);
        let good = with(&config, &[descriptor(OCI_LAYER)]);
        assert!(Document::parse(good.as_bytes(), OCI_MANIFEST).is_ok());
        let huge = config.replace("\"size\":3", "\"size\":99999999999");
        for (bad, says) in [
            (with(&config, &vec![descriptor(OCI_LAYER); 501]), "500 layers"),
            (with(&huge, &[]), "configuration has more"),
            (with(&config.replace("sha256:0", "sha256:../"), &[]), "digits"),
            (with(&config.replace("\"size\":3", "\"size\":-1"), &[]), "invalid"),
            (with(&config, &[descriptor("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")]), "Windows"),
            (with(&descriptor("application/vnd.cncf.helm.config.v1+json"), &[]), "no image of a container"),
            (r#"{"schemaVersion":1,"fsLayers":[]}"#.to_owned(), "schema 1"),
            ("{}".to_owned(), "schema 1"),
            ("nonsense".to_owned(), "read the manifest"),
            (good.replace("\"layers\"", "\"manifests\":[],\"layers\""), "at once"),
            (format!(r#"{{"schemaVersion":2,"manifests":[],"config":{config}}}"#), "at once"),
        ] {
            let error = Document::parse(bad.as_bytes(), "").unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(Document::parse(good.as_bytes(), "text/html").unwrap_err().to_string().contains("text/html"));
    }

    #[test]
    fn an_index_offers_what_runs_here() {
        let of = |os: &str, architecture: &str| {
            let platform = format!(r#","platform":{{"os":"{os}","architecture":"{architecture}"}}}}"#);
            descriptor(OCI_MANIFEST).replace('}', &platform)
        };
        let index = |entries: &[String]| {
            let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
            match Document::parse(text.as_bytes(), "").unwrap() {
                Document::Index(index) => index,
                Document::Manifest(_) => panic!("no index"),
            }
        };
        let amd64 = Platform::parse("linux/amd64").unwrap();
        let both = index(&[of("windows", "amd64"), of("linux", "arm64"), of("linux", "amd64")]);
        assert_eq!(both.choose(&amd64).unwrap().platform.as_ref(), Some(&amd64));
        let error = index(&[of("windows", "amd64"), of("unknown", "unknown")]).choose(&amd64).unwrap_err().to_string();
        assert!(error.contains("no matching manifest for linux/amd64") && error.ends_with("windows/amd64"), "{error}");
        assert!(index(&[descriptor(OCI_MANIFEST)]).choose(&amd64).is_ok());
    }
}
