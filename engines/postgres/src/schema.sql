-- The schema of a Larder store, version 1. Times are milliseconds since the epoch, UTC. Texts are compared bytewise.

-- What brings this schema to the next version begins here: one row.
CREATE TABLE larder_format (
    version INTEGER NOT NULL
);

-- The store itself: one row. Whoever commits locks it first and keeps it until the end, so revisions are in the order of commits.
CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    store_id TEXT NOT NULL,           -- 32 hex digits, drawn when the store was created
    lineage BIGINT NOT NULL,          -- which of its pasts this is
    revision BIGINT NOT NULL,         -- the latest commit that changed something
    oldest BIGINT NOT NULL,           -- the log holds what came after this revision
    ids_since BIGINT NOT NULL,        -- commit ids made before this moment are forgotten
    entries BIGINT NOT NULL,          -- rows of entries
    bytes BIGINT NOT NULL,            -- their keys, values and metadata
    changes BIGINT NOT NULL,          -- rows of log
    log_bytes BIGINT NOT NULL,        -- their keys, values and metadata
    indexes BIGINT NOT NULL,          -- one more whenever other indexes are to be kept than before; 0 where there never was one
    life TEXT NOT NULL                -- the life of the server whose end may have taken the latest commits
) WITH (fillfactor = 10);

-- The current state. An entry whose expires_at has passed is absent, although it is still here.
CREATE TABLE entries (
    namespace TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,          -- 1 on creation, one more with every write
    revision BIGINT NOT NULL,         -- the commit that wrote it last
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT,
    json BOOLEAN NOT NULL,            -- whether the plain value is JSON
    encodings TEXT,                   -- what was done to the plain value, joined by commas; NULL is nothing
    metadata TEXT,                    -- a JSON object as it was written; NULL is {}
    value BYTEA NOT NULL,             -- as it was written
    PRIMARY KEY (namespace, key)
);

CREATE INDEX entries_by_expiry ON entries (expires_at) WHERE expires_at IS NOT NULL;

-- How the state came about: a row for every change, with the entry as it was before it. What it became stands in the
-- next change of the same key, or in entries. A change that created an entry has no version.
CREATE TABLE log (
    place BIGINT PRIMARY KEY,         -- revision * 8192 + the place in the commit
    at BIGINT NOT NULL,               -- the commit's clock
    kind TEXT NOT NULL,               -- created, updated, deleted, expired
    namespace TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    version BIGINT,
    revision BIGINT,                  -- the commit that had written the entry
    created_at BIGINT,
    updated_at BIGINT,
    expires_at BIGINT,
    json BOOLEAN,
    encodings TEXT,
    metadata TEXT,
    value BYTEA
);

CREATE INDEX log_by_key ON log (namespace, key, place);

-- What each namespace takes, and how far back the log tells of it.
CREATE TABLE namespaces (
    namespace TEXT COLLATE "C" PRIMARY KEY,
    entries BIGINT NOT NULL,          -- its rows of entries
    bytes BIGINT NOT NULL,            -- their keys, values and metadata
    log_bytes BIGINT NOT NULL,        -- the keys, values and metadata of its rows of log
    oldest BIGINT NOT NULL            -- the log holds of it what came after this revision; 0 where it is as in store
) WITH (fillfactor = 50);

-- Mostly none, so asking for the latest of them costs nothing.
CREATE INDEX namespaces_by_oldest ON namespaces (oldest) WHERE oldest > 0;

-- What became of every commit id that is still remembered. A fenced id has no receipt: it never happens.
CREATE TABLE commits (
    id BYTEA PRIMARY KEY,             -- the first 6 bytes are its time
    revision BIGINT NOT NULL,
    receipt TEXT                      -- JSON: [version, existed] or [version, existed, number] for each write
);

CREATE TABLE indexes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,  -- never given twice
    namespace TEXT COLLATE "C" NOT NULL,
    definition TEXT NOT NULL,         -- JSON: {"paths": [...], "unique": ...}
    state TEXT NOT NULL,              -- building, ready, dropped
    through TEXT COLLATE "C",         -- the last key that was looked at while it was built
    entries BIGINT NOT NULL           -- how many entries were
);

-- What entries have in indexes, as bytes in the order of the values.
CREATE TABLE terms (
    index_id BIGINT NOT NULL,
    term BYTEA NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (index_id, term, key)
);
