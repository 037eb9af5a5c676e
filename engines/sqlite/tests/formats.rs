//! The format of the file: every version that was ever written opens, is brought up to date, and means what it meant.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{
    ChangesQuery, Engine, ErrorKind, Index, Key, Namespace, Range, Revision, Snapshot, Store, StoreId, Timestamp, Trim,
    Usage,
    engine::IndexWalk,
    index::{IndexId, IndexState, Span},
};
use larder_sqlite::{SqliteConfig, SqliteEngine};
use rusqlite::Connection;
use tempfile::TempDir;

/// A copy of the fixture of a version, to be opened and changed.
fn fixture(directory: &TempDir, version: u32) -> PathBuf {
    let name = format!("version-{version}.db");
    let copy = directory.path().join(&name);
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name), &copy).expect("copies");
    copy
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory can be made")
}

fn open(path: &Path) -> SqliteEngine {
    block_on(SqliteEngine::open(SqliteConfig::new(path), StoreId::from_bytes([1; 16]))).expect("the store opens")
}

fn usage(engine: &SqliteEngine, namespace: &str) -> Usage {
    let namespace = Namespace::new(namespace).expect("a good name");
    block_on(engine.usage(namespace)).map(|Snapshot { value, .. }| value).expect("answers")
}

/// Files as each version first wrote them. If the schema below changes, the format has: that takes a migration, a line in
/// the changelog, and a fixture of the new version beside these.
#[test]
fn a_file_of_every_version_opens_and_is_what_we_write() {
    let directory = directory();
    let schema = |path: &Path| -> Vec<String> {
        let file = Connection::open(path).expect("opens");
        let mut statement =
            file.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").expect("prepares");
        statement.query_map([], |row| row.get(0)).expect("queries").collect::<Result<_, _>>().expect("reads")
    };
    let new = directory.path().join("new.db");
    block_on(open(&new).close()).expect("closes");
    let written = Connection::open(&new)
        .and_then(|file| file.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)))
        .expect("reads");
    let newest = fixture(&directory, written);
    assert_eq!(schema(&newest), schema(&new), "the newest fixture is of the format that we write");

    for version in 1..=written {
        let old = fixture(&directory, version);
        let store = Store::new(Arc::new(open(&old)), Arc::new(TestWorld::new(1)));
        assert_eq!(schema(&old), schema(&new), "version {version} becomes what we write");
        let status = block_on(store.status()).expect("answers");
        assert_eq!((status.revision.get(), status.entries, status.changes), (5, 2, 5), "version {version}");
        let entry = block_on(store.get("workloads/web")).expect("reads").expect("it is there");
        assert_eq!(
            (entry.version.get(), &entry.value.bytes()[..], entry.metadata.as_str()),
            (2, &b"{\"n\": 1.50}"[..], "{\"by\":\"ann\"}")
        );
        let opaque = block_on(store.get("blob")).expect("reads").expect("it is there");
        assert_eq!(&opaque.value.bytes()[..], b"\x00\xff plain");
        block_on(store.close()).expect("closes");
    }
}

/// Version 1 did not count what a namespace takes: that is made up for when the file is opened, once and right.
#[test]
fn a_file_of_version_1_is_counted_when_it_is_opened() {
    let directory = directory();
    let path = fixture(&directory, 1);
    // Beside what is there a namespace that only the log remembers, and one that the log has forgotten.
    const MORE: &str = r#"
        INSERT INTO log (place, revision, at, kind, namespace, key) VALUES (49152, 6, 0, 'created', 'gone', 'ab');
        INSERT INTO log VALUES (57344, 7, 0, 'deleted', 'gone', 'ab', 1, 6, 0, 0, NULL, 0, NULL, '{"a":1}', x'00ff00');
        INSERT INTO entries (namespace, key, version, revision, created_at, updated_at, json, metadata, value)
            VALUES ('wasm:x', 'é', 1, 1, 0, 0, 1, '{"b":"ü"}', '[12]'), ('wasm:x', 'k', 1, 1, 0, 0, 0, NULL, x'ff');
        UPDATE store SET revision = 7, entries = 4, bytes = bytes + 18, changes = 7, log_bytes = log_bytes + 14;
    "#;
    Connection::open(&path).and_then(|file| file.execute_batch(MORE)).expect("writes");
    for _ in 0..2 {
        let engine = open(&path);
        assert_eq!(usage(&engine, "default"), Usage { entries: 2, bytes: 48, log_bytes: 61 });
        assert_eq!(usage(&engine, "gone"), Usage { entries: 0, bytes: 0, log_bytes: 2 + 2 + 3 + 7 });
        assert_eq!(usage(&engine, "wasm:x"), Usage { entries: 2, bytes: 2 + 4 + 10 + 2, log_bytes: 0 });
        assert_eq!(usage(&engine, "none"), Usage::default());
        block_on(engine.close()).expect("closes");
    }
}

/// What version 2 remembers beyond version 1: how far back the log tells of a namespace that was trimmed by itself.
#[test]
fn a_file_of_version_2_knows_how_far_back_each_namespace_is_told() {
    let directory = directory();
    let engine = open(&fixture(&directory, 2));
    let lineage = block_on(engine.status(Timestamp::EPOCH)).expect("answers").lineage;
    let asked = |namespace: &str| ChangesQuery {
        ranges: vec![Range::namespace(&Namespace::new(namespace).expect("a good name"))],
        ..ChangesQuery::after(lineage, Revision::ZERO)
    };
    let error = block_on(engine.changes(asked("brief"))).expect_err("that namespace was trimmed");
    assert_eq!((error.kind(), error.oldest()), (ErrorKind::Trimmed, Some(Revision::new(5))));
    assert_eq!(block_on(engine.changes(asked("default"))).map(|part| part.changes.len()).ok(), Some(5));
    block_on(engine.close()).expect("closes");
}

/// What version 3 remembers beyond version 2: its indexes, and how far each of them is.
#[test]
fn a_file_of_version_3_keeps_its_indexes() {
    let directory = directory();
    let engine = open(&fixture(&directory, 3));
    let indexes = engine.indexes().expect("it keeps indexes");
    let list = || block_on(indexes.list(None)).expect("lists");
    let found: Vec<_> = list().into_iter().map(|status| (status.id.0, status.index.to_string(), status.state)).collect();
    let through = Some(Key::new("blob").expect("a good key"));
    let expected = [
        (1, "unique $meta.by".to_owned(), IndexState::Ready),
        (2, "$version".to_owned(), IndexState::Building { through, entries: 1 }),
        (3, "n, $version".to_owned(), IndexState::Dropped),
    ];
    assert_eq!(found, expected);

    let walk = |id| {
        let walk = IndexWalk {
            index: IndexId(id),
            spans: vec![Span::all()],
            reverse: false,
            after: None,
            range: Range::all(),
            also: vec![],
            limit: 9,
            now: Timestamp::EPOCH,
        };
        let walked = block_on(indexes.walk(walk)).expect("walks")?;
        Some(walked.value.items.into_iter().map(|(_, entry)| entry.address.key.as_str().to_owned()).collect::<Vec<_>>())
    };
    let keys = |keys: [&str; 2]| Some(keys.map(str::to_owned).to_vec());
    assert_eq!([walk(1), walk(2), walk(3)], [keys(["workloads/web", "blob"]), None, None]);
    for id in [2, 3] {
        let advanced = block_on(indexes.advance(IndexId(id), 9, Timestamp::EPOCH)).expect("goes on");
        assert_eq!(advanced.map(|status| status.state), [None, Some(IndexState::Ready)][usize::from(id == 2)]);
    }
    assert_eq!([walk(1), walk(2)], [keys(["workloads/web", "blob"]), keys(["blob", "workloads/web"])]);
    assert_eq!(list().len(), 2);
    block_on(engine.close()).expect("closes");
}

/// Whoever has the file open while a newer program makes more of it does not know what to keep from then on.
#[test]
fn who_knows_an_older_version_only_writes_no_more() {
    let directory = directory();
    let path = directory.path().join("ahead.db");
    let engine = open(&path);
    let store = Store::new(Arc::new(engine.clone()), Arc::new(TestWorld::new(1)));
    block_on(store.set("a", "1").into_future()).expect("writes");
    let ahead = Connection::open(&path).expect("opens");
    ahead.execute("UPDATE store SET format = 99", []).expect("writes");

    let error = block_on(store.set("a", "2").into_future()).expect_err("a newer program has been here");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let trim = Trim { through: Revision::new(1), ids_before: Timestamp::EPOCH, namespace: None };
    assert_eq!(block_on(engine.trim(trim)).map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
    let indexes = engine.indexes().expect("it keeps indexes");
    let created = block_on(indexes.create(Namespace::default(), Index::on("a").expect("an index")));
    assert_eq!(created.map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
    // What it has read it may read on.
    let entry = block_on(store.get("a")).expect("reads").expect("it is there");
    assert_eq!((&entry.value.bytes()[..], entry.version.get()), (&b"1"[..], 1));
    block_on(store.close()).expect("closes");
}

/// Programs of version 2 look for nothing of the kind; but they ask for a column that is no longer there, before each write.
#[test]
fn a_program_of_version_2_that_has_the_file_open_writes_no_more() {
    let directory = directory();
    let path = fixture(&directory, 2);
    let older = Connection::open(&path).expect("opens");
    const HEAD: &str = "SELECT revision, entries, bytes, log_bytes, changes, oldest, ids_since, relaxed_boot FROM store";
    let asks = || older.prepare_cached(HEAD).and_then(|mut head| head.query_row([], |row| row.get::<_, i64>(0)));
    assert_eq!(asks().ok(), Some(5));
    let engine = open(&path);
    assert!(asks().is_err(), "what it does before it writes");
    block_on(engine.close()).expect("closes");
}

/// The header of a file is as old as its last checkpoint: whoever brought it up to date may have left that in the log
/// beside it, where only SQLite finds it.
#[test]
fn a_newer_version_that_stands_in_the_log_is_refused_and_stays() {
    let directory = directory();
    let path = directory.path().join("ahead.db");
    let engine = open(&path);
    let ahead = Connection::open(&path).expect("opens");
    ahead.pragma_update(None, "user_version", 99).expect("writes");

    // One who comes now finds the version that it knows in the header, and so does one who has been here and reads on.
    block_on(engine.close()).expect("closes");
    let opened = block_on(SqliteEngine::open(SqliteConfig::new(&path), StoreId::from_bytes([1; 16])));
    assert_eq!(opened.map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
    let version: u32 = ahead.pragma_query_value(None, "user_version", |row| row.get(0)).expect("reads");
    assert_eq!(version, 99, "it is not made older than it is");
}

/// A program that knows only the old version looks for it in the header alone, and there it has to find the new one.
#[test]
fn the_header_names_the_version_as_soon_as_a_file_was_brought_up_to_date() {
    let directory = directory();
    let path = fixture(&directory, 1);
    let engine = open(&path);
    let header = fs::read(&path).expect("reads");
    assert_eq!(header[60..64], 3_u32.to_be_bytes(), "while the file is still open");
    block_on(engine.close()).expect("closes");
}
