//! A root filesystem to start containers from, small and made without a network.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

/// Fills the directory `dir` with a static busybox, a link for each of its applets, and the directories and files that
/// programs expect.
///
/// # Panics
/// Without /bin/busybox or /usr/bin/busybox, and where `dir` cannot be written.
pub fn busybox(dir: &Path) {
    let program = ["/bin/busybox", "/usr/bin/busybox"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists())
        .expect("no busybox: apt-get install busybox-static");
    // A directory of `tempfile` is for its owner alone; a container's users differ.
    mode(dir, 0o755);
    for name in ["bin", "etc", "proc", "sys", "dev", "root", "home", "var"] {
        fs::create_dir(dir.join(name)).expect("mkdir");
    }
    fs::create_dir(dir.join("tmp")).expect("mkdir");
    mode(&dir.join("tmp"), 0o1777);
    copy_program(program, dir.join("bin/busybox"));
    let list = Command::new(program).arg("--list").output().expect("busybox --list");
    let list = String::from_utf8(list.stdout).expect("applets have plain names");
    for applet in list.lines().filter(|name| *name != "busybox") {
        symlink("busybox", dir.join("bin").join(applet)).expect("symlink");
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nweb:x:33:34::/srv:/bin/sh\n";
    fs::write(dir.join("etc/passwd"), passwd).expect("write /etc/passwd");
    fs::write(dir.join("etc/group"), "root:x:0:\nnogroup:x:65534:\nwww:x:34:\nlog:x:50:web\n")
        .expect("write /etc/group");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

/// The same as a tar archive.
///
/// # Panics
/// As [`busybox`].
pub fn busybox_tar(archive: &Path) {
    let dir = tempfile::tempdir().expect("make a directory");
    busybox(dir.path());
    let mut tar = tar::Builder::new(fs::File::create(archive).expect("create the archive"));
    tar.follow_symlinks(false);
    tar.append_dir_all(".", dir.path()).expect("write the archive");
    tar.finish().expect("write the archive");
}

/// Copies a program that is to be run. By a process of its own: a descriptor that is open to write here would live on for
/// a moment in what other threads fork, and the kernel runs no program that somebody may write (ETXTBSY).
pub fn copy_program(from: impl AsRef<Path>, to: impl AsRef<Path>) {
    let copied = Command::new("cp").arg(from.as_ref()).arg(to.as_ref()).status();
    assert!(copied.expect("cp").success(), "copy {} to {}", from.as_ref().display(), to.as_ref().display());
}

/// Writes a program that is to be run, for the same reason by a process of its own.
///
/// # Panics
/// Where it cannot be written.
pub fn write_program(path: &Path, text: &str, mode: u32) {
    let written = Command::new("sh").args(["-c", "printf %s \"$1\" >\"$0\""]).arg(path).arg(text).status();
    assert!(written.expect("sh").success(), "write {}", path.display());
    self::mode(path, mode);
}
