//! Whether a tier is whole: the file, the fence, the journal, and every row.

use super::{Inspector, OperatorError, Part, Reading, State};

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
    pub async fn verify(&mut self) -> Result<Verification, OperatorError> {
        let mut found = Verification { file: self.problems().await?, ..Verification::default() };
        self.begin(b"", Part::Whole).await?;
        loop {
            let rows = match self.next(Part::Whole).await {
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
        let damaged = match &mut self.reading {
            Reading::Sqlite(reading) => reading.damaged().await,
            Reading::Postgres(reading) => reading.damaged().await,
        };
        let damaged = damaged.map_err(|error| self.reading.told(error))?;
        (found.fence_damaged, found.journal_damaged) = damaged;
        Ok(found)
    }

    async fn problems(&mut self) -> Result<Vec<String>, OperatorError> {
        let problems = match &mut self.reading {
            Reading::Sqlite(reading) => reading.problems().await,
            // It checks its pages as it reads them, and says so.
            Reading::Postgres(_) => Ok(Vec::new()),
        };
        Ok(problems.map_err(|error| self.reading.told(error))?)
    }
}
