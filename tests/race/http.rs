//! Requests over connections that are kept (RFC 9112).
//!
//! # Not here
//! What an answer proves: `reads`, `purges`.

use std::io::{Error, ErrorKind};

use crate::wire::{Pool, Wire};

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and fields, lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A field's value; empty where it is absent.
    pub(crate) fn field(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(known, _)| *known == name).map_or("", |(_, value)| value.trim())
    }
}

/// Asks, and reads the whole answer.
pub(crate) async fn send(
    pool: &Pool,
    method: &str,
    path: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer, Error> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", pool.address());
    for (name, value) in fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if method != "GET" {
        request.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    let mut bytes = request.into_bytes();
    bytes.extend_from_slice(body);
    let mut wire = pool.take().await?;
    wire.send(&bytes).await?;
    let answer = read(&mut wire).await?;
    if answer.field("connection") != "close" {
        pool.give(wire);
    }
    Ok(answer)
}

async fn read(wire: &mut Wire) -> Result<Answer, Error> {
    let head = wire.text_until(b"\r\n\r\n").await?.to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| invalid(&head))?;
    let mut answer = Answer { status, head, body: String::new() };
    let bytes = if answer.field("transfer-encoding") == "chunked" {
        chunks(wire).await?
    } else if status == 204 || status == 304 {
        Vec::new()
    } else {
        let length = answer.field("content-length").parse();
        wire.bytes(length.map_err(|_| invalid(&answer.head))?).await?
    };
    answer.body = String::from_utf8(bytes).map_err(|_| invalid(&answer.head))?;
    Ok(answer)
}

async fn chunks(wire: &mut Wire) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    loop {
        let line = wire.text_until(b"\r\n").await?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(|_| invalid(&line))?;
        let chunk = wire.bytes(size + 2).await?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not HTTP: {text}"))
}
