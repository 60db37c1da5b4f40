//! Keys with what becomes of them, and how much there is of everything.

use super::{Inspector, OperatorError, Part, Reading, State};
use crate::cache::tier::Row;
use crate::model::Tag;

/// One row as a listing shows it.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its key.
    pub key: Vec<u8>,
    /// Which of the key's rows.
    pub variant: i64,
    /// What becomes of it.
    pub state: State,
    /// The rest of it, in a listing without its body; `None` if it is damaged.
    pub row: Option<Row>,
    /// Length of its body.
    pub body_bytes: i64,
}

/// Which rows a listing has.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Of keys that begin so.
    pub prefix: Vec<u8>,
    /// Of keys behind this one.
    pub after: Option<Vec<u8>>,
    /// With this tag.
    pub tag: Option<Tag>,
    /// At most so many keys.
    pub limit: usize,
}

/// What the tables hold, without looking at each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    /// Rows of entries.
    pub rows: i64,
    /// Bytes of their bodies.
    pub body_bytes: i64,
    /// Rows of the fence.
    pub fence_rows: i64,
    /// Records of the journal.
    pub journal_records: i64,
    /// Intents that have not ended.
    pub intents: i64,
    /// How often a server has opened it.
    pub epoch: u32,
}

impl Inspector {
    /// What the tables hold.
    ///
    /// # Errors
    /// What the database says.
    pub async fn totals(&mut self) -> Result<Totals, OperatorError> {
        let counts = match &mut self.reading {
            Reading::Sqlite(reading) => reading.counts().await,
            Reading::Postgres(reading) => reading.counts().await,
        };
        let counts = counts.map_err(|error| self.reading.told(error))?;
        let (rows, body_bytes, fence_rows, journal_records, intents) = counts;
        let epoch = self.epoch;
        Ok(Totals { rows, body_bytes, fence_rows, journal_records, intents, epoch })
    }

    /// Rows in the order of their keys, all of a key together, and whether there are more.
    ///
    /// # Errors
    /// What the database says.
    pub async fn list(&mut self, wanted: &Selection) -> Result<(Vec<Listed>, bool), OperatorError> {
        let (mut listed, mut keys) = (Vec::<Listed>::new(), 0);
        let after = wanted.after.as_deref().unwrap_or_default();
        self.begin(after.max(&wanted.prefix), Part::Head).await?;
        loop {
            let found = self.next(Part::Head).await?;
            if found.is_empty() {
                return Ok((listed, false));
            }
            for row in found {
                if !row.key.starts_with(&wanted.prefix) {
                    return Ok((listed, false));
                }
                let is_before = wanted.after.as_ref().is_some_and(|after| row.key <= *after);
                if is_before || !has_tag(&row, wanted.tag.as_ref()) {
                    continue;
                }
                if listed.last().is_none_or(|last| last.key != row.key) {
                    keys += 1;
                }
                if keys > wanted.limit {
                    return Ok((listed, true));
                }
                listed.push(row);
            }
        }
    }
}

fn has_tag(listed: &Listed, tag: Option<&Tag>) -> bool {
    let Some(tag) = tag else { return true };
    listed.row.as_ref().is_some_and(|row| row.content.tags.contains(tag))
}
