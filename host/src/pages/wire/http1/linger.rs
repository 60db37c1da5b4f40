//! Closing so that the last answer arrives: a socket that is closed with unread bytes in it tells
//! the other side to throw away what it has not read yet (RFC 9112 §9.6).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::net::Stream;

/// Bytes of a body that are read to no purpose.
const BYTES_MAX: usize = 512 * 1024;

/// Time that is taken for it, milliseconds.
const MS_MAX: u64 = 2_000;

/// Says that nothing more will come, and reads what is still on its way, within limits.
pub(super) async fn close(stream: &mut Stream) {
    let closing = async {
        stream.shutdown().await?;
        let mut room = [0; 4096];
        let mut left = BYTES_MAX;
        while left > 0 {
            match stream.read(&mut room).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        Ok::<_, std::io::Error>(())
    };
    // Closed in any case.
    let _ = tokio::time::timeout(Duration::from_millis(MS_MAX), closing).await;
}
