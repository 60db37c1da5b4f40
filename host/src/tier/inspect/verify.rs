//! Whether a tier is whole: the file, the fence, the journal, and every row.

use sqlx::Row as _;

use super::scan::{Part, Scan};
use super::{InspectError, Inspector, State, codec};

/// Damaged rows that are named; the others are counted.
const NAMED_MAX: usize = 20;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// Rows that would be served.
    pub valid: u64,
    /// Softly purged.
    pub stale: u64,
    /// Invalidated, and not culled yet.
    pub dead: u64,
    /// Their time is over, and they are not culled yet.
    pub expired: u64,
    /// Not as they were written; a server leaves them out.
    pub damaged: u64,
    /// The keys of the first of these.
    pub damaged_keys: Vec<Vec<u8>>,
    /// Rows of the fence that can't be read; a server then serves nothing stored before.
    pub fence_damaged: u64,
    /// Records of the journal that can't be read; a server leaves them out.
    pub journal_damaged: u64,
    /// What the database says about its own file; empty if it is whole.
    pub file: Vec<String>,
}

impl Verification {
    /// Whether nothing is damaged.
    pub fn is_whole(&self) -> bool {
        self.damaged + self.fence_damaged + self.journal_damaged == 0 && self.file.is_empty()
    }
}

impl Inspector {
    /// Reads everything there is.
    ///
    /// # Errors
    /// What the database says, unless it says that the file is damaged, which is a finding.
    pub async fn verify(&mut self) -> Result<Verification, InspectError> {
        let mut found = Verification { file: self.check_file().await?, ..Verification::default() };
        let mut scan = Scan::from(b"");
        loop {
            let rows = match scan.next(self, Part::Whole).await {
                Ok(rows) => rows,
                // What lies behind can't be reached.
                Err(error) if !found.file.is_empty() => {
                    found.file.push(error.to_string());
                    return Ok(found);
                }
                Err(error) => return Err(error),
            };
            if rows.is_empty() {
                break;
            }
            for row in rows {
                match row.state {
                    State::Valid => found.valid += 1,
                    State::Stale => found.stale += 1,
                    State::Dead => found.dead += 1,
                    State::Expired => found.expired += 1,
                    State::Damaged => {
                        found.damaged += 1;
                        if found.damaged_keys.len() < NAMED_MAX {
                            found.damaged_keys.push(row.key);
                        }
                    }
                }
            }
        }
        found.fence_damaged = self.count_damaged_fence().await?;
        found.journal_damaged = self.count_damaged_journal().await?;
        Ok(found)
    }

    /// SQLite's own findings (sqlite.org/pragma.html#pragma_integrity_check).
    async fn check_file(&mut self) -> Result<Vec<String>, InspectError> {
        let said = sqlx::query_scalar::<_, String>("PRAGMA integrity_check(20)")
            .fetch_all(&mut self.connection)
            .await;
        match said {
            Ok(said) => Ok(said.into_iter().filter(|line| line != "ok").collect()),
            Err(error) if error.as_database_error().is_some() => Ok(vec![error.to_string()]),
            Err(error) => Err(self.told()(error).into()),
        }
    }

    async fn count_damaged_fence(&mut self) -> Result<u64, InspectError> {
        let rows = sqlx::query("SELECT kind, name, hard, soft FROM fence")
            .fetch_all(&mut self.connection)
            .await
            .map_err(self.told())?;
        let is_readable = |row: &sqlx::sqlite::SqliteRow| {
            let kind = row.try_get::<i64, _>("kind").ok()?;
            let name = row.try_get::<Vec<u8>, _>("name").ok()?;
            let levels = row.try_get::<i64, _>("hard").ok()?.min(row.try_get("soft").ok()?);
            codec::target_of(kind, &name).filter(|_| kind != codec::TARGET_KEY && levels >= 0)
        };
        Ok(rows.iter().filter(|row| is_readable(row).is_none()).count() as u64)
    }

    async fn count_damaged_journal(&mut self) -> Result<u64, InspectError> {
        let targets = sqlx::query_scalar::<_, Vec<u8>>("SELECT targets FROM journal")
            .fetch_all(&mut self.connection)
            .await
            .map_err(self.told())?;
        let is_damaged = |targets: &&Vec<u8>| codec::decode_targets(targets).is_none();
        Ok(targets.iter().filter(is_damaged).count() as u64)
    }
}
