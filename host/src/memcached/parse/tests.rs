use super::*;

fn invalid(line: &str) -> (&'static str, Answer, usize) {
    match parse(line.as_bytes(), 0) {
        Parse::Invalid(fault, consumed) => {
            let end = line.find('\n').unwrap() + 1;
            assert_eq!(consumed, end, "{line:?}");
            (std::str::from_utf8(fault.text).unwrap(), fault.answer, fault.swallow_bytes)
        }
        other => panic!("{line:?} gave {other:?}"),
    }
}

fn request(line: &str) -> Request<'_> {
    match parse(line.as_bytes(), 0) {
        Parse::Parsed(request, _) => request,
        other => panic!("{line:?} gave {other:?}"),
    }
}

#[test]
fn line_without_an_end_is_incomplete_at_every_length() {
    let line = b"set key 1 2 3 noreply\r\n";
    for length in 0..line.len() {
        assert_eq!(parse(&line[..length], 0), Parse::Incomplete);
    }
    assert!(matches!(parse(line, line.len() - 1), Parse::Parsed(Request::Store(_), 23)));
}

#[test]
fn storage_line_is_read_field_by_field() {
    let Request::Store(store) = request("cas key 7 -1 30 99 noreply\r\n") else { panic!("store") };
    assert_eq!((store.verb, store.unique), (Verb::Set, Some(99)));
    assert_eq!((store.key, store.flags, store.exptime), (&b"key"[..], 7, -1));
    assert_eq!((store.value_bytes, store.answer), (30, Answer::Unwanted));
}

#[test]
fn flags_keep_their_low_32_bits() {
    let Request::Store(store) = request("set key 4294967297 0 1\r\n") else { panic!("store") };
    assert_eq!(store.flags, 1);
}

#[test]
fn bad_storage_line_has_its_data_swallowed() {
    let bad = "CLIENT_ERROR bad command line format\r\n";
    assert_eq!(invalid("set k x 0 5\r\n"), (bad, Answer::Wanted, 7));
    assert_eq!(invalid("set k 0 0\n").2, 0);
    assert_eq!(invalid("cas k 0 0 5 noreply\r\n"), (bad, Answer::Unwanted, 7));
    assert_eq!(invalid("set k 0 0 2147483646\r\n").2, 0);
    assert_eq!(invalid("set k 0 0 -1\r\n").2, 0);
}

#[test]
fn keys_are_read_in_order_with_duplicates() {
    let Request::Retrieve(retrieve) = request("gats -5  b a  b \r\n") else { panic!("retrieve") };
    assert_eq!(retrieve.keys().collect::<Vec<_>>(), [b"b", b"a", b"b"]);
    assert_eq!((retrieve.cas, retrieve.exptime), (Cas::Shown, Some(-5)));
}

#[test]
fn one_long_key_makes_the_whole_retrieval_an_error() {
    let long = "k".repeat(251);
    assert_eq!(invalid(&format!("get a {long}\r\n")).0.as_bytes(), BAD_LINE);
    assert!(matches!(request(&format!("get a {}\r\n", &long[1..])), Request::Retrieve(_)));
}

#[test]
fn delete_takes_a_hold_time_of_zero_only() {
    for (line, answer) in [
        ("delete k\r\n", Answer::Wanted),
        ("delete k 0\r\n", Answer::Wanted),
        ("delete k noreply\r\n", Answer::Unwanted),
        ("delete k 0 noreply\r\n", Answer::Unwanted),
    ] {
        assert_eq!(request(line), Request::Delete(Delete { key: b"k", answer }), "{line:?}");
    }
    assert_eq!(invalid("delete k 10\r\n").1, Answer::Wanted);
    assert_eq!(invalid("delete k 10 noreply\r\n").1, Answer::Unwanted);
}

#[test]
fn numbers_do_not_overflow() {
    assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(number(b"18446744073709551616"), None);
    assert_eq!(signed_number(b"-9223372036854775808"), Some(i64::MIN));
    assert_eq!(signed_number(b"9223372036854775808"), None);
    assert_eq!((number(b""), number(b"-1"), signed_number(b"-")), (None, None, None));
}

#[test]
fn only_retrievals_may_be_long() {
    let long = "k ".repeat(1100);
    assert!(matches!(parse(format!("get {long}").as_bytes(), 0), Parse::Incomplete));
    assert!(matches!(parse(format!("get {long}\r\n").as_bytes(), 0), Parse::Parsed(..)));
    assert_eq!(parse(format!("delete {long}").as_bytes(), 0), Parse::Foreign);
    assert_eq!(parse(format!("delete {long}\r\n").as_bytes(), 0), Parse::Foreign);
}

#[test]
fn http_request_line_is_foreign_but_such_a_key_is_not() {
    assert_eq!(parse(b"GET / HTTP/1.1\r\n", 0), Parse::Foreign);
    assert!(matches!(request("get HTTP/1.1\r\n"), Request::Retrieve(_)));
}
