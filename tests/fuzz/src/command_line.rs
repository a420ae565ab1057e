//! What users type: flags and templates.

use mini_docker::{
    engine::{
        filter::Filters,
        select::{KEYS, PRUNE_KEYS},
    },
    fuzz,
};
use ports::Publish;

use crate::{names_devices, one_line, text};

/// Flags with a language of their own.
const FLAGS: [&str; 7] = ["--mount", "--network", "--publish", "--volume", "--tmpfs", "--ulimit", "--device"];
/// Words that are tried as values of flags.
const MOST_WORDS: usize = 14;

/// A command line, a word a line; and each word as the value of a flag.
pub(crate) fn target(data: &[u8]) {
    let Some(source) = text(data).filter(|source| !names_devices(source)) else { return };
    let words: Vec<String> = source.lines().map(str::to_owned).collect();
    // Which files there are is not what is tested.
    let reads = |word: &String| ["file", "seccomp=", "completion", "man"].iter().any(|part| word.contains(part));
    if !words.iter().any(reads)
        && let Err(error) = fuzz::command_line(&words)
    {
        one_line(&error);
    }
    for (word, flag) in words.iter().zip(FLAGS.into_iter().cycle()).take(MOST_WORDS) {
        if let Ok(publish) = word.parse::<Publish>() {
            let (first, last) = (*publish.container.start(), *publish.container.end());
            assert!(1 <= first && first <= last, "{word:?} is {publish:?}");
        }
        let _ = fuzz::command_line(&["create".to_owned(), format!("{flag}={word}"), "bb".to_owned()]);
    }
    for keys in [&KEYS[..], &PRUNE_KEYS] {
        let Ok(filters) = Filters::parse(&words, keys) else { continue };
        filters.found_in("name", "one-two");
        filters.labels(&[("a".to_owned(), "b".to_owned())].into());
        let _ = filters.until();
        for key in keys {
            let _ = filters.switch(key);
        }
    }
}

/// `--format`, with a document of each type of data.
pub(crate) fn template(data: &[u8]) {
    let Some(source) = text(data) else { return };
    let document = serde_json::json!({
        "Id": "0123456789abcdef", "Name": "/one", "Created": "2026-01-02T15:04:05Z", "Args": ["-c", "true", "é"],
        "State": { "Running": true, "Pid": 4711, "ExitCode": -1, "Health": null }, "RestartCount": 0,
        "Config": { "Labels": { "a.b": "c", "d": "" }, "Env": null, "Cmd": [] }, "Size": 1.5, "Big": u64::MAX,
        "NetworkSettings": { "Networks": { "bridge": { "IPAddress": "172.17.0.2" } }, "Ports": { "80/tcp": [{ "HostPort": "1" }] } },
    });
    if let Err(error) = fuzz::template(source, &document) {
        assert!(error.starts_with("template: "), "{error}");
    }
}
