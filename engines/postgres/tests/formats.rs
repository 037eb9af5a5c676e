//! The format of the tables: what stands in them is what is written here, letter by letter.

mod place;

use std::{path::Path, sync::Arc};

use futures_lite::future::block_on;
use larder_conformance::{Site as _, TestWorld};
use larder_core::{Durability, Engine as _, Store, StoreId};
use larder_postgres::PostgresEngine;
use place::{Place, administer};

/// The fixture of a version; with `LARDER_WRITE_FIXTURE` set it is written instead.
fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    if std::env::var_os("LARDER_WRITE_FIXTURE").is_some() {
        std::fs::write(&path, found).expect("the fixture is written");
    }
    let expected = std::fs::read_to_string(&path).expect("there is a fixture of the version that we write");
    assert_eq!(found, expected, "what changes here changes the format: it takes a migration and a line in the changelog");
}

fn lines(sql: &str) -> String {
    let rows = administer(sql).expect("the catalogue can be read");
    rows.into_iter().map(|row| row.unwrap_or_else(|| "NULL".to_owned()) + "\n").collect()
}

/// Tables, columns, collations and indexes as the server knows them.
#[test]
fn the_tables_are_those_of_version_1() {
    let place = Place::fresh();
    block_on(block_on(place.open()).expect("creates").close()).expect("closes");
    let schema = place.schema();
    let columns = lines(&format!(
        "SELECT table_name || '.' || column_name || ' ' || data_type || coalesce(' ' || collation_name, '') || \
         CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END \
         FROM information_schema.columns WHERE table_schema = '{schema}' ORDER BY table_name COLLATE \"C\", ordinal_position"
    ));
    let indexes = lines(&format!(
        "SELECT replace(indexdef, '{schema}.', '') FROM pg_indexes WHERE schemaname = '{schema}' ORDER BY indexname COLLATE \"C\""
    ));
    check("version-1.schema", &format!("{columns}{indexes}"));
}

/// Rows as they are written, of every kind that there is.
#[test]
fn the_rows_are_those_of_version_1() {
    let place = Place::fresh();
    let engine = block_on(PostgresEngine::open(place.config(), StoreId::from_bytes([1; 16]))).expect("creates");
    let engine = Arc::new(engine);
    assert_eq!(engine.capabilities().durability, Durability::Full);
    let world = TestWorld::new(1);
    let indexes = engine.indexes().expect("it keeps indexes");
    let now = larder_core::Timestamp::EPOCH;
    let by = |path: &str| larder_core::Index::on(path).expect("a good path");
    let namespace = larder_core::Namespace::default();
    let built = block_on(indexes.create(namespace.clone(), by("b").unique())).expect("creates").id;
    block_on(indexes.advance(built, 10, now)).expect("builds");
    block_on(indexes.create(namespace.clone(), by("a"))).expect("creates");
    let dropped = block_on(indexes.create(namespace, by("c"))).expect("creates").id;
    assert!(block_on(indexes.drop(dropped)).expect("drops"));
    let store = Store::new(engine.clone(), Arc::new(world.clone()));
    let metadata = larder_core::Metadata::parse(br#"{"by":"ann","n":1.50}"#).expect("good metadata");
    let value = larder_core::Value::detect(r#"{"b": 1.0, "a": null}"#);
    block_on(store.set("json", value).metadata(metadata).into_future()).expect("sets");
    block_on(store.set("json", &b"\x00\xff plain"[..]).into_future()).expect("sets");
    block_on(store.set("gone", "x").ttl(std::time::Duration::from_secs(1)).into_future()).expect("sets");
    block_on(store.commit().add("n", -7, -10..=10).delete("json").into_future()).expect("commits");
    let table = |name: &str, key: &str| {
        lines(&format!("SELECT '{name} ' || to_jsonb(t)::text FROM {}.{name} AS t ORDER BY {key}", place.schema()))
    };
    let life = administer(&format!("SELECT life FROM {}.store", place.schema())).expect("reads").swap_remove(0);
    let all = [
        ("larder_format", "1"),
        ("store", "1"),
        ("entries", "key"),
        ("log", "place"),
        ("namespaces", "1"),
        ("commits", "id"),
        ("indexes", "id"),
        ("terms", "index_id, term, key"),
    ]
    .map(|(name, key)| table(name, key))
    .concat();
    // The life of a server is another one everywhere.
    let life = life.filter(|life| life.contains('/')).expect("the life of a server");
    check("version-1.rows", &all.replace(&life, "LIFE"));
}
