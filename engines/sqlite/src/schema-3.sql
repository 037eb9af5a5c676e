-- Version 3: indexes, and programs that know an older version stop writing.

-- The version of this file, beside the counts that every commit reads: who knows only an older one writes no more.
ALTER TABLE store ADD COLUMN format INTEGER NOT NULL DEFAULT 3;

-- One more whenever there are other indexes to be kept than before; 0 where there never was one.
ALTER TABLE store ADD COLUMN indexes INTEGER NOT NULL DEFAULT 0;

-- A program of version 2 that has the file open knows of no index and would not keep it. Without this name its commits
-- are refused.
ALTER TABLE store RENAME COLUMN ids_since TO ids_from;

CREATE TABLE indexes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
    namespace TEXT NOT NULL,
    definition TEXT NOT NULL,              -- JSON: {"paths": [...], "unique": ...}
    state TEXT NOT NULL,                   -- building, ready, dropped
    through TEXT,                          -- the last key that was looked at while it was built
    entries INTEGER NOT NULL               -- how many entries were
) STRICT;

-- What entries have in indexes, as bytes in the order of the values.
CREATE TABLE terms (
    index_id INTEGER NOT NULL,
    term BLOB NOT NULL,
    key TEXT NOT NULL,
    entry INTEGER NOT NULL,                -- the id in entries
    PRIMARY KEY (index_id, term, key)
) STRICT, WITHOUT ROWID;
