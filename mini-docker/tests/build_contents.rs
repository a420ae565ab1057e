//! A COPY whose files nobody has touched is known without reading them; one that has changed is never taken for known.
//! Linux 6.5 and newer.

use std::{
    fs::{self, File},
    io::Write,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use nix::unistd::{chown, syncfs};
use tests::{
    disk::Disk,
    engine::{Engine, Said, eventually},
};

/// An engine, and a context on a disk of its own.
struct Scene {
    disk: Disk,
    engine: Engine,
}

impl Scene {
    /// `None`, and a word why, where there is no loop device.
    fn new(dockerfile: &str) -> Option<Self> {
        let scene = Self { disk: Disk::new(64)?, engine: Engine::new(env!("CARGO_BIN_EXE_mini-docker")) };
        fs::create_dir(scene.context()).unwrap();
        fs::write(scene.context().join("Dockerfile"), dockerfile).unwrap();
        fs::create_dir(scene.file("")).unwrap();
        Some(scene)
    }

    fn context(&self) -> PathBuf {
        self.disk.path().join("context")
    }

    /// A file that is copied.
    fn file(&self, name: &str) -> PathBuf {
        self.context().join("files").join(name)
    }

    fn build(&self) -> Said {
        self.engine.run(&["build", "-t", "t", self.context().to_str().unwrap()])
    }

    /// What the image has at a place, built from what is there now.
    fn built(&self, path: &str) -> String {
        assert_eq!(self.build().code, 0);
        self.engine.run(&["run", "--rm", "--network", "none", "t", "cat", path]).ok()
    }

    fn records(&self) -> Vec<PathBuf> {
        let all = fs::read_dir(self.engine.root().join("build/contents")).into_iter().flatten();
        all.map(|entry| entry.unwrap().path()).collect()
    }

    /// Builds until what was built is known without reading it: once the files' last change is a while ago.
    fn learn(&self) {
        let old: Vec<_> = self.records().iter().map(|path| fs::read(path).unwrap()).collect();
        syncfs(File::open(self.disk.path()).unwrap()).unwrap();
        eventually("the content is known", || {
            assert_eq!(self.build().code, 0);
            let new: Vec<_> = self.records().iter().map(|path| fs::read(path).unwrap()).collect();
            !new.is_empty() && new != old
        });
    }

    /// The files of the context that a build opens.
    fn opened(&self) -> Vec<String> {
        let trace = self.engine.path("trace");
        let command = self.engine.command(&["build", "-q", "-t", "t", self.context().to_str().unwrap()]);
        let mut traced = Command::new("strace");
        traced.args(["-f", "-y", "-e", "trace=openat,openat2", "-o"]).arg(&trace);
        traced.arg(command.get_program()).args(command.get_args()).env("MINI_DOCKER_ROOT", self.engine.root());
        assert!(traced.stdout(Stdio::null()).status().expect("strace of the package strace").success());
        let text = fs::read_to_string(&trace).unwrap();
        let files = self.file("").display().to_string();
        let names = text.lines().filter_map(|line| line.rsplit_once('<')?.1.split_once('>'));
        names
            .filter(|(name, _)| Path::new(name).is_file() && name.starts_with(&files))
            .map(|(n, _)| n.to_owned())
            .collect()
    }
}

/// Writes other bytes of the same length, and sets the times back.
fn forge(path: &Path, text: &str) {
    let before = fs::metadata(path).unwrap();
    fs::write(path, text).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let after = fs::metadata(path).unwrap();
    let seen = |found: &fs::Metadata| (found.ino(), found.len(), found.mtime(), found.mtime_nsec());
    assert_eq!(seen(&before), seen(&after), "only the bytes and the time of change differ");
}

#[test]
fn a_file_that_changed_is_read_whatever_its_times_and_size_say() {
    let Some(scene) = Scene::new("FROM bb\nCOPY files /\n") else { return };
    fs::write(scene.file("f"), "one").unwrap();
    symlink("f", scene.file("l")).unwrap();
    assert_eq!(scene.built("/f"), "one");
    scene.learn();
    assert_eq!(scene.opened(), [""; 0]);

    forge(&scene.file("f"), "two");
    assert_eq!((scene.built("/f").as_str(), scene.opened().len()), ("two", 1));

    scene.learn();
    let other = scene.file("../other");
    fs::write(&other, "333").unwrap();
    let times = fs::metadata(scene.file("f")).unwrap().modified().unwrap();
    File::options().write(true).open(&other).unwrap().set_modified(times).unwrap();
    fs::rename(&other, scene.file("f")).unwrap();
    assert_eq!(scene.built("/f"), "333");

    scene.learn();
    let before = fs::symlink_metadata(scene.file("l")).unwrap().modified().unwrap();
    fs::write(scene.file("g"), "444").unwrap();
    fs::remove_file(scene.file("l")).unwrap();
    symlink("g", scene.file("l")).unwrap();
    assert!(fs::symlink_metadata(scene.file("l")).unwrap().modified().unwrap() > before);
    assert_eq!(scene.built("/l"), "444");

    scene.learn();
    fs::set_permissions(scene.file("f"), fs::Permissions::from_mode(0o700)).unwrap();
    scene.build();
    assert_eq!(scene.engine.run(&["run", "--rm", "t", "stat", "-c", "%a", "/f"]).ok(), "700\n");

    scene.learn();
    process::sys::set_xattr(File::open(scene.file("f")).unwrap().as_fd(), c"user.mark", b"x").unwrap();
    assert!(!scene.build().err.contains(" CACHED"), "an attribute is content too");

    fs::create_dir(scene.file("d")).unwrap();
    scene.build();
    process::sys::set_xattr(File::open(scene.file("d")).unwrap().as_fd(), c"user.mark", b"x").unwrap();
    assert!(!scene.build().err.contains(" CACHED"), "and so is that of a directory");
    let layers = fs::read_dir(scene.engine.root().join("layers")).unwrap().flatten();
    let marked = |path: PathBuf| {
        File::open(path).is_ok_and(|it| process::sys::get_xattr(it.as_fd(), c"user.mark", &mut [0; 9]) == Ok(1))
    };
    assert!(layers.map(|layer| layer.path().join("fs/d")).any(marked), "which is copied");

    // Times alone are none.
    scene.learn();
    File::options().write(true).open(scene.file("f")).unwrap().set_modified(SystemTime::now()).unwrap();
    assert!(scene.build().err.contains(" CACHED"));
    assert_eq!(scene.engine.leaks(), Vec::<String>::new());
}

/// Between the change and the build there may be less than a tick of the clock that times are from.
#[test]
fn a_change_is_seen_however_soon_the_build_comes() {
    let Some(scene) = Scene::new("FROM bb\nCOPY files /\n") else { return };
    fs::write(scene.file("f"), "000").unwrap();
    for number in 0..10 {
        forge(&scene.file("f"), &format!("{number:03}"));
        assert_eq!(scene.built("/f"), format!("{number:03}"));
    }
}

/// Maps the file that it is given, and writes each line that it reads to it.
const MAPPER: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
int main(int n, char **names) {
    char line[9], *map = mmap(0, 3, PROT_READ | PROT_WRITE, MAP_SHARED, open(names[1], O_RDWR), 0);
    while (fgets(line, sizeof line, stdin)) {
        for (int i = 0; i < 3; i++) map[i] = line[i];
        puts("written"), fflush(stdout);
    }
}
"#;

/// The kernel learns of the first write to a page alone, until it is on the disk.
#[test]
fn a_write_to_mapped_memory_is_seen_though_it_leaves_no_time() {
    let Some(scene) = Scene::new("FROM bb\nCOPY files /\n") else { return };
    let (source, program) = (scene.engine.path("mapper.c"), scene.engine.path("mapper"));
    fs::write(&source, MAPPER).unwrap();
    assert!(Command::new("cc").arg("-o").arg(&program).arg(source).status().unwrap().success(), "cc");
    fs::write(scene.file("f"), "old").unwrap();
    let mut child =
        Command::new(program).arg(scene.file("f")).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut answers = std::io::BufRead::lines(std::io::BufReader::new(output));
    let mut write = |text: &str| {
        input.write_all(format!("{text}\n").as_bytes()).unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), "written");
    };
    write("one");
    let changed = || fs::metadata(scene.file("f")).unwrap().ctime();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    eventually("the change is a while ago", || now() > changed() + 3);
    assert_eq!(scene.built("/f"), "one");
    let before = changed();
    write("two");
    assert_eq!(changed(), before, "no time tells of it");
    assert_eq!(scene.built("/f"), "two");
    scene.learn();
    write("333");
    assert_eq!(scene.built("/f"), "333");
    drop(input);
    child.wait().unwrap();
}

#[test]
fn what_is_known_is_not_needed_and_goes_with_the_cache() {
    let Some(scene) = Scene::new("FROM bb AS made\nCOPY files /\nFROM bb\nCOPY --from=made /f /f\n") else { return };
    fs::write(scene.file("f"), "one").unwrap();
    eventually("both contents are known", || {
        scene.learn();
        scene.records().len() == 2
    });
    for text in ["", "{", "null", "[]", r#"{"state":1}"#] {
        scene.records().iter().for_each(|path| fs::write(path, text).unwrap());
        assert_eq!(scene.built("/f"), "one", "{text}");
        assert_eq!(scene.engine.run(&["check"]).code, 0);
        assert_eq!(scene.opened(), [""; 0], "they are made anew");
    }
    // Read at a time that has not come: the clock was set back.
    for path in scene.records() {
        let text = fs::read_to_string(&path).unwrap();
        let year = text.find(r#""read": "2"#).unwrap() + 9;
        fs::write(&path, format!("{}9999{}", &text[..year], &text[year + 4..])).unwrap();
    }
    assert_eq!(scene.opened().len(), 1);
    scene.engine.run(&["builder", "prune", "-f", "--filter", "id=none"]).ok();
    assert!(scene.records().is_empty());
    assert_eq!(scene.built("/f"), "one");
}

/// A COPY from a stage that is cached does not even mount it.
/// Of the main context nobody's files have owners; of another one they have, though it is the same directory.
#[test]
fn what_is_known_of_one_context_is_not_taken_for_another_s() {
    let Some(scene) = Scene::new("FROM bb\nCOPY files/f /f\n") else { return };
    fs::write(scene.file("f"), "text").unwrap();
    chown(&scene.file("f"), Some(5.into()), Some(6.into())).unwrap();
    scene.learn();
    fs::write(scene.context().join("Dockerfile"), "FROM bb\nCOPY --from=other files/f /f\n").unwrap();
    let context = scene.context().display().to_string();
    scene.engine.run(&["build", "-q", "-t", "t", "--build-context", &format!("other={context}"), &context]).ok();
    let owners = scene.engine.run(&["run", "--rm", "--network", "none", "t", "stat", "-c", "%u:%g", "/f"]).ok();
    assert_eq!(owners, "5:6\n");
}

#[test]
fn files_of_a_stage_are_known_by_its_layers() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let context = engine.path("context");
    fs::create_dir(&context).unwrap();
    let build = |text: &str| {
        let dockerfile = format!("FROM bb AS made\nRUN echo {text} > /f\nFROM bb\nCOPY --from=made /f /f\n");
        fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        engine.run(&["build", "-q", "-t", "t", context.to_str().unwrap()]).ok();
        engine.run(&["run", "--rm", "t", "cat", "/f"]).ok()
    };
    for text in ["one", "two", "one"] {
        assert_eq!(build(text), format!("{text}\n"));
    }
    let trace = engine.path("trace");
    let command = engine.command(&["build", "-q", "-t", "t", context.to_str().unwrap()]);
    let mut traced = Command::new("strace");
    traced.args(["-f", "-e", "trace=fsopen,fsmount,mount", "-o"]).arg(&trace);
    traced.arg(command.get_program()).args(command.get_args()).env("MINI_DOCKER_ROOT", engine.root());
    assert!(traced.stdout(Stdio::null()).status().expect("strace of the package strace").success());
    let text = fs::read_to_string(&trace).unwrap();
    assert!(!text.contains("fsopen("), "{text}");
}
