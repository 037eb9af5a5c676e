//! Search: words and vectors, against what SQLite does with the same texts, and against reading the rows by hand.
//!
//! FTS5 is given its index and ranks with statistics that were counted beforehand, over everything in the table; ours counts them
//! anew for every search, over what was found, so that no score tells of what the handle does not see. So there is no ratio to
//! keep there; the row says what that costs.

use std::path::Path;

use futures_lite::future::block_on;
use larder::{ErrorKind, Index, Search, Store, Value};
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::{
    raw,
    report::{Report, in_turns, scatter},
    sqlite::store,
};

const ENTRIES: u32 = 100_000;
const WORDS: u32 = 50;
const VOCABULARY: u32 = 20_000;
const DIMENSIONS: u32 = 384;
const SEARCHES: u32 = 3;
const INDEXED_SEARCHES: u32 = 20;
const LIMIT: usize = 10;
/// Two words, each in about one of a hundred texts.
const ASKED: [&str; 2] = ["word5000", "word5003"];

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Few words are in many texts, and many in few.
fn text(n: u32) -> String {
    let word = |at: u32| {
        let chance = u64::from(scatter(n * WORDS + at, VOCABULARY));
        format!("word{}", chance * chance / u64::from(VOCABULARY))
    };
    (0..WORDS).map(word).collect::<Vec<_>>().join(" ")
}

fn vector(n: u32) -> Vec<f32> {
    (0..DIMENSIONS).map(|at| scatter(n * DIMENSIONS + at, 2_000_001) as f32 / 1e6 - 1.0).collect()
}

fn fill(runtime: &Runtime, store: &Store, document: fn(u32) -> String) -> Outcome {
    let bulk = store.with_native_limits();
    for first in (0..ENTRIES).step_by(1000) {
        let sets = (first..first + 1000).try_fold(bulk.commit(), |commit, n| {
            Ok::<_, larder::Error>(commit.set(format!("k/{n:06}"), Value::json(document(n))?))
        });
        runtime.block_on(sets?.into_future())?;
    }
    Ok(())
}

fn note(n: u32) -> String {
    format!("{{\"id\":{n},\"body\":\"{}\"}}", text(n))
}

fn embedding(n: u32) -> String {
    format!("{{\"id\":{n},\"v\":{:?}}}", vector(n))
}

fn search(store: &Store, search: &Search, times: u32, examined: u64) {
    for _ in 0..times {
        let found = block_on(store.search(search)).expect("answers");
        assert_eq!(found.hits.len(), LIMIT);
        assert!(found.examined <= examined, "{} entries were looked at", found.examined);
    }
}

pub(crate) fn words(report: &mut Report, runtime: &Runtime, directory: &Path) -> Outcome {
    let asked = Search::words(&ASKED.join(" "))?.within(["body"])?.limit(LIMIT);
    let path = directory.join("words.db");
    let in_file = store(runtime, &path)?;
    fill(runtime, &in_file, note)?;
    let connection = raw::open(&path)?;
    let like = || {
        let text = "SELECT key, value FROM entries WHERE namespace = 'default' \
                    AND (json_extract(value, '$.body') LIKE ?1 OR json_extract(value, '$.body') LIKE ?2)";
        let mut statement = connection.prepare_cached(text).expect("the query is good SQL");
        let [first, second] = ASKED.map(|word| format!("%{word}%"));
        let rows = statement.query_map([first, second], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
        rows.and_then(Iterator::collect::<Result<Vec<_>, _>>).expect("the rows are there").len()
    };
    assert!(like() > LIMIT, "there is something to be found");
    let scans = &mut || search(&in_file, &asked, SEARCHES, u64::from(ENTRIES));
    let likes = &mut || (0..SEARCHES).for_each(|_| assert!(like() > LIMIT));
    let [ours, other] = in_turns(SEARCHES * ENTRIES, [scans, likes]);
    report.row("sqlite search: two words, no index, entries looked at", ours, other, "LIKE, not ranked", 0.0);

    let full = Connection::open_in_memory()?;
    full.execute_batch("CREATE VIRTUAL TABLE texts USING fts5(body, tokenize = 'unicode61'); BEGIN")?;
    for n in 0..ENTRIES {
        full.prepare_cached("INSERT INTO texts (rowid, body) VALUES (?1, ?2)")?.execute((n, text(n)))?;
    }
    full.execute_batch("COMMIT")?;
    let ranked = || {
        let text = "SELECT rowid, body, bm25(texts) FROM texts WHERE texts MATCH ?1 ORDER BY rank LIMIT ?2";
        let mut statement = full.prepare_cached(text).expect("the query is good SQL");
        let rows = statement
            .query_map((ASKED.join(" OR "), LIMIT as i64), |row| Ok((row.get::<_, u32>(0)?, row.get::<_, String>(1)?)));
        rows.and_then(Iterator::collect::<Result<Vec<_>, _>>).expect("the rows are there").len()
    };
    let in_memory = runtime.block_on(larder::open("memory:"))?;
    fill(runtime, &in_memory, note)?;
    for (name, store) in [("memory", &in_memory), ("sqlite", &in_file)] {
        match runtime.block_on(store.create_index(Index::words(["body"])?).into_future()) {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                eprintln!("{name} search: no row along an index, because this engine keeps none");
                continue;
            }
            created => created?,
        }
        let [ours, other] = in_turns(
            INDEXED_SEARCHES,
            [&mut || search(store, &asked, INDEXED_SEARCHES, u64::from(ENTRIES / 10)), &mut || {
                (0..INDEXED_SEARCHES).for_each(|_| assert_eq!(ranked(), LIMIT))
            }],
        );
        report.row(format!("{name} search: two words, index, of {ENTRIES}"), ours, other, "FTS5 in memory, bm25", 0.0);
    }
    runtime.block_on(in_file.close())?;
    Ok(())
}

pub(crate) fn vectors(report: &mut Report, runtime: &Runtime, directory: &Path) -> Outcome {
    let path = directory.join("vectors.db");
    let store = store(runtime, &path)?;
    fill(runtime, &store, embedding)?;
    let connection = raw::open(&path)?;
    let wanted = vector(7);
    let asked = Search::near("v", wanted.iter().copied())?.limit(LIMIT);

    #[derive(serde::Deserialize)]
    struct Row {
        v: Vec<f32>,
    }
    let by_hand = || {
        let mut statement = connection
            .prepare_cached("SELECT key, value FROM entries WHERE namespace = 'default'")
            .expect("the query is good SQL");
        let mut best: Vec<(f32, String)> = Vec::new();
        let mut rows = statement.query([]).expect("the query runs");
        while let Some(row) = rows.next().expect("the rows are there") {
            let value = row.get_ref(1).and_then(|value| Ok(value.as_bytes()?)).expect("a value");
            let Row { v } = serde_json::from_slice(value).expect("JSON");
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine = dot(&v, &wanted) / (dot(&v, &v).sqrt() * dot(&wanted, &wanted).sqrt());
            if best.len() < LIMIT || best.last().is_some_and(|(worst, _)| cosine > *worst) {
                best.push((cosine, row.get(0).expect("a key")));
                best.sort_by(|a, b| b.0.total_cmp(&a.0));
                best.truncate(LIMIT);
            }
        }
        assert_eq!(best[0].1, "k/000007");
    };
    let [ours, other] = in_turns(
        SEARCHES * ENTRIES,
        [&mut || search(&store, &asked, SEARCHES, u64::from(ENTRIES)), &mut || (0..SEARCHES).for_each(|_| by_hand())],
    );
    let work = format!("sqlite search: nearest vectors of {DIMENSIONS}, no index, entries looked at");
    report.row(work, ours, other, "prepared SQL, serde_json, f32", 0.7);
    runtime.block_on(store.close())?;
    Ok(())
}
