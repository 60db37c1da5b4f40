-- Why: a server that warms up after a start brings back first what was used most before it, and for
-- that keeps an order of keys. Nothing else is decided by it.
-- Size: an empty table; later one row of 2 MiB at most, less because it is compressed (so that the
-- server need not try), rewritten every few minutes. Lock held: on the new table alone.

CREATE TABLE hot (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    keys BYTEA NOT NULL
);

ALTER TABLE hot ALTER COLUMN keys SET STORAGE EXTERNAL;
