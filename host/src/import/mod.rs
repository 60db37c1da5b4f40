//! Taking over what another cache holds, so that a team moves to this server with a warm cache.
//!
//! # Invariants
//! - What is taken over obeys the rule: a key is looked for in the server *before* its value is
//!   read from the old cache, on the same connection. A value that was read before an invalidation
//!   of its key is therefore refused by the server, like any fill.
//! - Nothing that the server has is replaced, and nothing of the old cache is changed.
//! - Every row is counted: as stored, or under the reason why it is not.
//!
//! # Not here
//! The protocol's other end, and what pickles mean beyond text, numbers and bytes.

mod memcached;
mod pickle;
mod table;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use memcached::ServerError;
pub use table::{TableError, Zone};

use crate::limits::MEMCACHED_KEY_BYTES_MAX;
use crate::tier::Address;
use memcached::{Reply, Server, Storing};
use table::{Row, Table};

/// Where from and where to.
#[derive(Debug)]
pub struct DjangoTable<'a> {
    /// Where the table is.
    pub database: &'a Address,
    /// The table's name, as `createcachetable` made it.
    pub table: &'a str,
    /// What the times in a SQLite table are.
    pub zone: Zone,
    /// `address:port` of the server's memcached port.
    pub server: &'a str,
}

/// What became of the rows.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Stored.
    pub stored: u64,
    /// Left alone: the server has the key, or it was invalidated while its value was read.
    pub kept: u64,
    /// Expired already.
    pub expired: u64,
    /// Not a key of the memcached protocol: too long, empty, with spaces, or no text.
    pub bad_keys: u64,
    /// Not base64.
    pub damaged: u64,
    /// Refused by the server.
    pub refused: u64,
    /// Why the last of these was.
    pub last_refusal: Option<String>,
}

/// Why an import did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The old cache can't be read.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The server can't be talked to.
    #[error("memcached server {address}")]
    Server {
        /// Which.
        address: String,
        /// Why not.
        #[source]
        source: ServerError,
    },
}

/// Copies what a table of Django's `DatabaseCache` holds into a running server: the same keys, the
/// values as pymemcache's serializer writes them, the same moments of expiry.
///
/// # Errors
/// The table can't be read, or the server can't be talked to; what was stored by then stays.
pub async fn django_table(from: &DjangoTable<'_>) -> Result<Report, ImportError> {
    let mut table = Table::open(from.database, from.table, from.zone).await?;
    let unreachable = |source| ImportError::Server { address: from.server.to_owned(), source };
    let mut server = Server::connect(from.server).await.map_err(unreachable)?;
    let mut report = Report { bad_keys: table.odd_keys().await?, ..Report::default() };
    let mut after = Vec::new();
    loop {
        let keys = table.keys_after(&after).await?;
        let Some(last) = keys.last().cloned() else { return Ok(report) };
        let all = keys.len();
        let texts = keys.into_iter().filter_map(|key| String::from_utf8(key).ok());
        let good: Vec<String> = texts.filter(|key| is_memcached_key(key)).collect();
        report.bad_keys += (all - good.len()) as u64;
        // Before the values are read: from here on an invalidation of a key refuses its value.
        let missing = server.missing(&good).await.map_err(unreachable)?;
        report.kept += (good.len() - missing.len()) as u64;
        let rows = table.rows_between(&after, &last).await?;
        let named = rows.into_iter().filter_map(|row| {
            let key = str::from_utf8(&row.key).ok().and_then(|key| missing.get(key)).cloned();
            Some((key?, row))
        });
        let storing: Vec<Storing> =
            named.filter_map(|(key, row)| storing(key, row, &mut report)).collect();
        for reply in server.add(&storing).await.map_err(unreachable)? {
            match reply {
                Reply::Stored => report.stored += 1,
                Reply::NotStored => report.kept += 1,
                Reply::Refused(reason) => {
                    report.refused += 1;
                    report.last_refusal = Some(reason);
                }
            }
        }
        after = last;
    }
}

/// What the clients of the memcached protocol check too (protocol.txt, "Keys").
fn is_memcached_key(key: &str) -> bool {
    let is_plain = |byte: u8| byte > b' ' && byte != 0x7f;
    (1..=MEMCACHED_KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(is_plain)
}

fn storing(key: String, row: Row, report: &mut Report) -> Option<Storing> {
    if row.is_expired {
        report.expired += 1;
        return None;
    }
    // Django's encoder breaks lines (`base64.encodebytes` in old releases); the alphabet has none.
    let decoded = row.value.map(|mut value| {
        value.retain(|byte| !byte.is_ascii_whitespace());
        STANDARD.decode(value)
    });
    let Some(Ok(pickled)) = decoded else {
        report.damaged += 1;
        return None;
    };
    let pickle::Value { flags, body } = pickle::value_of(pickled);
    Some(Storing { key, flags, expires_s: row.expires_s, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: &str) -> Row {
        let (key, value) = (b":1:k".to_vec(), Some(value.as_bytes().to_vec()));
        Row { key, value, expires_s: None, is_expired: false }
    }

    #[test]
    fn value_that_is_no_base64_is_counted_and_left_out() {
        let mut report = Report::default();
        assert!(storing(":1:k".into(), row("not base64!"), &mut report).is_none());
        assert_eq!(report, Report { damaged: 1, ..Report::default() });
    }

    #[test]
    fn lines_within_base64_are_joined() {
        let stored = storing(":1:k".into(), row("gAVL\nBS4=\n"), &mut Report::default()).unwrap();
        assert_eq!((stored.flags, &*stored.body), (2, &b"5"[..]));
    }

    #[test]
    fn keys_are_judged_as_memcached_judges_them() {
        assert!(is_memcached_key(":1:é"));
        assert!(is_memcached_key(&"x".repeat(250)));
        for key in ["", " ", ":1:a b", ":1:a\x7f", &"x".repeat(251), &"é".repeat(126)] {
            assert!(!is_memcached_key(key), "{key:?}");
        }
    }
}
