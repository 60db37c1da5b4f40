-- Why: after a crash it must be known which events were applied a second time, and up to which
-- number each source had sent events: an event that is sent again is not the newest then, and the
-- value that it carries is not written.
-- Size: one column without values, one empty table. Lock held: the whole file for a moment.

ALTER TABLE journal ADD COLUMN is_again INTEGER;

CREATE TABLE numbers (
    source TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
