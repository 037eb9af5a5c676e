//! Queries without an index: every entry is looked at, by us and by SQL alone; in a file, and in memory.

use std::path::Path;

use futures_lite::future::block_on;
use larder::{Aggregate, Query, Store, Value, field, query::Measure};
use rusqlite::{Connection, ToSql};
use tokio::runtime::Runtime;

use crate::{
    raw,
    report::{Report, in_turns},
    sqlite::store,
};

const ENTRIES: u32 = 100_000;
/// How many different values the field has that is asked for.
const KINDS: u32 = 1000;
const QUERIES: u32 = 5;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn document(n: u32) -> String {
    format!(
        r#"{{"id":{n},"name":"person {n}","address":{{"city":"city {}","zip":"{:05}"}},"tags":["a","b{}"],"x":{},"note":"{:0100}"}}"#,
        n % 977,
        n % 99_999,
        n % 7,
        n % KINDS,
        n
    )
}

async fn fill(larder: &Store) -> larder::Result<()> {
    let bulk = larder.with_native_limits();
    for first in (0..ENTRIES).step_by(1000) {
        let sets = (first..first + 1000).try_fold(bulk.commit(), |commit, n| {
            Ok::<_, larder::Error>(commit.set(format!("k/{:06}", n * 7 % ENTRIES), Value::json(document(n))?))
        });
        sets?.await?;
    }
    Ok(())
}

/// The rows with one value of a number, of a text, and of a text in an array, in the order of keys.
pub(crate) fn measure(
    report: &mut Report,
    runtime: &Runtime,
    directory: &Path,
    (in_file, in_memory): (bool, bool),
) -> Outcome {
    let path = directory.join("query.db");
    let larder = store(runtime, &path)?;
    runtime.block_on(fill(&larder))?;
    if in_file {
        compare(report, "sqlite", &larder, &raw::open(&path)?);
    }
    runtime.block_on(larder.close())?;
    if in_memory {
        let larder = runtime.block_on(larder::open("memory:"))?;
        runtime.block_on(fill(&larder))?;
        let connection = Connection::open_in_memory()?;
        connection.execute("ATTACH ?1 AS file", [path.to_str()])?;
        connection.execute_batch(
            "CREATE TABLE entries AS SELECT * FROM file.entries; \
             CREATE UNIQUE INDEX entries_by_key ON entries (namespace, key); DETACH file;",
        )?;
        compare(report, "memory", &larder, &connection);
    }
    Ok(())
}

fn rows(connection: &Connection, condition: &str, value: &dyn ToSql) -> usize {
    let text = format!(
        "SELECT key, version, revision, created_at, updated_at, expires_at, json, encodings, metadata, value FROM entries \
         WHERE namespace = 'default' AND {condition} ORDER BY key"
    );
    let mut statement = connection.prepare_cached(&text).expect("the query is good SQL");
    let rows = statement.query_map([value], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(9)?)));
    rows.and_then(Iterator::collect::<Result<Vec<_>, _>>).expect("the rows are there").len()
}

fn compare(report: &mut Report, engine: &str, larder: &Store, connection: &Connection) {
    // In memory there is nothing to wait for: ours has to be the faster one.
    let (against, least) = match engine {
        "memory" => ("SQL in memory, json_extract", 1.0),
        _ => ("prepared SQL, json_extract", 0.7),
    };
    let by_city = "json_extract(value, '$.address.city') = ?1";
    let by_tag = "EXISTS (SELECT 1 FROM json_each(entries.value, '$.tags') WHERE json_each.value = ?1)";
    let comparisons: [(&str, Query, &str, &dyn ToSql); 3] = [
        ("a number", field("x").eq(7).into(), "json_extract(value, '$.x') = ?1", &7),
        ("a text", field("address.city").eq("city 7").into(), by_city, &"city 7"),
        ("a text in an array", (field("tags[]").eq("b3") & field("x").eq(7)).into(), by_tag, &"b3"),
    ];
    for (what, query, condition, value) in comparisons {
        let condition = if what.ends_with("array") {
            format!("{condition} AND json_extract(value, '$.x') = 7")
        } else {
            condition.to_owned()
        };
        let expected = rows(connection, &condition, value);
        assert!(expected > 0, "there is something to be found");
        let [ours, other] = in_turns(
            QUERIES,
            [
                &mut || {
                    for _ in 0..QUERIES {
                        let found = block_on(larder.query(query.clone())).expect("answers");
                        assert_eq!(found.items.len(), expected);
                    }
                },
                &mut || {
                    for _ in 0..QUERIES {
                        assert_eq!(rows(connection, &condition, value), expected);
                    }
                },
            ],
        );
        let work = format!("{engine} query: {what}, no index, {expected} of {ENTRIES}");
        report.row(work, ours, other, against, least);
    }

    let half = Aggregate::new(field("x").lt(KINDS / 2), Measure::Count);
    let [ours, other] = in_turns(
        QUERIES,
        [
            &mut || {
                for _ in 0..QUERIES {
                    let counted = block_on(larder.aggregate(&half)).expect("answers");
                    assert_eq!(counted, larder::Aggregated::Count(u64::from(ENTRIES / 2)));
                }
            },
            &mut || {
                for _ in 0..QUERIES {
                    assert_eq!(rows(connection, "json_extract(value, '$.x') < ?1", &(KINDS / 2)), ENTRIES as usize / 2);
                }
            },
        ],
    );
    report.row(format!("{engine} query: looking at half of {ENTRIES}, no index"), ours, other, against, least);
}
