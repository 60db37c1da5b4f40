//! Whatever bytes come in, and however they are split: the same replies, and no panic.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::{cache, settings};
use crate::cache::WhenFull;
use crate::memcached::connection;
use crate::memcached::server::Door;
use crate::tasks::Tasks;

/// A stream that holds everything, so that nothing is split.
const UNSPLIT_BYTES: usize = 1 << 20;

/// Sends `input` through a stream that holds `stream_bytes` at a time, and reads all replies.
fn converse(input: &[u8], stream_bytes: usize) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = cache(WhenFull::Evict, 1 << 20);
        let door = Door::new(cache, Tasks::default(), settings());
        let (client, server) = duplex(stream_bytes);
        let (mut replies, mut requests) = tokio::io::split(client);
        let mut received = Vec::new();
        let send = async {
            // The server may have closed already.
            let _ = requests.write_all(input).await;
            let _ = requests.shutdown().await;
        };
        let receive = async { replies.read_to_end(&mut received).await.unwrap() };
        tokio::join!(connection::run(server, door), send, receive);
        received
    })
}

/// Words that reach into the grammar, where random bytes would not.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let words = [
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
    prop_oneof![
        20 => prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        2 => prop::collection::vec(any::<u8>(), 0..20),
        1 => (1900_usize..2200, any::<u8>()).prop_map(|(count, byte)| vec![byte; count]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn splitting_the_input_does_not_change_the_replies(
        fragments in prop::collection::vec(fragment(), 0..60),
        stream_bytes in 1_usize..64,
    ) {
        let input = fragments.concat();
        let (whole, split) = (converse(&input, UNSPLIT_BYTES), converse(&input, stream_bytes));
        prop_assert_eq!(
            whole.escape_ascii().to_string(),
            split.escape_ascii().to_string(),
            "{}",
            input.escape_ascii()
        );
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
        assert!(converse(&input, stream_bytes) == expected, "with {stream_bytes} at a time");
    }
}
