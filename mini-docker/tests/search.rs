//! `search`, in a registry whose answers are made up.

use tests::{
    engine::Engine,
    registry::{Answer, Fake},
};

const RESULTS: &str = r#"{"num_results": 2, "results": [
    {"name": "box", "description": "A description that is much longer than what a table has room for", "star_count": 7,
     "is_official": true, "is_automated": false},
    {"name": "me/box", "description": "two\nlines\u001b[31m", "star_count": 2, "is_official": false, "is_automated": true}]}"#;

fn search(limit: u32, arguments: &[&str]) -> tests::engine::Said {
    let engine = Engine::empty(env!("CARGO_BIN_EXE_mini-docker"));
    let fake = Fake::start();
    fake.put(&format!("/v1/search?q=a%20box&n={limit}"), Answer::new("application/json", RESULTS));
    let term = format!("{}/a box", fake.address);
    engine.run(&[&["search", &term], arguments].concat())
}

#[test]
fn results_are_a_table() {
    let out = search(25, &[]).ok();
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), 3, "{out}");
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]);
    assert!(lines[1].contains("A description that is much longer than what \u{2026}"), "{out}");
    assert!(lines[1].ends_with("[OK]"), "{out}");
    // What a registry says cannot drive a terminal.
    assert!(lines[2].contains("two lines\\u{1b}[31m"), "{out}");
    assert!(search(25, &["--no-trunc"]).ok().contains("than what a table has room for"));
}

#[test]
fn filters_formats_and_limits_are_dockers() {
    assert_eq!(search(25, &["--format", "{{.Name}} {{.StarCount}}", "--filter", "stars=3"]).ok(), "box 7\n");
    assert_eq!(search(25, &["--format", "{{.Name}}", "-f", "is-official=false"]).ok(), "me/box\n");
    assert_eq!(search(1, &["--format", "{{.Name}}", "--limit", "1"]).ok(), "box\n");
    assert!(search(25, &["--limit", "101"]).refused(1).contains("invalid limit 101"));
    assert!(search(25, &["-f", "size=1"]).refused(1).contains("invalid filter"));
}
