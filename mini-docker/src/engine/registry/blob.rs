//! A blob as it comes: when the connection breaks, another one goes on where it ended.

use std::{
    io::{self, Read},
    thread,
    time::{Duration, Instant},
};

use ureq::{BodyReader, http::StatusCode};

use super::client::{Call, Client};
use crate::engine::{
    error::{Error, Kind, Result},
    image::manifest::Descriptor,
};

/// Connections in a row that bring next to nothing.
const FRUITLESS: u32 = 5;
/// Connections in all.
const MOST: u32 = 100;
/// Bytes a second that a connection has to bring, when it has had some time.
const SLOWEST: u64 = 1 << 10;
/// Bytes that make a connection worth it.
const WORTH: u64 = 64 << 10;

/// The bytes of a blob, not verified.
pub(super) struct Blob<'a> {
    client: &'a Client,
    target: String,
    size: u64,
    position: u64,
    body: Option<BodyReader<'static>>,
    /// Where the current connection began, and how many before it brought nothing.
    began: u64,
    since: Instant,
    fruitless: u32,
    connections: u32,
    /// Told of what has come; may end it.
    progress: &'a (dyn Fn(u64) -> io::Result<()> + Sync),
}

impl<'a> Blob<'a> {
    /// Asks for a blob. `progress` is told how many bytes have come, and ends it with an error.
    pub(super) fn open(
        client: &'a Client,
        descriptor: &Descriptor,
        progress: &'a (dyn Fn(u64) -> io::Result<()> + Sync),
    ) -> Result<Self> {
        let mut blob = Self {
            client,
            target: client.path(&format!("blobs/{}", descriptor.digest)),
            size: descriptor.size,
            position: 0,
            body: None,
            began: 0,
            since: Instant::now(),
            fruitless: 0,
            connections: 0,
            progress,
        };
        blob.connect()?;
        Ok(blob)
    }

    /// A connection that brings what is still to come.
    fn connect(&mut self) -> Result<()> {
        self.connections += 1;
        self.began = self.position;
        self.since = Instant::now();
        let range = format!("bytes={}-", self.position);
        let headers = [("Range", range.as_str())];
        let headers = if self.position == 0 { &[][..] } else { &headers[..] };
        let answer = self.client.expect(&Call { is_long: true, ..Call::get(&self.target, headers) })?;
        let skip = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let from = answer.headers().get("Content-Range").and_then(|range| range.to_str().ok());
                let expected = format!("bytes {}-", self.position);
                if !from.is_some_and(|from| from.starts_with(&expected)) {
                    return Err(Error::new(
                        Kind::System,
                        "the registry answered with another part of the blob than asked for",
                    ));
                }
                0
            }
            // It begins again; so do we, and drop what we have.
            _ => self.position,
        };
        let mut body = answer.into_body().into_reader();
        let skipped = io::copy(&mut (&mut body).take(skip), &mut io::sink());
        let skipped = skipped.map_err(|e| Error::system("read a blob again from its beginning", &e))?;
        if skipped < skip {
            return Err(Error::new(Kind::System, "the registry's blob has become shorter"));
        }
        self.body = Some(body);
        Ok(())
    }

    fn is_too_slow(&self) -> bool {
        let time = self.since.elapsed();
        time > self.client.patience && self.position - self.began < time.as_secs() * SLOWEST
    }

    fn connect_again(&mut self, why: &io::Error) -> io::Result<()> {
        self.body = None;
        self.fruitless = if self.position - self.began < WORTH { self.fruitless + 1 } else { 0 };
        if self.fruitless >= FRUITLESS || self.connections >= MOST {
            let position = self.position;
            return Err(io::Error::other(format!(
                "the connection broke {} times, last after {position} bytes: {why}",
                self.connections
            )));
        }
        thread::sleep(Duration::from_millis(100 << self.fruitless));
        self.connect().map_err(|e| io::Error::other(e.to_string()))
    }
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.position >= self.size {
            return Ok(0);
        }
        let room = buffer.len().min((self.size - self.position).try_into().unwrap_or(usize::MAX));
        loop {
            let read = match &mut self.body {
                Some(body) => body.read(&mut buffer[..room]),
                None => Err(io::ErrorKind::NotConnected.into()),
            };
            match read {
                Ok(0) => self.connect_again(&io::ErrorKind::UnexpectedEof.into())?,
                Ok(length) => {
                    self.position += length as u64;
                    (self.progress)(self.position)?;
                    if self.position < self.size && self.is_too_slow() {
                        self.connect_again(&io::Error::other("it brings less than 1 KiB a second"))?;
                    }
                    return Ok(length);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => self.connect_again(&e)?,
            }
        }
    }
}
