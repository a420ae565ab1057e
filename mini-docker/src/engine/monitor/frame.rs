//! What a monitor and those who attach to it say to each other: frames of Docker's multiplexed stream (one byte of
//! type, three of padding, four of length, big-endian), with types of our own beside its three.

use std::io::{self, Read, Write};

/// The type of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// To the monitor: bytes for standard input; none: its end.
    Stdin = 0,
    /// Bytes of standard output, or of the terminal.
    Stdout = 1,
    /// Bytes of standard error.
    Stderr = 2,
    /// To the monitor, first of all: one byte, [`STDOUT`], [`STDERR`] and [`INPUT`].
    Hello = 3,
    /// To the monitor: rows and columns of the terminal, two bytes each.
    Resize = 4,
    /// The end: the exit code, four bytes.
    Exit = 5,
    /// The program runs; nothing.
    Ready = 6,
    /// It does not: the error, as JSON.
    Failed = 7,
    /// What `--explain` prints.
    Explain = 8,
    /// To the monitor: the status has changed, look at it; nothing.
    Look = 9,
    /// What the user should know of a container that runs: a sentence.
    Warning = 10,
}

/// Hello: send me standard output, or what the terminal shows.
pub const STDOUT: u8 = 1;
/// Hello: I bring the input.
pub const INPUT: u8 = 2;
/// Hello: send me standard error.
pub const STDERR: u8 = 4;
/// Hello: send me all output.
pub const STREAMS: u8 = STDOUT | STDERR;

/// Bytes of a frame's head.
const HEAD: usize = 8;
/// Larger frames are no frames of ours.
const LARGEST: usize = 1 << 20;

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Stdin,
            Self::Stdout,
            Self::Stderr,
            Self::Hello,
            Self::Resize,
            Self::Exit,
            Self::Ready,
            Self::Failed,
            Self::Explain,
            Self::Look,
            Self::Warning,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// Appends a frame to `buffer`.
pub fn push(buffer: &mut Vec<u8>, kind: Kind, payload: &[u8]) {
    buffer.extend_from_slice(&[kind as u8, 0, 0, 0]);
    buffer.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    buffer.extend_from_slice(payload);
}

/// Writes a frame.
pub fn write(mut to: impl Write, kind: Kind, payload: &[u8]) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(HEAD + payload.len());
    push(&mut buffer, kind, payload);
    to.write_all(&buffer)
}

/// Takes the first whole frame out of `buffer`.
///
/// # Errors
/// `InvalidData` for what is no frame; the connection is of no use any more.
pub fn take(buffer: &mut Vec<u8>) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let Some(head) = buffer.first_chunk::<HEAD>() else {
        return Ok(None);
    };
    let (kind, length) = parse(*head)?;
    if buffer.len() < HEAD + length {
        return Ok(None);
    }
    let payload = buffer[HEAD..HEAD + length].to_vec();
    buffer.drain(..HEAD + length);
    Ok(Some((kind, payload)))
}

/// Reads one frame; `None` at the end of the stream.
pub fn read(mut from: impl Read) -> io::Result<Option<(Kind, Vec<u8>)>> {
    let mut head = [0; HEAD];
    match from.read_exact(&mut head) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let (kind, length) = parse(head)?;
    let mut payload = vec![0; length];
    from.read_exact(&mut payload)?;
    Ok(Some((kind, payload)))
}

fn parse(head: [u8; HEAD]) -> io::Result<(Kind, usize)> {
    let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
    match Kind::from_byte(head[0]) {
        Some(kind) if length <= LARGEST => Ok((kind, length)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a frame")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let mut stream = Vec::new();
        push(&mut stream, Kind::Stdout, b"hello");
        push(&mut stream, Kind::Exit, &7i32.to_be_bytes());
        for cut in 0..stream.len() {
            let mut buffer = stream[..cut].to_vec();
            let mut frames = Vec::new();
            frames.extend(std::iter::from_fn(|| take(&mut buffer).unwrap()));
            buffer.extend_from_slice(&stream[cut..]);
            frames.extend(std::iter::from_fn(|| take(&mut buffer).unwrap()));
            assert_eq!(frames, [(Kind::Stdout, b"hello".to_vec()), (Kind::Exit, vec![0, 0, 0, 7])]);
        }
        assert_eq!(read(&stream[..]).unwrap(), Some((Kind::Stdout, b"hello".to_vec())));
        assert!(take(&mut vec![99; 8]).is_err());
        assert!(take(&mut vec![1, 0, 0, 0, 255, 255, 255, 255]).is_err());
    }
}
