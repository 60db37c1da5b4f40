//! Heads and chunks, however they are cut, and arbitrary bytes.

use bytes::{Bytes, BytesMut};
use http::Version;
use proptest::prelude::*;

use super::chunked::{Decoder, Malformed, Step};
use super::head::{self, BAD, Facts, Framing, Parsed};
use super::write;

fn facts(raw: &str) -> Result<Facts, u16> {
    match head::parse(raw.as_bytes(), &mut head::slots()) {
        Parsed::Complete(head) => Ok(head.facts),
        Parsed::Incomplete => Err(0),
        Parsed::Invalid(fault) => Err(fault.status.as_u16()),
    }
}

#[test]
fn what_a_head_says_of_its_connection_is_read() {
    let found = facts("GET / HTTP/1.1\r\nHost: a\r\n\r\nrest").unwrap();
    assert_eq!((found.bytes, found.version), (27, Version::HTTP_11));
    assert_eq!((found.framing, found.keeps_alive), (Framing::None, true));
    let rows = [
        ("HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n", false, true),
        ("HTTP/1.0\r\n", false, true),
        ("HTTP/1.0\r\nConnection: Keep-Alive\r\n", true, true),
        ("HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n", false, false),
        ("HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n", false, true),
    ];
    for (rest, keeps_alive, is_plain) in rows {
        let found = facts(&format!("GET / {rest}\r\n")).unwrap();
        assert_eq!((found.keeps_alive, found.is_connection_plain), (keeps_alive, is_plain));
    }
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n";
    assert_eq!(facts(chunked).unwrap().framing, Framing::Chunked);
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(facts(old), Err(400));
}

#[test]
fn a_head_that_is_not_whole_is_incomplete_at_every_byte() {
    let raw = "POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: y\r\n\r\n";
    for end in 0..raw.len() {
        assert_eq!(facts(&raw[..end]), Err(0), "{:?}", &raw[..end]);
    }
    assert_eq!(facts(raw).unwrap().framing, Framing::Length(5));
}

/// Decodes a body that arrives in pieces of these sizes.
fn decode(raw: &[u8], sizes: &[usize]) -> Result<(Vec<u8>, usize), Malformed> {
    let (mut decoder, mut input, mut body) = (Decoder::new(), BytesMut::new(), Vec::new());
    let mut rest = raw;
    let mut sizes = sizes.iter().cycle();
    loop {
        match decoder.step(&mut input)? {
            Step::Data(data) => body.extend_from_slice(&data),
            Step::End => return Ok((body, rest.len() + input.len())),
            Step::More if rest.is_empty() => return Err(Malformed),
            Step::More => {
                let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
                let (now, later) = rest.split_at(size);
                input.extend_from_slice(now);
                rest = later;
            }
        }
    }
}

#[test]
fn chunks_are_read_however_they_are_cut() {
    let raw = b"3\r\none\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nX: y\r\n\r\nnext";
    for size in 1..raw.len() {
        assert_eq!(decode(raw, &[size]), Ok((b"one0123456789".to_vec(), 4)), "{size}");
    }
}

#[test]
fn lines_trailers_and_extensions_are_bounded() {
    let long_line = format!("3;{}\r\none\r\n0\r\n\r\n", "x".repeat(300));
    assert_eq!(decode(long_line.as_bytes(), &[1]), Err(Malformed));
    let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(3_000));
    assert_eq!(decode(trailers.as_bytes(), &[100]), Err(Malformed));
    let chunk = format!("1;{}\r\nx\r\n", "x".repeat(200));
    let extensions = format!("{}0\r\n\r\n", chunk.repeat(100));
    assert_eq!(decode(extensions.as_bytes(), &[100]), Err(Malformed));
}

#[test]
fn sizes_of_chunks_are_written_in_hexadecimal() {
    for size in [0, 1, 9, 10, 15, 16, 255, 256, 4096, usize::MAX] {
        let mut out = Vec::new();
        write::chunk_size(&mut out, size);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{size:x}\r\n"));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut slots = head::slots();
        let parsed = head::parse(&raw, &mut slots);
        if let Parsed::Complete(found) = parsed {
            prop_assert!(found.facts.bytes <= raw.len());
        }
        // Ends, in one way or another.
        let _ = decode(&raw, &[7]);
    }

    #[test]
    fn a_body_in_any_chunks_comes_out_whole(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..10),
        sizes in proptest::collection::vec(1..20usize, 1..5),
    ) {
        let mut raw = Vec::new();
        for chunk in &chunks {
            write::chunk_size(&mut raw, chunk.len());
            raw.extend_from_slice(chunk);
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(b"0\r\n\r\n");
        prop_assert_eq!(decode(&raw, &sizes), Ok((chunks.concat(), 0)));
    }
}

#[test]
fn a_fault_is_said_before_more_is_read() {
    for raw in ["GET / HTTP/1.1\nHost", "GET /\0 HTTP/1.1\r\n", "GET / HTTP/1.1\r\nX: y\nZ"] {
        assert_eq!(facts(raw), Err(BAD.status.as_u16()), "{raw:?}");
    }
    assert_eq!(facts(&"a".repeat(9_000)), Err(414));
    let endless = Bytes::from(format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(17_000)));
    assert_eq!(facts(std::str::from_utf8(&endless).unwrap()), Err(431));
}
