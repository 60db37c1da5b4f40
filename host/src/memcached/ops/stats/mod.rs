//! What `stats` shows, by topic (protocol.txt, "Statistics"): memcached 1.6.45's names.
//!
//! All of them but `libevent` are shown, because tools look for them. What does not exist here
//! (slabs, lists between which items move, buffers that can run out, turns of connections) is 0:
//! `general::NEVER_HAPPENS`.
//!
//! Constant: `accepting_conns`, `listen_disabled_num` and `time_in_listen_disabled_us`, because a
//! connection over the limit is refused, never left waiting.
//!
//! Different: memory is not divided, so that one slab class, 1, stands for all of it; its
//! `chunk_size` is the mean of what is stored. `reclaimed` are entries that were found expired by
//! who looked for them, `crawler_reclaimed` those that a sweep found.
//!
//! # Invariants
//! - `stats reset` begins anew what counts events; what tells a state stays.
//! - What goes through the memory does so off the I/O threads.

mod general;
mod memory;
mod settings;

use std::borrow::Cow;

use crate::memcached::session::Session;

pub(in crate::memcached) use memory::MemoryCounts;

/// Names and values, in the order in which they are shown.
pub(in crate::memcached) type Rows = Vec<(Cow<'static, str>, String)>;

/// What `stats` is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::memcached) enum StatsTopic {
    /// No topic.
    General,
    /// `settings`
    Settings,
    /// `reset`
    Reset,
    /// `items`
    Items,
    /// `slabs`
    Slabs,
    /// `sizes`
    Sizes,
    /// `conns`
    Conns,
}

impl StatsTopic {
    /// The topic of this name; `None` for those about memcached's own insides.
    pub(in crate::memcached) fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"settings" => Some(Self::Settings),
            b"reset" => Some(Self::Reset),
            b"items" => Some(Self::Items),
            b"slabs" => Some(Self::Slabs),
            b"sizes" => Some(Self::Sizes),
            b"conns" => Some(Self::Conns),
            _ => None,
        }
    }
}

/// Names and values as they are gathered.
#[derive(Debug, Default)]
struct Shown(Rows);

impl Shown {
    fn number(&mut self, name: impl Into<Cow<'static, str>>, value: u64) {
        self.text(name, itoa::Buffer::new().format(value));
    }

    fn text(&mut self, name: impl Into<Cow<'static, str>>, value: &str) {
        self.0.push((name.into(), value.to_owned()));
    }
}

/// What there is to show about a topic. [`StatsTopic::Reset`] begins counting anew and shows
/// nothing.
pub(in crate::memcached) async fn stats(session: &mut Session, topic: StatsTopic) -> Rows {
    session.door.metrics().take(&mut session.tally);
    let door = &session.door;
    let mut shown = Shown::default();
    match topic {
        StatsTopic::Reset => {
            door.metrics().reset();
            door.prefixes().clear();
            *door.memory_base().lock() = MemoryCounts::of(door.cache());
        }
        StatsTopic::General => general::show(door, &mut shown),
        StatsTopic::Settings => settings::show(door, &mut shown),
        StatsTopic::Items => memory::show_items(door, &mut shown),
        StatsTopic::Slabs => memory::show_slabs(door, &mut shown),
        StatsTopic::Sizes => memory::show_sizes(door, &mut shown).await,
        StatsTopic::Conns => {
            let rows = door.connections().stats(door.cache().clock().now_ms());
            shown.0.extend(rows.into_iter().map(|(name, value)| (name.into(), value)));
        }
    }
    shown.0
}
