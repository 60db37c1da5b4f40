-- Why: pages are invalidated by their site, too. What was stored before has none and is not read
-- back: it could not be invalidated so.
-- Size: one column without values; no row is written. Lock held: the whole file for a moment.

ALTER TABLE entries ADD COLUMN site TEXT;
