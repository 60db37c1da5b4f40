//! Who is connected: the registry behind `stats conns`, and the numbers in watchers' lines.
//!
//! # Invariants
//! - A number belongs to one connection or listener at a time; like a descriptor, it is used again
//!   when that is gone.
//! - Bounded by the connection limit: some hundred bytes for each.
//! - What a connection notes while it serves is stored in its own place: no lock is taken.
//!
//! # Not here
//! How many there may be: the accept loop's permits.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::net::Bound;

/// The two ends of a connection, as far as known.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    /// The client's address; `None` on a unix socket.
    pub(super) peer: Option<SocketAddr>,
    /// The listener that accepted it.
    pub(super) listener: Option<Arc<Bound>>,
}

impl Ends {
    /// `local` or `tcp`, as watchers are told.
    pub(super) fn transport(&self) -> &'static str {
        match self.peer {
            Some(_) => "tcp",
            None => "local",
        }
    }
}

/// What a connection does, in memcached's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// It waits for a command.
    Read,
    /// It carries commands out.
    Command,
    /// It waits for a value.
    Value,
    /// It reads past what nobody wants.
    Swallow,
    /// It sends replies.
    Write,
    /// It is a watcher's, or gets a dump.
    Watch,
    /// It is a listener.
    Listening,
}

/// All states, in order.
const STATES: [(State, &str); 7] = [
    (State::Read, "conn_read"),
    (State::Command, "conn_parse_cmd"),
    (State::Value, "conn_nread"),
    (State::Swallow, "conn_swallow"),
    (State::Write, "conn_mwrite"),
    (State::Watch, "conn_watch"),
    (State::Listening, "conn_listening"),
];

/// A connection or a listener, as the others see it.
#[derive(Debug)]
struct Shown {
    number: usize,
    ends: Ends,
    state: AtomicU8,
    last_command_ms: AtomicU64,
}

/// All of them by number.
#[derive(Debug, Default)]
pub(super) struct Connections {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    places: Vec<Option<Arc<Shown>>>,
    free: Vec<usize>,
}

impl Connections {
    /// Takes a connection in, until its seat is dropped.
    pub(super) fn open(self: &Arc<Self>, ends: Ends, now_ms: u64) -> Seat {
        self.add(ends, State::Read, now_ms)
    }

    /// Takes a listener in, until its seat is dropped.
    pub(super) fn listen(self: &Arc<Self>, bound: Arc<Bound>, now_ms: u64) -> Seat {
        self.add(Ends { peer: None, listener: Some(bound) }, State::Listening, now_ms)
    }

    fn add(self: &Arc<Self>, ends: Ends, state: State, now_ms: u64) -> Seat {
        let mut table = self.table.lock();
        let number = table.free.pop().unwrap_or(table.places.len());
        let shown = Arc::new(Shown {
            number,
            ends,
            state: AtomicU8::new(state as u8),
            last_command_ms: AtomicU64::new(now_ms),
        });
        match table.places.get_mut(number) {
            Some(place) => *place = Some(Arc::clone(&shown)),
            None => table.places.push(Some(Arc::clone(&shown))),
        }
        Seat { connections: Arc::clone(self), shown }
    }

    fn remove(&self, number: usize) {
        let mut table = self.table.lock();
        if let Some(place) = table.places.get_mut(number) {
            *place = None;
            table.free.push(number);
        }
        if table.free.len() == table.places.len() {
            *table = Table::default();
        }
    }

    /// Where the listeners listen.
    pub(super) fn listeners(&self) -> Vec<Arc<Bound>> {
        let all = self.all();
        let listeners = all.iter().filter(|shown| shown.state() == State::Listening);
        listeners.filter_map(|shown| shown.ends.listener.clone()).collect()
    }

    /// Listeners and connections that there are.
    pub(super) fn len(&self) -> usize {
        let table = self.table.lock();
        table.places.len() - table.free.len()
    }

    fn all(&self) -> Vec<Arc<Shown>> {
        self.table.lock().places.iter().flatten().cloned().collect()
    }

    /// Names and values of `stats conns` (protocol.txt, "Connection statistics").
    pub(super) fn stats(&self, now_ms: u64) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        for shown in self.all() {
            let Shown { number, ends, .. } = &*shown;
            let state = shown.state();
            let listener = ends.listener.as_deref().map(|bound| Local(bound).to_string());
            let mut row =
                |name: &str, value: String| rows.push((format!("{number}:{name}"), value));
            match (state, ends.peer) {
                (State::Listening, _) => row("addr", listener.unwrap_or_default()),
                (_, peer) => {
                    row("addr", peer.map_or("unix:".to_owned(), |peer| Tcp(peer).to_string()));
                    row("listen_addr", listener.unwrap_or_default());
                }
            }
            row("state", STATES.get(state as usize).map_or("", |(_, name)| name).to_owned());
            let quiet_ms = now_ms.saturating_sub(shown.last_command_ms.load(Ordering::Relaxed));
            row("secs_since_last_cmd", (quiet_ms / 1000).to_string());
        }
        rows
    }
}

impl Shown {
    fn state(&self) -> State {
        let state = usize::from(self.state.load(Ordering::Relaxed));
        STATES.get(state).map_or(State::Read, |(state, _)| *state)
    }
}

/// A connection's place in the registry.
#[derive(Debug)]
pub(super) struct Seat {
    connections: Arc<Connections>,
    shown: Arc<Shown>,
}

impl Seat {
    /// Its number.
    pub(super) fn number(&self) -> usize {
        self.shown.number
    }

    /// The two ends of the connection.
    pub(super) fn ends(&self) -> &Ends {
        &self.shown.ends
    }

    /// Notes what it does from now on. Returns what it did before.
    pub(super) fn enter(&self, state: State) -> State {
        let before = self.shown.state();
        self.shown.state.store(state as u8, Ordering::Relaxed);
        before
    }

    /// Notes that commands came.
    pub(super) fn note_commands(&self, now_ms: u64) {
        self.shown.last_command_ms.store(now_ms, Ordering::Relaxed);
        self.enter(State::Command);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.remove(self.shown.number);
    }
}

/// `tcp:ADDRESS:PORT` or `tcp6:[ADDRESS]:PORT`.
struct Tcp(SocketAddr);

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", if self.0.is_ipv4() { "tcp" } else { "tcp6" }, self.0)
    }
}

/// The same for a listener, or `unix:PATH`.
struct Local<'a>(&'a Bound);

impl fmt::Display for Local<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Bound::Tcp(address) => Tcp(*address).fmt(f),
            Bound::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_in_the_order_of_their_numbers() {
        for (index, (state, _)) in STATES.iter().enumerate() {
            assert_eq!(*state as usize, index);
        }
    }

    #[test]
    fn numbers_are_used_again_and_what_is_gone_is_not_shown() {
        let connections = Arc::new(Connections::default());
        let bound = Arc::new(Bound::Tcp(([127, 0, 0, 1], 11211).into()));
        let listener = connections.listen(Arc::clone(&bound), 0);
        let peer = Some("[::1]:5".parse().unwrap());
        let first = connections.open(Ends { peer, listener: Some(bound) }, 1_000);
        let second = connections.open(Ends::default(), 1_000);
        assert_eq!((listener.number(), first.number(), second.number()), (0, 1, 2));
        first.note_commands(4_000);
        let rows = connections.stats(9_500);
        let row = |name: &str| {
            let found = rows.iter().find(|(shown, _)| shown == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(row("0:addr"), Some("tcp:127.0.0.1:11211"));
        assert_eq!((row("0:state"), row("0:listen_addr")), (Some("conn_listening"), None));
        assert_eq!(row("1:addr"), Some("tcp6:[::1]:5"));
        assert_eq!(row("1:listen_addr"), Some("tcp:127.0.0.1:11211"));
        assert_eq!(
            (row("1:state"), row("1:secs_since_last_cmd")),
            (Some("conn_parse_cmd"), Some("5"))
        );
        drop(first);
        assert_eq!(connections.len(), 2);
        assert!(connections.stats(9_500).iter().all(|(name, _)| !name.starts_with("1:")));
        assert_eq!(connections.open(Ends::default(), 0).number(), 1);
    }
}
