//! What pymemcache's serializer would have written in place of a pickle.
//!
//! # Invariants
//! - Only a pickle that is one text, number or byte string and nothing else is taken apart; nothing
//!   in it is ever executed, and every other pickle stays as it is, which clients read alike.
//! - Any bytes are taken: what is cut short or malformed is no such pickle.
//!
//! # Not here
//! A pickle machine: no stack, no memo, no classes. Opcodes as in CPython's `pickletools`.

/// Flags of pymemcache's `serde` (pymemcache/serde.py); bytes have none.
const FLAG_PICKLE: u32 = 1;
const FLAG_INTEGER: u32 = 2;
const FLAG_TEXT: u32 = 16;

/// A value with its client flags.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Value {
    /// memcached's client flags.
    pub flags: u32,
    /// The bytes.
    pub body: Vec<u8>,
}

/// The value as pymemcache writes it: counters as digits, so that `incr` works on them, text as
/// UTF-8, bytes as they are, and everything else as the pickle that it is.
pub(super) fn value_of(pickled: Vec<u8>) -> Value {
    trivial(&pickled).unwrap_or(Value { flags: FLAG_PICKLE, body: pickled })
}

fn trivial(mut bytes: &[u8]) -> Option<Value> {
    // Protocol 2 and later begin so; bytes look different in earlier ones.
    let [0x80, 2..=5] = *take::<2>(&mut bytes)? else { return None };
    skip_frame(&mut bytes)?;
    let [opcode] = *take::<1>(&mut bytes)?;
    let value = match opcode {
        // BININT, BININT1, BININT2
        b'J' => integer(i32::from_le_bytes(*take(&mut bytes)?).into()),
        b'K' => integer(take::<1>(&mut bytes)?[0].into()),
        b'M' => integer(u16::from_le_bytes(*take(&mut bytes)?).into()),
        // LONG1
        0x8a => {
            let [length] = *take::<1>(&mut bytes)?;
            integer(long(take_slice(&mut bytes, length.into())?)?)
        }
        // SHORT_BINUNICODE, BINUNICODE, BINUNICODE8
        0x8c => text(short(&mut bytes)?)?,
        b'X' => text(medium(&mut bytes)?)?,
        0x8d => text(long_piece(&mut bytes)?)?,
        // SHORT_BINBYTES, BINBYTES, BINBYTES8
        b'C' => plain(short(&mut bytes)?),
        b'B' => plain(medium(&mut bytes)?),
        0x8e => plain(long_piece(&mut bytes)?),
        _ => return None,
    };
    skip_frame(&mut bytes)?;
    skip_memo(&mut bytes)?;
    (bytes == b".").then_some(value)
}

fn integer(number: i128) -> Value {
    Value { flags: FLAG_INTEGER, body: number.to_string().into_bytes() }
}

/// Lone surrogates are allowed in pickles, but are no UTF-8.
fn text(bytes: &[u8]) -> Option<Value> {
    std::str::from_utf8(bytes).ok()?;
    Some(Value { flags: FLAG_TEXT, body: bytes.to_vec() })
}

fn plain(bytes: &[u8]) -> Value {
    Value { flags: 0, body: bytes.to_vec() }
}

/// Little-endian two's complement of any length; nothing is zero.
fn long(bytes: &[u8]) -> Option<i128> {
    let is_negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut whole = [if is_negative { 0xff } else { 0 }; 16];
    whole.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i128::from_le_bytes(whole))
}

fn short<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let [length] = *take::<1>(bytes)?;
    take_slice(bytes, length.into())
}

fn medium<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(*take(bytes)?);
    take_slice(bytes, length.into())
}

fn long_piece<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u64::from_le_bytes(*take(bytes)?);
    take_slice(bytes, length)
}

/// FRAME says how long the next piece of the stream is, which adds nothing here.
fn skip_frame(bytes: &mut &[u8]) -> Option<()> {
    if bytes.first() == Some(&0x95) {
        take::<9>(bytes)?;
    }
    Some(())
}

/// MEMOIZE, BINPUT and LONG_BINPUT remember the value for later, and there is no later.
fn skip_memo(bytes: &mut &[u8]) -> Option<()> {
    match bytes.first()? {
        0x94 => take::<1>(bytes).map(drop),
        b'q' => take::<2>(bytes).map(drop),
        b'r' => take::<5>(bytes).map(drop),
        _ => Some(()),
    }
}

fn take<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (piece, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(piece)
}

fn take_slice<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (piece, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8]) -> (u32, String) {
        let value = value_of(bytes.to_vec());
        (value.flags, value.body.escape_ascii().to_string())
    }

    // What CPython's `pickle.dumps` writes with the protocol in the second byte.
    #[test]
    fn integers_become_digits() {
        for (pickled, digits) in [
            (&b"\x80\x05K\x05."[..], "5"),
            (b"\x80\x02K\x05.", "5"),
            (b"\x80\x05M\xe8\x03.", "1000"),
            (b"\x80\x04\x95\x06\x00\x00\x00\x00\x00\x00\x00J\xff\xff\xff\xff.", "-1"),
            (b"\x80\x05\x95\x08\0\0\0\0\0\0\0\x8a\x05\x00\x00\x00\x00\x01.", "4294967296"),
            (b"\x80\x05\x8a\x05\x00\x00\x00\x00\xff.", "-4294967296"),
            (b"\x80\x05\x8a\x00.", "0"),
        ] {
            assert_eq!(of(pickled), (FLAG_INTEGER, digits.to_owned()), "{pickled:?}");
        }
    }

    #[test]
    fn text_and_bytes_become_themselves() {
        let text = b"\x80\x05\x95\x06\x00\x00\x00\x00\x00\x00\x00\x8c\x02hi\x94.";
        assert_eq!(of(text), (FLAG_TEXT, "hi".to_owned()));
        assert_eq!(of(b"\x80\x02X\x02\x00\x00\x00hiq\x00."), (FLAG_TEXT, "hi".to_owned()));
        let bytes = b"\x80\x05\x95\x06\x00\x00\x00\x00\x00\x00\x00C\x02hi\x94.";
        assert_eq!(of(bytes), (0, "hi".to_owned()));
        assert_eq!(of(b"\x80\x05\x8e\x02\0\0\0\0\0\0\0hi\x94."), (0, "hi".to_owned()));
    }

    #[test]
    fn everything_else_stays_a_pickle() {
        for pickled in [
            // None, True, a list, two values, what is cut short, what goes on, what is none.
            &b"\x80\x05N."[..],
            b"\x80\x05\x88.",
            b"\x80\x05]\x94.",
            b"\x80\x05K\x05K\x06.",
            b"\x80\x05K",
            b"\x80\x05K\x05",
            b"\x80\x05K\x05..",
            b"\x80\x06K\x05.",
            b"I5\n.",
            b"",
            // A lone surrogate, a length beyond the end, a number wider than is taken apart.
            b"\x80\x05\x8c\x03\xed\xa0\x80\x94.",
            b"\x80\x05\x8d\xff\xff\xff\xff\xff\xff\xff\xffhi.",
            b"\x80\x05\x8a\x11aaaaaaaaaaaaaaaaa.",
        ] {
            let value = value_of(pickled.to_vec());
            assert_eq!(value, Value { flags: FLAG_PICKLE, body: pickled.to_vec() });
        }
    }
}
