//! What a delivery would do, for operators who try a rule: verified and planned, then nothing.
//!
//! # Invariants
//! - The signature is required as for the delivery itself: the answer names keys and tags.
//! - Nothing is remembered: not the delivery's id, not its number, and it is not among the events.
//!
//! # Not here
//! Doing it (`apply`).

use bytes::Bytes;
use serde::Serialize;

use super::apply::{Events, Refused, Shared, SignatureFields};
use super::log::{Named, target_shown};
use super::metrics::DeliveryResult;
use super::native::{self, Delivery};
use super::plan::Decision;

/// What a delivery would do.
#[derive(Debug, Serialize)]
pub(super) struct Preview {
    /// Always true: tells it from a receipt.
    dry_run: bool,
    /// Whether the delivery was acknowledged before, so that it would be answered and nothing done.
    duplicate: bool,
    /// Entries in memory that would become invalid, each counted once.
    affected: u64,
    /// What would be invalidated.
    targets: Vec<Named>,
    /// Who would decide so about which change.
    decisions: Vec<Decision>,
    /// Keys that the event's values would be written to.
    puts: Vec<String>,
    /// Pages that would be fetched anew.
    refreshes: Vec<String>,
    /// The source's delay before all of it would be applied again.
    hold_ms: u64,
}

impl Events {
    /// Says what a delivery would do.
    pub(super) async fn preview(
        &self,
        source: &str,
        fields: SignatureFields<'_>,
        body: &Bytes,
    ) -> Result<Preview, Refused> {
        let previewed = self.shared.preview(source, fields, body).await;
        match previewed {
            Ok(_) => self.shared.metrics.count(DeliveryResult::DryRun),
            Err(refused) => return Err(self.refuse(refused)),
        }
        previewed
    }
}

impl Shared {
    async fn preview(
        &self,
        source: &str,
        fields: SignatureFields<'_>,
        body: &Bytes,
    ) -> Result<Preview, Refused> {
        let (source, id) = self.verify(source, fields, body)?;
        let Delivery { events, phase, .. } = native::parse(&source.name, &id, body)?;
        let mut plan = self.plan(source, &events, &self.panel(source)).await?;
        self.add_shut(source, &phase, &mut plan);
        let (cache, targets) = (self.cache.clone(), plan.targets.clone());
        let scan = tokio::task::spawn_blocking(move || cache.would_affect(&targets));
        let affected = scan.await.unwrap_or_default();
        let named = plan.targets.iter().zip(affected.by_target);
        Ok(Preview {
            dry_run: true,
            duplicate: self.seen.receipt(&source.name, &id).is_some(),
            affected: affected.entries,
            targets: named.map(|(target, entries)| target_shown(target, entries)).collect(),
            decisions: plan.decisions,
            puts: plan.puts.iter().map(|put| put.key.to_text()).collect(),
            refreshes: plan.refreshes,
            hold_ms: source.hold_ms,
        })
    }
}
