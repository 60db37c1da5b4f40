-- Why: entries are named by events in the words of the plugins that tagged them. A start has to
-- know which plugins, and with which settings, may have tagged what is here: where others run now,
-- what those have stored is ended first.
-- Size: an empty table; later a row for each plugin, and one for each version that was loaded since
-- the start. Lock held: the whole file for a moment.

CREATE TABLE plugins (
    name TEXT NOT NULL,
    identity TEXT NOT NULL,
    mark TEXT NOT NULL,
    PRIMARY KEY (name, identity)
) STRICT, WITHOUT ROWID;
