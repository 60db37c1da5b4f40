//! Resident memory per connection that waits for its client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Cores;
use crate::memcached::items::Items;
use crate::memcached::servers::Programs;
use crate::process::Running;
use crate::results::{machine, print};

const VALUE_BYTES: usize = 100;

/// Descriptors besides those of connections that wait, here and in servers.
const DESCRIPTORS_SPARE: u64 = 2048;

/// Opens connections that each make one `get` and then wait; prints what they cost.
///
/// # Errors
/// A server can't be started, or connections can't be opened.
pub(crate) fn measure(cores: &Cores, connections: u32) -> anyhow::Result<()> {
    cores.client_cpus.keep_to_them()?;
    allow_descriptors(u64::from(connections) + DESCRIPTORS_SPARE)?;
    let programs = Programs::find(connections)?;
    let ours = bytes_per_connection(&programs.start_wasmcached(cores)?, connections)?;
    let theirs = bytes_per_connection(&programs.start_memcached(cores)?, connections)?;
    print(&format!(
        "# Idle connections\n\n{}; {}. {connections} connections, each after one `get` of \
         {VALUE_BYTES} B\n\n\
         | server | resident bytes per connection | ratio |\n|---|---|---|\n\
         | wasmcached | {ours:.0} | **{:.2}** |\n| memcached | {theirs:.0} | 1.00 |\n",
        machine(),
        programs.versions(),
        ours / theirs
    ))
}

fn bytes_per_connection(server: &Running, connections: u32) -> anyhow::Result<f64> {
    let items = Items::new(1, VALUE_BYTES);
    items.fill(server.address())?;
    // What the first request of all costs is nothing that a connection costs.
    drop(ask(&items, server.address())?);
    let before = server.resident_bytes()?;
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(ask(&items, server.address())?);
    }
    let after = server.resident_bytes()?;
    Ok(after.saturating_sub(before) as f64 / open.len().max(1) as f64)
}

fn ask(items: &Items, address: SocketAddr) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&[b"get ", items.key(0), b"\r\n"].concat())?;
    let mut expected = Vec::new();
    items.write_value(0, &mut expected);
    expected.extend_from_slice(b"END\r\n");
    let mut reply = vec![0; expected.len()];
    stream.read_exact(&mut reply)?;
    if reply != expected {
        anyhow::bail!("get is answered {:?}", String::from_utf8_lossy(&reply));
    }
    Ok(stream)
}

/// Servers inherit the limit.
fn allow_descriptors(wanted: u64) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let maximum = limit.maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
            .with_context(|| format!("{wanted} descriptors; limit is {maximum:?}"))?;
    }
    Ok(())
}
