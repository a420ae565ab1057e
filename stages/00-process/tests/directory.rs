//! The working directory, which is made where it is missing.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use process::{Errno, Process, WorkingDirectory};
use tempfile::tempdir;
use tests::container::{List, Ran, command, run, start};

fn in_directory(path: &Path) -> Process {
    let directory = WorkingDirectory::new(path).unwrap();
    Process { primitives: vec![Box::new(directory)], ..command(&["pwd", "-P"]) }
}

fn pwd(path: &Path) -> Ran {
    run(List::new(), in_directory(path))
}

#[test]
fn the_program_starts_there() {
    let dir = tempdir().unwrap();
    assert_eq!(pwd(dir.path()).out, format!("{}\n", dir.path().display()));
    assert_eq!(pwd(Path::new("/")).out, "/\n");
}

#[test]
fn what_is_missing_is_made_with_mode_0755() {
    let dir = tempdir().unwrap();
    let deep = dir.path().join("a/b/c");
    assert_eq!(pwd(&deep).out, format!("{}\n", deep.display()));
    for path in [dir.path().join("a"), deep] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o755);
    }
}

#[test]
fn a_file_in_the_way_is_reported() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = start(List::new(), in_directory(&path)).err().expect("a file is no directory");
        assert_eq!((error.primitive, error.errno), ("directory", Errno::ENOTDIR));
        assert!(error.doing.starts_with("chdir"), "{error}");
    }
}

#[test]
fn the_process_enters_after_the_container() {
    let dir = tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
    let container: List = vec![Box::new(WorkingDirectory::new(&first).unwrap())];
    assert_eq!(run(container, in_directory(&second)).out, format!("{}\n", second.display()));
    assert!(first.exists());
}
