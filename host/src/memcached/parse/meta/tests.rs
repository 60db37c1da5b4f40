use super::*;
use crate::memcached::parse::{Parse, Request, parse};

fn meta(line: &str) -> (MetaVerb, Meta<'_>) {
    match parse(line.as_bytes(), 0) {
        Parse::Parsed(Request::Meta(verb, meta), _) => (verb, meta),
        other => panic!("{line:?} gave {other:?}"),
    }
}

fn invalid(line: &str) -> (&'static [u8], usize) {
    match parse(line.as_bytes(), 0) {
        Parse::Invalid(fault, _) => {
            assert_eq!(fault.answer, Answer::Wanted, "{line:?}");
            (fault.text, fault.swallow_bytes)
        }
        other => panic!("{line:?} gave {other:?}"),
    }
}

#[test]
fn flags_keep_their_order_and_their_tokens() {
    let (verb, meta) = meta("mg  key v  O12 T-5 C18446744073709551615 q\r\n");
    assert_eq!((verb, &*meta.key), (MetaVerb::Get, &b"key"[..]));
    let flags: Vec<_> = meta.flags().map(|(flag, token)| (flag as char, token)).collect();
    let unique = &b"18446744073709551615"[..];
    let expected = [('v', &b""[..]), ('O', b"12"), ('T', b"-5"), ('C', unique), ('q', b"")];
    assert_eq!(flags, expected);
    assert_eq!((meta.seconds(b'T'), meta.number(b'C')), (Some(-5), Some(u64::MAX)));
    assert_eq!((meta.has(b'k'), meta.token(b'k'), meta.number(b'E')), (false, None, None));
}

#[test]
fn mode_of_counting_is_its_first_letter() {
    for (mode, direction) in [
        ("", Direction::Up),
        ("MI", Direction::Up),
        ("M+", Direction::Up),
        ("Mdecr", Direction::Up),
        ("MD", Direction::Down),
        ("M-", Direction::Down),
        ("MDecr", Direction::Down),
    ] {
        let line = format!("ma k {mode}\r\n");
        if mode == "Mdecr" {
            assert_eq!(invalid(&line).0, BAD_COUNT_MODE);
        } else {
            assert_eq!(meta(&line).0, MetaVerb::Count(direction), "{mode}");
        }
    }
}

#[test]
fn key_in_base64_is_decoded_and_has_one_spelling() {
    assert_eq!(&*meta("mg AP8g b\r\n").1.key, b"\x00\xff ");
    assert_eq!(&*meta("me AP8g b\r\n").1.key, b"\x00\xff ");
    for key in ["AP8", "AP8g=", "A\tP8g", "====", "AP9=AAAA", "AB=="] {
        assert_eq!(invalid(&format!("mg {key} b\r\n")).0, BAD_KEY, "{key:?}");
        assert_eq!(invalid(&format!("me {key} b\r\n")).0, BAD_LINE, "{key:?}");
    }
}

#[test]
fn bad_set_line_has_its_data_swallowed_if_its_length_is_known() {
    for line in ["ms k 5 !", "ms k 5 v v", "ms k 5 Tx", "ms k 5 M", "ms k 5 b"] {
        assert_eq!(invalid(&format!("{line}\r\n")).1, 7, "{line:?}");
    }
    assert_eq!(invalid(&format!("ms {} 5\r\n", "k".repeat(251))), (BAD_LINE, 7));
    for line in ["ms", "ms k", "ms k x", "ms k -1", "ms k 2147483646", "ms k S5"] {
        assert_eq!(invalid(&format!("{line}\r\n")), (BAD_LINE, 0), "{line:?}");
    }
}

#[test]
fn every_letter_is_a_flag_that_is_known_or_an_error() {
    for letter in (b'A'..=b'z').map(char::from) {
        let line = format!("mg AAAA {letter}1\r\n");
        let is_known = "bcCDEfFhIJklLMNOPqRstTuvx".contains(letter);
        match parse(line.as_bytes(), 0) {
            Parse::Parsed(Request::Meta(_, meta), _) => {
                assert!(is_known && meta.has(letter as u8), "{letter}");
            }
            Parse::Invalid(fault, _) => {
                assert_eq!((is_known, fault.text), (false, UNKNOWN_FLAG), "{letter}");
            }
            other => panic!("{letter} gave {other:?}"),
        }
    }
}
