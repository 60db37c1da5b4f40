//! The few commands of the memcached protocol that an import needs (protocol.txt).
//!
//! # Invariants
//! - Everything goes over one connection, which is what the server remembers misses by.
//! - Commands are sent together and their replies read in order; every wait has an end.
//!
//! # Not here
//! Users: the port is asked without logging in.

use std::collections::HashSet;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// For a batch to be answered.
const ANSWER_MS_MAX: u64 = 30_000;

/// Longest line that a server answers with.
const LINE_BYTES_MAX: u64 = 4_096;

/// Why the server could not be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The connection.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It says nothing.
    #[error("no answer in {ANSWER_MS_MAX} ms")]
    Silent,
    /// It closed the connection.
    #[error("connection was closed")]
    Closed,
    /// It says something else than was asked.
    #[error("answered {line:?}")]
    Answer {
        /// What it said.
        line: String,
    },
}

/// A value on its way.
#[derive(Debug)]
pub(super) struct Storing {
    /// The key.
    pub key: String,
    /// memcached's client flags.
    pub flags: u32,
    /// Seconds since 1970; `None` for never.
    pub expires_s: Option<i64>,
    /// The value.
    pub body: Vec<u8>,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Stored,
    NotStored,
    /// With the server's reason.
    Refused(String),
}

/// A connection.
pub(super) struct Server {
    stream: BufReader<TcpStream>,
}

impl Server {
    pub(super) async fn connect(address: &str) -> Result<Self, ServerError> {
        let stream = in_time(async { Ok(TcpStream::connect(address).await?) }).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Which of the keys the server does not have. It remembers that they were looked for.
    pub(super) async fn missing(
        &mut self,
        keys: &[String],
    ) -> Result<HashSet<String>, ServerError> {
        let commands: String = keys.iter().map(|key| format!("get {key}\r\n")).collect();
        in_time(async {
            self.stream.write_all(commands.as_bytes()).await?;
            let mut missing = HashSet::new();
            for key in keys {
                if !self.skip_value().await? {
                    missing.insert(key.clone());
                }
            }
            Ok(missing)
        })
        .await
    }

    /// Reads the reply to one `get`; whether there was a value.
    async fn skip_value(&mut self) -> Result<bool, ServerError> {
        let line = self.line().await?;
        if line == "END" {
            return Ok(false);
        }
        let length = line.strip_prefix("VALUE ").and_then(|rest| rest.split(' ').nth(2));
        let Some(length) = length.and_then(|length| length.parse::<u64>().ok()) else {
            return Err(ServerError::Answer { line });
        };
        // The value, the end of its line, and `END`.
        let rest = length + b"\r\nEND\r\n".len() as u64;
        let mut value = (&mut self.stream).take(rest);
        let skipped = tokio::io::copy(&mut value, &mut tokio::io::sink()).await?;
        if skipped == rest { Ok(true) } else { Err(ServerError::Closed) }
    }

    /// Stores where nothing is; one reply for each value.
    pub(super) async fn add(&mut self, values: &[Storing]) -> Result<Vec<Reply>, ServerError> {
        let mut replies = Vec::new();
        // One after another: a value that is too large is answered before all of it is read.
        for value in values {
            replies.push(in_time(self.add_one(value)).await?);
        }
        Ok(replies)
    }

    async fn add_one(&mut self, value: &Storing) -> Result<Reply, ServerError> {
        let Storing { key, flags, expires_s, body } = value;
        let exptime = expires_s.unwrap_or(0);
        let mut command = format!("add {key} {flags} {exptime} {}\r\n", body.len()).into_bytes();
        command.extend_from_slice(body);
        command.extend_from_slice(b"\r\n");
        self.stream.write_all(&command).await?;
        let line = self.line().await?;
        match line.as_str() {
            "STORED" => Ok(Reply::Stored),
            "NOT_STORED" => Ok(Reply::NotStored),
            refusal if refusal.starts_with("SERVER_ERROR ") => Ok(Reply::Refused(line)),
            _ => Err(ServerError::Answer { line }),
        }
    }

    async fn line(&mut self) -> Result<String, ServerError> {
        let mut line = String::new();
        let mut limited = (&mut self.stream).take(LINE_BYTES_MAX);
        if limited.read_line(&mut line).await? == 0 {
            return Err(ServerError::Closed);
        }
        match line.strip_suffix("\r\n") {
            Some(whole) => Ok(whole.to_owned()),
            None => Err(ServerError::Answer { line }),
        }
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, ServerError>>) -> Result<T, ServerError> {
    let limit = Duration::from_millis(ANSWER_MS_MAX);
    tokio::time::timeout(limit, work).await.unwrap_or(Err(ServerError::Silent))
}
