//! Reading ahead: who inflates an archive and who writes its files are two threads, and two processors share the work.

use std::{
    io::{self, Read},
    mem,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// Bytes that are handed over at once.
const CHUNK: usize = 256 << 10;
/// Chunks that one thread may be ahead of the other.
const CHUNKS: usize = 4;

/// Hands `consume` what a thread of its own reads from `source`.
///
/// The thread has ended when this returns. It notices only between two reads that nobody wants more.
pub(super) fn read_ahead<T>(mut source: impl Read + Send, consume: impl FnOnce(&mut Ahead) -> T) -> T {
    let (filled, chunks) = sync_channel(CHUNKS);
    let (used, empty) = sync_channel(CHUNKS + 1);
    thread::scope(|scope| {
        let refused = filled.clone();
        let produced = thread::Builder::new().spawn_scoped(scope, move || produce(&mut source, &filled, &empty));
        if let Err(e) = produced {
            let e = io::Error::new(e.kind(), format!("start a thread to inflate the layer: {e}"));
            let _ = refused.send(Err(e));
        }
        // Or the reader would wait for it after the last.
        drop(refused);
        let mut ahead = Ahead { chunks, used, chunk: Vec::new(), position: 0 };
        consume(&mut ahead)
    })
}

fn produce(source: &mut impl Read, filled: &SyncSender<io::Result<Vec<u8>>>, empty: &Receiver<Vec<u8>>) {
    loop {
        let mut chunk = empty.try_recv().unwrap_or_default();
        chunk.clear();
        let read = source.by_ref().take(CHUNK as u64).read_to_end(&mut chunk);
        // What came before an error counts too.
        let last = !matches!(read, Ok(CHUNK));
        let whole = filled.send(Ok(chunk)).is_ok();
        if let Err(e) = read {
            // Nobody may be listening.
            let _ = filled.send(Err(e));
        }
        if last || !whole {
            return;
        }
    }
}

/// The reading end.
pub(super) struct Ahead {
    chunks: Receiver<io::Result<Vec<u8>>>,
    used: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    position: usize,
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.chunk.len() {
            // The other thread has ended, and with it what there was to read.
            let Ok(next) = self.chunks.recv() else { return Ok(0) };
            // It allocates anew where none comes back.
            let _ = self.used.try_send(mem::replace(&mut self.chunk, next?));
            self.position = 0;
        }
        let rest = &self.chunk[self.position..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.position += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a little at a time, and then an error or the end.
    struct Source {
        left: usize,
        broken: bool,
    }

    impl Read for Source {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = self.left.min(buffer.len()).min(10_007);
            if length == 0 && self.broken {
                return Err(io::Error::other("broken"));
            }
            buffer[..length].fill(b'x');
            self.left -= length;
            Ok(length)
        }
    }

    #[test]
    fn all_of_it_comes_through() {
        for bytes in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 20 * CHUNK + 3] {
            let mut all = Vec::new();
            read_ahead(Source { left: bytes, broken: false }, |ahead| ahead.read_to_end(&mut all)).unwrap();
            assert_eq!(all.len(), bytes);
        }
    }

    #[test]
    fn an_error_comes_after_what_was_read_before_it() {
        for bytes in [0, 5, CHUNK, 3 * CHUNK + 1] {
            let mut all = Vec::new();
            let read = read_ahead(Source { left: bytes, broken: true }, |ahead| ahead.read_to_end(&mut all));
            assert_eq!((read.unwrap_err().to_string().as_str(), all.len()), ("broken", bytes));
        }
    }

    #[test]
    fn who_stops_reading_ends_it() {
        let endless = Source { left: usize::MAX, broken: false };
        assert_eq!(read_ahead(endless, |ahead| ahead.read(&mut [0; 10])).unwrap(), 10);
    }
}
