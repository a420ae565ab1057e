//! Another root directory, which is no prison.

use std::fs;

use chroot::Chroot;
use process::Primitive;
use tests::{
    breakout::Breakout,
    container::{List, image, run, script_as_nobody, script_as_root, sh, shell},
};

const STAGE: &str = env!("CARGO_BIN_EXE_stage-02-chroot");

fn chroot(root: &std::path::Path) -> Box<dyn Primitive> {
    Box::new(Chroot::new(root).unwrap())
}

#[test]
fn the_root_and_the_working_directory_are_the_image_s() {
    let image = image();
    fs::write(image.path().join("only-here"), "").unwrap();
    assert_eq!(sh(vec![chroot(image.path())], "pwd; ls -d /only-here"), "/\n/only-here\n");
    assert_ne!(run(List::new(), shell("ls -d /only-here")).code, 0);
}

#[test]
fn a_file_of_the_host_has_no_name_inside() {
    let (image, outside) = (image(), tempfile::tempdir().unwrap());
    let secret = outside.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let read = format!("cat {}", secret.display());
    assert_eq!(sh(List::new(), &read), "secret");
    assert_ne!(run(vec![chroot(image.path())], shell(&read)).code, 0);
}

#[test]
fn who_may_chroot_walks_out_again() {
    let (image, outside) = (image(), tempfile::tempdir().unwrap());
    let secret = outside.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let list: List = vec![chroot(image.path()), Box::new(Breakout)];
    // The same attack fails in stage 08.
    assert_eq!(sh(list, &format!("cat {}", secret.display())), "secret");
}

#[test]
fn the_binary_needs_root_and_says_so() {
    let image = image();
    let ran = script_as_nobody(STAGE, image.path(), "true");
    assert_eq!(ran.code, 125);
    assert!(ran.out.contains("EPERM") && ran.out.contains("CAP_SYS_CHROOT"), "{}", ran.out);
    assert_eq!(script_as_root(STAGE, image.path(), "exit 7").code, 7);
    assert_eq!(script_as_root(STAGE, std::path::Path::new("/nonexistent"), "true").code, 125);
}
