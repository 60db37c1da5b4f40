//! Raw sockets for the suites of the wire: a client and an origin whose every byte a test writes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use crate::wait::LIMIT;

/// One side of a connection.
pub struct Wire {
    stream: TcpStream,
    /// What was read and not taken yet.
    read: Vec<u8>,
}

/// How a connection ended for the one who read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In order.
    Closed,
    /// By a reset.
    Reset,
}

impl Wire {
    /// Connects to `HOST:PORT`.
    #[track_caller]
    pub fn connect(address: &str) -> Self {
        Self::over(TcpStream::connect(address).expect("connect"))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).expect("set a time limit");
        stream.set_nodelay(true).expect("set no delay");
        Self { stream, read: Vec::new() }
    }

    /// Writes all of it.
    #[track_caller]
    pub fn send(&mut self, text: impl AsRef<[u8]>) {
        self.stream.write_all(text.as_ref()).expect("send");
    }

    /// Writes as much as the other side takes.
    pub fn try_send(&mut self, text: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(text.as_ref())
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).expect("shut down");
    }

    /// Takes everything up to and with `mark`.
    #[track_caller]
    pub fn read_to(&mut self, mark: &str) -> String {
        loop {
            let found = self.read.windows(mark.len()).position(|seen| seen == mark.as_bytes());
            if let Some(at) = found {
                let rest = self.read.split_off(at + mark.len());
                let taken = std::mem::replace(&mut self.read, rest);
                return String::from_utf8_lossy(&taken).into_owned();
            }
            if let Some(end) = self.fill() {
                let seen = String::from_utf8_lossy(&self.read).into_owned();
                panic!("{end:?} before {mark:?} came: {seen:?}");
            }
        }
    }

    /// Takes one head.
    #[track_caller]
    pub fn read_head(&mut self) -> String {
        self.read_to("\r\n\r\n")
    }

    /// Takes so many bytes.
    #[track_caller]
    pub fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            if let Some(end) = self.fill() {
                panic!("{end:?} after {} of {count} bytes", self.read.len());
            }
        }
        let rest = self.read.split_off(count);
        std::mem::replace(&mut self.read, rest)
    }

    /// Takes everything to the end.
    pub fn read_to_end(&mut self) -> (String, End) {
        loop {
            if let Some(end) = self.fill() {
                let taken = std::mem::take(&mut self.read);
                return (String::from_utf8_lossy(&taken).into_owned(), end);
            }
        }
    }

    /// Reads some; tells if there is no more.
    #[track_caller]
    fn fill(&mut self) -> Option<End> {
        let mut room = [0; 16 * 1024];
        match self.stream.read(&mut room) {
            Ok(0) => Some(End::Closed),
            Ok(count) => {
                self.read.extend_from_slice(&room[..count]);
                None
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(End::Reset),
            Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&self.read)),
        }
    }
}

/// An origin that is nothing but a listener: a test accepts and answers.
pub struct RawOrigin {
    listener: TcpListener,
}

impl RawOrigin {
    /// Listens on any free port of loopback.
    pub fn start() -> Self {
        Self::start_at("127.0.0.1")
    }

    /// Listens on any free port of this address: of one that nobody else uses, where the port is to
    /// stay free when this is dropped.
    pub fn start_at(address: &str) -> Self {
        Self { listener: TcpListener::bind((address, 0)).expect("listen") }
    }

    /// `http://ADDRESS:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().expect("address"))
    }

    /// The next connection, and the head of the first request on it.
    #[track_caller]
    pub fn accept(&self) -> (Wire, String) {
        let (stream, _) = self.listener.accept().expect("accept");
        let mut wire = Wire::over(stream);
        let head = wire.read_head();
        (wire, head)
    }

    /// Whether a connection is there that nobody has accepted.
    pub fn is_asked(&self) -> bool {
        self.listener.set_nonblocking(true).expect("set nonblocking");
        let accepted = self.listener.accept();
        self.listener.set_nonblocking(false).expect("set blocking");
        accepted.is_ok()
    }
}
