//! `search`: names of repositories by words in them. Only registries with Docker's first interface can.

use serde::Deserialize;

use super::{
    auth::escape,
    client::{Call, Client, contents},
    config::Config,
};
use crate::engine::{
    error::{Error, Result},
    image::{config::MOST_BYTES, shown},
    reference::DEFAULT_DOMAIN,
};

/// A repository that was found.
#[derive(Debug, Clone, Deserialize)]
pub struct Hit {
    /// Its name.
    pub name: String,
    /// What its owner says of it.
    #[serde(default)]
    pub description: Option<String>,
    /// How many like it.
    #[serde(default)]
    pub star_count: u64,
    /// Whether it is the registry's own.
    #[serde(default)]
    pub is_official: bool,
    /// Whether the registry builds it.
    #[serde(default)]
    pub is_automated: bool,
}

/// Searches the registry that `term` begins with, or else Docker's own. At most `limit` hits, 1 to 100.
pub fn search(term: &str, limit: u32) -> Result<Vec<Hit>> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        results: Vec<Hit>,
    }
    if !(1..=100).contains(&limit) {
        return Err(Error::invalid(format!("invalid limit {limit}: it is 1 to 100")));
    }
    let (domain, words) = match term.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (super::domain_of(Some(first))?, rest)
        }
        _ => (DEFAULT_DOMAIN.to_owned(), term),
    };
    let config = Config::read()?;
    let endpoint = config.search_endpoint(&domain);
    let client = Client::connect(&config, &endpoint, &domain, "", "")?;
    let target = format!("/v1/search?q={}&n={limit}", escape(words));
    let answer = client.expect(&Call::get(&target, &[]))?;
    let bytes = contents(answer, MOST_BYTES).map_err(|e| Error::system("read the search's results", &e))?;
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|e| Error::invalid(format!("read the search's results: {e}")))?;
    let safe = |hit: Hit| Hit {
        name: shown(&hit.name),
        description: hit.description.map(|text| shown(&text.replace(['\n', '\r', '\t'], " "))),
        ..hit
    };
    Ok(answer.results.into_iter().take(limit as usize).map(safe).collect())
}
