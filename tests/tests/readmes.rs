//! The stages' READMEs tell the truth: every command in their console blocks is run, and says what they say it does.
//! [`tests::transcript`] says how; `UPDATE_READMES=1 cargo test -p tests --test readmes` writes what commands say now.

use tests::transcript::{Place, name, stages, steps, wrong};

/// The fewest commands that show a stage.
const FEWEST: usize = 3;

#[test]
fn every_stage_is_shown() {
    for stage in stages() {
        let text = std::fs::read_to_string(stage.join("README.md")).expect("a README");
        let found = steps(&text).len();
        assert!(found >= FEWEST, "{}: {found} commands in the README, {FEWEST} are the fewest", name(&stage));
    }
}

#[test]
fn every_command_says_what_the_readme_says() {
    assert!(nix::unistd::geteuid().is_root(), "the READMEs' commands are run as root");
    let place = Place::make();
    let wrong: String = stages().iter().map(|stage| wrong(&place, &stage.join("README.md"))).collect();
    assert!(wrong.is_empty(), "\n{wrong}");
}
