//! Resident memory per item.

use super::items::Items;
use super::servers::Programs;
use crate::Cores;
use crate::process::Running;

const ITEMS: u32 = 1_000_000;
const VALUE_BYTES: usize = 100;

/// Items asked for afterwards, to see that all are there.
const ASKED: usize = 1000;

/// A Markdown table of resident bytes per item, for both servers.
///
/// # Errors
/// A server can't be started or filled, or has not kept what it said it stored.
pub(crate) fn table(programs: &Programs, cores: &Cores) -> anyhow::Result<String> {
    let items = Items::new(ITEMS, VALUE_BYTES);
    let ours = bytes_per_item(&items, &programs.start_wasmcached(cores)?)?;
    let theirs = bytes_per_item(&items, &programs.start_memcached(cores)?)?;
    Ok(format!(
        "\n## Memory\n\n{ITEMS} items, 20 B key + {VALUE_BYTES} B value\n\n\
         | server | resident bytes per item | ratio |\n|---|---|---|\n\
         | wasmcached | {ours:.0} | **{:.2}** |\n| memcached | {theirs:.0} | 1.00 |\n",
        ours / theirs
    ))
}

fn bytes_per_item(items: &Items, server: &Running) -> anyhow::Result<f64> {
    let before = server.resident_bytes()?;
    items.fill(server.address())?;
    let present = items.share_present(server.address(), ASKED)?;
    if present < 1.0 {
        anyhow::bail!("{:.1} % of {ASKED} items that were stored are there", present * 100.0);
    }
    let after = server.resident_bytes()?;
    Ok(after.saturating_sub(before) as f64 / items.count() as f64)
}
