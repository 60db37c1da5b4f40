-- Why: pages also say for how long they may be served while their origin fails, and whether they
-- may be served beyond their time at all: never (0), within their own windows (1), also otherwise
-- (2). What was stored before forbids it. The columns may stand behind the body: all that read
-- them read the body too.
-- Size: two columns without values; no row is written. Lock held: the whole file for a moment.

ALTER TABLE entries ADD COLUMN stale_if_error_ms INTEGER;
ALTER TABLE entries ADD COLUMN staleness INTEGER;
