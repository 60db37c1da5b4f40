//! Frames of the binary protocol as a client writes and reads them.

use tokio::io::AsyncReadExt;

use super::{Client, PATIENCE};

pub(super) const GET: u8 = 0x00;
pub(super) const SET: u8 = 0x01;
pub(super) const ADD: u8 = 0x02;
pub(super) const REPLACE: u8 = 0x03;
pub(super) const DELETE: u8 = 0x04;
pub(super) const INCREMENT: u8 = 0x05;
pub(super) const DECREMENT: u8 = 0x06;
pub(super) const QUIT: u8 = 0x07;
pub(super) const FLUSH: u8 = 0x08;
pub(super) const GETQ: u8 = 0x09;
pub(super) const NOOP: u8 = 0x0a;
pub(super) const VERSION: u8 = 0x0b;
pub(super) const GETK: u8 = 0x0c;
pub(super) const GETKQ: u8 = 0x0d;
pub(super) const APPEND: u8 = 0x0e;
pub(super) const PREPEND: u8 = 0x0f;
pub(super) const STAT: u8 = 0x10;
pub(super) const SETQ: u8 = 0x11;
pub(super) const DELETEQ: u8 = 0x14;
pub(super) const INCREMENTQ: u8 = 0x15;
pub(super) const QUITQ: u8 = 0x17;
pub(super) const FLUSHQ: u8 = 0x18;
pub(super) const APPENDQ: u8 = 0x19;
pub(super) const VERBOSITY: u8 = 0x1b;
pub(super) const TOUCH: u8 = 0x1c;
pub(super) const GAT: u8 = 0x1d;
pub(super) const SASL_LIST: u8 = 0x20;
pub(super) const SASL_AUTH: u8 = 0x21;
pub(super) const SASL_STEP: u8 = 0x22;
pub(super) const GATK: u8 = 0x23;
pub(super) const GATKQ: u8 = 0x24;

pub(super) const OK: u16 = 0x00;
pub(super) const NOT_FOUND: u16 = 0x01;
pub(super) const EXISTS: u16 = 0x02;
pub(super) const TOO_LARGE: u16 = 0x03;
pub(super) const INVALID: u16 = 0x04;
pub(super) const NOT_STORED: u16 = 0x05;
pub(super) const NOT_A_NUMBER: u16 = 0x06;
pub(super) const AUTH_FAILURE: u16 = 0x20;
pub(super) const AUTH_CONTINUE: u16 = 0x21;
pub(super) const UNKNOWN: u16 = 0x81;

/// What every request carries, to be sent back.
const OPAQUE: [u8; 4] = *b"op\xffq";

/// A request.
#[derive(Debug, Clone, Default)]
pub(super) struct Frame<'a> {
    pub(super) opcode: u8,
    pub(super) extras: Vec<u8>,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
    pub(super) cas: u64,
}

impl<'a> Frame<'a> {
    pub(super) fn new(opcode: u8, key: &'a str) -> Self {
        Self { opcode, key: key.as_bytes(), ..Self::default() }
    }

    /// Flags 7 and an expiry time where the request has them, and a value.
    pub(super) fn store(opcode: u8, key: &'a str, value: &'a str) -> Self {
        let extras = match opcode {
            APPEND | PREPEND | APPENDQ => Vec::new(),
            _ => [7_u32.to_be_bytes(), 0_u32.to_be_bytes()].concat(),
        };
        Self { extras, value: value.as_bytes(), ..Self::new(opcode, key) }
    }

    pub(super) fn count(opcode: u8, key: &'a str, delta: u64, initial: u64, exptime: u32) -> Self {
        let extras = [&delta.to_be_bytes()[..], &initial.to_be_bytes(), &exptime.to_be_bytes()];
        Self { extras: extras.concat(), ..Self::new(opcode, key) }
    }

    /// With 4 bytes of extras: an expiry time.
    pub(super) fn timed(opcode: u8, key: &'a str, exptime: u32) -> Self {
        Self { extras: exptime.to_be_bytes().to_vec(), ..Self::new(opcode, key) }
    }

    pub(super) fn with_cas(self, cas: u64) -> Self {
        Self { cas, ..self }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let body = self.extras.len() + self.key.len() + self.value.len();
        let mut bytes = vec![0x80, self.opcode];
        bytes.extend((self.key.len() as u16).to_be_bytes());
        bytes.extend([self.extras.len() as u8, 0, 0, 0]);
        bytes.extend((body as u32).to_be_bytes());
        bytes.extend(OPAQUE);
        bytes.extend(self.cas.to_be_bytes());
        [&bytes, &self.extras[..], self.key, self.value].concat()
    }
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) opcode: u8,
    pub(super) status: u16,
    pub(super) extras: Vec<u8>,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) cas: u64,
}

impl Client {
    /// The next response.
    pub(super) async fn reply(&mut self) -> Reply {
        let read = async {
            let mut head = [0; 24];
            self.stream.read_exact(&mut head).await.unwrap();
            let mut body = vec![0; u32::from_be_bytes(head[8..12].try_into().unwrap()) as usize];
            self.stream.read_exact(&mut body).await.unwrap();
            (head, body)
        };
        let (head, body) = tokio::time::timeout(PATIENCE, read).await.unwrap();
        assert_eq!((head[0], head[5], &head[12..16]), (0x81, 0, &OPAQUE[..]));
        let key_end = usize::from(head[4]) + usize::from(u16::from_be_bytes([head[2], head[3]]));
        Reply {
            opcode: head[1],
            status: u16::from_be_bytes([head[6], head[7]]),
            extras: body[..usize::from(head[4])].to_vec(),
            key: String::from_utf8(body[usize::from(head[4])..key_end].to_vec()).unwrap(),
            value: String::from_utf8(body[key_end..].to_vec()).unwrap(),
            cas: u64::from_be_bytes(head[16..].try_into().unwrap()),
        }
    }

    /// Sends a request and reads its response.
    pub(super) async fn exchange(&mut self, frame: Frame<'_>) -> Reply {
        self.send(&frame.bytes()).await;
        let reply = self.reply().await;
        assert_eq!(reply.opcode, frame.opcode, "{reply:?}");
        reply
    }

    /// Sends a request and reads the status and the text of its response.
    pub(super) async fn status(&mut self, frame: Frame<'_>) -> (u16, String) {
        let reply = self.exchange(frame).await;
        (reply.status, reply.value)
    }

    /// Sends a request that succeeds quietly.
    pub(super) async fn quietly(&mut self, frame: Frame<'_>) {
        self.send(&frame.bytes()).await;
        let reply = self.exchange(Frame::new(NOOP, "")).await;
        assert_eq!(reply.status, OK);
    }
}
