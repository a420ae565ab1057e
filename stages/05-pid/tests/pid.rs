//! A container sees and reaches its own processes only, and takes them all with it.

use std::process::Command;

use pid::PidNamespace;
use tests::container::{List, image, namespace, own_namespace, run, script_as_nobody, sh, shell, start, with_init};

fn list() -> List {
    vec![Box::new(PidNamespace)]
}

#[test]
fn the_program_is_process_1_and_2_behind_an_init() {
    assert_eq!(sh(list(), "echo $$"), "1\n");
    assert_eq!(run(list(), with_init(shell("echo $$ $PPID"))).out, "2 1\n");
    let mut outside = start(List::new(), shell("echo $$; exec sleep 20")).unwrap();
    let pid = outside.child.pid;
    outside.wait_for(&format!("{pid}\n"));
    let mut inside = start(list(), shell("echo ready; exec sleep 20")).unwrap();
    inside.wait_for("ready");
    assert_ne!(namespace(inside.child.pid, "pid"), own_namespace("pid"));
}

#[test]
fn a_process_of_the_host_cannot_be_signalled() {
    let mut sleeper = Command::new("sleep").arg("20").spawn().unwrap();
    let attack = format!("kill -9 {}", sleeper.id());
    assert_ne!(run(list(), shell(&attack)).code, 0, "there is no such process inside");
    assert!(sleeper.try_wait().unwrap().is_none(), "it lives");
    assert_eq!(run(List::new(), shell(&attack)).code, 0, "without the stage the attack succeeds");
    assert!(!sleeper.wait().unwrap().success());
}

#[test]
fn the_end_of_process_1_ends_all_others() {
    // The sleeper has the output open: were it to stay, the test would not see the end of it.
    assert_eq!(run(list(), shell("setsid sleep 300 & exit 3")).code, 3);
    assert_eq!(run(list(), with_init(shell("setsid sleep 300 & exit 3"))).code, 3);
}

#[test]
fn the_binary_works_without_root() {
    let image = image();
    let ran = script_as_nobody(env!("CARGO_BIN_EXE_stage-05-pid"), image.path(), "echo $$; exit 7");
    assert_eq!((ran.code, ran.out.as_str()), (7, "2\n"));
}
