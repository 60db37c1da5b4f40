//! A bare epoll loop: reads, lets a function answer, writes. What the machine's system calls cost
//! when a server does nothing else.
//!
//! # Invariants
//! - A read that did not fill its buffer emptied the socket, so nobody reads again to hear
//!   "nothing there" (epoll(7), edge-triggered streams).
//! - Replies to all of a read go out by one write.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};

const LISTENER: Token = Token(0);
const INPUT_BYTES: usize = 64 << 10;

struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    input_bytes: usize,
    output: Vec<u8>,
    sent_bytes: usize,
}

/// Listens and answers for ever. `answer` appends replies to whole requests and returns how many
/// bytes those were.
///
/// # Errors
/// The address can't be listened on, or epoll fails.
pub(crate) fn serve(
    listen: SocketAddr,
    mut answer: impl FnMut(&[u8], &mut Vec<u8>) -> usize,
) -> anyhow::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(128);
    let mut listener = TcpListener::bind(listen)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut clients: HashMap<Token, Client> = HashMap::new();
    let mut last = LISTENER;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            let token = event.token();
            if token == LISTENER {
                accept(&listener, poll.registry(), &mut clients, &mut last)?;
            } else if let Some(client) = clients.get_mut(&token)
                && !client.converse(&mut answer).unwrap_or(false)
            {
                clients.remove(&token);
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    registry: &Registry,
    clients: &mut HashMap<Token, Client>,
    last: &mut Token,
) -> anyhow::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        *last = Token(last.0 + 1);
        registry.register(&mut stream, *last, Interest::READABLE | Interest::WRITABLE)?;
        let input = vec![0; INPUT_BYTES];
        let client = Client { stream, input, input_bytes: 0, output: Vec::new(), sent_bytes: 0 };
        clients.insert(*last, client);
    }
}

impl Client {
    /// Answers what is there. Returns whether the client stays.
    fn converse(
        &mut self,
        answer: &mut impl FnMut(&[u8], &mut Vec<u8>) -> usize,
    ) -> io::Result<bool> {
        while self.write()? {
            let Some(room) = self.input.get_mut(self.input_bytes..).filter(|r| !r.is_empty())
            else {
                return Ok(false);
            };
            let room_bytes = room.len();
            let count = match self.stream.read(room) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            self.input_bytes += count;
            let requests = self.input.get(..self.input_bytes).unwrap_or_default();
            let consumed = answer(requests, &mut self.output);
            self.input.copy_within(consumed..self.input_bytes, 0);
            self.input_bytes -= consumed;
            if count < room_bytes {
                self.write()?;
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Writes what is due. Returns whether all of it is written.
    fn write(&mut self) -> io::Result<bool> {
        while let Some(rest) = self.output.get(self.sent_bytes..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => self.sent_bytes += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.sent_bytes = 0;
        Ok(true)
    }
}
