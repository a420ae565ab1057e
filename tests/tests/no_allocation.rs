//! Between clone and exec the child allocates nothing: in a copy of a process with threads, the allocator's lock may
//! be held by a thread that does not exist.
//!
//! The allocator of this program ends every process but the first one. A harness would start threads: there is none.
#![allow(unsafe_code)]

mod full;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    process::ExitCode,
    sync::atomic::{AtomicI32, Ordering},
};

use full::Users;
use nix::libc;
use process::{Errno, Host, Inside, Journal, Primitive, Process};
use tests::container::{List, image, start_on};
use tty::Session;

struct Watched;

static PARENT: AtomicI32 = AtomicI32::new(0);
/// An exit code that nothing else here has. Not SIGABRT: process 1 of a namespace is deaf to its own.
const CAUGHT: i32 = 99;

fn watch() {
    let parent = PARENT.load(Ordering::Relaxed);
    // SAFETY: getpid has no preconditions.
    if parent != 0 && unsafe { libc::getpid() } != parent {
        let message = b"the child of the clone uses the allocator\n";
        // SAFETY: pointer and length are those of one array; _exit has no preconditions.
        unsafe {
            libc::write(2, message.as_ptr().cast(), message.len());
            libc::_exit(CAUGHT);
        }
    }
}

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        watch();
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        watch();
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

/// Does one thing in `enter`.
struct Does(fn() -> Result<(), Errno>);

impl Primitive for Does {
    fn name(&self) -> &'static str {
        "does"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        (self.0)()
    }
}

fn allocates() -> Result<(), Errno> {
    drop(std::hint::black_box(vec![1_u8, 2, 3]));
    Ok(())
}

fn host(traced: bool) -> Host {
    let mut host = Host::new(Journal::in_memory());
    if traced {
        host.explain();
    }
    host
}

/// Whether it is traced, whether it has an init, whose ids it has.
fn ways() -> impl Iterator<Item = (bool, bool, Users)> {
    Users::ALL.into_iter().flat_map(|users| (0..4).map(move |bits| (bits & 1 != 0, bits & 2 != 0, users)))
}

fn an_allocation_is_caught() {
    for (traced, init, _) in ways() {
        let container: List = vec![Box::new(Does(allocates))];
        let ran = start_on(host(traced), container, full::script("exit 0", init));
        // A child that dies on its way looks like one that has become its program: its code tells.
        assert_eq!(ran.expect("it ends like a program").finish().code, CAUGHT);
    }
}

fn no_primitive_allocates() {
    let image = image();
    for (traced, init, users) in ways() {
        let base = tempfile::tempdir().unwrap();
        let container = full::container(users, image.path(), &base.path().join("overlay"));
        let process = Process { die_with_parent: true, ..full::process(full::script("true & wait; echo ran", init)) };
        let ran = start_on(host(traced), container, process).unwrap().finish();
        assert_eq!((ran.code, ran.out.as_str()), (0, "ran\n"), "traced {traced}, init {init}, {users:?}");
    }
    for (traced, init, _) in ways() {
        let chroot: Box<dyn Primitive> = Box::new(chroot::Chroot::new(image.path()).unwrap());
        let ran = start_on(host(traced), vec![chroot, Box::new(Session)], full::script("exit 7", init));
        assert_eq!(ran.unwrap().finish().code, 7);
    }
}

fn no_failure_allocates() {
    let image = image();
    for (traced, init, users) in ways() {
        for position in 0.. {
            let base = tempfile::tempdir().unwrap();
            let mut container = full::container(users, image.path(), &base.path().join("overlay"));
            let mut process = full::process(full::script("exit 0", init));
            let fails = Box::new(Does(|| Err(Errno::EDOM)));
            if position <= container.len() {
                container.insert(position, fails);
            } else if position - container.len() <= process.primitives.len() {
                process.primitives.insert(position - container.len(), fails);
            } else {
                break;
            }
            let error = start_on(host(traced), container, process).err().expect("its child fails");
            assert_eq!((error.primitive, error.errno), ("does", Errno::EDOM), "at {position}");
        }
        let scratch = tempfile::tempdir().unwrap();
        for failure in full::failures(image.path(), scratch.path()) {
            let process = Process { init, ..failure.process };
            let error = start_on(host(traced), failure.container, process).err().expect("its child fails");
            assert_eq!((error.primitive, error.errno), (failure.primitive, failure.errno));
        }
    }
}

fn main() -> ExitCode {
    PARENT.store(nix::unistd::getpid().as_raw(), Ordering::Relaxed);
    let all: [(&str, fn()); 3] = [
        ("an_allocation_is_caught", an_allocation_is_caught),
        ("no_primitive_allocates", no_primitive_allocates),
        ("no_failure_allocates", no_failure_allocates),
    ];
    for (name, test) in all {
        test();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}
