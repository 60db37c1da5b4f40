-- Why: changes that are announced before they are made keep what they name shut also over a crash.
-- An intent that is announced more than once has several rows; it goes with all of them.
-- Size: an empty table; later as many rows as there are intents under way. Lock held: the whole
-- file for a moment.

CREATE TABLE intents (
    name TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    targets BLOB NOT NULL
) STRICT;

CREATE INDEX intents_by_name ON intents (name);
