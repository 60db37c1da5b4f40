//! Frames of memcached's binary protocol, as a client writes and reads them.

use crate::Memcached;

/// Sent with every request, and expected with its response.
const OPAQUE: [u8; 4] = [0xca, 0xfe, 0x00, 0x0a];

/// The bytes of a request without a CAS unique.
pub fn request(opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
    let body = [extras, key, value].concat();
    let mut frame = vec![0x80, opcode];
    frame.extend(u16::try_from(key.len()).expect("length of a key").to_be_bytes());
    frame.extend([u8::try_from(extras.len()).expect("length of extras"), 0, 0, 0]);
    frame.extend(u32::try_from(body.len()).expect("length of a body").to_be_bytes());
    frame.extend(OPAQUE);
    frame.extend([0; 8]);
    [frame, body].concat()
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The request's.
    pub opcode: u8,
    /// 0 for success.
    pub status: u16,
    /// The key, where there is one.
    pub key: Vec<u8>,
    /// What follows it.
    pub value: Vec<u8>,
}

/// Reads a response; `None` at the end of the stream.
#[track_caller]
pub fn response(connection: &mut Memcached) -> Option<Response> {
    let head = connection.bytes(24);
    if head.is_empty() {
        return None;
    }
    assert_eq!((head.len(), head[0], &head[12..16]), (24, 0x81, &OPAQUE[..]), "{head:02x?}");
    let body_bytes = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
    let body = connection.bytes(body_bytes);
    assert_eq!(body.len(), body_bytes, "body is cut off");
    let extras_bytes = usize::from(head[4]);
    let key_end = extras_bytes + usize::from(u16::from_be_bytes([head[2], head[3]]));
    Some(Response {
        opcode: head[1],
        status: u16::from_be_bytes([head[6], head[7]]),
        key: body[extras_bytes..key_end].to_vec(),
        value: body[key_end..].to_vec(),
    })
}

/// Sends a request and returns the status and the value of its response.
#[track_caller]
pub fn exchange(connection: &mut Memcached, request: &[u8]) -> (u16, String) {
    connection.send(request);
    let response = response(connection).expect("a response");
    (response.status, String::from_utf8_lossy(&response.value).into_owned())
}
