-- Why: a server that warms up after a start brings back first what was used most before it, and for
-- that keeps an order of keys. Nothing else is decided by it.
-- Size: an empty table; later one row of 2 MiB at most, less because it is compressed, rewritten
-- every few minutes. Lock held: the whole file for a moment.

CREATE TABLE hot (
    keys BLOB NOT NULL
) STRICT;
