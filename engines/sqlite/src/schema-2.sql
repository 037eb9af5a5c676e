-- Version 2: what each namespace takes, and how far back the log tells of it.

CREATE TABLE namespaces (
    namespace TEXT PRIMARY KEY,
    entries INTEGER NOT NULL,         -- its rows of entries
    bytes INTEGER NOT NULL,           -- their keys, values and metadata
    log_bytes INTEGER NOT NULL,       -- the keys, values and metadata of its rows of log
    oldest INTEGER NOT NULL           -- the log holds of it what came after this revision; 0 where it is as in store
) STRICT, WITHOUT ROWID;

-- Mostly none, so asking for the latest of them costs nothing.
CREATE INDEX namespaces_by_oldest ON namespaces (oldest) WHERE oldest > 0;

INSERT INTO namespaces
SELECT namespace, sum(entries), sum(bytes), sum(log_bytes), 0
FROM (
    SELECT namespace, count(*) AS entries,
        sum(octet_length(key) + octet_length(value) + coalesce(octet_length(metadata), 0)) AS bytes, 0 AS log_bytes
    FROM entries GROUP BY namespace
    UNION ALL
    SELECT namespace, 0, 0,
        sum(octet_length(key) + coalesce(octet_length(value), 0) + coalesce(octet_length(metadata), 0))
    FROM log GROUP BY namespace
)
GROUP BY namespace;
