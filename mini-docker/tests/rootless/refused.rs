//! What an ordinary user cannot have, and the words for it.

use tests::ordinary_user::OrdinaryUser;

use crate::{BINARY, RUN, START, user};

#[test]
fn without_subordinate_ids_there_is_a_line_to_add() {
    let mut user = OrdinaryUser::new(BINARY);
    user.has_ids = false;
    let refused = user.run(&["ps"]).refused(1);
    assert!(refused.contains("find ids of ordinary in /etc/subuid"), "{refused}");
    assert!(refused.contains("add a line of ids that are nobody's, such as ordinary:"), "{refused}");
    let doctor = user.run(&["doctor"]);
    assert_eq!(doctor.code, 1);
    assert!(doctor.out.contains("missing  subordinate ids"), "{doctor:?}");
}

#[test]
fn a_limit_that_cannot_be_kept_is_refused_and_the_default_is_not() {
    let user = user();
    assert_eq!(user.run(&[&RUN[..], &["bb:latest", "echo", "x"]].concat()).ok(), "x\n");
    for limit in ["--memory=64m", "--cpus=1", "--pids-limit=100"] {
        let refused = user.run(&[&RUN[..], &[limit, "bb:latest", "true"]].concat()).refused(125);
        assert!(refused.contains("delegated") && refused.contains("systemd-run --user"), "{refused}");
    }
    user.run(&[&START[..], &["--name", "one", "bb:latest", "sleep", "100"]].concat()).ok();
    let refused = user.run(&["pause", "one"]).refused(1);
    assert!(refused.contains("none was delegated to you"), "{refused}");
    let refused = user.run(&[&RUN[..], &["--pid", "host", "bb:latest", "true"]].concat()).refused(125);
    assert!(refused.contains("needs a cgroup"), "{refused}");
}

#[test]
fn networks_take_root() {
    let user = user();
    for command in [&["network", "create", "net"][..], &["run", "--rm", "--network", "net", "bb:latest", "true"]] {
        let said = user.run(command);
        assert!(said.code != 0 && said.err.contains("without root there are no networks"), "{said:?}");
    }
    let alias = ["run", "--rm", "--network", "pasta", "--network-alias", "x", "bb:latest", "true"];
    assert!(user.run(&alias).refused(125).contains("--network-alias: without root there are no networks"));
    let listed = user.run(&["network", "ls", "--format", "{{.Name}}"]).ok();
    assert_eq!(listed, "host\nnone\n");
}

#[test]
fn the_doctor_knows_what_is_missing() {
    let mut user = OrdinaryUser::new(BINARY);
    user.hidden = ["/usr/bin/pasta", "/usr/bin/slirp4netns", "/usr/bin/newuidmap"].map(Into::into).into();
    let doctor = user.run(&["doctor"]);
    assert_eq!(doctor.code, 1, "{doctor:?}");
    for line in ["missing  newuidmap", "missing  user namespace", "warning  cgroup", "warning  network: neither pasta"]
    {
        assert!(doctor.out.contains(line), "{line}: {doctor:?}");
    }
}
