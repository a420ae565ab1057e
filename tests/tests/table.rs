//! stages/README.md's table is true, and every stage is one: a primitive with a README, tests and a program.
//!
//! `UPDATE_READMES=1 cargo test -p tests --test table` writes the table anew.

use std::{fs, path::Path};

use tests::table::{Stage, costs, render};

const BEGIN: &str = "<!-- stages: from the Cargo.toml and the source of each, by tests/tests/table.rs -->\n";
const END: &str = "<!-- end -->\n";
/// The most lines of code that a stage's library has: what can be read at one sitting.
const MOST: usize = 250;

/// Libraries that are longer, each with its reason.
const LONGER: &[(&str, &str)] = &[
    ("00-process", "the core, which every stage builds on, with the system calls of all"),
    ("01-rootfs", "the primitive is small; to unpack a hostile archive faithfully is not"),
    ("08-mount", "a good third is the table of what every container has mounted"),
    (
        "09-overlay",
        "layers come in three ways: from the parent, from a user namespace, and idmapped on old and new kernels",
    ),
    ("14-seccomp", "the primitive is small; the compiler of Docker's profiles and its tables of names are not"),
    ("16-cgroup", "two versions of everything: where it is, what it is called, how it is read"),
    ("19-subids", "whose ids are whose: by /etc/subuid for users, and among all containers of the machine at once"),
    ("21-bridge", "a cable has two ends, an address two families, and all of it is messages"),
    ("23-ports", "Docker's notation, the port itself, and the map in the kernel"),
    ("24-dns", "the primitive is small; a resolver that cannot be lied to, drowned or looped is not"),
];

/// Libraries with another number of primitives than one, each with its reason.
const SEVERAL: &[(&str, usize, &str)] = &[
    (
        "00-process",
        3,
        "a working directory, and the namespaces of a container that runs: all, one, or that which owns them",
    ),
    ("07-network", 2, "what a program without rights may do in a network of its own"),
    ("10-tty", 2, "a session without a terminal is the first half of one with"),
];

fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn stages() -> Vec<Stage> {
    Stage::all(workspace()).unwrap_or_else(|missing| panic!("\n{missing}"))
}

#[test]
fn the_table_says_what_is_so() {
    let path = workspace().join("stages/README.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark of the table's beginning");
    let (said, after) = rest.split_once(END).expect("the mark of the table's end");
    let table = render(&stages(), &costs(workspace()));
    if said != table && std::env::var_os("UPDATE_READMES").is_some() {
        fs::write(&path, [before, BEGIN, &table, END, after].concat()).unwrap();
        return;
    }
    assert!(said == table, "UPDATE_READMES=1 cargo test -p tests --test table writes it anew; it is now\n{table}");
}

#[test]
fn a_stage_is_a_primitive_with_a_readme_tests_and_a_program() {
    let mut wrong = Vec::new();
    for stage in stages() {
        for file in ["README.md", "src/lib.rs", "src/main.rs", "tests"] {
            if !stage.directory.join(file).exists() {
                wrong.push(format!("{}: no {file}", stage.name));
            }
        }
        let (lines, primitives) = (stage.lines(), stage.primitives());
        if (lines > MOST) != LONGER.iter().any(|(name, _)| *name == stage.name) {
            wrong
                .push(format!("{}: {lines} lines of code; {MOST} are the most without a reason in LONGER", stage.name));
        }
        let allowed = SEVERAL.iter().find(|(name, ..)| *name == stage.name).map_or(1, |(_, number, _)| *number);
        if primitives != allowed {
            wrong.push(format!("{}: {primitives} primitives in place of {allowed}", stage.name));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_key_that_is_missing_is_named() {
    let place = tempfile::tempdir().unwrap();
    let stage = place.path().join("stages/42-answer");
    fs::create_dir_all(&stage).unwrap();
    let manifest =
        "[package]\nname = \"x\"\n[package.metadata.stage]\nprimitive = \"p\"\nlinux = \"1\"\nroot = \"no\"\n";
    fs::write(stage.join("Cargo.toml"), manifest).unwrap();
    let missing = Stage::all(place.path()).unwrap_err();
    assert_eq!(missing, "stages/42-answer/Cargo.toml: [package.metadata.stage] lacks calls, stops, replaced_by\n");
}
