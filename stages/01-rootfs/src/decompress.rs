//! gzip, zstd, xz, bzip2 or none of them, by the first bytes.
//!
//! One function, so that a caller can put a digest between the compressed and the uncompressed side: an OCI image
//! names a layer by the SHA-256 of each.

use std::io::{self, BufReader, Chain, Cursor, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

use crate::error::Error;

/// The .xz file format, section 2.1.1.1.
const XZ: &[u8] = b"\xfd7zXZ\x00";
/// With the size of its blocks behind it, a digit.
const BZIP2: &[u8] = b"BZh";
/// RFC 8878, section 3.1.1.
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// RFC 1952, section 2.3.1: ID1, ID2, and the only method there is.
const GZIP: &[u8] = b"\x1f\x8b\x08";
/// 2 to this power bytes of memory at most for a frame: what the zstd program allows too.
const LARGEST_WINDOW: u32 = 27;
/// KiB of memory at most for a block of xz: twice what `xz -9` takes.
const LARGEST_BLOCK: u32 = 128 << 10;
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
    Xz(Box<XzReader<Source<R>>>),
    Bzip2(Box<MultiBzDecoder<Source<R>>>),
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
/// Nothing is executed for any of them: a program of this name may be anybody's.
///
/// # Errors
/// [`Error::Read`] if there is nothing to look at.
pub fn decompress<R: Read>(mut reader: R) -> Result<Decompressed<R>, Error> {
    let mut start = Vec::with_capacity(MAGIC);
    reader.by_ref().take(MAGIC as u64).read_to_end(&mut start).map_err(|cause| Error::Read { position: 0, cause })?;
    let begins = |magic| start.starts_with(magic);
    let (gzip, zstd, xz, bzip2) = (begins(GZIP), begins(ZSTD), begins(XZ), begins(BZIP2));
    let source = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(reader));
    Ok(Decompressed(if gzip {
        Format::Gzip(Box::new(MultiGzDecoder::new(source)))
    } else if zstd {
        let mut decoder = zstd::Decoder::with_buffer(source).map_err(|cause| Error::Read { position: 0, cause })?;
        // RFC 8878, section 3.1.1.1.2, recommends 8 MiB as what every decoder supports; a hostile frame may ask for more.
        decoder.window_log_max(LARGEST_WINDOW).map_err(|cause| Error::Read { position: 0, cause })?;
        Format::Zstd(Box::new(decoder))
    } else if xz {
        Format::Xz(Box::new(XzReader::new_mem_limit(source, true, LARGEST_BLOCK)))
    } else if bzip2 {
        Format::Bzip2(Box::new(MultiBzDecoder::new(source)))
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
            Format::Xz(decoder) => decoder.read(buffer),
            Format::Bzip2(decoder) => decoder.read(buffer),
        }
    }
}
