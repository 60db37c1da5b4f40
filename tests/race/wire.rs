//! Connections without threads: some hundred requests wait at once, in the race as on a busy day.
//!
//! # Invariants
//! - Nothing waits without a bound: a read that takes longer than [`LIMIT`] is an error.
//! - A connection goes back to its pool only after a whole answer.
//!
//! # Not here
//! What the bytes mean: `http`, `memcached`, `origin`.

use std::io::{Error, ErrorKind};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Duration, Instant, timeout};
use wasmcached_tests::wait::LIMIT;

/// Unused for so long, a connection is not used again: Varnish closes after 5 s.
const IDLE: Duration = Duration::from_secs(2);

/// One side of a connection.
pub(crate) struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    /// Over a connection that is there.
    pub(crate) fn over(stream: TcpStream) -> Self {
        // Without it the answers are right too, only later.
        let _ = stream.set_nodelay(true);
        Self { stream, unread: Vec::new() }
    }

    /// Sends all of it.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        timeout(LIMIT, self.stream.write_all(bytes)).await?
    }

    /// Takes what comes up to `mark`, and drops the mark.
    pub(crate) async fn until(&mut self, mark: &[u8]) -> Result<Vec<u8>, Error> {
        loop {
            if let Some(at) = self.unread.windows(mark.len()).position(|seen| seen == mark) {
                let rest = self.unread.split_off(at + mark.len());
                let mut taken = std::mem::replace(&mut self.unread, rest);
                taken.truncate(at);
                return Ok(taken);
            }
            self.fill().await?;
        }
    }

    /// Takes a line, or a head, as text.
    pub(crate) async fn text_until(&mut self, mark: &[u8]) -> Result<String, Error> {
        String::from_utf8(self.until(mark).await?)
            .map_err(|error| Error::new(ErrorKind::InvalidData, error))
    }

    /// Takes so many bytes.
    pub(crate) async fn bytes(&mut self, count: usize) -> Result<Vec<u8>, Error> {
        while self.unread.len() < count {
            self.fill().await?;
        }
        let rest = self.unread.split_off(count);
        Ok(std::mem::replace(&mut self.unread, rest))
    }

    async fn fill(&mut self) -> Result<(), Error> {
        match timeout(LIMIT, self.stream.read_buf(&mut self.unread)).await?? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// Connections to one address that are kept for whoever asks next.
pub(crate) struct Pool {
    address: String,
    idle: Mutex<Vec<(Wire, Instant)>>,
}

impl Pool {
    /// To `HOST:PORT`.
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), idle: Mutex::default() }
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A connection that nobody else uses.
    pub(crate) async fn take(&self) -> Result<Wire, Error> {
        loop {
            match self.idle.lock().pop() {
                Some((wire, since)) if since.elapsed() < IDLE => return Ok(wire),
                Some(_) => {}
                None => break,
            }
        }
        Ok(Wire::over(timeout(LIMIT, TcpStream::connect(&self.address)).await??))
    }

    /// Gives it back.
    pub(crate) fn give(&self, wire: Wire) {
        self.idle.lock().push((wire, Instant::now()));
    }

    /// Closes all that are idle.
    pub(crate) fn clear(&self) {
        self.idle.lock().clear();
    }
}
