-- Why: entries are named by events in the words of the plugins that tagged them. A start has to
-- know which plugins, and with which settings, may have tagged what is here: where others run now,
-- what those have stored is ended first.
-- Size: an empty table; later a row for each plugin, and one for each version that was loaded since
-- the start. Lock held: on the new table alone.

CREATE TABLE plugins (
    name BYTEA NOT NULL,
    identity BYTEA NOT NULL,
    mark BYTEA NOT NULL,
    PRIMARY KEY (name, identity)
);
