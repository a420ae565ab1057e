//! Digests: what names contents by what they are.

use std::{
    fmt,
    io::{self, Read, Write},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::store::hex;

/// `sha256:` and 64 lower-case hexadecimal digits. Nothing else gets into one, so that its digits are safe in a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(String);

impl Digest {
    /// Reads a digest; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let Some((algorithm, digits)) = text.split_once(':') else {
            return Err("a digest is ALGORITHM:DIGITS");
        };
        if algorithm != "sha256" {
            return Err("only digests by sha256 are known here");
        }
        Self::from_hex(digits).ok_or("a digest has 64 hexadecimal digits in lower case")
    }

    /// From the digits alone.
    pub fn from_hex(digits: &str) -> Option<Self> {
        let good = digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| Self(digits.to_owned()))
    }

    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    /// The 64 digits.
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// The first 12 digits.
    pub fn short(&self) -> &str {
        super::image::short(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Hashes and counts what passes through it, read or written.
pub struct Hashing<T> {
    /// What is behind it.
    pub inner: T,
    sha256: Sha256,
    bytes: u64,
}

impl<T> Hashing<T> {
    /// Before the first byte.
    pub fn new(inner: T) -> Self {
        Self { inner, sha256: Sha256::new(), bytes: 0 }
    }

    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.bytes
    }

    /// The digest of all that passed.
    pub fn digest(self) -> Digest {
        Digest(hex(&self.sha256.finalize()))
    }

    fn count(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count(&buffer[..length]);
        Ok(length)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(buffer)?;
        self.count(&buffer[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
