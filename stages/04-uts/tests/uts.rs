//! A host name of the container's own.

use nix::unistd::gethostname;
use tests::container::{List, image, namespace, own_namespace, script_as_nobody, sh, shell, start};
use uts::Uts;

fn own() -> String {
    gethostname().unwrap().into_string().unwrap()
}

#[test]
fn the_name_inside_is_the_container_s_and_the_host_keeps_its_own() {
    let before = own();
    assert_eq!(sh(List::new(), "uname -n"), format!("{before}\n"));
    let list = || -> List { vec![Box::new(Uts::new("of-the-container"))] };
    assert_eq!(sh(list(), "uname -n"), "of-the-container\n");
    let longest = "x".repeat(64);
    assert_eq!(sh(vec![Box::new(Uts::new(longest.as_str()))], "uname -n"), format!("{longest}\n"));
    assert_eq!(own(), before);
    let domain = "cat /proc/sys/kernel/domainname";
    let hosts = sh(List::new(), domain);
    assert_eq!(sh(vec![Box::new(Uts::new("x").domain("example.org"))], domain), "example.org\n");
    assert_eq!((sh(list(), domain), sh(List::new(), domain)), (hosts.clone(), hosts));
    let long = start(vec![Box::new(Uts::new("x").domain("x".repeat(65)))], shell("true")).err().unwrap().to_string();
    assert!(long.contains("setdomainname") && long.contains("at most 64"), "{long}");
    let mut running = start(list(), shell("echo ready; exec sleep 20")).unwrap();
    running.wait_for("ready");
    assert_ne!(namespace(running.child.pid, "uts"), own_namespace("uts"));
}

#[test]
fn the_binary_works_without_root_and_lets_root_inside_rename() {
    let (image, before) = (image(), own());
    let stage = env!("CARGO_BIN_EXE_stage-04-uts");
    let ran = script_as_nobody(stage, image.path(), "hostname; hostname renamed; hostname");
    assert_eq!((ran.code, ran.out.as_str()), (0, "container\nrenamed\n"));
    assert_eq!(own(), before);
}
