//! Certificates: the machine's, and those that it has for one registry alone, where Docker keeps them too.
//!
//! In `certs.d/HOST[:PORT]` beside our own configuration and in /etc/docker `*.crt` are authorities that are trusted for this
//! registry, `NAME.cert` and `NAME.key` are what we show to it
//! (<https://docs.docker.com/engine/security/certificates/>).

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::config;
use crate::engine::error::{Context, Error, Result};

/// What belongs to one registry.
#[derive(Default)]
struct Own {
    authorities: Vec<u8>,
    client: Option<ClientCert>,
}

/// How to speak to the registry `domain`; `insecure`: whoever answers.
///
/// # Errors
/// A file that is there cannot be read, or a certificate has no key.
pub(in crate::engine) fn tls(domain: &str, insecure: bool) -> Result<TlsConfig> {
    let own = own(domain)?;
    let builder = TlsConfig::builder().root_certs(roots(&own.authorities)).disable_verification(insecure);
    Ok(builder.client_cert(own.client).build())
}

fn roots(own: &[u8]) -> RootCerts {
    let bundles = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    let named = std::env::var_os("SSL_CERT_FILE").and_then(|path| fs::read(path).ok());
    let system = named.or_else(|| bundles.iter().find_map(|path| fs::read(path).ok()));
    let mut pem = system.unwrap_or_default();
    pem.push(b'\n');
    pem.extend(own);
    let certificates = certificates(&pem);
    if certificates.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(certificates)) }
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    parse_pem(pem).filter_map(certificate).collect()
}

fn own(domain: &str) -> Result<Own> {
    let mut own = Own::default();
    let beside = config::path().parent().map(Path::to_owned).unwrap_or_default();
    for directory in [beside, PathBuf::from("/etc/docker")] {
        let mut paths: Vec<_> = fs::read_dir(directory.join("certs.d").join(domain))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => {
                    own.authorities.push(b'\n');
                    own.authorities.extend(fs::read(&path).doing("read", &path)?);
                }
                // The first that is there.
                Some("cert") if own.client.is_none() => own.client = Some(client(&path)?),
                _ => {}
            }
        }
    }
    Ok(own)
}

fn client(path: &Path) -> Result<ClientCert> {
    let chain = certificates(&fs::read(path).doing("read", path)?);
    let key = path.with_extension("key");
    let hint = "a client's certificate NAME.cert has its key beside it, in NAME.key; authorities are *.crt";
    let wrong = |what: &Path, why: &str| Error::invalid(format!("read {}: {why}; {hint}", what.display()));
    let text = fs::read(&key).map_err(|e| wrong(&key, &e.to_string()))?;
    let key = PrivateKey::from_pem(&text).map_err(|_| wrong(&key, "there is no private key in it"))?;
    if chain.is_empty() {
        return Err(wrong(path, "there is no certificate in it"));
    }
    Ok(ClientCert::new_with_certs(&chain, key))
}
