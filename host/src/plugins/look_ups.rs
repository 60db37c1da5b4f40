//! Look-ups of guests in the cache: which calls may, how many, and what they have seen.
//!
//! # Invariants
//! - A guest looks only while it is asked what to store or what an event makes wrong; never while
//!   it is asked for a key, which must depend on the request alone.
//! - Everything that was looked at is noted before the guest sees it: the answer may depend on it.
//! - Look-ups are bounded in number and size, because no deadline interrupts the host.
//!
//! # Not here
//! The cache itself, which the app gives as a function. What comes of what was seen: `convert` for
//! tags, the events' front door for values.

use std::sync::{Arc, OnceLock};

use super::bindings::wasmcached::plugin::cache as contract;
use super::instance::State;
use crate::limits::{LOOK_UP_BYTES_MAX, LOOK_UPS_PER_CALL_MAX};
use crate::model::{Consulted, Key, Seen, Target};

/// What is fresh under a key, as every protocol sees it. Must not wait: a guest does.
pub type LookUp = Arc<dyn Fn(&Key) -> Option<Seen> + Send + Sync>;

/// Where the app puts it, once there is a cache; nothing is there before, or on a workbench.
pub(super) type View = Arc<OnceLock<LookUp>>;

/// The look-ups of one instance.
pub(super) struct LookUps {
    view: View,
    /// The call that may look, if there is one.
    call: Option<Call>,
}

#[derive(Default)]
struct Call {
    look_ups: usize,
    consulted: Consulted,
}

impl LookUps {
    /// Closed until a call begins.
    pub(super) fn new(view: View) -> Self {
        Self { view, call: None }
    }

    /// A call that may look begins.
    pub(super) fn open(&mut self) {
        self.call = Some(Call::default());
    }

    /// It has ended; what it has looked at.
    pub(super) fn close(&mut self) -> Consulted {
        self.call.take().map(|call| call.consulted).unwrap_or_default()
    }

    /// What is there, if `is_shown` does not say why the guest may not see it.
    fn look(
        &mut self,
        key: &str,
        is_shown: impl FnOnce(&Seen) -> Result<(), String>,
    ) -> Result<Option<Seen>, String> {
        let Some(call) = &mut self.call else {
            return Err("look-ups are for on-store, on-item and on-event".to_owned());
        };
        call.look_ups += 1;
        if call.look_ups > LOOK_UPS_PER_CALL_MAX {
            let (number, limit) = (call.look_ups, LOOK_UPS_PER_CALL_MAX);
            return Err(format!("{number} look-ups in one call; limit is {limit}"));
        }
        let key = Key::new(key.as_bytes()).map_err(|error| error.to_string())?;
        let Some(seen) = self.view.get().and_then(|look_up| look_up(&key)) else { return Ok(None) };
        is_shown(&seen)?;
        call.consulted.add(&seen);
        Ok(Some(seen))
    }
}

impl contract::Host for State {
    fn get(&mut self, key: String) -> Result<Option<contract::Entry>, String> {
        let is_shown = |seen: &Seen| match seen.value.len() {
            0..=LOOK_UP_BYTES_MAX => Ok(()),
            bytes => {
                Err(format!("value of {key:?} is {bytes} bytes; limit is {LOOK_UP_BYTES_MAX}"))
            }
        };
        let seen = self.look_ups.look(&key, is_shown)?;
        Ok(seen.map(|seen| contract::Entry {
            value: seen.value.to_vec(),
            flags: seen.flags,
            ttl_s: seen.ttl_ms.map(seconds),
            age_s: seconds(seen.age_ms),
        }))
    }

    fn tags(&mut self, key: String) -> Result<Vec<String>, String> {
        let seen = self.look_ups.look(&key, |_| Ok(()))?;
        let tag = |target: &Target| match target {
            Target::Tag(tag) => Some(tag.as_str().to_owned()),
            _ => None,
        };
        Ok(seen.iter().flat_map(|seen| &seen.targets).filter_map(tag).collect())
    }
}

fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(u32::MAX)
}
