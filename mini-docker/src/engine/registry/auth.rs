//! How a registry asks who we are, and what we answer (the distribution specification's token authentication, RFC 7235).

use serde::Deserialize;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::credentials::Credentials;

/// What a registry asks for in `WWW-Authenticate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token from somewhere else.
    Bearer {
        /// Where the token comes from.
        realm: String,
        /// For whom it is.
        service: Option<String>,
        /// What it allows.
        scope: Option<String>,
    },
}

/// What a token server answers.
#[derive(Debug, Deserialize)]
pub(crate) struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
}

impl TokenAnswer {
    /// What further tokens can be had with.
    pub(crate) fn identity(&self) -> Option<String> {
        Some(self.refresh_token.clone()).filter(|token| is_plain(token))
    }

    /// The token, by either of its names.
    pub(crate) fn token(self) -> Option<String> {
        [self.token, self.access_token].into_iter().find(|token| is_plain(token))
    }
}

/// Nothing in a header may end it.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| (0x21..0x7f).contains(&b))
}

impl Challenge {
    /// Reads a header; `None` for a scheme that is not known.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut fields = parameters(rest);
        let mut take = |key: &str| {
            let at = fields.iter().position(|(name, _)| name.eq_ignore_ascii_case(key))?;
            Some(fields.swap_remove(at).1)
        };
        Some(Self::Bearer { realm: take("realm")?, service: take("service"), scope: take("scope") })
    }
}

/// `name="value", name=value`.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',', '\t']).to_owned();
        let value;
        if let Some(quoted) = after.strip_prefix('"') {
            let mut text = String::new();
            let mut characters = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, c)) = characters.next() {
                match c {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => text.extend(characters.next().map(|(_, c)| c)),
                    c => text.push(c),
                }
            }
            value = text;
            rest = &quoted[end..];
        } else {
            let (plain, after) = after.split_once(',').unwrap_or((after, ""));
            value = plain.trim().to_owned();
            rest = after;
        }
        found.push((name, value));
    }
    found
}

/// The header for a name and a password.
pub(super) fn basic(credentials: &Credentials) -> Option<String> {
    match credentials {
        Credentials::Password { user, password } => {
            Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        }
        Credentials::Identity(_) | Credentials::Token(_) => None,
    }
}

/// A value in a query, or in a form.
pub fn escape(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let header = r#"Bearer realm="https://auth.x/token?a=1,2",service="r\"x",scope="repository:a/b:pull,push""#;
        let Some(Challenge::Bearer { realm, service, scope }) = Challenge::parse(header) else {
            panic!("no challenge")
        };
        assert_eq!((realm.as_str(), service.as_deref()), ("https://auth.x/token?a=1,2", Some("r\"x")));
        assert_eq!(scope.as_deref(), Some("repository:a/b:pull,push"));
        assert_eq!(Challenge::parse("basic realm=x"), Some(Challenge::Basic));
        for none in ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "Bearer realm"] {
            assert_eq!(Challenge::parse(none), None, "{none}");
        }
        assert!(Challenge::parse("Bearer realm=\"open").is_some());
        assert_eq!(escape("a b/c:é"), "a%20b%2Fc%3A%C3%A9");
    }

    #[test]
    fn a_token_cannot_end_its_header() {
        let token = |text: &str| serde_json::from_str::<TokenAnswer>(text).unwrap().token();
        assert_eq!(token(r#"{"access_token":"x"}"#).as_deref(), Some("x"));
        assert_eq!(token(r#"{"token":"a\r\nHost: b"}"#), None);
        assert_eq!(token("{}"), None);
    }
}
