//! Memory that processes share (mmap(2)), and what this one does not need any more.

use std::{
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
        std::fs::remove_file(&path).unwrap();
        assert_eq!(word.load(), 8);
    }
}
