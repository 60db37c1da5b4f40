//! Noting which plugins run.

use super::Writer;
use crate::model::Durability;
use crate::tier::database::{DatabaseError, Session};

impl Writer {
    /// Writes what is to be noted of plugins. Each by itself, and to the disk: whoever waits lets
    /// the plugin store entries then.
    pub(super) async fn note_plugins(&self, session: &mut Session) -> Result<(), DatabaseError> {
        loop {
            let Some(notes) = self.inner.queue.lock().notes.pop_front() else { return Ok(()) };
            session.note_plugins(&notes).await?;
            if self.settings.durability == Durability::Interval {
                session.sync().await?;
            }
            notes.settle();
        }
    }
}
