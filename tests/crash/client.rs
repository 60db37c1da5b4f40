//! Clients that are told by an error when the server dies, where those of the harness panic.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

use wasmcached_tests::wait::LIMIT;
use wasmcached_tests::{Answer, http};

/// A connection to the memcached port.
pub(crate) struct Memcached {
    reader: BufReader<TcpStream>,
}

impl Memcached {
    /// To an address and port.
    pub(crate) fn connect(address: &str) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.set_nodelay(true)?;
        Ok(Self { reader: BufReader::new(socket) })
    }

    /// Sends bytes whose reply is not waited for.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Sends a command line, with its data where it has some, and returns the reply's first line.
    pub(crate) fn ask(&mut self, command: &str) -> Result<String> {
        self.send(format!("{command}\r\n").as_bytes())?;
        self.line()
    }

    /// `get`: the value, or `None`.
    pub(crate) fn get(&mut self, key: &str) -> Result<Option<Vec<u8>>> {
        let first = self.ask(&format!("get {key}"))?;
        if first == "END" {
            return Ok(None);
        }
        let length = first.strip_prefix(&format!("VALUE {key} ")).and_then(|rest| {
            let (_, length) = rest.split_once(' ')?;
            length.parse::<usize>().ok()
        });
        let length = length.unwrap_or_else(|| panic!("reply `{first}` to `get {key}`"));
        let mut value = vec![0; length + b"\r\nEND\r\n".len()];
        self.reader.read_exact(&mut value)?;
        value.truncate(length);
        Ok(Some(value))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(Error::from(ErrorKind::UnexpectedEof)),
        }
    }
}

/// An HTTP request; the error of one that was cut off.
pub(crate) fn request(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Answer> {
    http::try_send(method, url, headers, body).map_err(Error::other)
}
