//! Files with holes: the archive holds the pieces between the holes, and a map of where they go.

use std::io::Read;

use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

use crate::{
    error::Error,
    header::{BLOCK, number},
    pax::decimal,
    stream::Stream,
};

/// Where the contents of a file go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Map {
    /// Offset in the file and length of each piece, in bytes, in the order of both file and stream.
    pub(crate) pieces: Vec<(u64, u64)>,
    /// The file's size, in bytes.
    pub(crate) size: u64,
}

/// Pieces in one map: 1 MiB of memory. GNU tar writes one for each run of data between holes.
const MOST: usize = 65_536;

impl Map {
    /// The map of an ordinary file.
    pub(crate) fn whole(size: u64) -> Self {
        Self { pieces: vec![(0, size)], size }
    }

    /// A map whose pieces do not overlap, lie within the file and add up to what the archive holds.
    fn checked(pieces: Vec<(u64, u64)>, size: u64, stored: u64) -> Option<Self> {
        let (mut end, mut sum) = (0_u64, 0_u64);
        for &(offset, length) in &pieces {
            if offset < end {
                return None;
            }
            end = offset.checked_add(length)?;
            sum = sum.checked_add(length)?;
        }
        // The size becomes an `off_t`, which is signed.
        (end <= size && sum == stored && i64::try_from(size).is_ok()).then_some(Self { pieces, size })
    }
}

const BAD: &str = "the map of a sparse file makes no sense";

/// GNU's old format, type `S`: four pieces in the header, and 21 in each of the blocks that may follow.
pub(crate) fn from_header<R: Read>(header: &Header, stored: u64, stream: &mut Stream<R>) -> Result<Map, Error> {
    let Some(gnu) = header.as_gnu() else {
        return Err(stream.damaged(BAD));
    };
    let mut pieces = Vec::new();
    let mut more = gnu.is_extended();
    let mut complete = add(&mut pieces, &gnu.sparse);
    while more && complete.is_some() {
        let mut block = GnuExtSparseHeader::new();
        stream.fill(block.as_mut_bytes(), Some("the map of a sparse file"))?;
        complete = add(&mut pieces, block.sparse());
        more = block.is_extended();
    }
    complete
        .and_then(|()| u64::try_from(number(&gnu.realsize)?).ok())
        .and_then(|size| Map::checked(pieces, size, stored))
        .ok_or_else(|| stream.damaged(BAD))
}

fn add(pieces: &mut Vec<(u64, u64)>, headers: &[GnuSparseHeader]) -> Option<()> {
    for header in headers.iter().filter(|header| !header.is_empty()) {
        let unsigned = |field| u64::try_from(number(field)?).ok();
        pieces.push((unsigned(&header.offset)?, unsigned(&header.numbytes)?));
    }
    (pieces.len() <= MOST).then_some(())
}

/// GNU's PAX format 1.0: decimal numbers, one a line, before the contents and padded to whole blocks. The first is the
/// number of pieces.
pub(crate) fn from_contents<R: Read>(size: u64, stored: u64, stream: &mut Stream<R>) -> Result<(Map, u64), Error> {
    let mut numbers = Vec::new();
    let mut line = Vec::new();
    let mut used = 0;
    let mut wanted = 1;
    while numbers.len() < wanted {
        used += BLOCK as u64;
        if used > stored {
            return Err(stream.damaged(BAD));
        }
        let mut block = [0; BLOCK];
        stream.fill(&mut block, Some("the map of a sparse file"))?;
        for byte in block {
            if byte != b'\n' {
                line.push(byte);
            } else if numbers.len() < wanted {
                numbers.push(decimal(&line).ok_or_else(|| stream.damaged(BAD))?);
                line.clear();
                if numbers.len() == 1 {
                    wanted += 2 * numbers[0].min(MOST as u64 + 1) as usize;
                }
            }
        }
        if wanted > 1 + 2 * MOST || line.len() > 2 * BLOCK {
            return Err(stream.damaged(BAD));
        }
    }
    let pieces = numbers[1..].chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let map = Map::checked(pieces, size, stored - used).ok_or_else(|| stream.damaged(BAD))?;
    Ok((map, used))
}

#[cfg(test)]
mod tests {
    use super::Map;

    #[test]
    fn a_map_that_lies_is_refused() {
        assert!(Map::checked(vec![(0, 5), (10, 5)], 20, 10).is_some());
        assert!(Map::checked(vec![], 20, 0).is_some());
        for (pieces, size, stored) in [
            (vec![(0, 5), (4, 5)], 20, 10),
            (vec![(0, 5)], 4, 5),
            (vec![(0, 5)], 20, 6),
            (vec![(u64::MAX, 5)], u64::MAX, 5),
            (vec![], u64::MAX, 0),
        ] {
            assert!(Map::checked(pieces.clone(), size, stored).is_none(), "{pieces:?}");
        }
    }
}
