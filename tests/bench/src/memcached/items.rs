//! The items of the memcached benchmarks: keys of 20 bytes, values that follow from their key.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Length of every key.
pub(crate) const KEY_BYTES: usize = 20;

/// Sets in flight while a server is filled.
const FILL_BATCH: usize = 100;

const STORED: &[u8] = b"STORED\r\n";
/// 2^64 divided by the golden ratio.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// So many items with values of one length.
pub(crate) struct Items {
    keys: Vec<[u8; KEY_BYTES]>,
    value_bytes: usize,
    /// Behind the key in a storage command and before the value in a reply: flags and length.
    tail: Vec<u8>,
}

impl Items {
    /// Their keys differ from those of items of another length.
    pub(crate) fn new(count: u32, value_bytes: usize) -> Self {
        let keys = (0..count).map(|index| key(index, value_bytes)).collect();
        Self { keys, value_bytes, tail: format!(" 0 {value_bytes}\r\n").into_bytes() }
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.keys.len()
    }

    /// Whether their values have this length.
    pub(crate) fn is_of(&self, value_bytes: usize) -> bool {
        self.value_bytes == value_bytes
    }

    /// The key of an item; indices wrap around.
    pub(crate) fn key(&self, index: usize) -> &[u8] {
        self.keys.get(index % self.keys.len()).map_or(&[], <[u8; KEY_BYTES]>::as_slice)
    }

    /// Appends `set …` with the value.
    pub(crate) fn write_set(&self, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"set ");
        out.extend_from_slice(self.key(index));
        // A storage command has the expiry between flags and length; both are 0.
        out.extend_from_slice(b" 0");
        out.extend_from_slice(&self.tail);
        let end = out.len() + self.value_bytes;
        while out.len() < end {
            let piece = self.key(index);
            out.extend_from_slice(piece.get(..end - out.len()).unwrap_or(piece));
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Bytes of what [`Items::write_set`] appends.
    pub(crate) fn set_bytes(&self) -> usize {
        let mut out = Vec::new();
        self.write_set(0, &mut out);
        out.len()
    }

    /// Appends what a server answers for an item of a `get`, without the closing `END`.
    pub(crate) fn write_value(&self, index: usize, out: &mut Vec<u8>) {
        let mut set = Vec::with_capacity(self.set_bytes());
        self.write_set(index, &mut set);
        out.extend_from_slice(b"VALUE ");
        out.extend_from_slice(self.key(index));
        out.extend_from_slice(&self.tail);
        let value = set.len() - self.value_bytes - b"\r\n".len();
        out.extend_from_slice(set.get(value..).unwrap_or_default());
    }

    /// Bytes of what [`Items::write_value`] appends.
    pub(crate) fn reply_bytes(&self) -> usize {
        b"VALUE ".len() + KEY_BYTES + self.tail.len() + self.value_bytes + b"\r\n".len()
    }

    /// Whether this is the header of the item in a reply. Not longer than [`Items::reply_bytes`].
    pub(crate) fn is_header_of(&self, index: usize, reply: &[u8]) -> bool {
        let rest = reply.strip_prefix(b"VALUE ").and_then(|r| r.strip_prefix(self.key(index)));
        rest.is_some_and(|rest| rest.starts_with(&self.tail) && rest.ends_with(b"\r\n"))
    }

    /// Whether a reply whose header is right carries the right value.
    pub(crate) fn is_value_of(&self, index: usize, reply: &[u8]) -> bool {
        let start = reply.len().saturating_sub(self.value_bytes + b"\r\n".len());
        let value = reply.get(start..start + self.value_bytes).unwrap_or_default();
        let key = self.key(index);
        value.len() == self.value_bytes && value.chunks(KEY_BYTES).all(|c| key.starts_with(c))
    }

    /// Stores all of them.
    ///
    /// # Errors
    /// The connection breaks, or a reply is not `STORED`.
    pub(crate) fn fill(&self, address: SocketAddr) -> anyhow::Result<()> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut out = Vec::new();
        let mut replies = vec![0; FILL_BATCH * STORED.len()];
        for first in (0..self.count()).step_by(FILL_BATCH) {
            out.clear();
            let batch = first..(first + FILL_BATCH).min(self.count());
            batch.clone().for_each(|index| self.write_set(index, &mut out));
            stream.write_all(&out)?;
            let due = replies.get_mut(..batch.len() * STORED.len()).unwrap_or_default();
            stream.read_exact(due)?;
            if due.chunks(STORED.len()).any(|reply| reply != STORED) {
                anyhow::bail!("set is answered {:?}", String::from_utf8_lossy(due));
            }
        }
        Ok(())
    }

    /// Asks for some items, spread over all. Returns the share that is there, and right.
    ///
    /// # Errors
    /// The connection breaks.
    pub(crate) fn share_present(&self, address: SocketAddr, asked: usize) -> anyhow::Result<f64> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let (mut present, mut hit, mut reply) = (0, Vec::new(), Vec::new());
        for number in 0..asked {
            let index = number * (self.count() / asked).max(1);
            stream.write_all(&[b"get ", self.key(index), b"\r\n"].concat())?;
            hit.clear();
            self.write_value(index, &mut hit);
            hit.extend_from_slice(b"END\r\n");
            reply.resize(b"END\r\n".len(), 0);
            stream.read_exact(&mut reply)?;
            if reply != b"END\r\n" {
                let begun = reply.len();
                reply.resize(hit.len(), 0);
                stream.read_exact(reply.get_mut(begun..).unwrap_or_default())?;
                present += usize::from(reply == hit);
            }
        }
        Ok(present as f64 / asked as f64)
    }
}

/// `0000100:` (the values' length) and twelve digits that don't count up: neighbours in the order
/// of storing are no neighbours in any server's table.
fn key(index: u32, value_bytes: usize) -> [u8; KEY_BYTES] {
    // Multiples of the golden ratio keep their distance from each other, so none is there twice.
    let number = u64::from(index).wrapping_mul(MULTIPLIER) >> 24;
    let text = format!("{value_bytes:07}:{number:012x}");
    let mut key = [b'0'; KEY_BYTES];
    key.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_told_from_that_of_another_item() {
        let items = Items::new(10, 100);
        let mut reply = Vec::new();
        items.write_value(3, &mut reply);
        assert_eq!(reply.len(), items.reply_bytes());
        assert!(items.is_header_of(3, &reply) && items.is_value_of(3, &reply));
        assert!(!items.is_header_of(4, &reply) && !items.is_value_of(4, &reply));
        reply[60] ^= 1;
        assert!(!items.is_value_of(3, &reply));
    }

    #[test]
    fn keys_are_all_different() {
        let items = Items::new(1_000_000, 100);
        let mut keys = items.keys.clone();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), items.count());
    }

    #[test]
    fn a_set_is_what_protocol_txt_says() {
        let items = Items::new(1, 4);
        let mut out = Vec::new();
        items.write_set(0, &mut out);
        assert_eq!(out, b"set 0000004:000000000000 0 0 4\r\n0000\r\n");
        assert_eq!(items.set_bytes(), out.len());
    }
}
