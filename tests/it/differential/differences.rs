//! Where this server answers otherwise than memcached 1.6.18, on purpose, and why.
//!
//! The generators send none of this; every line of the table is shown to be true of both.

use wasmcached_tests::Reference;

use super::command::Command;
use super::run::{Dialect, Splits};
use super::{MEMORY, peer_of, peer_of_server, server};

/// One difference.
struct Difference {
    /// What is sent.
    sent: &'static str,
    /// What memcached 1.6.18 answers.
    old: &'static str,
    /// What this server answers.
    here: &'static str,
    reason: &'static str,
}

const ERROR: &str = "ERROR\r\n";
const BAD_LINE: &str = "CLIENT_ERROR bad command line format\r\n";
const NEWER: &str = "as memcached 1.6.45";
const SWALLOWED: &str = "as memcached 1.6.45: the data of a bad line is no command";

/// The same with other words shows nothing new.
const DIFFERENCES: &[Difference] = &[
    Difference { sent: "", old: ERROR, here: BAD_LINE, reason: NEWER },
    Difference { sent: "x", old: ERROR, here: BAD_LINE, reason: NEWER },
    Difference { sent: "get", old: ERROR, here: BAD_LINE, reason: NEWER },
    Difference { sent: "gat 0", old: "END\r\n", here: BAD_LINE, reason: NEWER },
    Difference { sent: "delete", old: ERROR, here: BAD_LINE, reason: NEWER },
    Difference { sent: "incr a", old: ERROR, here: BAD_LINE, reason: NEWER },
    Difference { sent: "touch a", old: ERROR, here: BAD_LINE, reason: NEWER },
    Difference { sent: "set a 0 0", old: ERROR, here: BAD_LINE, reason: NEWER },
    Difference { sent: "incr a 1 1 1", old: ERROR, here: "NOT_FOUND\r\n", reason: NEWER },
    Difference { sent: "touch a 0 0 0", old: ERROR, here: "NOT_FOUND\r\n", reason: NEWER },
    Difference {
        sent: "set a x 0 9\r\nflush_all",
        old: "CLIENT_ERROR bad command line format\r\nOK\r\n",
        here: BAD_LINE,
        reason: SWALLOWED,
    },
    Difference {
        sent: "cas a 0 0 9 x\r\nflush_all",
        old: "CLIENT_ERROR bad command line format\r\nOK\r\n",
        here: BAD_LINE,
        reason: SWALLOWED,
    },
    Difference {
        sent: "shutdown",
        old: "ERROR: shutdown not enabled\r\n",
        here: "SERVER_ERROR: shutdown not enabled\r\n",
        reason: NEWER,
    },
    Difference {
        sent: "set a 0 4000000000 1\r\nx\r\nget a",
        old: "STORED\r\nEND\r\n",
        here: "STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n",
        reason: "expiry times after 2038 are times, not the past",
    },
    Difference {
        sent: "mg a t N100",
        old: "HD t-1 W\r\n",
        here: "HD t~100 W\r\n",
        reason: "an item that is created has its lifetime from the start",
    },
    Difference {
        sent: "set n 0 1000 1\r\n1\r\nma n t T100",
        old: "STORED\r\nHD t~1000\r\n",
        here: "STORED\r\nHD t~100\r\n",
        reason: "what is told of a number is told of the new one",
    },
    Difference {
        sent: "set a 0 0 1\r\nx\r\nmd a I\r\nget a",
        old: "STORED\r\nHD\r\nVALUE a 0 1\r\nx\r\nEND\r\n",
        here: "STORED\r\nHD\r\nEND\r\n",
        reason: "only who can see that an item is stale is given it",
    },
    Difference {
        sent: "ms a 1\r\nx\r\nmd a I\r\nms a 1 MA\r\ny\r\nmg a v",
        old: "HD\r\nHD\r\nHD\r\nVA 2\r\nxy\r\n",
        here: "HD\r\nHD\r\nHD\r\nVA 2 X W\r\nxy\r\n",
        reason: "what is added to a stale item makes it no fresher",
    },
    Difference {
        sent: "ms a 1 c T-1\r\nx",
        old: "HD c<cas #0>\r\n",
        here: "HD c0\r\n",
        reason: "what is expired at once was never there",
    },
    Difference {
        sent: "mg YSBi b k N100",
        old: "HD ka b W\r\n",
        here: "HD kYSBi b W\r\n",
        reason: "a key that is no word is never told as one",
    },
    Difference { sent: "ma n q v N100", old: "VA 1\r\n0\r\n", here: "", reason: NEWER },
    Difference {
        sent: "get a\r\ndelete a\r\nset a 0 0 1\r\nx",
        old: "END\r\nNOT_FOUND\r\nSTORED\r\n",
        here: "END\r\nNOT_FOUND\r\nNOT_STORED\r\n",
        reason: "what was read before an invalidation is not stored after it",
    },
];

#[test]
fn known_differences_from_memcached_are_as_described() {
    let (reference, server) = (Reference::start(&MEMORY), server());
    let (old, here) = (peer_of(&reference), peer_of_server(&server));
    for Difference { sent, old: by_old, here: by_us, reason } in DIFFERENCES {
        let commands = [Command::line(sent)];
        if old.dialect == Dialect::V1_6_18 {
            let [replies] = &old.converse(&commands, Splits::Commands)[..] else { panic!() };
            assert_eq!(String::from_utf8_lossy(replies), *by_old, "memcached to `{sent}`");
        }
        let [replies] = &here.converse(&commands, Splits::Commands)[..] else { panic!() };
        assert_eq!(String::from_utf8_lossy(replies), *by_us, "to `{sent}`, {reason}");
    }
}
