//! The bare loop as a memcached server: constants for commands whose length it knows beforehand.

use std::net::SocketAddr;

use super::shape::Shape;
use crate::answering;

/// Serves the commands of one shape for ever. It looks at their first byte only.
///
/// # Errors
/// Those of [`answering::serve`].
pub(crate) fn serve(listen: SocketAddr, shape: Shape) -> anyhow::Result<()> {
    let items = shape.items();
    let (get_bytes, set_bytes) = (shape.get_bytes(), items.set_bytes());
    let mut found = Vec::new();
    (0..shape.keys_per_get).for_each(|position| items.write_value(position, &mut found));
    found.extend_from_slice(b"END\r\n");
    answering::serve(listen, |input, output| {
        let mut consumed = 0;
        while let Some(first) = input.get(consumed) {
            let (bytes, reply) = match first {
                b's' => (set_bytes, b"STORED\r\n".as_slice()),
                _ => (get_bytes, found.as_slice()),
            };
            if input.len() - consumed < bytes {
                break;
            }
            consumed += bytes;
            output.extend_from_slice(reply);
        }
        consumed
    })
}
