//! SECURITY.md promises nothing that no test proves.

use std::{fs, path::Path};

/// What stands between backticks in the last column of the table.
fn proofs(line: &str) -> impl Iterator<Item = &str> {
    line.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default().split('`').skip(1).step_by(2)
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(workspace.join("SECURITY.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10, "the table of promises is gone");
    let mut missing = Vec::new();
    for row in rows {
        assert!(proofs(row).next().is_some(), "nothing proves this: {row}");
        for proof in proofs(row) {
            let (file, name) = proof.split_once("::").unwrap_or((proof, ""));
            let source = fs::read_to_string(workspace.join(file)).unwrap_or_default();
            // An attack has a sentence for its name, a test is a function.
            let is_there = match name.strip_prefix('"') {
                Some(sentence) => source.contains(&format!("\"{sentence}")),
                None if name.is_empty() => source.contains("pub(crate) fn attacks()"),
                // Between the two there may be more attributes.
                None => source.split("#[test]").skip(1).any(|test| {
                    test.lines()
                        .find(|line| line.starts_with("fn "))
                        .is_some_and(|line| line.starts_with(&format!("fn {name}(")))
                }),
            };
            if !is_there {
                missing.push(proof);
            }
        }
    }
    assert!(missing.is_empty(), "SECURITY.md names what is not there: {missing:#?}");
}
