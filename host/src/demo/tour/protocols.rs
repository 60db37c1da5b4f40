//! Steps 6 and 7: one memory, read by other protocols.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Shown, StepError, TREK, Tour, claim};
use crate::client::percent_encode;

/// For the whole conversation with the memcached port.
const MEMCACHED_MS_MAX: u64 = 10_000;

/// Step 6.
pub(super) async fn memcached(tour: &mut Tour<'_>) -> Result<Shown, StepError> {
    let key = tour.stage.page(TREK);
    let start = Instant::now();
    let conversation = async {
        let mut stream = TcpStream::connect(tour.stage.cache.addresses().memcached).await?;
        stream.write_all(format!("get {key}\r\nquit\r\n").as_bytes()).await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        io::Result::Ok(reply)
    };
    let reply = tokio::time::timeout(Duration::from_millis(MEMCACHED_MS_MAX), conversation)
        .await
        .map_err(io::Error::from)??;
    let took = start.elapsed();
    let value = value(&reply, &key);
    claim(value.as_ref() == Some(&tour.fresh), || {
        format!("`{}`", String::from_utf8_lossy(&reply).lines().next().unwrap_or_default())
    })?;
    Ok(Shown { took, detail: format!("get {key}") })
}

/// The value in `VALUE key flags bytes\r\n…\r\nEND\r\n`, if the reply is exactly that.
fn value(reply: &[u8], key: &str) -> Option<Bytes> {
    let end = reply.windows(2).position(|pair| pair == b"\r\n")?;
    let line = std::str::from_utf8(reply.get(..end)?).ok()?;
    let mut words = line.strip_prefix("VALUE ")?.split(' ');
    let is_key = words.next()? == key;
    let bytes: usize = words.nth(1)?.parse().ok()?;
    let body = reply.get(end.checked_add(2)?..)?;
    let (value, rest) = body.split_at_checked(bytes)?;
    (is_key && rest == b"\r\nEND\r\n").then(|| Bytes::copy_from_slice(value))
}

/// Step 7.
pub(super) async fn api(tour: &mut Tour<'_>) -> Result<Shown, StepError> {
    let path = format!("/v1/cache/{}", percent_encode(&tour.stage.page(TREK)));
    let answer = tour.client.get(&tour.stage.api(&path)).await?;
    claim(answer.status == StatusCode::OK, || format!("status {}", answer.status))?;
    claim(answer.body == tour.fresh, || "another body than the page's".into())?;
    Ok(Shown { took: answer.took, detail: "GET /v1/cache/{key}".into() })
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn value_is_read_by_its_length_and_a_miss_is_none() {
        let reply = b"VALUE k 0 6\r\na\r\nEND\r\nEND\r\n";
        assert_eq!(value(reply, "k").unwrap(), "a\r\nEND");
        assert_eq!(value(b"END\r\n", "k"), None);
        assert_eq!(value(b"VALUE k 0 9\r\nab\r\nEND\r\n", "k"), None);
        assert_eq!(value(b"VALUE k 0 18446744073709551615\r\n", "k"), None);
    }
}
