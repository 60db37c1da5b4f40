//! Whatever bytes come in, and however they are split: the same replies, and no panic.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::frames::{self, Frame};
use super::{cache, settings};
use crate::cache::WhenFull;
use crate::memcached::connections::Ends;
use crate::memcached::server::Door;
use crate::memcached::{Settings, Users, connection};
use crate::tasks::Tasks;

/// A stream that holds everything, so that nothing is split.
const UNSPLIT_BYTES: usize = 1 << 20;

/// Sends `input` through a stream that holds `stream_bytes` at a time, and reads all replies.
fn converse(input: &[u8], stream_bytes: usize, settings: &Settings) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = cache(WhenFull::Evict, 1 << 20);
        let door = Door::new(cache, Tasks::default(), settings.clone());
        let (client, server) = duplex(stream_bytes);
        let (mut replies, mut requests) = tokio::io::split(client);
        let mut received = Vec::new();
        let send = async {
            // The server may have closed already.
            let _ = requests.write_all(input).await;
            let _ = requests.shutdown().await;
        };
        let receive = async { replies.read_to_end(&mut received).await.unwrap() };
        tokio::join!(connection::run(server, door, Ends::default()), send, receive);
        received
    })
}

/// What requests are made of.
const WORDS: &[&str] = &[
    "get ",
    "gets ",
    "gat 0 ",
    "gats -1 ",
    "set ",
    "add ",
    "replace ",
    "append ",
    "prepend ",
    "cas ",
    "incr ",
    "decr ",
    "delete ",
    "touch ",
    "flush_all ",
    "verbosity 1 ",
    "version",
    "stats reset",
    "quit",
    "a ",
    "b ",
    "0 ",
    "1 ",
    "5 ",
    "-1 ",
    "99999999999999999999 ",
    "noreply",
    "\r\n",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    " ",
    "hello\r\n",
    "1\r\n",
    "\0",
    "GET / ",
    "HTTP/1.1",
    "set a 0 0 5\r\nhello\r\n",
    "set b 0 0 1\r\n7\r\n",
    "set a 0 0 3\r\nhello\r\n",
    "set a 0 0 2000000\r\n",
    "incr b 1\r\n",
    "get a b\r\n",
    "mg a ",
    "mg YQ== b k O1 ",
    "ms a 5 ",
    "ms a 1 q s c ",
    "md a ",
    "ma b ",
    "me a ",
    "mn\r\n",
    "v ",
    "t c k ",
    "q ",
    "N30 ",
    "R100 ",
    "T9 ",
    "C1 ",
    "E7 ",
    "I ",
    "x ",
    "MA ",
    "Lone,two ",
    "ms a 5 k O1\r\nhello\r\n",
    "mg a N30 v t k c s\r\n",
];

/// A word of the grammar, or bytes.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec()),
        2 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (1900_usize..2200, any::<u8>()).prop_map(|(count, byte)| vec![byte; count]),
    ]
}

/// A frame that is sound, or wrong in one byte behind its opcode. Not the general statistics,
/// which show the time.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let opcode =
        prop_oneof![0_u8..0x10, 0x11_u8..0x26, any::<u8>().prop_filter("stat", |o| *o != 0x10)];
    let value = prop_oneof![
        Just(Vec::new()),
        Just(b"7".to_vec()),
        prop::collection::vec(any::<u8>(), 0..30),
        (1000_usize..3000).prop_map(|count| vec![b'v'; count]),
    ];
    let cas = prop_oneof![10 => Just(0_u64), 3 => 1_u64..6, 1 => any::<u64>()];
    let is_fitting = prop::bool::weighted(0.9);
    let wrong = prop::option::weighted(0.05, (0_usize..40, any::<u8>()));
    let parts = (opcode, prop::sample::select(vec!["a", "b", "nine"]), value, cas);
    (parts, is_fitting, any::<u32>(), wrong).prop_map(
        |((opcode, key, value, cas), is_fitting, number, wrong)| {
            let mut frame = match is_fitting {
                true => fitting(opcode, key, &value, number),
                false => Frame { value: &value, ..Frame::timed(opcode, key, number) },
            };
            frame.cas = cas;
            let mut bytes = frame.bytes();
            if let Some((index, byte)) = wrong {
                let index = 2 + index % (bytes.len() - 2);
                bytes[index] = byte;
            }
            bytes
        },
    )
}

/// The parts that a request of this opcode has.
fn fitting<'a>(opcode: u8, key: &'a str, value: &'a [u8], number: u32) -> Frame<'a> {
    use frames::*;
    match opcode {
        SET | ADD | REPLACE | SETQ | 0x12 | 0x13 => {
            Frame { value, ..Frame::store(opcode, key, "") }
        }
        APPEND | PREPEND | APPENDQ | 0x1a => Frame { value, ..Frame::new(opcode, key) },
        INCREMENT | DECREMENT | INCREMENTQ | 0x16 => {
            Frame::count(opcode, key, u64::from(number), 5, number % 3)
        }
        TOUCH | GAT | 0x1e | GATK | GATKQ => Frame::timed(opcode, key, number % 100),
        FLUSH | FLUSHQ | VERBOSITY => Frame::timed(opcode, "", 0),
        QUIT | NOOP | VERSION | QUITQ | SASL_LIST => Frame::new(opcode, ""),
        SASL_AUTH | SASL_STEP => Frame { value, ..Frame::new(opcode, "PLAIN") },
        STAT => Frame::new(opcode, "settings"),
        _ => Frame::new(opcode, key),
    }
}

/// Messages by which clients authenticate, good and bad.
fn sasl() -> impl Strategy<Value = Vec<u8>> {
    let message = prop::sample::select(vec!["\0ann\0secret", "\0ann\0wrong", "", "ann secret"]);
    let opcode = prop::sample::select(vec![frames::SASL_AUTH, frames::SASL_STEP]);
    let mechanism = prop::sample::select(vec!["PLAIN", "PLAIN", "PLAIN", "OTHER"]);
    (opcode, mechanism, message).prop_map(|(opcode, mechanism, message)| {
        Frame { value: message.as_bytes(), ..Frame::new(opcode, mechanism) }.bytes()
    })
}

fn token() -> impl Strategy<Value = Vec<u8>> {
    let tokens = vec!["ann secret", "ann wrong", "ann", "", " ann  secret x"];
    prop::sample::select(tokens)
        .prop_map(|token| format!("set a 0 0 {}\r\n{token}\r\n", token.len()).into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn splitting_the_input_does_not_change_the_replies(
        fragments in prop::collection::vec(fragment(), 0..60),
        stream_bytes in 1_usize..64,
    ) {
        let input = fragments.concat();
        is_the_same_when_split(&input, stream_bytes, &settings())?;
    }

    #[test]
    fn splitting_frames_does_not_change_the_replies(
        frames in prop::collection::vec(frame(), 0..40),
        stream_bytes in 1_usize..64,
    ) {
        is_the_same_when_split(&frames.concat(), stream_bytes, &settings())?;
    }

    #[test]
    fn splitting_the_input_of_strangers_does_not_change_the_replies(
        tokens in prop::collection::vec(prop_oneof![fragment(), token()], 0..12),
        frames in prop::collection::vec(prop_oneof![frame(), sasl()], 0..12),
        stream_bytes in 1_usize..64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        std::fs::write(&path, "ann:secret").unwrap();
        let settings = Settings { users: Some(Users::load(&path).unwrap()), ..settings() };
        is_the_same_when_split(&tokens.concat(), stream_bytes, &settings)?;
        is_the_same_when_split(&frames.concat(), stream_bytes, &settings)?;
    }

    #[test]
    fn no_bytes_behind_the_magic_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        converse(&[&[0x80], &bytes[..]].concat(), 64, &settings());
    }
}

fn is_the_same_when_split(
    input: &[u8],
    stream_bytes: usize,
    settings: &Settings,
) -> Result<(), TestCaseError> {
    let whole = converse(input, UNSPLIT_BYTES, settings);
    let split = converse(input, stream_bytes, settings);
    prop_assert_eq!(
        whole.escape_ascii().to_string(),
        split.escape_ascii().to_string(),
        "{}",
        input.escape_ascii()
    );
    Ok(())
}

#[test]
fn long_lines_of_strangers_are_closed_on_however_they_are_split() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users");
    std::fs::write(&path, "ann:secret").unwrap();
    let settings = Settings { users: Some(Users::load(&path).unwrap()), ..settings() };
    for keys_bytes in 2040..2056 {
        let input = format!("get {}\r\nget a\r\n", "k".repeat(keys_bytes));
        for stream_bytes in [1, 63, 2047, 2048, 2049, 2050] {
            is_the_same_when_split(input.as_bytes(), stream_bytes, &settings).unwrap();
        }
    }
}

#[test]
fn a_value_larger_than_every_buffer_comes_back_as_it_was() {
    let value: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    let mut input = format!("set a 1 0 {}\r\n", value.len()).into_bytes();
    input.extend_from_slice(&value);
    input.extend_from_slice(b"\r\nget a a\r\n");
    let mut expected = b"STORED\r\n".to_vec();
    for _ in 0..2 {
        expected.extend_from_slice(format!("VALUE a 1 {}\r\n", value.len()).as_bytes());
        expected.extend_from_slice(&value);
        expected.extend_from_slice(b"\r\n");
    }
    expected.extend_from_slice(b"END\r\n");
    for stream_bytes in [UNSPLIT_BYTES, 1000, 7] {
        assert!(
            converse(&input, stream_bytes, &settings()) == expected,
            "with {stream_bytes} at a time"
        );
    }
}
