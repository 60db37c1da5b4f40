-- Why: values may be kept compressed, which their rows say by the length that they had before.
-- Size: one column without values; no row is written. Lock held: the whole file for a moment.

ALTER TABLE entries ADD COLUMN unpacked_bytes INTEGER;
