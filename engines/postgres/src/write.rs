//! The second trip of a group: everything it makes of the store, and its end.

use futures_util::future::{join, join_all};
use larder_core::{Address, ContentKind, Entry, Metadata, Timestamp};
use tokio_postgres::types::ToSql;

use crate::{
    bulk,
    error::Attempt,
    group::{Before, Group, Line},
    log::PLACES,
    receipt,
    session::{Parameters, Session},
    terms,
};

const LOG_ROWS: &str = "INSERT INTO log SELECT place, at, kind, namespace, key, version, revision, created_at, updated_at, \
    expires_at, json, encodings, metadata, value \
    FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[]) \
    AS line (place, at, kind, line_namespace, line_key) JOIN entries ON namespace = line_namespace AND key = line_key";

const LOG: &str = "INSERT INTO log SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], \
    $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::boolean[], $12::text[], $13::text[], $14::bytea[])";

const PUT: &str = "INSERT INTO entries SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], \
    $6::bigint[], $7::bigint[], $8::boolean[], $9::text[], $10::text[], $11::bytea[]) \
    ON CONFLICT (namespace, key) DO UPDATE SET version = excluded.version, revision = excluded.revision, \
    created_at = excluded.created_at, updated_at = excluded.updated_at, expires_at = excluded.expires_at, json = excluded.json, \
    encodings = excluded.encodings, metadata = excluded.metadata, value = excluded.value";

const DELETE: &str = "DELETE FROM entries USING unnest($1::text[], $2::text[]) AS gone (gone_namespace, gone_key) \
    WHERE namespace = gone_namespace AND key = gone_key";

const IDS: &str = "INSERT INTO commits SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::text[])";

const NAMESPACES: &str = "INSERT INTO namespaces SELECT *, 0 FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) \
    ON CONFLICT (namespace) DO UPDATE SET entries = excluded.entries, bytes = excluded.bytes, log_bytes = excluded.log_bytes";

const STORE: &str = "UPDATE store SET revision = $1, changes = $2, entries = $3, bytes = $4, log_bytes = $5, life = $6";

/// Makes a transaction one that waits for the sync.
pub(crate) const SYNC: &str = "SET LOCAL synchronous_commit = on";

const STATEMENTS: [&str; 11] =
    [LOG_ROWS, LOG, PUT, DELETE, IDS, NAMESPACES, STORE, terms::REMOVE, terms::ADD, bulk::LINES, bulk::ENTRIES];

/// The columns of entries, each as an array.
#[derive(Default)]
struct Columns<'a> {
    version: Vec<Option<i64>>,
    revision: Vec<Option<i64>>,
    created_at: Vec<Option<i64>>,
    updated_at: Vec<Option<i64>>,
    expires_at: Vec<Option<i64>>,
    json: Vec<Option<bool>>,
    encodings: Vec<Option<String>>,
    metadata: Vec<Option<&'a str>>,
    value: Vec<Option<&'a [u8]>>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, entry: Option<&'a Entry>) {
        let millis = |at: Timestamp| at.as_millis();
        self.version.push(entry.map(|entry| entry.version.get().cast_signed()));
        self.revision.push(entry.map(|entry| entry.revision.get().cast_signed()));
        self.created_at.push(entry.map(|entry| millis(entry.created_at)));
        self.updated_at.push(entry.map(|entry| millis(entry.updated_at)));
        self.expires_at.push(entry.and_then(|entry| entry.expires_at).map(millis));
        self.json.push(entry.map(|entry| entry.value.kind() == ContentKind::Json));
        let encodings = entry.map(|entry| entry.value.encodings()).filter(|encodings| !encodings.is_empty());
        self.encodings.push(encodings.map(ToString::to_string));
        let metadata = entry.map(|entry| &entry.metadata).filter(|metadata| !metadata.is_empty());
        self.metadata.push(metadata.map(Metadata::as_str));
        self.value.push(entry.map(|entry| &entry.value.bytes()[..]));
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 9] {
        [
            &self.version,
            &self.revision,
            &self.created_at,
            &self.updated_at,
            &self.expires_at,
            &self.json,
            &self.encodings,
            &self.metadata,
            &self.value,
        ]
    }
}

/// The columns of log lines that say what happened where, each as an array.
#[derive(Default)]
struct Lines<'a> {
    place: Vec<i64>,
    at: Vec<i64>,
    kind: Vec<&'a str>,
    namespace: Vec<&'a str>,
    key: Vec<&'a str>,
}

impl<'a> Lines<'a> {
    fn push(&mut self, line: &'a Line) {
        self.place.push(line.revision.get().cast_signed() * PLACES + line.ordinal);
        self.at.push(line.at.as_millis());
        self.kind.push(line.kind.as_str());
        self.namespace.push(line.address.namespace.as_str());
        self.key.push(line.address.key.as_str());
    }

    fn parameters(&self) -> [&(dyn ToSql + Sync); 5] {
        [&self.place, &self.at, &self.kind, &self.namespace, &self.key]
    }
}

/// Writes what `group` has come to and commits, in one go. `life` is the life of the server that this commit hangs on.
///
/// The first commit that hangs on it waits for the sync, whatever the durability, so that nobody forgets that it does.
pub(crate) async fn write(session: &Session, group: &Group, life: &str, relaxed: bool) -> Attempt<()> {
    let (mut copied, mut told, mut before) = (Lines::default(), Lines::default(), Columns::default());
    let mut fresh_lines = Vec::new();
    for line in &group.lines {
        match &line.before {
            Before::Row => copied.push(line),
            Before::Nothing => fresh_lines.push(line),
            Before::Entry(entry) => {
                told.push(line);
                before.push(Some(entry));
            }
        }
    }
    let mut changed: Vec<_> = group.slots.iter().filter(|(_, slot)| slot.changed).collect();
    // In the order of the index, so that neighbours are written together.
    changed.sort_unstable_by_key(|(address, _)| *address);
    let (mut put, mut put_at, mut gone) = (Columns::default(), Names::default(), Names::default());
    let mut fresh = Vec::new();
    for (address, slot) in changed {
        match &slot.stored {
            Some(stored) if slot.had_row => {
                put_at.push(address);
                put.push(Some(&stored.entry));
            }
            Some(stored) => fresh.push((address, &stored.entry)),
            None if slot.had_row => gone.push(address),
            None => {}
        }
    }
    if fresh_lines.len() < bulk::ROWS_MIN {
        for line in fresh_lines.drain(..) {
            told.push(line);
            before.push(None);
        }
    }
    if fresh.len() < bulk::ROWS_MIN {
        for (address, entry) in fresh.drain(..) {
            put_at.push(address);
            put.push(Some(entry));
        }
    }
    let ids: Vec<&[u8]> = group.receipts.iter().map(|(id, _)| &id.as_bytes()[..]).collect();
    let revisions: Vec<i64> = group.receipts.iter().map(|(_, receipt)| receipt.revision.get().cast_signed()).collect();
    let receipts: Vec<String> = group.receipts.iter().map(|(_, receipt)| receipt::write(receipt)).collect();
    let (mut names, mut usages) = (Vec::new(), [Vec::new(), Vec::new(), Vec::new()]);
    for (namespace, usage) in group.head.changed() {
        names.push(namespace.as_str());
        for (column, number) in usages.iter_mut().zip([usage.entries, usage.bytes, usage.log_bytes]) {
            column.push(number.cast_signed());
        }
    }
    let head = &group.head;
    let total = [head.usage.entries, head.usage.bytes, head.usage.log_bytes].map(u64::cast_signed);
    let revision = head.revision.get().cast_signed();

    let copied_parameters = copied.parameters();
    let told_parameters = [&told.parameters()[..], &before.parameters()].concat();
    let put_parameters = [&[&put_at.0 as &(dyn ToSql + Sync), &put_at.1][..], &put.parameters()].concat();
    // The copies first: they are of what the next ones replace.
    let all: [(bool, &str, Parameters<'_>); 7] = [
        (!copied.place.is_empty(), LOG_ROWS, &copied_parameters),
        (!told.place.is_empty(), LOG, &told_parameters),
        (!put_at.0.is_empty(), PUT, &put_parameters),
        (!gone.0.is_empty(), DELETE, &[&gone.0, &gone.1]),
        (!ids.is_empty(), IDS, &[&ids, &revisions, &receipts]),
        (!names.is_empty(), NAMESPACES, &[&names, &usages[0], &usages[1], &usages[2]]),
        (true, STORE, &[&revision, &head.changes, &total[0], &total[1], &total[2], &life]),
    ];
    session.prepare(&STATEMENTS).await?;
    if relaxed && head.life != life {
        session.run(SYNC).await?;
    }
    let mut writes = Vec::with_capacity(all.len());
    for (needed, sql, parameters) in all {
        if needed {
            writes.push(session.execute(sql, parameters));
        }
    }
    let indexed = group.terms.write(session);
    // Each is sent when it is looked at first, and what comes behind a COPY waits until all its rows are sent.
    let lines = copy(session, bulk::LINES, fresh_lines, bulk::Cells::line);
    let entries = copy(session, bulk::ENTRIES, fresh, bulk::Cells::entry);
    let written = join(join(join_all(writes), indexed), join(lines, entries));
    let (((written, indexed), (lines, entries)), committed) = join(written, session.run("COMMIT")).await;
    // After a statement that failed a COMMIT rolls back, and says that all is well.
    written.into_iter().collect::<Attempt<Vec<_>>>()?;
    indexed?;
    lines?;
    entries?;
    committed
}

/// Writes rows by COPY, if there are any.
async fn copy<T>(session: &Session, sql: &str, rows: Vec<T>, write: impl Fn(&mut bulk::Cells, T)) -> Attempt<()> {
    if rows.is_empty() {
        return Ok(());
    }
    session.copy(sql, bulk::chunks(rows, write)).await.map(drop)
}

/// Namespaces and keys, each as an array.
#[derive(Default)]
struct Names<'a>(Vec<&'a str>, Vec<&'a str>);

impl<'a> Names<'a> {
    fn push(&mut self, address: &'a Address) {
        self.0.push(address.namespace.as_str());
        self.1.push(address.key.as_str());
    }
}
