//! How many connections each client has.
//!
//! # Invariants
//! - What is counted is given back when its connection ends, in whatever way.
//! - An address without connections takes no room.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

/// Bits of an IPv6 address that are its network's: the rest a client chooses.
const HOST_BITS: u32 = 64;

type Table = Mutex<HashMap<IpAddr, usize, RandomState>>;

/// Connections by client; clones share the table.
#[derive(Clone)]
pub(crate) struct Clients {
    /// Connections of one client; `None`: as many as it likes.
    max: Option<usize>,
    table: Arc<Table>,
}

/// The right of a client to one more connection, for as long as it lives.
pub(crate) struct Place {
    client: IpAddr,
    table: Arc<Table>,
}

impl Clients {
    pub(crate) fn new(max: Option<usize>) -> Self {
        Self { max, table: Arc::default() }
    }

    /// Counts a connection: `Err` if its client has as many as it may, `None` where nothing is
    /// counted, as on a unix socket.
    pub(crate) fn admit(&self, ip: Option<IpAddr>) -> Result<Option<Place>, TooMany> {
        let (Some(max), Some(ip)) = (self.max, ip) else { return Ok(None) };
        let client = client_of(ip);
        let mut table = self.table.lock();
        let count = table.entry(client).or_insert(0);
        if *count >= max {
            return Err(TooMany);
        }
        *count += 1;
        drop(table);
        Ok(Some(Place { client, table: Arc::clone(&self.table) }))
    }
}

/// A client has as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.table.lock();
        if let Some(count) = table.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.client);
            }
        }
    }
}

/// Who an address belongs to.
fn client_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => {
            let network = u128::from(ip) >> HOST_BITS << HOST_BITS;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_places_and_gets_them_back() {
        let clients = Clients::new(Some(2));
        let admit = |ip: &str| clients.admit(Some(ip.parse().unwrap()));
        let first = admit("10.0.0.1").unwrap();
        let _second = admit("::ffff:10.0.0.1").unwrap();
        assert_eq!(admit("10.0.0.1").err(), Some(TooMany));
        assert!(admit("10.0.0.2").is_ok(), "another client");
        drop(first);
        assert!(admit("10.0.0.1").is_ok());
        assert_eq!(clients.table.lock().len(), 1, "who has gone takes no room");
    }

    #[test]
    fn an_ipv6_network_is_one_client_and_no_limit_counts_nobody() {
        let clients = Clients::new(Some(1));
        let admit = |ip: &str| clients.admit(Some(ip.parse().unwrap()));
        let _first = admit("2001:db8::1").unwrap();
        assert_eq!(admit("2001:db8::2").err(), Some(TooMany));
        assert!(admit("2001:db8:0:1::1").is_ok());
        assert!(clients.admit(None).unwrap().is_none());
        assert!(Clients::new(None).admit("::1".parse().ok()).unwrap().is_none());
    }
}
