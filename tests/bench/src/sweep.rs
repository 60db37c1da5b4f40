//! What giving the memory of invalid entries back takes, and what other clients notice of it.
//!
//! # Invariants
//! - Nobody reads the entries that are to go: only the sweep can find them.
//! - The gets that are measured are of other keys, one at a time on one connection.

use crate::clock::{now, wait_for};
use crate::histogram::Histogram;
use crate::invalidation::Server;
use crate::results::median;

/// Entries of the tag that is invalidated.
const ENTRIES: u32 = 1_000_000;

/// Entries that stay and are read.
const OTHERS: u32 = 10_000;

/// Gets between two looks at the gauge.
const GETS: u32 = 200;

/// Gets that say how long one takes when there is nothing to sweep.
const GETS_BEFORE: u32 = 20_000;

/// Of one round.
pub(crate) struct Swept {
    /// From the acknowledgement until nothing waits for a sweep.
    seconds: f64,
    /// What was charged to the budget for the entries that went, and is not any more, in MiB.
    freed_mib: f64,
    /// Resident memory of the process with all entries, and after the sweep, in MiB.
    resident_mib: (f64, f64),
    /// 99 % of the gets before it, and meanwhile, take no longer, in microseconds.
    p99_us: (f64, f64),
}

impl Server {
    /// One round: fills, reads, invalidates, and reads until all is given back.
    pub(crate) fn sweep(&mut self) -> anyhow::Result<Swept> {
        self.fill("other", OTHERS, "")?;
        let charged_mib = mib(self.stat("bytes")?);
        self.fill("key", ENTRIES, "swept")?;
        let full_mib = mib(self.stat("bytes")?);
        let resident_full_mib = mib(self.resident_bytes()?);
        let (mut before, mut during) = (Histogram::default(), Histogram::default());
        self.time_gets(GETS_BEFORE, &mut before)?;
        let affected = self.invalidate("swept")?;
        anyhow::ensure!(affected == u64::from(ENTRIES), "{affected} of {ENTRIES} are affected");
        let begun = now();
        wait_for("nothing is left to be swept", || {
            self.time_gets(GETS, &mut during)?;
            Ok((self.stat("bytes_invalid")? == 0).then_some(()))
        })?;
        let seconds = begun.elapsed().as_secs_f64();
        let left_mib = mib(self.stat("bytes")?);
        anyhow::ensure!(left_mib <= charged_mib, "{left_mib} MiB of {charged_mib} are charged");
        let swept = Swept {
            seconds,
            freed_mib: full_mib - left_mib,
            resident_mib: (resident_full_mib, mib(self.resident_bytes()?)),
            p99_us: (before.quantile(0.99) / 1e3, during.quantile(0.99) / 1e3),
        };
        self.post(r#"{"everything":true}"#)?;
        self.wait_until_empty()?;
        Ok(swept)
    }

    fn time_gets(&mut self, count: u32, times: &mut Histogram) -> anyhow::Result<()> {
        for n in 0..count {
            let command = format!("mg other-{:016}\r\n", n.wrapping_mul(7_919) % OTHERS);
            let begun = now();
            self.ask(command.as_bytes(), b"HD\r\n")?;
            times.record(begun.elapsed().as_nanos() as u64);
        }
        Ok(())
    }
}

/// The rounds as Markdown.
pub(crate) fn table(rounds: &[Swept]) -> String {
    let of = |value: fn(&Swept) -> f64| median(rounds.iter().map(value).collect());
    let (before_us, during_us) = (of(|swept| swept.p99_us.0), of(|swept| swept.p99_us.1));
    format!(
        "\nA tag of {ENTRIES} entries that nobody reads, invalidated: all of {:.0} MiB are given \
         back after {:.2} s; resident {:.0} MiB before, {:.0} MiB after\n\n\
         | p99 of a get of another key | µs | ratio |\n|---|---|---|\n\
         | before | {before_us:.0} | 1.00 |\n| meanwhile | {during_us:.0} | **{:.2}** |\n",
        of(|swept| swept.freed_mib),
        of(|swept| swept.seconds),
        of(|swept| swept.resident_mib.0),
        of(|swept| swept.resident_mib.1),
        during_us / before_us
    )
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
