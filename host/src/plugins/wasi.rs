//! WASI with nothing granted: no files, no network, no environment, no arguments, no waiting.
//!
//! wasmtime-wasi's own streams and polls hand every call to a tokio runtime and wait for it. That
//! panics on a thread that runs one already, as the callers of `cache-key` do, and a guest that
//! waits for an hour can't be stopped by its deadline, which counts only while guest code runs. So
//! `wasi:io` is answered here, at once or not at all.
//!
//! # Invariants
//! - No function here waits; a guest that wants to wait traps.
//! - The names that guests may import are listed once, in [`is_granted`].
//!
//! # Not here
//! The log that standard output ends in: `log`.

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime::{Result, bail};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::p2::bindings::sync::io::{poll, streams};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, DynPollable, StreamError, StreamResult};
use wasmtime_wasi::p2::{add_to_linker_sync, subscribe};

const NO_WAITING: &str = "a plugin may not wait";

/// What the standard libraries of guest languages import, our own log, and look-ups.
const GRANTED: [&str; 23] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
    "wasmcached:plugin/cache",
    "wasmcached:plugin/log",
    "wasmcached:plugin/types",
];

/// Whether plugins are given this import; its version is left to the linker.
pub(super) fn is_granted(import: &str) -> bool {
    let (interface, _version) = import.split_once('@').unwrap_or((import, ""));
    GRANTED.contains(&interface)
}

/// Adds all of it.
pub(super) fn add_to_linker<T: WasiView>(linker: &mut Linker<T>) -> Result<()> {
    add_to_linker_sync(linker)?;
    linker.allow_shadowing(true);
    poll::add_to_linker::<T, Unwaiting>(linker, |state| Streams(state.ctx().table))?;
    streams::add_to_linker::<T, Unwaiting>(linker, |state| Streams(state.ctx().table))?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Names the view that the generated functions get.
struct Unwaiting;

impl HasData for Unwaiting {
    type Data<'a> = Streams<'a>;
}

/// The streams of one instance.
struct Streams<'a>(&'a mut ResourceTable);

impl Streams<'_> {
    fn write_all(
        &mut self,
        stream: &Resource<DynOutputStream>,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        let mut rest = bytes::Bytes::from(bytes);
        let stream = self.0.get_mut(stream)?;
        while !rest.is_empty() {
            let permitted = stream.check_write()?.min(rest.len());
            if permitted == 0 {
                return Err(StreamError::trap(NO_WAITING));
            }
            stream.write(rest.split_to(permitted))?;
        }
        stream.flush()
    }
}

impl poll::Host for Streams<'_> {
    fn poll(&mut self, _pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        bail!(NO_WAITING)
    }
}

impl poll::HostPollable for Streams<'_> {
    fn ready(&mut self, _pollable: Resource<DynPollable>) -> Result<bool> {
        bail!(NO_WAITING)
    }

    fn block(&mut self, _pollable: Resource<DynPollable>) -> Result<()> {
        bail!(NO_WAITING)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        // The table knows how to drop what only this pollable owns, a timer for example.
        poll::HostPollable::drop(self.0, pollable)
    }
}

impl streams::Host for Streams<'_> {
    fn convert_stream_error(&mut self, error: StreamError) -> Result<streams::StreamError> {
        match error {
            StreamError::Closed => Ok(streams::StreamError::Closed),
            StreamError::LastOperationFailed(error) => {
                Ok(streams::StreamError::LastOperationFailed(self.0.push(error)?))
            }
            StreamError::Trap(error) => Err(error),
        }
    }
}

impl streams::HostInputStream for Streams<'_> {
    fn read(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<Vec<u8>> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        Ok(self.0.get_mut(&stream)?.read(len)?.to_vec())
    }

    fn blocking_read(
        &mut self,
        stream: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<Vec<u8>> {
        self.read(stream, len)
    }

    fn skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        Ok(self.read(stream, len)?.len() as u64)
    }

    fn blocking_skip(&mut self, stream: Resource<DynInputStream>, len: u64) -> StreamResult<u64> {
        self.skip(stream, len)
    }

    fn subscribe(&mut self, stream: Resource<DynInputStream>) -> Result<Resource<DynPollable>> {
        subscribe(self.0, stream)
    }

    fn drop(&mut self, stream: Resource<DynInputStream>) -> Result<()> {
        self.0.delete(stream)?;
        Ok(())
    }
}

impl streams::HostOutputStream for Streams<'_> {
    fn check_write(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<u64> {
        Ok(self.0.get_mut(&stream)?.check_write()? as u64)
    }

    fn write(&mut self, stream: Resource<DynOutputStream>, bytes: Vec<u8>) -> StreamResult<()> {
        self.0.get_mut(&stream)?.write(bytes.into())
    }

    fn blocking_write_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        bytes: Vec<u8>,
    ) -> StreamResult<()> {
        self.write_all(&stream, bytes)
    }

    fn flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.0.get_mut(&stream)?.flush()
    }

    fn blocking_flush(&mut self, stream: Resource<DynOutputStream>) -> StreamResult<()> {
        self.flush(stream)
    }

    fn write_zeroes(&mut self, stream: Resource<DynOutputStream>, len: u64) -> StreamResult<()> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        // `OutputStream` itself refuses more than it permits.
        self.0.get_mut(&stream)?.write_zeroes(len)
    }

    fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<DynOutputStream>,
        len: u64,
    ) -> StreamResult<()> {
        self.write_zeroes(stream, len)
    }

    fn splice(
        &mut self,
        _into: Resource<DynOutputStream>,
        _from: Resource<DynInputStream>,
        _len: u64,
    ) -> StreamResult<u64> {
        // Standard input is the only stream to read, and it is closed.
        Err(StreamError::Closed)
    }

    fn blocking_splice(
        &mut self,
        into: Resource<DynOutputStream>,
        from: Resource<DynInputStream>,
        len: u64,
    ) -> StreamResult<u64> {
        self.splice(into, from, len)
    }

    fn subscribe(&mut self, stream: Resource<DynOutputStream>) -> Result<Resource<DynPollable>> {
        subscribe(self.0, stream)
    }

    fn drop(&mut self, stream: Resource<DynOutputStream>) -> Result<()> {
        self.0.delete(stream)?;
        Ok(())
    }
}
