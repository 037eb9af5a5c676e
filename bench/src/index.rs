//! Queries along indexes, against SQL by hand with the same indexes on the same table; and what an index costs a writer.

use std::path::Path;

use futures_lite::future::block_on;
use larder::{Index, Query, Sort, Store, Value, field};
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::{
    raw,
    report::{Report, in_turns, scatter},
    sqlite::{store, together},
};

const QUERIES: u32 = 2_000;
const TASKS: u32 = 64;
const SETS: u32 = 8_192;
/// How many entries have the same in the field that is asked for.
const ALIKE: u32 = 10;
const SMALL: u32 = 10_000;
const PAGE: usize = 50;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn document(n: u32, entries: u32) -> String {
    let (group, score) = (n % (entries / ALIKE), scatter(n, entries));
    format!(r#"{{"id":{n},"name":"person {n}","group":{group},"score":{score},"note":"{n:0100}"}}"#)
}

/// A store with so many entries and both indexes.
fn filled(runtime: &Runtime, path: &Path, entries: u32) -> Result<Store, Box<dyn std::error::Error>> {
    let larder = store(runtime, path)?;
    let bulk = larder.with_native_limits();
    for first in (0..entries).step_by(1000) {
        let sets = (first..(first + 1000).min(entries)).try_fold(bulk.commit(), |commit, n| {
            Ok::<_, larder::Error>(commit.set(format!("k/{n:08}"), Value::json(document(n, entries))?))
        });
        runtime.block_on(sets?.into_future())?;
    }
    for path in ["group", "score"] {
        runtime.block_on(larder.create_index(Index::on(path)?).into_future())?;
    }
    Ok(larder)
}

fn alike(n: u32, entries: u32) -> Query {
    field("group").eq(scatter(n, entries / ALIKE)).into()
}

fn page(n: u32, entries: u32) -> Query {
    let sort = Sort::by_key().ascending("score").expect("a path");
    Query::new(field("score").gte(scatter(n, entries / 2))).sort(sort).limit(PAGE)
}

fn ask(larder: &Store, query: impl Fn(u32) -> Query, expected: usize) {
    for n in 0..QUERIES {
        assert_eq!(block_on(larder.query(query(n))).expect("answers").items.len(), expected);
    }
}

fn rows(connection: &Connection, condition: &str, value: u32) -> usize {
    let text = format!(
        "SELECT key, version, revision, created_at, updated_at, expires_at, json, encodings, metadata, value FROM entries \
         WHERE namespace = 'default' AND {condition}"
    );
    let mut statement = connection.prepare_cached(&text).expect("the query is good SQL");
    // Whole rows, as the entries are whole.
    let rows = statement.query_map([value], |row| {
        let header = (row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?, row.get::<_, i64>(4)?);
        let rest = (row.get::<_, Option<i64>>(5)?, row.get::<_, i64>(6)?, row.get::<_, Option<String>>(7)?);
        Ok((row.get::<_, String>(0)?, header, rest, row.get::<_, Option<String>>(8)?, row.get::<_, String>(9)?))
    });
    rows.and_then(Iterator::collect::<Result<Vec<_>, _>>).expect("the rows are there").len()
}

pub(crate) fn queries(report: &mut Report, runtime: &Runtime, directory: &Path, entries: u32) -> Outcome {
    let path = directory.join("indexed.db");
    let larder = filled(runtime, &path, entries)?;
    let small = filled(runtime, &directory.join("few.db"), SMALL)?;
    let connection = raw::open(&path)?;
    connection.execute_batch(
        "CREATE INDEX raw_group ON entries (namespace, json_extract(value, '$.group'), key); \
         CREATE INDEX raw_score ON entries (namespace, json_extract(value, '$.score'), key);",
    )?;
    let group = "json_extract(value, '$.group') = ?1 ORDER BY key";
    let score = format!("json_extract(value, '$.score') >= ?1 ORDER BY json_extract(value, '$.score'), key LIMIT {PAGE}");

    let alike_found = ALIKE as usize;
    let [ours, few, other] = in_turns(
        QUERIES,
        [
            &mut || ask(&larder, |n| alike(n, entries), alike_found),
            &mut || ask(&small, |n| alike(n, SMALL), alike_found),
            &mut || {
                for n in 0..QUERIES {
                    assert_eq!(rows(&connection, group, scatter(n, entries / ALIKE)), alike_found);
                }
            },
        ],
    );
    let against = "prepared SQL, the same index";
    report.row(format!("sqlite index: equality, {ALIKE} of {entries}"), ours, other, against, 0.7);
    report.row("sqlite index: the same", ours, few, "among 10,000", 0.5);

    let [ours, few, other] = in_turns(
        QUERIES,
        [&mut || ask(&larder, |n| page(n, entries), PAGE), &mut || ask(&small, |n| page(n, SMALL), PAGE), &mut || {
            for n in 0..QUERIES {
                assert_eq!(rows(&connection, &score, scatter(n, entries / 2)), PAGE);
            }
        }],
    );
    report.row(format!("sqlite index: range and sort, first {PAGE} of {entries}"), ours, other, against, 0.7);
    report.row("sqlite index: the same page", ours, few, "among 10,000", 0.5);
    runtime.block_on(larder.close())?;
    runtime.block_on(small.close())?;
    Ok(())
}

/// Durable sets by many tasks into a namespace with two indexes, and into one without.
pub(crate) fn sets(report: &mut Report, runtime: &Runtime, directory: &Path) -> Outcome {
    let indexed = store(runtime, &directory.join("two.db"))?;
    let plain = store(runtime, &directory.join("none.db"))?;
    for path in ["group", "score"] {
        runtime.block_on(indexed.create_index(Index::on(path)?).into_future())?;
    }
    let round = |store: &Store| {
        together(runtime, TASKS, |task| {
            let store = store.clone();
            async move {
                for n in 0..SETS / TASKS {
                    let n = n * TASKS + task;
                    store.set(format!("k/{n:08}"), Value::json(document(scatter(n, SETS), SETS))?).await?;
                }
                Ok(())
            }
        });
    };
    let [with, without] = in_turns(SETS, [&mut || round(&indexed), &mut || round(&plain)]);
    report.row("sqlite index: set with two, durable, 64 tasks", with, without, "set without", 0.6);
    runtime.block_on(indexed.close())?;
    runtime.block_on(plain.close())?;
    Ok(())
}
