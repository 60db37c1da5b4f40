-- Why: the first schema: entries that outlive a restart, the journal of invalidations, the fence.
-- Size: empty tables. Lock held: the whole file for some milliseconds; no other server has it open.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Raised by one at every start, before anything is served.
INSERT INTO meta (name, value) VALUES ('epoch', 0);

CREATE TABLE journal (
    sequence INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    event_id TEXT,
    at_ms INTEGER NOT NULL,
    targets BLOB NOT NULL
) STRICT;

-- Up to which sequence a tag (0), URL (1), prefix (2) or everything (3) was invalidated; 0: never.
CREATE TABLE fence (
    kind INTEGER NOT NULL,
    name BLOB NOT NULL,
    hard INTEGER NOT NULL,
    soft INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

-- The body comes last, so that looking at the rest reads none of its pages. `kind`: item (0) or
-- page (1); the fields of a page are null for an item. 64-bit numbers that are only read back are
-- kept bit by bit; those that are compared (`birth`, `expires_ms`) stay below 2^63.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL,
    variant INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    cas INTEGER NOT NULL,
    birth INTEGER NOT NULL,
    stored_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    tags TEXT NOT NULL,
    url TEXT,
    status INTEGER,
    received_ms INTEGER,
    initial_age_ms INTEGER,
    lifetime_ms INTEGER,
    stale_while_revalidate_ms INTEGER,
    plugin TEXT,
    vary BLOB,
    headers BLOB,
    body BLOB NOT NULL,
    UNIQUE (key, variant)
) STRICT;

CREATE INDEX entries_by_birth ON entries (birth);
CREATE INDEX entries_by_expiry ON entries (expires_ms) WHERE expires_ms IS NOT NULL;
