-- The sample application's own rows; the cache never sees this file.

CREATE TABLE trek (
    id INTEGER PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    days INTEGER NOT NULL,
    height_m INTEGER NOT NULL,
    blurb TEXT NOT NULL
);

CREATE TABLE photo (
    id INTEGER PRIMARY KEY,
    trek_id INTEGER NOT NULL REFERENCES trek (id),
    title TEXT NOT NULL
);
CREATE INDEX photo_by_trek ON photo (trek_id);

CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    received_at TEXT NOT NULL
);

-- One row: how often anything was saved, and when last. Validators of pages come from it.
CREATE TABLE revision (
    number INTEGER NOT NULL,
    saved_s INTEGER NOT NULL
);

-- Where the guides' receivers have been, in metres from base camp. Every page searches these for
-- the two points that lie furthest apart, pair by pair, which is what makes a page slow.
CREATE TABLE point (
    trek_id INTEGER NOT NULL REFERENCES trek (id),
    n INTEGER NOT NULL,
    east_m INTEGER NOT NULL,
    north_m INTEGER NOT NULL,
    PRIMARY KEY (trek_id, n)
) WITHOUT ROWID;

INSERT INTO trek (id, slug, name, days, height_m, blurb) VALUES
    (1, 'annapurna', 'Annapurna Circuit', 14, 5416,
     'Around the massif and over Thorong La, from rice terraces to the dry side of the mountains.'),
    (2, 'langtang', 'Langtang Valley', 8, 4984,
     'Up a glacier valley close to Tibet: yak pastures, cheese, and few people.'),
    (3, 'manaslu', 'Manaslu Circuit', 15, 5106,
     'The old salt road around the eighth-highest mountain, over Larkya La.'),
    (4, 'mustang', 'Upper Mustang', 12, 3840,
     'A walled town in a high desert, with caves whose makers nobody knows.'),
    (5, 'gosaikunda', 'Gosaikunda Lakes', 7, 4610,
     'Lakes that freeze over, and a full moon in August when thousands walk up to bathe.');

INSERT INTO photo (id, trek_id, title) VALUES
    (1, 1, 'First light on Annapurna II'),
    (2, 1, 'Prayer flags on Thorong La'),
    (3, 1, 'Apple pie in Marpha'),
    (4, 2, 'Kyanjin Gompa under snow'),
    (5, 2, 'A yak that would not move'),
    (6, 3, 'The bridge at Philim'),
    (7, 3, 'Larkya La at seven in the morning'),
    (8, 4, 'Lo Manthang from the north'),
    (9, 4, 'Sky caves near Chhoser'),
    (10, 5, 'The lake before the pilgrims');

INSERT INTO message (author, text, received_at) VALUES
    ('Maya', 'Is the pass open in the last week of November?', '2026-01-05T09:12:44.120Z'),
    ('Jonas', 'We loved the apple pie. Thank you, Pasang!', '2026-01-06T17:40:03.007Z');

INSERT INTO revision (number, saved_s) VALUES (1, unixepoch());

-- Walks that repeat themselves exactly: the multipliers are coprime to the moduli.
INSERT INTO point (trek_id, n, east_m, north_m)
WITH RECURSIVE step (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM step WHERE n + 1 < 12000)
SELECT trek.id, step.n,
    (step.n * 7919 + trek.id * 104729) % 30011,
    (step.n * 6007 + trek.id * 15485863) % 20011
FROM trek CROSS JOIN step;

PRAGMA user_version = 1;
