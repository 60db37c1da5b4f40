//! `me` (protocol.txt, "Meta Debug").

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::is_encoded;
use crate::cache::Bits;
use crate::memcached::ops;
use crate::memcached::parse::Meta;
use crate::memcached::session::Session;

/// Answers with the item's bookkeeping, or `EN`.
pub(super) async fn carry_out(session: &mut Session, meta: &Meta<'_>) {
    let key = meta.key.as_ref();
    let Some(entry) = ops::inspect(session, key).await else {
        return session.out.push(b"EN\r\n");
    };
    let cache = session.door.cache();
    let (now_ms, bytes) = (cache.clock().now_ms(), cache.bytes_of(key));
    let out = &mut session.out;
    out.push(b"ME ");
    if is_encoded(key, entry.bits()) {
        out.push(STANDARD.encode(key).as_bytes());
    } else {
        out.push(key);
    }
    out.push(b" exp=");
    match entry.expires().as_ms() {
        None => out.push(b"-1"),
        Some(at_ms) => out.push_number(at_ms.saturating_sub(now_ms).div_ceil(1000)),
    }
    out.push(b" la=");
    out.push_number((now_ms / 1000).saturating_sub(entry.accessed_s().into()));
    out.push(b" cas=");
    out.push_number(entry.cas());
    out.push(if entry.bits().has(Bits::FETCHED) { b" fetch=yes" } else { b" fetch=no" });
    // There are no slab classes; tools expect one.
    out.push(b" cls=1 size=");
    out.push_number(bytes);
    out.push(b"\r\n");
}
