//! gzip, zstd or neither, by the first bytes.
//!
//! One function, so that a caller can put a digest between the compressed and the uncompressed side: an OCI image
//! names a layer by the SHA-256 of each.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use crate::error::Error;

/// What a compressed file begins with, its name, and the program that undoes it.
const KNOWN: [(&[u8], &str, &str); 2] = [(b"\xfd7zXZ\x00", "xz", "xz"), (b"BZh", "bzip2", "bzip2")];
/// RFC 8878, section 3.1.1.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// RFC 1952, section 2.3.1: ID1, ID2, and the only method there is.
const GZIP: &[u8] = b"\x1f\x8b\x08";
/// 2 to this power bytes of memory at most for a frame: what the zstd program allows too.
const LARGEST_WINDOW: u32 = 27;
/// The longest of them.
const MAGIC: usize = 6;
/// Bytes read at once: a compromise between system calls and cache.
const BUFFER: usize = 64 << 10;

type Source<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

/// The uncompressed bytes of an archive. A new format is one more variant.
pub struct Decompressed<R: Read>(Format<R>);

enum Format<R: Read> {
    Plain(Source<R>),
    // On the heap, because the tables of deflate are large.
    Gzip(Box<MultiGzDecoder<Source<R>>>),
    Zstd(Box<zstd::Decoder<'static, Source<R>>>),
}

impl<R: Read> Decompressed<R> {
    /// Whether there was a compression to undo.
    pub fn is_compressed(&self) -> bool {
        !matches!(self.0, Format::Plain(_))
    }
}

/// Looks at the first bytes of `reader` and undoes the compression that they announce.
///
/// A gzip file may have several members (RFC 1952, section 2.2), as parallel compressors write them.
///
/// # Errors
/// [`Error::Compression`] for xz and bzip2; [`Error::Read`] if there is nothing to look at.
pub fn decompress<R: Read>(mut reader: R) -> Result<Decompressed<R>, Error> {
    let mut start = Vec::with_capacity(MAGIC);
    reader.by_ref().take(MAGIC as u64).read_to_end(&mut start).map_err(|cause| Error::Read { position: 0, cause })?;
    if let Some(&(_, format, program)) = KNOWN.iter().find(|(magic, ..)| start.starts_with(magic)) {
        return Err(Error::Compression { format, program });
    }
    let (gzip, zstd) = (start.starts_with(GZIP), start.starts_with(ZSTD));
    let source = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(reader));
    Ok(Decompressed(if gzip {
        Format::Gzip(Box::new(MultiGzDecoder::new(source)))
    } else if zstd {
        let mut decoder = zstd::Decoder::with_buffer(source).map_err(|cause| Error::Read { position: 0, cause })?;
        // RFC 8878, section 3.1.1.1.2, recommends 8 MiB as what every decoder supports; a hostile frame may ask for more.
        decoder.window_log_max(LARGEST_WINDOW).map_err(|cause| Error::Read { position: 0, cause })?;
        Format::Zstd(Box::new(decoder))
    } else {
        Format::Plain(source)
    }))
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Format::Plain(source) => source.read(buffer),
            // zlib needs room to write to, and would call none an error.
            Format::Gzip(_) if buffer.is_empty() => Ok(0),
            Format::Gzip(decoder) => decoder.read(buffer),
            Format::Zstd(decoder) => decoder.read(buffer),
        }
    }
}
