//! A proxy that delays, freezes and cuts what goes through it, between a server and the database
//! that it is above: TCP on this side, a unix socket on the other.
//!
//! # Invariants
//! - What passes is passed unchanged and in order, in every state.
//! - A dropped proxy leaves no connection and no listener behind.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// What is done with bytes and with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Passing,
    /// Each piece waits so long in each direction.
    Delaying(Duration),
    /// Nothing passes, and nothing is closed: what a lost network looks like.
    Frozen,
    /// Every connection is closed, and every new one at once.
    Cut,
    /// The proxy is gone.
    Over,
}

struct Shared {
    course: Mutex<Course>,
    changed: Condvar,
    /// Both ends of every connection there was.
    sockets: Mutex<Vec<(TcpStream, UnixStream)>>,
}

struct Course {
    state: State,
    /// Connections that there have been.
    connections: usize,
    /// Nothing passes on so many of them, the first ones.
    lost: usize,
    /// Bytes that have passed.
    passed: usize,
    /// Everything freezes before more than so many have.
    passed_max: usize,
}

impl Shared {
    fn set(&self, state: State) {
        {
            let mut course = self.course.lock();
            course.state = state;
            if state == State::Passing {
                (course.lost, course.passed_max) = (0, usize::MAX);
            }
        }
        self.changed.notify_all();
        if matches!(state, State::Cut | State::Over) {
            for pair in self.sockets.lock().drain(..) {
                close(&pair);
            }
        }
    }

    /// Returns when a piece of so many bytes may go on; false when its connection is over.
    fn wait_to_pass(&self, connection: usize, bytes: usize) -> bool {
        let mut course = self.course.lock();
        if let State::Delaying(delay) = course.state {
            // Ends early when the state changes.
            let _ = self.changed.wait_for(&mut course, delay);
        }
        if course.passed.saturating_add(bytes) > course.passed_max {
            course.state = State::Frozen;
        }
        let is_over = |state| matches!(state, State::Cut | State::Over);
        let is_held = |course: &Course| course.state == State::Frozen || connection < course.lost;
        while is_held(&course) && !is_over(course.state) {
            self.changed.wait(&mut course);
        }
        course.passed += bytes;
        !is_over(course.state)
    }
}

/// A proxy.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a free port of loopback and passes everything on to a unix socket.
    #[track_caller]
    pub fn to(target: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
        let address = listener.local_addr().expect("address");
        let shared = Arc::new(Shared {
            course: Mutex::new(Course {
                state: State::Passing,
                connections: 0,
                lost: 0,
                passed: 0,
                passed_max: usize::MAX,
            }),
            changed: Condvar::new(),
            sockets: Mutex::default(),
        });
        let (accepting, target) = (Arc::clone(&shared), PathBuf::from(target));
        spawn(move || accept(&listener, &target, &accepting));
        Self { address, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on everything passes as it comes.
    pub fn pass(&self) {
        self.shared.set(State::Passing);
    }

    /// From now on each piece takes so long in each direction.
    pub fn delay_ms(&self, delay_ms: u64) {
        self.shared.set(State::Delaying(Duration::from_millis(delay_ms)));
    }

    /// From now on nothing passes.
    pub fn freeze(&self) {
        self.shared.set(State::Frozen);
    }

    /// From now on nothing passes on the connections that there are; on new ones it does.
    pub fn lose_present(&self) {
        let mut course = self.shared.course.lock();
        course.lost = course.connections;
    }

    /// Bytes that have passed, in both directions.
    pub fn passed(&self) -> usize {
        self.shared.course.lock().passed
    }

    /// Freezes as soon as more than so many further bytes would have passed.
    pub fn freeze_after(&self, bytes: usize) {
        let mut course = self.shared.course.lock();
        course.passed_max = course.passed + bytes;
    }

    /// Whether nothing passes.
    pub fn is_frozen(&self) -> bool {
        self.shared.course.lock().state == State::Frozen
    }

    /// Closes every connection, and from now on every new one.
    pub fn cut(&self) {
        self.shared.set(State::Cut);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.set(State::Over);
        // Wakes the one who accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, target: &Path, shared: &Arc<Shared>) {
    for client in listener.incoming().map_while(Result::ok) {
        match shared.course.lock().state {
            State::Over => return,
            State::Cut => continue,
            State::Passing | State::Delaying(_) | State::Frozen => {}
        }
        // Whom it can't pass on to it does not keep.
        let Ok(server) = UnixStream::connect(target) else { continue };
        // As PostgreSQL does with the connections that it takes itself.
        client.set_nodelay(true).expect("set no delay");
        let another = || {
            let client = client.try_clone().expect("descriptor");
            (client, server.try_clone().expect("descriptor"))
        };
        shared.sockets.lock().push(another());
        let number = {
            let mut course = shared.course.lock();
            course.connections += 1;
            course.connections - 1
        };
        let (up, down) = (another(), another());
        let (upwards, downwards) = (Arc::clone(shared), Arc::clone(shared));
        spawn(move || {
            copy(&up.0, &up.1, &upwards, number);
            close(&up);
        });
        spawn(move || {
            copy(&down.1, &down.0, &downwards, number);
            close(&down);
        });
    }
}

fn copy(mut from: impl Read, mut to: impl Write, shared: &Shared, connection: usize) {
    let mut piece = [0; 64 * 1024];
    loop {
        let read = from.read(&mut piece).unwrap_or(0);
        if read == 0 || !shared.wait_to_pass(connection, read) {
            return;
        }
        if to.write_all(&piece[..read]).is_err() {
            return;
        }
    }
}

fn close((client, server): &(TcpStream, UnixStream)) {
    // Gone already is as good.
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().name("proxy".into()).spawn(work).expect("start a thread");
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::wait::eventually;

    fn echoing(dir: &tempfile::TempDir) -> PathBuf {
        let path = dir.path().join("echo");
        let listener = UnixListener::bind(&path).unwrap();
        spawn(move || {
            for mut socket in listener.incoming().map_while(Result::ok) {
                spawn(move || {
                    let mut byte = [0];
                    while socket.read_exact(&mut byte).is_ok() && socket.write_all(&byte).is_ok() {}
                });
            }
        });
        path
    }

    fn is_echoed(socket: &mut TcpStream) -> bool {
        let mut byte = [0];
        socket.write_all(b"x").is_ok() && socket.read_exact(&mut byte).is_ok()
    }

    #[test]
    fn bytes_pass_are_held_and_pass_again() {
        let dir = tempfile::tempdir().unwrap();
        let proxy = Proxy::to(&echoing(&dir));
        let mut socket = TcpStream::connect(proxy.address()).unwrap();
        assert!(is_echoed(&mut socket));
        proxy.freeze();
        socket.write_all(b"y").unwrap();
        socket.set_nonblocking(true).unwrap();
        assert!(socket.read(&mut [0]).is_err());
        proxy.pass();
        let mut byte = [0];
        eventually("the byte comes", || socket.read(&mut byte).is_ok());
        assert_eq!(byte, *b"y");
    }

    #[test]
    fn lost_connections_pass_nothing_and_new_ones_do_until_a_number_of_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let proxy = Proxy::to(&echoing(&dir));
        let mut lost = TcpStream::connect(proxy.address()).unwrap();
        assert!(is_echoed(&mut lost));
        proxy.lose_present();
        lost.write_all(b"y").unwrap();
        let mut socket = TcpStream::connect(proxy.address()).unwrap();
        assert!(is_echoed(&mut socket));
        lost.set_nonblocking(true).unwrap();
        assert!(lost.read(&mut [0]).is_err());
        assert_eq!(proxy.passed(), 4);
        proxy.freeze_after(2);
        assert!(is_echoed(&mut socket) && !proxy.is_frozen());
        socket.write_all(b"z").unwrap();
        eventually("it freezes", || proxy.is_frozen());
    }

    #[test]
    fn cut_connections_end_and_new_ones_too_until_they_may_pass() {
        let dir = tempfile::tempdir().unwrap();
        let proxy = Proxy::to(&echoing(&dir));
        let mut socket = TcpStream::connect(proxy.address()).unwrap();
        assert!(is_echoed(&mut socket));
        proxy.cut();
        assert!(!is_echoed(&mut socket));
        let mut socket = TcpStream::connect(proxy.address()).unwrap();
        assert!(!is_echoed(&mut socket));
        proxy.pass();
        let mut socket = TcpStream::connect(proxy.address()).unwrap();
        assert!(is_echoed(&mut socket));
    }
}
