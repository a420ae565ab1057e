//! Requests to one repository of one registry: with the right token, and again where that can help.

use std::{
    io::{self, Read},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use ureq::{
    Agent, Body, SendBody,
    http::{HeaderMap, Method, Request, Response, StatusCode},
};

use super::{
    auth::{self, Challenge, TokenAnswer},
    config::{Config, Endpoint},
    credentials::{Credentials, Store},
    tls::tls,
};
use crate::engine::error::{Error, Kind, Result};

/// How often a request is made before its failure counts.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; each further wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// How often the time of one silence an answer may take that is read as a whole: a registry that drips is given up.
const SILENCES: u32 = 4;
/// Who asks token servers.
const CLIENT: &str = "mini-docker";
/// Bytes of an answer that is read as a whole.
const MOST_ANSWER: u64 = 8 << 20;

/// One repository of one registry.
pub(super) struct Client {
    agent: Agent,
    /// `https://HOST[:PORT]`.
    base: String,
    domain: String,
    repository: String,
    /// What tokens have to allow.
    scopes: Vec<String>,
    credentials: Option<Credentials>,
    /// The last `Authorization` that was good.
    authorization: Mutex<Option<String>>,
    /// Where a token is wanted that stands for the password from now on: the one that came.
    identity: Option<Mutex<Option<String>>>,
    /// How long an answer may take before it counts whether much of it has come.
    pub(super) patience: Duration,
}

/// What a request brings.
pub(super) enum Payload<'a> {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many bytes from a reader, which is made for each attempt.
    Reader(&'a dyn Fn() -> io::Result<Box<dyn Read>>, u64),
}

/// A request.
pub(super) struct Call<'a> {
    /// Its method.
    pub(super) method: Method,
    /// An absolute address, or a path on the registry.
    pub(super) target: &'a str,
    /// Its headers.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// Its contents.
    pub(super) payload: Payload<'a>,
    /// Whether the answer may take as long as it takes.
    pub(super) is_long: bool,
}

impl<'a> Call<'a> {
    /// A GET request.
    pub(super) fn get(target: &'a str, headers: &'a [(&'a str, &'a str)]) -> Self {
        Self { method: Method::GET, target, headers, payload: Payload::Empty, is_long: false }
    }
}

impl Client {
    /// Finds out how the registry wants to be spoken to. `actions` are what we are up to: `pull`, or `pull,push`.
    pub(super) fn connect(
        config: &Config,
        endpoint: &Endpoint,
        domain: &str,
        repository: &str,
        actions: &str,
    ) -> Result<Self> {
        let scopes =
            if repository.is_empty() { Vec::new() } else { vec![format!("repository:{repository}:{actions}")] };
        let mut client = Self {
            agent: agent(config, endpoint, domain)?,
            base: endpoint.base.clone(),
            domain: domain.to_owned(),
            repository: repository.to_owned(),
            scopes,
            credentials: Store::read()?.find(domain)?,
            authorization: Mutex::new(None),
            identity: None,
            patience: patience(config),
        };
        if endpoint.insecure && client.once(&Call::get("/v2/", &[]), None).is_err() {
            // TLS without a known certificate, or else none.
            client.base = client.base.replacen("https://", "http://", 1);
        }
        Ok(client)
    }

    /// As another user, who wants a token in place of his password.
    #[must_use]
    pub(super) fn logging_in(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self.identity = Some(Mutex::new(None));
        self
    }

    /// The token that stands for the password, where the registry gave one.
    pub(super) fn identity(self) -> Option<String> {
        self.identity?.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Allows reading of another repository too.
    #[must_use]
    pub(super) fn and_pull(mut self, repositories: &[String]) -> Self {
        self.scopes.extend(repositories.iter().map(|repository| format!("repository:{repository}:pull")));
        self
    }

    /// The path of something of the repository.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/v2/{}/{rest}", self.repository)
    }

    /// Makes a request, again where the network or the registry has a bad moment. Any answer is a success but those that
    /// deny us, and those that tell of such moments.
    pub(super) fn call(&self, call: &Call) -> Result<Response<Body>> {
        let mut wait = FIRST_WAIT;
        let mut asked = false;
        let mut attempt = 1;
        loop {
            let authorization = self.authorization.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let outcome = self.once(call, authorization.as_deref());
            let last = attempt >= ATTEMPTS;
            match outcome {
                Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED && !asked => {
                    asked = true;
                    let fresh = self.authorize(answer.headers())?;
                    *self.authorization.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
                    continue;
                }
                Ok(answer) if is_bad_moment(answer.status()) => {
                    if last {
                        return Err(self.refused(answer));
                    }
                    wait = retry_after(answer.headers()).unwrap_or(wait);
                }
                Ok(answer) if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                    return Err(self.refused(answer));
                }
                Ok(answer) => return Ok(answer),
                Err(e) if last || !is_passing(&e) => return Err(self.unreachable(&e)),
                Err(_) => {}
            }
            thread::sleep(wait);
            wait *= 2;
            attempt += 1;
        }
    }

    /// As [`Client::call`], with an error for every answer that is none of success.
    pub(super) fn expect(&self, call: &Call) -> Result<Response<Body>> {
        let answer = self.call(call)?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.refused(answer)) }
    }

    fn once(&self, call: &Call, authorization: Option<&str>) -> Result<Response<Body>, ureq::Error> {
        let target = self.absolute(call.target);
        let mut request = Request::builder().method(call.method.clone()).uri(&target);
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        // Nobody else gets it, wherever the registry sends us.
        if let Some(authorization) = authorization.filter(|_| is_below(&target, &self.base)) {
            request = request.header("Authorization", authorization);
        }
        match &call.payload {
            Payload::Empty if call.is_long => {
                let request = self.agent.configure_request(request.body(())?).timeout_recv_body(None).build();
                self.agent.run(request)
            }
            Payload::Empty => self.agent.run(request.body(())?),
            Payload::Bytes(bytes) => self.agent.run(request.body(*bytes)?),
            Payload::Reader(make, length) => {
                let request = request.header("Content-Length", length.to_string());
                self.agent.run(request.body(SendBody::from_owned_reader(make()?))?)
            }
        }
    }

    /// Paths are the registry's.
    pub(super) fn absolute(&self, target: &str) -> String {
        if target.starts_with('/') { format!("{}{target}", self.base) } else { target.to_owned() }
    }

    /// Answers a challenge.
    fn authorize(&self, headers: &HeaderMap) -> Result<String> {
        let mut challenges =
            headers.get_all("WWW-Authenticate").iter().filter_map(|header| Challenge::parse(header.to_str().ok()?));
        let denied = || self.denied("it wants to know who you are");
        match challenges.next_back().ok_or_else(denied)? {
            Challenge::Basic => self.credentials.as_ref().and_then(auth::basic).ok_or_else(denied),
            Challenge::Bearer { realm, service, scope } => match &self.credentials {
                Some(Credentials::Token(token)) => Ok(format!("Bearer {token}")),
                _ => self.token(&realm, service.as_deref(), scope.as_deref()).map(|token| format!("Bearer {token}")),
            },
        }
    }

    fn token(&self, realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<String> {
        let scopes: Vec<_> = if self.scopes.is_empty() {
            scope.into_iter().collect()
        } else {
            self.scopes.iter().map(String::as_str).collect()
        };
        let mut fields: Vec<(&str, &str)> = service.map(|service| ("service", service)).into_iter().collect();
        let failed = |e: &dyn std::fmt::Display| {
            Error::new(Kind::System, format!("get a token for {} from {realm}: {e}", self.domain))
        };
        if self.credentials.is_some() && realm.starts_with("http://") && !self.base.starts_with("http://") {
            return Err(failed(&"it would take the password without TLS; ask the registry's operator"));
        }
        let answer = if let Some(Credentials::Identity(identity)) = &self.credentials {
            let joined = scopes.join(" ");
            fields.extend([("grant_type", "refresh_token"), ("refresh_token", identity), ("client_id", CLIENT)]);
            fields.push(("scope", &joined));
            let request = Request::post(realm).header("Content-Type", "application/x-www-form-urlencoded");
            request.body(query(&fields)).map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
        } else {
            fields.extend(scopes.iter().map(|scope| ("scope", *scope)));
            if let Some(Credentials::Password { user, .. }) = &self.credentials {
                fields.push(("account", user));
            }
            if self.identity.is_some() {
                fields.extend([("offline_token", "true"), ("client_id", CLIENT)]);
            }
            let mark = if realm.contains('?') { '&' } else { '?' };
            let mut request = Request::get(format!("{realm}{mark}{}", query(&fields)));
            if let Some(header) = self.credentials.as_ref().and_then(auth::basic) {
                request = request.header("Authorization", header);
            }
            request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
        };
        let answer = answer.map_err(|e| failed(&e))?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(self.denied("incorrect username or password"));
            }
            status => return Err(failed(&status)),
        }
        let bytes = contents(answer, MOST_ANSWER).map_err(|e| failed(&e))?;
        let answer: TokenAnswer = serde_json::from_slice(&bytes).map_err(|e| failed(&e))?;
        if let Some(identity) = &self.identity {
            *identity.lock().unwrap_or_else(PoisonError::into_inner) = answer.identity();
        }
        answer.token().ok_or_else(|| failed(&"it answered without one"))
    }

    /// What an answer that is no success means.
    pub(super) fn refused(&self, answer: Response<Body>) -> Error {
        #[derive(serde::Deserialize, Default)]
        struct Answer {
            #[serde(default)]
            errors: Vec<Part>,
        }
        #[derive(serde::Deserialize)]
        struct Part {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
        }
        let status = answer.status();
        let text = contents(answer, 64 << 10).unwrap_or_default();
        let parsed: Answer = serde_json::from_slice(&text).unwrap_or_default();
        let said = parsed.errors.into_iter().next().map(|part| {
            let code = part.code.to_lowercase().replace('_', " ");
            format!("{code}: {}", part.message)
        });
        let said = crate::engine::image::shown(&said.unwrap_or_else(|| status.to_string()));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(&said),
            StatusCode::NOT_FOUND => Error::not_found(said),
            _ => Error::new(Kind::System, format!("{} answered: {said}", self.base)),
        }
    }

    fn denied(&self, why: &str) -> Error {
        let name = &self.repository;
        let hint = format!("may require 'mini-docker login {}'", self.domain);
        if name.is_empty() {
            return Error::new(Kind::Denied, format!("login attempt to {} failed: {why}", self.base));
        }
        Error::new(Kind::Denied, format!("access denied for {name}, repository does not exist or {hint}: {why}"))
    }

    fn unreachable(&self, cause: &ureq::Error) -> Error {
        let hint = match cause {
            ureq::Error::HostNotFound => "; is the name right, and is there a network?",
            e if is_about_tls(e) => {
                "; for a registry of your own put its authority's certificate into /etc/mini-docker/certs.d/HOST[:PORT]/ca.crt \
                 (and yours, where it asks for one, into client.cert and client.key), or its name into \
                 insecure-registries of /etc/mini-docker/config.json"
            }
            _ => "; is the registry up?",
        };
        Error::new(Kind::System, format!("reach {}: {cause}{hint}", self.base))
    }
}

/// Whether `target` is on the server `base`.
fn is_below(target: &str, base: &str) -> bool {
    target.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

fn query(fields: &[(&str, &str)]) -> String {
    fields.iter().map(|(key, value)| format!("{key}={}", auth::escape(value))).collect::<Vec<_>>().join("&")
}

/// All of an answer, if it is not more than `most` bytes.
pub(super) fn contents(answer: Response<Body>, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    answer.into_body().into_reader().take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("the answer has more than {most} bytes")));
    }
    Ok(bytes)
}

fn is_bad_moment(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// Whether the two do not trust each other: what the TLS library says of that may come as an error of reading.
fn is_about_tls(error: &ureq::Error) -> bool {
    match error {
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => true,
        ureq::Error::Io(e) => e.kind() == io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// Whether the next attempt may do better.
fn is_passing(error: &ureq::Error) -> bool {
    match error {
        e if is_about_tls(e) => false,
        ureq::Error::Io(e) => e.kind() != io::ErrorKind::ConnectionRefused,
        ureq::Error::Timeout(_) | ureq::Error::Protocol(_) | ureq::Error::ConnectionFailed => true,
        _ => false,
    }
}

/// At most a minute: who has to wait longer wants to know.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get("Retry-After")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}

fn agent(config: &Config, endpoint: &Endpoint, domain: &str) -> Result<Agent> {
    // Not for names, whose resolver has its own (resolv.conf(5)): it would take a thread, and panic where there is none.
    let timeout = Some(config.timeout());
    let settings = Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("mini-docker/", env!("CARGO_PKG_VERSION")))
        .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
        .tls_config(tls(domain, endpoint.insecure)?)
        .input_buffer_size(256 << 10)
        .output_buffer_size(256 << 10)
        .max_idle_connections_per_host(8)
        .timeout_connect(timeout)
        .timeout_per_read(timeout)
        .timeout_per_write(timeout)
        .timeout_recv_response(Some(patience(config)))
        .timeout_recv_body(Some(patience(config)))
        .build();
    Ok(Agent::new_with_config(settings))
}

fn patience(config: &Config) -> Duration {
    config.timeout().saturating_mul(SILENCES)
}
