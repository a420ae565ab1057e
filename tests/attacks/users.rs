//! Lists of users in an image.

use std::path::Path;

use tar::EntryType;
use tests::archive::Maker;

use crate::{
    attack::{Attack, Outcome, Scene},
    files::{image, image_with},
};

/// As Docker before 1.11 read them: a name first.
fn naive_uid(passwd: &str, user: &str) -> Option<u32> {
    let entry =
        passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|entry| entry.first() == Some(&user));
    entry?.get(2)?.parse().ok()
}

const NAMED_LIKE_A_NUMBER: &str = "root:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\n";

pub(crate) fn attacks() -> Vec<Attack> {
    vec![
        Attack::new(
            ("users", "root is called 1000 in the image's list"),
            "CVE-2016-3697",
            "the list read as Docker did",
            |scene| {
                if !scene.is_on() {
                    return Outcome::of(naive_uid(NAMED_LIKE_A_NUMBER, "1000") == Some(0), "uid 0");
                }
                from(scene, |maker| maker.file("etc/passwd", NAMED_LIKE_A_NUMBER.as_bytes()), "1000", "0")
            },
        ),
        Attack::new(
            ("users", "the group root is called 1000 in the image's list"),
            "CVE-2016-3697",
            "the list read as Docker did",
            |scene| {
                if !scene.is_on() {
                    return Outcome::of(naive_uid("1000:x:0:\n", "1000") == Some(0), "gid 0");
                }
                if !scene.target.is_engine() {
                    return Outcome::Not("it knows no names".to_owned());
                }
                let image = image(scene, "users", |maker| maker.file("etc/group", b"1000:x:0:\n"));
                let said = scene.target.engine(&["run", "--rm", "-u", "1:1000", &image, "id", "-g"]);
                Outcome::of(said.out.trim() == "0", said.out + &said.err)
            },
        ),
        Attack::new(("users", "an id of -1, which the kernel takes for none"), "", "the id taken as it is", |scene| {
            let list = "evil:x:4294967295:4294967295::/:/bin/sh\n";
            if !scene.is_on() {
                return Outcome::of(naive_uid(list, "evil") == Some(u32::MAX), "uid -1");
            }
            // setuid(-1) fails, or leaves root root.
            from(scene, |maker| maker.file("etc/passwd", list.as_bytes()), "evil", "0")
        }),
        Attack::new(("users", "an id beyond 32 bits"), "", "the id cut to 32 bits", |scene| {
            if !scene.is_on() {
                return Outcome::of(4_294_967_296_u64 as u32 == 0, "uid 0");
            }
            from(scene, |maker| maker.file("etc/passwd", b"evil:x:4294967296:0::/:/bin/sh\n"), "evil", "0")
        }),
        Attack::new(
            ("users", "an image's user is a number beyond 32 bits"),
            "CVE-2024-40635",
            "the id cut to 32 bits",
            large_number,
        ),
        Attack::new(
            ("users", "the list is a link to one of the host's"),
            "CVE-2018-15664",
            "the path joined to the root's",
            |scene| {
                let list = scene.path("passwd");
                std::fs::write(&list, "evil:x:66:66::/:/bin/sh\n").expect("write");
                let target = list.to_str().expect("a UTF-8 path").to_owned();
                if !scene.is_on() {
                    let root = scene.path("root");
                    std::fs::create_dir(&root).expect("mkdir");
                    std::os::unix::fs::symlink(&target, root.join("passwd")).expect("symlink");
                    let read = std::fs::read_to_string(root.join("passwd")).unwrap_or_default();
                    return Outcome::of(naive_uid(&read, "evil") == Some(66), "uid 66");
                }
                from(scene, |maker| maker.symlink("etc/passwd", &target), "evil", "66")
            },
        ),
        Attack::new(
            ("users", "the list is a pipe, which nobody writes to"),
            "CVE-2024-9676",
            "a plain open",
            |scene| {
                if !scene.is_on() {
                    let pipe = scene.path("pipe");
                    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
                    return Outcome::of(hangs(&["cat", pipe.to_str().expect("a UTF-8 path")]), "it waits for ever");
                }
                hanging(scene, |maker| maker.edited(EntryType::Fifo, "etc/passwd", "", b"", |_| {}))
            },
        ),
        Attack::new(("users", "the list is endless"), "CVE-2024-9676", "a plain read", |scene| {
            if !scene.is_on() {
                return Outcome::of(hangs(&["sh", "-c", "cat /dev/zero >/dev/null"]), "it reads for ever");
            }
            hanging(scene, |maker| maker.symlink("etc/passwd", "/dev/zero"))
        }),
    ]
}

fn large_number(scene: &Scene) -> Outcome {
    if !scene.is_on() {
        return Outcome::of(4_294_967_296_u64 as u32 == 0, "uid 0");
    }
    if !scene.target.is_engine() {
        return Outcome::Not("it knows no images".to_owned());
    }
    let mut all = String::new();
    let users = ["4294967296", "4294967296:4294967296", "18446744073709551616", "-4294967296"];
    for (at, user) in users.into_iter().enumerate() {
        let image = image_with(scene, &format!("user{at}-"), &[&format!("USER {user}")], |maker| maker);
        let said = scene.target.engine(&["run", "--rm", &image, "id", "-u"]);
        let flag = scene.target.engine(&["run", "--rm", "-u", user, "bb", "id", "-u"]);
        if said.out.trim() == "0" || flag.out.trim() == "0" {
            return Outcome::Through(format!("{user}: uid 0"));
        }
        all += &(said.err + &flag.err);
    }
    Outcome::Stopped(all)
}

/// Whether `user` is `wanted` in a container of such an image.
fn from(scene: &Scene, add: impl FnOnce(Maker) -> Maker, user: &str, wanted: &str) -> Outcome {
    if !scene.target.is_engine() {
        return Outcome::Not("it knows no names".to_owned());
    }
    let image = image(scene, "users", add);
    let said = scene.target.engine(&["run", "--rm", "-u", user, &image, "id", "-u"]);
    Outcome::of(said.out.trim() == wanted, said.out + &said.err)
}

/// Whether a container of such an image neither starts nor is refused in a few seconds.
fn hanging(scene: &Scene, add: impl FnOnce(Maker) -> Maker) -> Outcome {
    if !scene.target.is_engine() {
        return Outcome::Not("it knows no names".to_owned());
    }
    let image = image(scene, "users", add);
    let command = scene.target.command(&["run", "--rm", "-u", "evil", &image, "true"]);
    let said = tests::engine::output(within(&command), b"");
    // timeout(1) dies of the signal that it had to send to what does not end when it is asked to.
    Outcome::of(matches!(said.status.code(), None | Some(124)), String::from_utf8_lossy(&said.stderr))
}

fn hangs(command: &[&str]) -> bool {
    let mut limited = std::process::Command::new("timeout");
    limited.arg("0.3").args(command);
    limited.stdin(std::process::Stdio::null()).status().is_ok_and(|status| status.code() == Some(124))
}

/// The command, ended after ten seconds with 124.
fn within(command: &std::process::Command) -> std::process::Command {
    let mut limited = std::process::Command::new("timeout");
    limited.args(["--kill-after=1", "10"]).arg(Path::new(command.get_program())).args(command.get_args());
    for (key, value) in command.get_envs() {
        limited.env(key, value.unwrap_or_default());
    }
    limited.stdin(std::process::Stdio::null());
    limited
}
