//! Memory that processes share (mmap(2)), what this one does not need any more, and what others see of it.

use std::{
    fs,
    os::fd::{AsRawFd, BorrowedFd},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU64, Ordering},
};

use nix::{errno::Errno, sys::stat::fstat};

/// The first eight bytes of a file, as they are now: whoever writes to the file changes them here.
#[derive(Debug)]
pub struct SharedWord(NonNull<AtomicU64>);

impl SharedWord {
    /// Maps a file that is open for reading. It must not become shorter as long as this lives: to look at what is gone
    /// would end the process (SIGBUS).
    ///
    /// # Errors
    /// EINVAL: the file has no eight bytes.
    pub fn map(file: BorrowedFd) -> Result<Self, Errno> {
        if fstat(file)?.st_size < size_of::<AtomicU64>() as i64 {
            return Err(Errno::EINVAL);
        }
        let (length, descriptor) = (size_of::<AtomicU64>(), file.as_raw_fd());
        // SAFETY: a new mapping at an address of the kernel's choice changes no memory that is there.
        let address = unsafe { libc::mmap(ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, descriptor, 0) };
        if address == libc::MAP_FAILED {
            Err(Errno::last())
        } else {
            NonNull::new(address.cast()).map(Self).ok_or(Errno::EFAULT)
        }
    }

    /// The eight bytes. What was done before they were written can be seen by whoever sees them.
    pub fn load(&self) -> u64 {
        // SAFETY: a mapping begins at a page, lives until drop, and the file holds the eight bytes, as `map` has seen.
        unsafe { self.0.as_ref() }.load(Ordering::Acquire)
    }
}

impl Drop for SharedWord {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's alone, and nobody has a reference into it any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<AtomicU64>()) };
    }
}

/// Gives the kernel back what has been freed (malloc_trim(3)): for a process that has done most of its work and stays.
pub fn trim_memory() {
    // SAFETY: it takes whole pages from between what is allocated, and locks the allocator meanwhile.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// Where the kernel has this process's arguments, and behind them its environment, for all who look into
/// /proc/PID/cmdline and /proc/PID/environ (proc(5)). A fork has them at the same place.
#[derive(Debug, Clone, Copy)]
pub struct CommandLine {
    start: usize,
    /// Bytes of the arguments, the last one's null byte among them.
    arguments: usize,
    /// Bytes of both.
    all: usize,
}

impl CommandLine {
    /// That of this process. Allocates.
    ///
    /// # Errors
    /// What reading /proc/self/stat brings; ENODATA where that does not say.
    pub fn find() -> Result<Self, Errno> {
        let text = fs::read("/proc/self/stat").map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO)))?;
        let text = String::from_utf8_lossy(&text);
        // The second field is the program's name, in brackets, with anything in it.
        let (_, fields) = text.rsplit_once(')').ok_or(Errno::ENODATA)?;
        let field = |number: usize| fields.split_whitespace().nth(number - 3)?.parse::<usize>().ok();
        let (Some(start), Some(end), Some(next), Some(last)) = (field(48), field(49), field(50), field(51)) else {
            return Err(Errno::ENODATA);
        };
        if start == 0 || end <= start {
            return Err(Errno::ENODATA);
        }
        // What is not right behind belongs to somebody else.
        let all = if next == end && last >= end { last - start } else { end - start };
        Ok(Self { start, arguments: end - start, all })
    }

    /// The arguments alone: who changes no more than that may read his environment as before.
    #[must_use]
    pub fn without_environment(self) -> Self {
        Self { all: self.arguments, ..self }
    }

    /// Puts `text`, as much of it as there is room for, in the place of both: for a process that has one thread, and reads
    /// neither again.
    pub fn replace(self, text: &[u8]) {
        let length = text.len().min(self.all - 1);
        let place = self.start as *mut u8;
        // SAFETY: the kernel keeps `all` bytes there on the first stack, which stays mapped and writable as long as the
        // process lives; by the caller's word there is one thread, and it has no reference into them.
        unsafe {
            ptr::write_bytes(place, 0, self.all);
            ptr::copy_nonoverlapping(text.as_ptr(), place, length);
            if length + 1 < self.arguments {
                // By a last byte that is not null the kernel knows that the text is one string, and ends it at its null
                // byte (fs/proc/base.c, get_mm_cmdline).
                ptr::write(place.add(self.arguments - 1), b' ');
            }
        }
    }

    /// As [`CommandLine::replace`], as long as what this returns lives; who is cloned meanwhile keeps it. Allocates.
    pub fn cover(self, text: &[u8]) -> Covered {
        let mut before = vec![0; self.all];
        // SAFETY: as in `replace`.
        unsafe { ptr::copy_nonoverlapping(self.start as *const u8, before.as_mut_ptr(), self.all) };
        self.replace(text);
        Covered { place: self.start, before }
    }
}

/// That a process's command line is covered, and its environment.
#[derive(Debug)]
pub struct Covered {
    place: usize,
    before: Vec<u8>,
}

impl Drop for Covered {
    fn drop(&mut self) {
        // SAFETY: as in `CommandLine::replace`; that is where they came from.
        unsafe { ptr::copy_nonoverlapping(self.before.as_ptr(), self.place as *mut u8, self.before.len()) };
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write, os::fd::AsFd, os::unix::fs::FileExt};

    use super::*;

    #[test]
    fn what_is_written_to_the_file_is_seen() {
        let path = std::env::temp_dir().join(format!("shared-word-{}", std::process::id()));
        let mut file = File::create(&path).unwrap();
        assert_eq!(SharedWord::map(File::open(&path).unwrap().as_fd()).unwrap_err(), Errno::EINVAL);
        file.write_all(&7_u64.to_ne_bytes()).unwrap();
        let word = SharedWord::map(File::open(&path).unwrap().as_fd()).unwrap();
        assert_eq!(word.load(), 7);
        file.write_at(&8_u64.to_ne_bytes(), 0).unwrap();
        assert_eq!(word.load(), 8);
        fs::remove_file(&path).unwrap();
        assert_eq!(word.load(), 8);
    }
}
