//! The binary protocol (memcached's protocol-binary; `proto_bin.c` where that says nothing).
//!
//! Read in this order: `parse` turns bytes into requests, [`step`] has each carried out by what
//! `ops` can do, `reply` appends the answer.
//!
//! # Invariants
//! - A quiet request is answered only if it fails; a quiet retrieval only if it finds something.
//! - Errors leave the connection in step: what belongs to the request is read past. It is closed
//!   where memcached closes it, too: when a frame is not sound, or of a client that may not.
//!
//! # Not here
//! What the requests do.

#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzz;
mod opcode;
mod parse;
mod reply;
mod sasl;
mod store;

use super::auth;
use super::connection::{Next, Step};
use super::ops::{
    self, Arithmetic, CountOutcome, DeleteOutcome, FlushOutcome, Initial, StatsTopic,
};
use super::parse::Answer;
use super::session::Session;
use crate::cache::{Entry, UpdateError};
use crate::model::Key;
use opcode::Shown;
pub(super) use parse::REQUEST_MAGIC;
use parse::{HEADER_BYTES, Header, Parse, Request, parse};
use reply::Status;
pub(super) use store::Pending;

/// Carries out the first request of what is unread; `None` if it is not whole.
pub(super) async fn step(session: &mut Session, unread: &[u8]) -> Option<Step> {
    // Told by its first byte, so that nothing is waited for.
    if unread.first().is_some_and(|magic| *magic != REQUEST_MAGIC) {
        return Some(Step::CLOSE);
    }
    let header = Header::read(unread)?;
    if !header.is_consistent() {
        return Some(refuse(session, &header, Status::UnknownCommand));
    }
    let found = opcode::command(header.opcode);
    let is_open = found.is_some_and(|(command, _)| command.is_open());
    if !is_open && !session.standing.is_trusted() {
        return Some(refuse(session, &header, Status::AuthFailure));
    }
    let Some((command, answer)) = found else {
        reply::error(&mut session.out, &header, Status::UnknownCommand);
        return Some(Step { consumed: HEADER_BYTES, next: Next::Unwanted(header.body_bytes()) });
    };
    match parse(&header, command, unread) {
        Parse::Incomplete => None,
        Parse::Invalid => Some(refuse(session, &header, Status::Invalid)),
        Parse::Parsed(request) => {
            let behind = unread.get(header.front_bytes()..).unwrap_or_default();
            let whole = Exchange { header, answer };
            let (taken, next) = whole.carry_out(session, request, behind).await;
            Some(Step { consumed: header.front_bytes() + taken, next })
        }
    }
}

/// Takes a whole value, and says what is next.
pub(super) async fn finish(session: &mut Session, pending: Pending, value: Vec<u8>) -> Next {
    match pending {
        Pending::Store(pending) => {
            pending.store(session, value.into()).await;
            Next::Request
        }
        Pending::Sasl(header) => sasl::respond(session, &header, &value).await,
    }
}

/// Tells why a frame is not looked into any further.
fn refuse(session: &mut Session, header: &Header, status: Status) -> Step {
    reply::error(&mut session.out, header, status);
    Step::CLOSE
}

/// What the answer to a request depends on.
#[derive(Debug, Clone, Copy)]
struct Exchange {
    header: Header,
    answer: Answer,
}

impl Exchange {
    /// Carries out a request. Returns how much of what is `behind` it was taken, and what is next.
    async fn carry_out(
        self,
        session: &mut Session,
        request: Request<'_>,
        behind: &[u8],
    ) -> (usize, Next) {
        match request {
            Request::Get { key, shown } => {
                let found = ops::look_up(session, key).await;
                self.tell_found(session, key, found.as_ref(), shown);
            }
            Request::GetAndTouch { key, exptime, shown } => {
                self.get_and_touch(session, key, exptime, shown).await;
            }
            Request::Touch { key, exptime } => self.touch(session, key, exptime).await,
            Request::Store { verb, key, flags, exptime } => {
                return self.store(session, verb, key, (flags, exptime), behind).await;
            }
            Request::Arithmetic { direction, key, delta, initial } => {
                if let Some(key) = self.key(session, key) {
                    let initial = initial.map(|(value, exptime)| Initial { value, exptime });
                    let unique = self.header.unique;
                    let counted = Arithmetic::new(key, direction, delta);
                    self.count(session, &Arithmetic { initial, unique, ..counted }).await;
                }
            }
            Request::Delete { key } => self.delete(session, key).await,
            Request::Flush { delay } => self.flush(session, delay).await,
            Request::Noop | Request::Verbosity => self.succeed(session, 0, b""),
            Request::Version => {
                let version = session.door.settings().version.clone();
                self.succeed(session, 0, version.as_bytes());
            }
            Request::Stat { topic } => Box::pin(self.stat(session, topic)).await,
            Request::Quit => {
                self.succeed(session, 0, b"");
                return (0, Next::Close);
            }
            Request::SaslMechanisms => sasl::mechanisms(session, &self.header),
            Request::SaslAuth { mechanism } => {
                return sasl::begin(session, &self.header, mechanism, behind).await;
            }
            Request::SaslStep { mechanism } => {
                return sasl::go_on(session, &self.header, mechanism, behind).await;
            }
        }
        (0, Next::Request)
    }

    /// Tells success, unless that is not wanted.
    fn succeed(self, session: &mut Session, cas: u64, body: &[u8]) {
        if self.answer == Answer::Wanted {
            reply::success(&mut session.out, &self.header, cas, body);
        }
    }

    fn fail(self, session: &mut Session, status: Status) {
        reply::error(&mut session.out, &self.header, status);
    }

    /// The key of an operation; the client is told if it is none.
    fn key(self, session: &mut Session, key: &[u8]) -> Option<Key> {
        let key = Key::new(key).ok();
        if key.is_none() {
            self.fail(session, Status::Invalid);
        }
        key
    }

    async fn get_and_touch(self, session: &mut Session, key: &[u8], exptime: i64, shown: Shown) {
        let Some(name) = self.key(session, key) else { return };
        match ops::look_up_and_touch(session, &name, exptime).await {
            Ok(found) => self.tell_found(session, key, found.as_ref(), shown),
            Err(error) => self.fail_to_update(session, &error),
        }
    }

    fn tell_found(self, session: &mut Session, key: &[u8], found: Option<&Entry>, shown: Shown) {
        let (out, header) = (&mut session.out, &self.header);
        match (found, shown) {
            (Some(entry), Shown::Value) => reply::value(out, header, b"", entry),
            (Some(entry), Shown::KeyAndValue) => reply::value(out, header, key, entry),
            (None, _) if self.answer == Answer::Unwanted => {}
            (None, Shown::Value) => reply::error(out, header, Status::NotFound),
            (None, Shown::KeyAndValue) => reply::key_not_found(out, header, key),
        }
    }

    async fn touch(self, session: &mut Session, key: &[u8], exptime: i64) {
        let Some(key) = self.key(session, key) else { return };
        match ops::touch(session, &key, exptime).await {
            Ok(Some(entry)) => reply::flags(&mut session.out, &self.header, &entry),
            Ok(None) => self.fail(session, Status::NotFound),
            Err(error) => self.fail_to_update(session, &error),
        }
    }

    async fn count(self, session: &mut Session, arithmetic: &Arithmetic) {
        let status = match ops::count(session, arithmetic).await {
            CountOutcome::To(value, entry) => {
                let cas = entry.map_or(0, |entry| entry.cas());
                return self.succeed(session, cas, &value.to_be_bytes());
            }
            CountOutcome::NotFound => Status::NotFound,
            CountOutcome::Exists => Status::Exists,
            CountOutcome::NotANumber => Status::NotANumber,
            CountOutcome::NotStored => Status::NotStored,
            CountOutcome::OutOfMemory => Status::OutOfMemory,
            CountOutcome::Failed(error) => return self.fail_to_update(session, &error),
        };
        self.fail(session, status);
    }

    async fn delete(self, session: &mut Session, key: &[u8]) {
        let Some(key) = self.key(session, key) else { return };
        match ops::delete(session, &key, self.header.unique).await {
            DeleteOutcome::Deleted => self.succeed(session, 0, b""),
            DeleteOutcome::NotFound => self.fail(session, Status::NotFound),
            DeleteOutcome::Exists => self.fail(session, Status::Exists),
            DeleteOutcome::NotDurable(error) => {
                reply::internal_error(&mut session.out, &self.header, &error);
            }
            DeleteOutcome::Failed(error) => self.fail_to_update(session, &error),
        }
    }

    async fn flush(self, session: &mut Session, delay: i64) {
        match ops::flush(session, Some(delay)).await {
            FlushOutcome::Flushed => self.succeed(session, 0, b""),
            // memcached's status for it.
            FlushOutcome::Forbidden => self.fail(session, Status::AuthFailure),
            FlushOutcome::NotDurable(error) => {
                reply::internal_error(&mut session.out, &self.header, &error);
            }
        }
    }

    /// One frame for each name, and an empty one behind them.
    async fn stat(self, session: &mut Session, topic: &[u8]) {
        let topic = match topic {
            b"" => Some(StatsTopic::General),
            name => StatsTopic::named(name),
        };
        let Some(topic) = topic else { return self.fail(session, Status::NotFound) };
        for (name, value) in ops::stats(session, topic).await {
            reply::statistic(&mut session.out, &self.header, &name, &value);
        }
        self.succeed(session, 0, b"");
    }

    fn fail_to_update(self, session: &mut Session, error: &UpdateError) {
        reply::internal_error(&mut session.out, &self.header, error);
    }
}
