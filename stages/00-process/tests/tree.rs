//! A walk through a tree that is deep, or changes meanwhile.

use std::{
    ffi::CStr,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::symlink,
    },
    path::Path,
};

use nix::{
    dir::Type,
    fcntl::{OFlag, open, openat},
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        stat::{Mode, mkdirat},
    },
};
use process::{Visitor, remove_tree, walk};

const DEEP: usize = 1000;

fn open_directory(path: &Path) -> OwnedFd {
    open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).unwrap()
}

/// Makes directories in each other, and opens the last.
fn make_deep(path: &Path, levels: usize) -> OwnedFd {
    let mut at = open_directory(path);
    for _ in 0..levels {
        mkdirat(&at, "directory", Mode::S_IRWXU).unwrap();
        at = openat(&at, "directory", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
    }
    at
}

type Act = Box<dyn FnMut(&str)>;

#[derive(Default)]
struct Met {
    names: Vec<String>,
    left: usize,
    on_meeting: Option<Act>,
}

impl Visitor for Met {
    fn meet(&mut self, _: BorrowedFd, name: &CStr, kind: Option<Type>) -> io::Result<bool> {
        let name = name.to_str().unwrap();
        self.names.push(name.to_owned());
        if let Some(act) = &mut self.on_meeting {
            act(name);
        }
        Ok(kind.is_none_or(|kind| kind == Type::Directory))
    }

    fn leave(&mut self, _: Option<BorrowedFd>, _: &CStr) -> io::Result<()> {
        self.left += 1;
        Ok(())
    }
}

#[test]
fn a_tree_deeper_than_there_are_descriptors_is_walked_and_removed() {
    // This test's process has others' threads in it: they need few.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.min(256), hard).unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path().join("root");
    fs::create_dir(&root).unwrap();
    let last = make_deep(&root, DEEP);
    let file = openat(&last, "file", OFlag::O_CREAT | OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::S_IRUSR);
    drop((file.unwrap(), last));
    // After the way back up the rest of the upper directories is still to come.
    fs::create_dir_all(root.join("directory/other/inside")).unwrap();
    let mut met = Met::default();
    walk(open_directory(&root), &mut met).unwrap();
    assert_eq!((met.names.len(), met.left), (DEEP + 3, DEEP + 2));
    assert!(["file", "inside"].iter().all(|name| met.names.iter().any(|met| met == name)));
    remove_tree(&root).unwrap();
    assert!(!root.exists());
    assert_eq!(remove_tree(&root).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_link_that_takes_the_place_of_a_directory_is_neither_followed_nor_emptied() {
    let temporary = tempfile::tempdir().unwrap();
    let (root, outside) = (temporary.path().join("root"), temporary.path().join("outside"));
    fs::create_dir_all(root.join("directory")).unwrap();
    fs::create_dir(&outside).unwrap();
    File::create(outside.join("of the host")).unwrap();
    let (directory, target) = (root.join("directory"), outside.clone());
    let swap = move |name: &str| {
        if name == "directory" {
            fs::remove_dir(&directory).unwrap();
            symlink(&target, &directory).unwrap();
        }
    };
    let mut met = Met { on_meeting: Some(Box::new(swap)), ..Met::default() };
    walk(open_directory(&root), &mut met).unwrap();
    assert_eq!((met.names, met.left), (vec!["directory".to_owned()], 0));
    remove_tree(&root).unwrap();
    assert!(outside.join("of the host").exists());
    // Nor the root itself.
    symlink(&outside, &root).unwrap();
    remove_tree(&root).unwrap();
    assert!(fs::symlink_metadata(&root).is_err() && outside.join("of the host").exists());
}

#[test]
fn the_way_back_from_a_directory_that_was_moved_leads_to_no_other() {
    let temporary = tempfile::tempdir().unwrap();
    let (root, outside) = (temporary.path().join("root"), temporary.path().join("outside"));
    fs::create_dir_all(root.join("other")).unwrap();
    fs::create_dir(&outside).unwrap();
    File::create(outside.join("of the host")).unwrap();
    let last = make_deep(&root, DEEP);
    mkdirat(&last, "last", Mode::S_IRWXU).unwrap();
    // From where the walk is, out of the tree.
    let mut above: OwnedFd = open_directory(&root);
    for _ in 0..DEEP - 100 {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        above = openat(&above, "directory", flags, Mode::empty()).unwrap();
    }
    let to = open_directory(&outside);
    let moved = move |name: &str| {
        if name == "last" {
            nix::fcntl::renameat(above.as_fd(), "directory", to.as_fd(), "moved").unwrap();
        }
    };
    let mut met = Met { on_meeting: Some(Box::new(moved)), ..Met::default() };
    walk(open_directory(&root), &mut met).unwrap();
    assert!(!met.names.iter().any(|name| name == "of the host"));
    assert_eq!((met.names.len(), met.left), (DEEP + 2, DEEP + 2));
    for tree in [root, outside] {
        remove_tree(&tree).unwrap();
    }
}
