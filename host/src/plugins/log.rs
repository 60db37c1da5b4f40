//! What plugins say: their log calls and their standard output, as events of `tracing`.
//!
//! # Invariants
//! - A line is at most [`LINE_BYTES_MAX`] long, and a plugin gets so many of them per
//!   second; what is dropped is counted and told.
//! - Writing never blocks and never fails, whatever the guest writes.
//!
//! # Not here
//! Where lines end up: the subscriber that `telemetry` installs.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::io::{AsyncWrite, sink};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::clock::Clock;

/// Longest line; the rest of a longer one is cut off.
pub(super) const LINE_BYTES_MAX: usize = 1024;

/// What a guest may write in one call of the host.
const WRITE_BYTES_MAX: usize = 64 * 1024;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// The log of one plugin, shared by its instances.
pub(super) struct PluginLog {
    plugin: String,
    lines_max: u32,
    clock: Clock,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    second: u64,
    lines: u32,
    dropped: u64,
}

/// What becomes of a line.
enum Verdict {
    Write { dropped_before: u64 },
    Drop,
}

impl PluginLog {
    /// The log of this plugin, which may write `lines_max` lines in a second.
    pub(super) fn new(plugin: &str, lines_max: u32, clock: Clock) -> Self {
        Self { plugin: plugin.to_owned(), lines_max, clock, window: Mutex::default() }
    }

    /// Writes every line of the text.
    pub(super) fn write(&self, level: Level, text: &str) {
        for line in text.lines().filter(|line| !line.is_empty()) {
            match self.admit() {
                Verdict::Drop => {}
                Verdict::Write { dropped_before } => {
                    if dropped_before > 0 {
                        let plugin = &self.plugin;
                        tracing::warn!(plugin, lines = dropped_before, "dropped a flood of lines");
                    }
                    self.emit(level, clip(line));
                }
            }
        }
    }

    fn admit(&self) -> Verdict {
        let second = self.clock.now_ms() / 1_000;
        let mut window = self.window.lock();
        let mut dropped_before = 0;
        if window.second != second {
            dropped_before = window.dropped;
            *window = Window { second, ..Window::default() };
        }
        if window.lines == self.lines_max {
            window.dropped += 1;
            return Verdict::Drop;
        }
        window.lines += 1;
        Verdict::Write { dropped_before }
    }

    fn emit(&self, level: Level, line: &str) {
        let plugin = &self.plugin;
        match level {
            Level::Debug => tracing::debug!(plugin, "{line}"),
            Level::Info => tracing::info!(plugin, "{line}"),
            Level::Warn => tracing::warn!(plugin, "{line}"),
            Level::Error => tracing::error!(plugin, "{line}"),
        }
    }
}

/// The text's beginning that fits a line, whole characters only.
pub(super) fn clip(text: &str) -> &str {
    let mut end = LINE_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// A guest's standard output or error.
pub(super) struct LogOutput {
    pub(super) log: Arc<PluginLog>,
    pub(super) level: Level,
}

impl IsTerminal for LogOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogOutput {
    /// Only WASI 0.3 asks for this one, and it is not linked.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(LineStream { log: Arc::clone(&self.log), level: self.level, line: Vec::new() })
    }
}

/// Puts lines together from whatever pieces the guest writes.
struct LineStream {
    log: Arc<PluginLog>,
    level: Level,
    line: Vec<u8>,
}

impl LineStream {
    fn end_line(&mut self) {
        self.log.write(self.level, &String::from_utf8_lossy(&self.line));
        self.line.clear();
    }
}

impl OutputStream for LineStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        let first = pieces.next().unwrap_or_default();
        self.push(first);
        for piece in pieces {
            self.end_line();
            self.push(piece);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

impl LineStream {
    fn push(&mut self, piece: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len());
        self.line.extend(piece.iter().take(room));
    }
}

#[async_trait]
impl Pollable for LineStream {
    async fn ready(&mut self) {}
}

/// A last line without its end is still a line.
impl Drop for LineStream {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}
