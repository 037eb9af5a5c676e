-- The schema of a Larder store, version 1. Times are milliseconds since the epoch, UTC.

-- The store itself: one row.
CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    store_id TEXT NOT NULL,           -- 32 hex digits, drawn when the store was created
    lineage INTEGER NOT NULL,         -- which of its pasts this is
    revision INTEGER NOT NULL,        -- the latest commit that changed something
    oldest INTEGER NOT NULL,          -- the log holds what came after this revision
    ids_since INTEGER NOT NULL,       -- commit ids made before this moment are forgotten
    entries INTEGER NOT NULL,         -- rows of entries
    bytes INTEGER NOT NULL,           -- their keys, values and metadata
    changes INTEGER NOT NULL,         -- rows of log
    log_bytes INTEGER NOT NULL,       -- their keys, values and metadata
    relaxed_boot TEXT                 -- the boot of the system in which commits were made that a power cut may have taken
) STRICT;

-- The current state. An entry whose expires_at has passed is absent, although it is still here.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,         -- 1 on creation, one more with every write
    revision INTEGER NOT NULL,        -- the commit that wrote it last
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    expires_at INTEGER,
    json INTEGER NOT NULL,            -- 1 when the plain value is JSON
    encodings TEXT,                   -- what was done to the plain value, joined by commas; NULL is nothing
    metadata TEXT,                    -- a JSON object; NULL is {}
    value ANY NOT NULL                -- TEXT when it is plain JSON, else BLOB
) STRICT;

CREATE UNIQUE INDEX entries_by_key ON entries (namespace, key);
CREATE INDEX entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL;

-- How the state came about: a row for every change, with the entry as it was before it. What it became stands in the
-- next change of the same key, or in entries. A change that created an entry has no version.
CREATE TABLE log (
    place INTEGER PRIMARY KEY,        -- revision * 8192 + the place in the commit
    revision INTEGER NOT NULL,
    at INTEGER NOT NULL,              -- the commit's clock
    kind TEXT NOT NULL,               -- created, updated, deleted, expired
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER,
    written INTEGER,                  -- the revision that had written the entry
    created_at INTEGER,
    updated_at INTEGER,
    expires_at INTEGER,
    json INTEGER,
    encodings TEXT,
    metadata TEXT,
    value ANY
) STRICT;

CREATE INDEX log_by_key ON log (namespace, key, place);

-- What became of every commit id that is still remembered. A fenced id has no receipt: it never happens.
CREATE TABLE commits (
    id BLOB PRIMARY KEY,              -- the first 6 bytes are its time
    revision INTEGER NOT NULL,
    receipt TEXT                      -- JSON: [version, existed] or [version, existed, number] for each write
) STRICT, WITHOUT ROWID;
