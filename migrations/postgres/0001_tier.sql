-- Why: the first schema: entries that outlive a restart, the journal of invalidations, the fence.
-- Size: empty tables. Lock held: on nothing that anybody else uses.
--
-- Whatever comes from outside is kept as bytes, also where it is text: a text column takes no NUL.
-- What may be long is found by its SHA-256: an index takes no more than some 2 700 bytes.

-- One row. Every transaction of a server names the epoch and the number of commits that it knows,
-- and fails where the row has others: then another server has been here, or this one has given the
-- transaction up and gone on without it. `rows` and `bytes` are what the entries take. Room for new
-- versions of the row in its page: it changes with every commit.
CREATE TABLE state (
    is_only BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (is_only),
    epoch BIGINT NOT NULL,
    commits BIGINT NOT NULL,
    rows BIGINT NOT NULL,
    bytes BIGINT NOT NULL
) WITH (fillfactor = 10);

INSERT INTO state (epoch, commits, rows, bytes) VALUES (0, 0, 0, 0);

CREATE TABLE journal (
    sequence BIGINT PRIMARY KEY,
    source BYTEA NOT NULL,
    event_id BYTEA,
    at_ms BIGINT NOT NULL,
    targets BYTEA NOT NULL,
    is_again BIGINT NOT NULL
);

-- The highest number of each source.
CREATE TABLE numbers (
    source BYTEA PRIMARY KEY,
    number BIGINT NOT NULL
);

-- Changes that are announced; one that is announced more than once has several rows. A thousand at
-- most, so that no index is needed.
CREATE TABLE intents (
    name BYTEA NOT NULL,
    until_ms BIGINT NOT NULL,
    targets BYTEA NOT NULL
);

-- Up to which sequence a tag (0), URL (1), prefix (2), everything (3) or a site (5) was
-- invalidated; 0: never.
CREATE TABLE fence (
    kind BIGINT NOT NULL,
    name BYTEA NOT NULL,
    hard BIGINT NOT NULL,
    soft BIGINT NOT NULL
);

CREATE UNIQUE INDEX fence_by_name ON fence (kind, sha256(name));

-- `kind`: item (0) or page (1); the fields of a page are null for an item. 64-bit numbers that are
-- only read back are kept bit by bit; those that are compared (`birth`, `expires_ms`) stay below
-- 2^63. `staleness`: beyond its time never (0), within its own windows (1), also otherwise (2).
CREATE TABLE entries (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key BYTEA NOT NULL,
    variant BIGINT NOT NULL,
    kind BIGINT NOT NULL,
    flags BIGINT NOT NULL,
    cas BIGINT NOT NULL,
    birth BIGINT NOT NULL,
    stored_ms BIGINT NOT NULL,
    expires_ms BIGINT,
    tags BYTEA[] NOT NULL,
    url BYTEA,
    site BYTEA,
    status BIGINT,
    received_ms BIGINT,
    initial_age_ms BIGINT,
    lifetime_ms BIGINT,
    stale_while_revalidate_ms BIGINT,
    stale_if_error_ms BIGINT,
    staleness BIGINT,
    plugin BYTEA,
    vary BYTEA,
    headers BYTEA,
    -- The length of a value that is compressed by zstd; null where it is as it is.
    unpacked_bytes BIGINT,
    body BYTEA NOT NULL
);

CREATE UNIQUE INDEX entries_by_key ON entries (sha256(key), variant);
CREATE INDEX entries_by_birth ON entries (birth);
CREATE INDEX entries_by_expiry ON entries (expires_ms) WHERE expires_ms IS NOT NULL;

-- Counts what the entries take, statement by statement; some 300 bytes for what is not counted.
CREATE FUNCTION count_entries() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    sign BIGINT := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    UPDATE state SET rows = rows + sign * c.count, bytes = bytes + sign * c.sum
    FROM (
        SELECT count(*) AS count, coalesce(sum(
            300 + octet_length(key) + octet_length(body) + coalesce(octet_length(headers), 0)
        ), 0) AS sum
        FROM changed
    ) c
    WHERE c.count > 0;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_no_entries() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    UPDATE state SET rows = 0, bytes = 0;
    RETURN NULL;
END
$$;

CREATE TRIGGER entries_inserted AFTER INSERT ON entries
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_entries();
CREATE TRIGGER entries_deleted AFTER DELETE ON entries
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_entries();
CREATE TRIGGER entries_truncated AFTER TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION count_no_entries();
