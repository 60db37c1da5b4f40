//! `flush_all` with a delay: one moment at which everything becomes invalid.
//!
//! # Invariants
//! - At most one flush is pending; a newer `flush_all` replaces it, as in memcached.
//! - No command is carried out at or after the moment before the flush is: connections look, too,
//!   so that a late timer shows nothing old to memcached clients.
//! - A flush that could not be made durable is tried again until it is.
//! - With a tier, a pending flush that was acknowledged outlives a crash: its moment is durable
//!   before, and one that has passed meanwhile is made up for before a door opens.
//!
//! # Not here
//! How the moment is kept (`cache`, `tier`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::server::Door;
use crate::cache::{Applied, InvalidateError};
use crate::model::{Cause, Invalidation, Mode, Target};

/// No flush is pending.
const NEVER_MS: u64 = u64::MAX;

/// Pause before a flush that was not durable is tried again.
const RETRY_MS: u64 = 1_000;

/// The moment of the pending flush.
#[derive(Debug)]
pub(super) struct PendingFlush {
    due_ms: AtomicU64,
    changed: Notify,
    has_timer: AtomicBool,
    /// Held while the moment is changed, in memory and in the tier, so that the order is the same
    /// in both; and while a flush that is due is carried out: who reads meanwhile waits for it.
    turn: tokio::sync::Mutex<()>,
}

impl Default for PendingFlush {
    fn default() -> Self {
        Self {
            due_ms: AtomicU64::new(NEVER_MS),
            changed: Notify::new(),
            has_timer: AtomicBool::new(false),
            turn: tokio::sync::Mutex::new(()),
        }
    }
}

/// Makes everything invalid now, and forgets a pending flush.
pub(super) async fn flush_now(door: &Door) -> Result<Applied, InvalidateError> {
    if !is_pending(door) {
        return invalidate(door, Target::Everything).await;
    }
    let pending = door.pending_flush();
    let _turn = pending.turn.lock().await;
    let applied = match pending.due_ms.load(Ordering::Acquire) {
        // It came while this waited.
        NEVER_MS => invalidate(door, Target::Everything).await?,
        due_ms => door.cache().flush(cause(door), due_ms).await?,
    };
    pending.due_ms.store(NEVER_MS, Ordering::Release);
    Ok(applied)
}

/// Makes everything invalid at `due_ms`, milliseconds since 1970; that it will is durable when this
/// is answered. What is not durable is done all the same, unless the server ends before, or a flush
/// that is pending would be forgotten for it.
pub(super) async fn flush_at(door: &Door, due_ms: u64) -> Result<(), InvalidateError> {
    let _turn = door.pending_flush().turn.lock().await;
    let announced = door.cache().announce_flush(cause(door), due_ms).await;
    if announced.is_ok() || !is_pending(door) {
        wait_for(door, due_ms);
    }
    announced
}

/// Takes over a flush that was pending when the server before this one ended. One whose moment has
/// passed is made before this returns.
pub(super) async fn resume(door: &Door, due_ms: u64) {
    wait_for(door, due_ms);
    run_due_flush(door).await;
}

fn wait_for(door: &Door, due_ms: u64) {
    let pending = door.pending_flush();
    pending.due_ms.store(due_ms, Ordering::Release);
    pending.changed.notify_one();
    if !pending.has_timer.swap(true, Ordering::AcqRel) {
        door.tasks().spawn_until_stop(keep_time(door.clone()));
    }
}

/// Carries out the pending flush if its moment has come.
pub(super) async fn run_due_flush(door: &Door) {
    let pending = door.pending_flush();
    let due_ms = pending.due_ms.load(Ordering::Acquire);
    if due_ms == NEVER_MS || door.cache().clock().now_ms() < due_ms {
        return;
    }
    let _turn = pending.turn.lock().await;
    if pending.due_ms.load(Ordering::Acquire) != due_ms {
        return;
    }
    let next_ms = match door.cache().flush(cause(door), due_ms).await {
        Ok(_) => NEVER_MS,
        Err(error) => {
            tracing::warn!(%error, "delayed flush_all; trying again");
            door.cache().clock().now_ms().saturating_add(RETRY_MS)
        }
    };
    pending.due_ms.store(next_ms, Ordering::Release);
    pending.changed.notify_one();
}

/// Whether a flush is pending, without reading the clock.
pub(super) fn is_pending(door: &Door) -> bool {
    door.pending_flush().due_ms.load(Ordering::Acquire) != NEVER_MS
}

/// Invalidates one target in the name of a memcached client.
pub(super) async fn invalidate(door: &Door, target: Target) -> Result<Applied, InvalidateError> {
    invalidate_as(door, target, Mode::Hard).await
}

/// Makes one target stale in the name of a memcached client.
pub(super) async fn soften(door: &Door, target: Target) -> Result<Applied, InvalidateError> {
    invalidate_as(door, target, Mode::Soft).await
}

async fn invalidate_as(
    door: &Door,
    target: Target,
    mode: Mode,
) -> Result<Applied, InvalidateError> {
    let cause = cause(door);
    door.cache().invalidate(Invalidation { targets: vec![(target, mode)], cause }).await
}

fn cause(door: &Door) -> Cause {
    let at_ms = door.cache().clock().now_ms();
    Cause { source: "memcached".to_owned(), event_id: None, at_ms, ..Cause::default() }
}

/// The timer: sleeps until the moment, or until there is another one.
async fn keep_time(door: Door) {
    let pending = Arc::clone(door.pending_flush());
    loop {
        let due_ms = pending.due_ms.load(Ordering::Acquire);
        let left_ms = due_ms.saturating_sub(door.cache().clock().now_ms());
        tokio::select! {
            () = pending.changed.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(left_ms)), if due_ms != NEVER_MS => {
                run_due_flush(&door).await;
            }
        }
    }
}
