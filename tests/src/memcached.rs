//! A raw connection to the memcached port, and the few commands that the suites use.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::tls::TlsStream;
use crate::wait::{LIMIT, eventually};

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream>),
}

/// A connection.
pub struct Memcached {
    socket: Socket,
    unread: Vec<u8>,
}

impl Memcached {
    /// To an address and port.
    #[track_caller]
    pub fn tcp(address: &str) -> Self {
        let socket = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        socket.set_read_timeout(Some(LIMIT)).expect("set a time limit");
        Self { socket: Socket::Tcp(socket), unread: Vec::new() }
    }

    /// To a unix socket.
    #[track_caller]
    pub fn unix(path: &Path) -> Self {
        let socket = UnixStream::connect(path)
            .unwrap_or_else(|error| panic!("connect to {}: {error}", path.display()));
        socket.set_read_timeout(Some(LIMIT)).expect("set a time limit");
        Self { socket: Socket::Unix(socket), unread: Vec::new() }
    }

    /// Over TLS.
    pub fn tls(stream: TlsStream) -> Self {
        Self { socket: Socket::Tls(Box::new(stream)), unread: Vec::new() }
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        let sent = match &mut self.socket {
            Socket::Tcp(socket) => socket.write_all(bytes),
            Socket::Unix(socket) => socket.write_all(bytes),
            Socket::Tls(socket) => socket.write_all(bytes),
        };
        sent.expect("send");
    }

    /// Reads more; false at the end of the stream.
    #[track_caller]
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        let read = match &mut self.socket {
            Socket::Tcp(socket) => socket.read(&mut chunk),
            Socket::Unix(socket) => socket.read(&mut chunk),
            Socket::Tls(socket) => socket.read(&mut chunk),
        };
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error} after `{}`", String::from_utf8_lossy(&self.unread)),
        };
        self.unread.extend_from_slice(&chunk[..bytes]);
        bytes > 0
    }

    /// The next line without its end; `None` at the end of the stream.
    #[track_caller]
    pub fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let rest = self.unread.split_off(end + 2);
                let mut line = std::mem::replace(&mut self.unread, rest);
                line.truncate(end);
                return Some(line);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// The next `count` bytes, or fewer where the stream ends before.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count && self.fill() {}
        let rest = self.unread.split_off(count.min(self.unread.len()));
        std::mem::replace(&mut self.unread, rest)
    }

    /// What comes up to and with these bytes, or to the end of the stream.
    #[track_caller]
    pub fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let found = self.unread.windows(end.len()).position(|bytes| bytes == end);
            if let Some(start) = found {
                let rest = self.unread.split_off(start + end.len());
                return std::mem::replace(&mut self.unread, rest);
            }
            if !self.fill() {
                return std::mem::take(&mut self.unread);
            }
        }
    }

    /// The digits that come next; what follows them is left unread.
    #[track_caller]
    pub fn digits(&mut self) -> Vec<u8> {
        loop {
            let digits = self.unread.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits < self.unread.len() || !self.fill() {
                let rest = self.unread.split_off(digits);
                return std::mem::replace(&mut self.unread, rest);
            }
        }
    }

    /// Everything up to the end of the stream.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.unread)
    }

    /// Sends a command line and returns the first line of the reply.
    #[track_caller]
    pub fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        let line = self.line().expect("a reply");
        String::from_utf8_lossy(&line).into_owned()
    }

    /// `get`: the value, or `None`.
    #[track_caller]
    pub fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        let first = self.ask(&format!("get {key}"));
        if first == "END" {
            return None;
        }
        let words: Vec<&str> = first.split(' ').collect();
        assert!(words.len() == 4 && words[0] == "VALUE" && words[1] == key, "reply `{first}`");
        let value = self.bytes(words[3].parse().expect("a length"));
        assert_eq!(self.bytes(7), b"\r\nEND\r\n");
        Some(value)
    }

    /// The value of a key that the database has, and memory need not: a look-up there that a busy
    /// machine holds up is answered as a miss.
    #[track_caller]
    pub fn get_kept(&mut self, key: &str) -> Vec<u8> {
        let mut found = None;
        eventually(&format!("{key} is found"), || {
            found = self.get(key);
            found.is_some()
        });
        found.expect("a value")
    }

    /// `set` without flags or expiry: the reply.
    #[track_caller]
    pub fn set(&mut self, key: &str, value: &str) -> String {
        self.ask(&format!("set {key} 0 0 {}\r\n{value}", value.len()))
    }
}
