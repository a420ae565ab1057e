//! Who the program is.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use ids::Ids;
use process::Process;
use tests::container::{List, Ran, image, run, script_as_nobody, script_as_root, shell};

const STAGE: &str = env!("CARGO_BIN_EXE_stage-11-ids");

fn as_user(ids: Ids, script: &str) -> Ran {
    run(List::new(), Process { primitives: vec![Box::new(ids)], ..shell(script) })
}

fn ids(uid: u32, gid: u32, groups: &[u32]) -> Ids {
    Ids { uid, gid, groups: groups.to_vec(), ..Ids::default() }
}

fn fields(status: &str, name: &str) -> Vec<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.split_whitespace().map(|number| u64::from_str_radix(number, 16).unwrap()).collect()
}

#[test]
fn all_ids_are_those_asked_for() {
    let status = as_user(ids(0x1234, 0x99, &[0x50, 0x7, 0x600]), "exec cat /proc/self/status").out;
    // The test reads all fields as hexadecimal numbers: of ids it gives decimal ones.
    let decimal = |name| -> Vec<String> { fields(&status, name).iter().map(|n| format!("{n:x}")).collect() };
    assert_eq!(decimal("Uid:"), ["4660"; 4]);
    assert_eq!(decimal("Gid:"), ["153"; 4]);
    assert_eq!(decimal("Groups:"), ["7", "80", "1536"]);
    assert_eq!(fields(&status, "CapEff:"), [0], "no capability is left");
    assert_eq!(fields(&status, "CapPrm:"), [0]);
    let without = run(List::new(), shell("exec cat /proc/self/status")).out;
    assert_eq!(fields(&without, "Uid:"), [0; 4]);
}

/// Whether a file of `mode`, owner 5 and group 7, can be read.
fn can_read(mode: u32, ids: Option<Ids>) -> bool {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    chown(&file, Some(5), Some(7)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
    let primitives: List = ids.into_iter().map(|ids| Box::new(ids) as _).collect();
    run(List::new(), Process { primitives, ..shell(&format!("cat {}", file.display())) }).code == 0
}

#[test]
fn a_file_of_somebody_else_cannot_be_read() {
    assert!(can_read(0o600, None), "root reads everything");
    assert!(!can_read(0o600, Some(ids(1000, 1000, &[]))));
    assert!(can_read(0o600, Some(ids(5, 1000, &[]))));
}

#[test]
fn groups_are_those_given_and_no_others() {
    assert!(can_read(0o640, Some(ids(1000, 7, &[]))));
    assert!(can_read(0o640, Some(ids(1000, 1000, &[7]))));
    assert!(!can_read(0o640, Some(ids(1000, 1000, &[8, 9]))));
}

#[test]
fn there_is_no_way_back_to_root() {
    let ran =
        as_user(ids(1000, 1000, &[]), "setpriv --reuid=0 id -u; setpriv --regid=0 id -g; setpriv --groups=0 id -G");
    assert!(ran.code != 0 && !ran.out.lines().any(|line| line == "0"), "{ran:?}");
}

#[test]
fn the_kernel_s_largest_number_of_groups_is_taken() {
    let groups: Vec<u32> = (1..=65536).collect();
    let ran = as_user(ids(1000, 1000, &groups), "id -G | wc -w");
    // `id` may add the primary group to its list.
    assert!(["65536\n", "65537\n"].contains(&ran.out.trim_start()), "{ran:?}");
}

#[test]
fn the_binary_runs_the_program_as_an_ordinary_user() {
    let image = image();
    let ran = script_as_root(STAGE, image.path(), "id -u; id -g; id -G; touch /root-only || exit 7");
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.out.starts_with("1000\r\n1000\r\n1000\r\n"), "{ran:?}");
    assert!(ran.out.contains("Permission denied"), "{ran:?}");
}

#[test]
fn the_binary_needs_root_and_says_so() {
    let ran = script_as_nobody(STAGE, Path::new("/"), "true");
    assert!(ran.code == 125 && ran.out.contains("needs root"), "{ran:?}");
}
