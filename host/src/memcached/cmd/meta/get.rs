//! `mg` (protocol.txt, "Meta Get").

use super::{bits, cas, push_flag, push_key, push_opaque, push_ttl, tell_code};
use crate::memcached::ops::{self, LookUp, Reading, Recaching, Seen, Step};
use crate::memcached::parse::{Answer, Meta, signed_number};
use crate::memcached::session::Session;

/// Answers with what was asked for of the entry, or `EN`.
pub(super) async fn carry_out(session: &mut Session, meta: &Meta<'_>) {
    let look_up = LookUp {
        key: &meta.key,
        steps: steps(meta),
        cas: cas(meta),
        bits: bits(meta),
        reading: if meta.has(b'u') { Reading::Unnoted } else { Reading::Noted },
    };
    match ops::look_up_leased(session, &look_up).await {
        Ok(Some(seen)) => show(session, meta, &seen),
        Ok(None) if meta.has(b'q') => {}
        Ok(None) => tell_code(&mut session.out, meta, b"EN"),
        Err(error) => session.server_error(Answer::Wanted, &error),
    }
}

fn steps(meta: &Meta<'_>) -> Vec<Step> {
    let step = |(flag, token)| match flag {
        b'N' => signed_number(token).map(Step::Vivify),
        b'T' => signed_number(token).map(Step::Touch),
        b'R' => signed_number(token).map(Step::Recache),
        _ => None,
    };
    meta.flags().filter_map(step).collect()
}

fn show(session: &mut Session, meta: &Meta<'_>, seen: &Seen) {
    let now_ms = session.door.cache().clock().now_ms();
    let (out, entry) = (&mut session.out, &seen.entry);
    let body_bytes = entry.body().len() as u64;
    // A client that names the present unique has the value.
    let is_value_sent = meta.has(b'v') && meta.number(b'C') != Some(entry.cas());
    if is_value_sent {
        out.push(b"VA ");
        out.push_number(body_bytes);
    } else {
        out.push(b"HD");
    }
    let mut expires = seen.expired;
    for (flag, token) in meta.flags() {
        match flag {
            b'T' => expires = entry.expires(),
            b't' => push_ttl(out, expires, now_ms),
            b'c' => push_flag(out, b"c", entry.cas()),
            b'f' => push_flag(out, b"f", entry.flags().into()),
            b's' => push_flag(out, b"s", body_bytes),
            b'h' => push_flag(out, b"h", seen.was_fetched.into()),
            b'l' => {
                let idle_s = (now_ms / 1000).saturating_sub(seen.accessed_s.into());
                push_flag(out, b"l", idle_s);
            }
            b'k' => push_key(out, &meta.key, entry.bits()),
            b'O' => push_opaque(out, token),
            _ => {}
        }
    }
    if seen.recaching == Recaching::Sent {
        out.push(b" Z");
    }
    if seen.is_stale {
        out.push(b" X");
    }
    if seen.recaching == Recaching::Won {
        out.push(b" W");
    }
    out.push(b"\r\n");
    if is_value_sent {
        out.push_data_block(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Bits;

    #[test]
    fn a_key_that_is_no_word_is_never_shown_as_one() {
        for (key, bits, shown) in [
            (&b"foo"[..], Bits::NONE, &b" kfoo"[..]),
            (b"foo", Bits::BINARY_KEY, b" kZm9v b"),
            (b"a b", Bits::NONE, b" kYSBi b"),
            (b"a\r\nflush_all", Bits::NONE, b" kYQ0KZmx1c2hfYWxs b"),
        ] {
            let mut out = crate::memcached::reply::Output::default();
            push_key(&mut out, key, bits);
            assert_eq!(bytes::Buf::chunk(&out), shown);
        }
    }
}
