//! Queries: what SQLite sorts out by itself is what the reference evaluator says, however odd the documents.
//!
//! SQLite reads numbers as 64-bit integers and floats of its own rounding, booleans as numbers, names up to a NUL, and
//! bytes as a binary form of JSON. None of that may show.

use std::{sync::Arc, time::Duration};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{
    Action, Entry, Filter, Metadata, MetadataChange, Query, Question, Select, Store, StoreId, Value, field,
    memory::MemoryEngine,
    query::{Condition, Fit, Json, Path, Plan, Test, matches},
};
use larder_sqlite::{SqliteConfig, SqliteEngine};
use proptest::{collection::vec, prelude::*, sample::select};

/// A store in a file, and one in memory; they hold the same.
struct Pair {
    sqlite: Store,
    memory: Store,
    world: TestWorld,
    _directory: tempfile::TempDir,
}

impl Pair {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let config = SqliteConfig::new(directory.path().join("queries.db"));
        let engine = block_on(SqliteEngine::open(config, StoreId::from_bytes([1; 16]))).expect("opens");
        let world = TestWorld::new(1);
        let sqlite = Store::new(Arc::new(engine), Arc::new(world.clone()));
        let memory = Store::new(Arc::new(MemoryEngine::new(StoreId::from_bytes([2; 16]))), Arc::new(world.clone()));
        Self { sqlite, memory, world, _directory: directory }
    }

    /// Writes the same to both, in one commit.
    fn write(&self, documents: &[Document]) {
        for store in [&self.sqlite, &self.memory] {
            let commit = documents.iter().fold(store.commit(), |commit, document| {
                let value = match document.opaque {
                    true => Value::opaque(document.value.clone()),
                    false => Value::json(document.value.clone()).expect("JSON"),
                };
                let metadata = Metadata::parse(document.metadata.as_bytes()).expect("an object");
                let metadata = MetadataChange::Replace(metadata);
                commit.action(document.key.as_str(), Action::Put { value, expires_at: None, metadata })
            });
            block_on(async { commit.await }).expect("commits");
        }
        // What was created at one time is not what was created at another.
        self.world.step(Duration::from_secs(1));
    }

    fn everything(&self) -> Vec<Entry> {
        block_on(self.memory.scan(Select::all())).expect("scans").items
    }

    /// Asks both; they answer what the evaluator says, at once and page by page.
    fn check(&self, filter: &Filter) {
        let expected: Vec<String> = self.everything().iter().filter(|entry| matches(filter, entry)).map(name).collect();
        for (store, engine) in [(&self.sqlite, "sqlite"), (&self.memory, "memory")] {
            let found = block_on(store.query(filter.clone())).expect("answers");
            let found: Vec<String> = found.items.iter().map(name).collect();
            assert_eq!(found, expected, "{engine}: {filter}\n{}", plan(filter));
            let (mut pages, mut next) = (Vec::new(), Some(Query::new(filter.clone()).limit(2)));
            while let Some(query) = next.take() {
                let page = block_on(store.query(query.clone())).expect("answers");
                pages.extend(page.items.iter().map(name));
                next = page.next.map(|cursor| query.after(cursor));
            }
            assert_eq!(pages, expected, "{engine}, by pages: {filter}");
        }
    }
}

fn name(entry: &Entry) -> String {
    entry.address.key.as_str().to_owned()
}

/// How SQLite divides a filter.
fn plan(filter: &Filter) -> Plan {
    let pair = Pair::new();
    block_on(pair.sqlite.explain(filter.clone())).expect("explains").plan
}

#[derive(Clone, Debug)]
struct Document {
    key: String,
    value: String,
    opaque: bool,
    metadata: String,
}

const KEYS: [&str; 9] = ["a", "a%b", "a/b", "b", "B", "ba", "b\u{10ffff}", "ä_", "z"];
/// Names as they are written, and as they are.
const NAMES: [(&str, &str); 15] = [
    ("\"a\"", "a"),
    ("\"\\u0061\"", "a"),
    ("\"a\\u0000b\"", "a\0b"),
    ("\"b\"", "b"),
    ("\"\"", ""),
    ("\"a.b\"", "a.b"),
    ("\"a\\\"b\"", "a\"b"),
    ("\"a\\\\b\"", "a\\b"),
    ("\"[0]\"", "[0]"),
    ("\"0\"", "0"),
    ("\"1\"", "1"),
    ("\"#\"", "#"),
    ("\"$\"", "$"),
    ("\"\u{1f980}\"", "\u{1f980}"),
    ("\"\\ud83e\\udd80\"", "\u{1f980}"),
];
const SCALARS: [&str; 40] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "1",
    "1.0",
    "1e0",
    "10e-1",
    "0.1",
    "0.10000000000000001",
    "0.1000000000000000055511151231257827021181583404541015625",
    "4.99999999999999999999999",
    "5",
    "-1",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "9007199254740993.0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e300",
    "1.7976931348623157e308",
    "-1.7976931348623157e308",
    "5e-324",
    "1e-400",
    "\"\"",
    "\"a\"",
    "\"A\"",
    "\"\\u0061\"",
    "\"a\\u0000b\"",
    "\"1\"",
    "\"a%_*\"",
    "\"say \\\"\u{1f980}\\\"\"",
    "\"\\ud83e\\udd80\"",
    "\"abc\"",
];

/// JSON as somebody might have written it.
fn any_text() -> impl Strategy<Value = String> {
    let scalar = select(&SCALARS[..]).prop_map(str::to_owned);
    scalar.prop_recursive(3, 24, 4, |inside| {
        prop_oneof![
            1 => vec(inside.clone(), 0..4).prop_map(|items| format!(" [{}]", items.join(", "))),
            3 => object(inside),
        ]
    })
}

fn any_object() -> impl Strategy<Value = String> {
    object(select(&SCALARS[..]).prop_map(str::to_owned))
}

/// An object of fields such as these; no name stands twice in it.
fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    vec((select(&NAMES[..]), value), 0..5).prop_map(|fields| {
        let (mut names, mut text) = (Vec::new(), String::new());
        for ((written, name), value) in fields {
            if !names.contains(&name) {
                text = format!("{text}{}{written} : {value}", if names.is_empty() { "" } else { "," });
                names.push(name);
            }
        }
        format!("{{{text}}}")
    })
}

fn any_document() -> impl Strategy<Value = Document> {
    let metadata = prop_oneof![1 => Just("{}".to_owned()), 1 => any_object()];
    (select(&KEYS[..]), any_text(), prop::bool::weighted(0.1), metadata)
        .prop_map(|(key, value, opaque, metadata)| Document { key: key.to_owned(), value, opaque, metadata })
}

fn any_path() -> impl Strategy<Value = Path> {
    let step = prop_oneof![
        5 => select(&NAMES[..]).prop_map(|(written, _)| format!(".{written}")),
        1 => Just("[]".to_owned()),
    ];
    let root = prop_oneof![10 => Just("$value"), 2 => Just("$meta"), 2 => select(&["$key", "$version", "$created"][..])];
    (root, vec(step, 0..3)).prop_map(|(root, steps)| {
        let steps = if matches!(root, "$value" | "$meta") { steps.concat() } else { String::new() };
        Path::parse(&format!("{root}{steps}")).expect("a path")
    })
}

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes()).expect("JSON")
}

fn any_condition() -> impl Strategy<Value = Filter> {
    let value = prop_oneof![
        6 => select(&SCALARS[..]).prop_map(json).boxed(),
        1 => any_text().prop_map(|text| json(&text)).boxed(),
        1 => select(&KEYS[..]).prop_map(|key| Json::Text(key.to_owned())).boxed(),
        1 => select(&["2020-01-01T00:00:00Z", "2030-01-01T00:00:01Z"][..]).prop_map(|time| Json::Text(time.to_owned())).boxed(),
    ];
    (any_path(), select(&Test::OPERATORS[..]), vec(value, 1..4)).prop_filter_map(
        "times are compared with times",
        |(path, operator, mut values)| {
            let test = match (operator, values.remove(0)) {
                ("eq", value) => Test::Eq(value),
                ("ne", value) => Test::Ne(value),
                ("gt", value) => Test::Gt(value),
                ("gte", value) => Test::Gte(value),
                ("lt", value) => Test::Lt(value),
                ("lte", value) => Test::Lte(value),
                ("in", _) => Test::In(values),
                ("nin", _) => Test::Nin(values),
                ("contains", value) => Test::Contains(value),
                ("startsWith", Json::Text(text)) => Test::StartsWith(text),
                ("endsWith", Json::Text(text)) => Test::EndsWith(text),
                ("startsWith" | "endsWith", _) => return None,
                (_, value) => Test::Exists(value == Json::Null),
            };
            Condition::new(path, test).ok().map(Filter::condition)
        },
    )
}

fn any_filter() -> impl Strategy<Value = Filter> {
    any_condition().prop_recursive(3, 8, 3, |inside| {
        prop_oneof![
            vec(inside.clone(), 0..4).prop_map(Filter::all),
            vec(inside.clone(), 0..4).prop_map(Filter::any),
            inside.prop_map(|filter| !filter),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Also of a moment that has passed: what was let through then may not be now, and the other way round.
    #[test]
    fn sqlite_answers_as_the_evaluator_and_memory_do(
        documents in vec(any_document(), 1..12),
        later in vec(any_document(), 1..6),
        filters in vec(any_filter(), 24),
    ) {
        let pair = Pair::new();
        pair.write(&documents);
        filters.iter().for_each(|filter| pair.check(filter));
        let before = pair.everything();
        let view = block_on(pair.sqlite.view()).expect("a view");
        pair.write(&later);
        for filter in &filters {
            let expected: Vec<String> = before.iter().filter(|entry| matches(filter, entry)).map(name).collect();
            let found = block_on(view.query(filter.clone())).expect("answers");
            prop_assert_eq!(found.items.iter().map(name).collect::<Vec<_>>(), expected, "as it was: {}", filter);
        }
    }
}

/// Every operator for every pair of values, beside each other in one store.
#[test]
fn every_operator_for_every_pair_of_values() {
    let pair = Pair::new();
    let document = |(n, value): (usize, &&str)| Document {
        key: format!("{n:02}"),
        value: format!("{{\"a\": {value}, \"b\": [{value}]}}"),
        opaque: n % 20 == 19,
        metadata: format!("{{\"a\":{value}}}"),
    };
    let more = ["[]", "[1]", "[\"a\"]", "{}", "{\"a\":1}"];
    let values: Vec<&str> = SCALARS.into_iter().chain(more).collect();
    let documents: Vec<Document> = values.iter().enumerate().map(document).collect();
    pair.write(&documents);
    for path in ["a", "$meta.a", "b[]", "b.0", "b"] {
        let path = Path::parse(path).expect("a path");
        for value in values.iter().map(|value| json(value)) {
            let mut tests = vec![
                Test::Eq(value.clone()),
                Test::Ne(value.clone()),
                Test::Gt(value.clone()),
                Test::Gte(value.clone()),
                Test::Lt(value.clone()),
                Test::Lte(value.clone()),
                Test::Contains(value.clone()),
                Test::In(vec![value.clone(), Json::Bool(true)]),
                Test::Nin(vec![value.clone(), Json::Bool(true)]),
                Test::Exists(value == Json::Null),
            ];
            if let Json::Text(text) = value {
                tests.extend([Test::StartsWith(text.clone()), Test::EndsWith(text)]);
            }
            for test in tests {
                let filter = Filter::condition(Condition::new(path.clone(), test).expect("a condition"));
                let expected: Vec<String> =
                    pair.everything().iter().filter(|entry| matches(&filter, entry)).map(name).collect();
                let found = block_on(pair.sqlite.query(filter.clone())).expect("answers");
                assert_eq!(found.items.iter().map(name).collect::<Vec<_>>(), expected, "{filter}");
            }
        }
    }
}

/// What is asked of columns SQLite answers alone, what is asked of JSON it narrows, and the rest it leaves.
#[test]
fn filters_are_divided_like_this() {
    let pair = Pair::new();
    for (filter, native, residual) in [
        ("$key *= \"a\" and $version > 1", "$key *= \"a\" and $version > 1", "true"),
        ("not $created < \"2020-01-01T00:00:00.000Z\"", "not $created < \"2020-01-01T00:00:00.000Z\"", "true"),
        ("a = 1", "a = 1", "a = 1"),
        ("$version >= 2 and a.b ^= \"x\"", "$version >= 2 and a.b ^= \"x\"", "a.b ^= \"x\""),
        ("not a = 1", "true", "not a = 1"),
        ("a missing", "true", "a missing"),
        ("tags[] = \"x\" and tags.0 = 1", "tags[] = \"x\"", "tags[] = \"x\" and tags.0 = 1"),
        ("a = 1 or tags[] = 1", "true", "a = 1 or tags[] = 1"),
        ("\"a\\\"b\" = 1", "true", "\"a\\\"b\" = 1"),
        ("$version > 1.5", "true", "$version > 1.5"),
    ] {
        let filter = Filter::parse(filter).expect("a filter");
        let explained = block_on(pair.sqlite.explain(filter.clone())).expect("explains");
        assert_eq!(explained.plan.to_string(), format!("native    {native}\nresidual  {residual}"), "{filter}");
        assert_eq!((explained.engine, explained.returned), ("sqlite", 0));
        let alone = block_on(pair.memory.explain(filter.clone())).expect("explains").plan;
        assert_eq!(alone, Plan::residual(&filter), "memory has nothing to push down to");
    }
    assert_eq!(Plan::of(&Filter::nothing(), &|_| Fit::None).native, Filter::nothing());
}

/// More conditions and values than a statement takes are answered all the same.
#[test]
fn filters_of_any_size_are_answered() {
    let pair = Pair::new();
    let values = (0..30).map(|n| format!("{{\"a\":{n},\"b\":\"{n}\"}}"));
    let documents = values.enumerate().map(|(n, value)| Document {
        key: format!("k{n:02}"),
        value,
        opaque: false,
        metadata: "{}".to_owned(),
    });
    pair.write(&documents.collect::<Vec<_>>());
    for filter in [
        Filter::any((0..1000).map(|n| field("a").eq(n))),
        Filter::all((5..1000).map(|n| field("$version").lt(n))),
        Filter::any((10..20).map(|n| field("b").eq(n.to_string()))),
        Filter::any((0..1000).map(|n| field("a").is_in(n..n + 15))),
        field("a").is_in(0..10_000),
        field("b").is_in((0..15).map(|n| n.to_string())),
        field("$key").is_in((0..5000).map(|n| format!("k{n:02}"))),
        (0..15).fold(field("$key").eq("k07"), |filter, n| !filter & field("$version").ne(2 + n)),
    ] {
        pair.check(&filter);
        assert!(!block_on(pair.sqlite.query(filter)).expect("answers").items.is_empty());
    }
}

/// A call looks at a bounded number of rows, and of what was looked at nothing is counted twice.
#[test]
fn what_was_looked_at_is_counted() {
    let pair = Pair::new();
    for hundred in 0..12 {
        let document = |n: usize| Document {
            key: format!("k{:04}", hundred * 100 + n),
            value: format!("{{\"n\":{},\"even\":{}}}", hundred * 100 + n, n.is_multiple_of(2)),
            opaque: false,
            metadata: "{}".to_owned(),
        };
        for chunk in (0..100).map(document).collect::<Vec<_>>().chunks(50) {
            pair.write(chunk);
        }
    }
    for (text, examined, returned) in [
        ("n = 1199", 1200, 1),
        ("n < 0", 1200, 0),
        ("even = true", 1200, 600),
        ("$key >= \"k1000\" and n >= 1100", 200, 100),
        ("n = 1100 limit 1", 1200, 1),
        ("$version = 1", 1200, 1200),
        ("$version = 1 limit 10", 11, 10),
        ("$version = 1 sort -$key limit 10", 11, 10),
        ("$key = \"k0007\" and n = 7", 1, 1),
    ] {
        let Ok(Question::Entries(query)) = Question::parse(text) else { panic!("{text} asks for entries") };
        let explained = block_on(pair.sqlite.explain(query)).expect("explains");
        assert_eq!((explained.examined, explained.returned), (examined, returned), "{text}\n{explained}");
    }
    // The moment of a view is had back also where nothing was let through, pieces that are not the last included.
    let view = block_on(pair.sqlite.view()).expect("a view");
    block_on(async { pair.sqlite.set("k0700", Value::integer(0)).await }).expect("writes");
    block_on(async { pair.sqlite.delete("k0301").await }).expect("deletes");
    for n in [301, 700, 1100] {
        for query in [Query::new(field("n").eq(n)).limit(1), Query::new(field("n").eq(n))] {
            assert_eq!(block_on(view.query(query)).expect("answers").items.len(), 1, "{n}");
        }
    }
}

/// SQLite reads five digits of an exponent, and a number may have as many zeros as there is room for.
#[test]
fn numbers_of_any_length_are_found() {
    let pair = Pair::new();
    let one = |zeros: usize| Document {
        key: format!("k{zeros}"),
        value: format!("{{\"n\":0.{}1e{}}}", "0".repeat(zeros), zeros + 1),
        opaque: false,
        metadata: "{}".to_owned(),
    };
    pair.write(&[0, 10, 400, 9_000, 60_000, 200_000].map(one));
    for filter in [field("n").eq(1), field("n").gt(0), field("n").gt(1), field("n").lt(2)] {
        pair.check(&filter);
    }
    assert!(block_on(pair.sqlite.query(field("n").eq(1))).expect("answers").items.len() > 4);
}

/// SQLite refuses to read JSON that was damaged; whoever asks about the others is answered.
#[test]
fn a_damaged_row_harms_no_other() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("damaged.db");
    let config = SqliteConfig::new(path.clone());
    let engine = block_on(SqliteEngine::open(config, StoreId::from_bytes([1; 16]))).expect("opens");
    let store = Store::new(Arc::new(engine), Arc::new(TestWorld::new(1)));
    for key in ["a", "b", "c"] {
        block_on(async { store.set(key, Value::detect("{\"n\":1}")).await }).expect("writes");
    }
    let damage = rusqlite::Connection::open(&path).and_then(|file| {
        file.busy_timeout(Duration::from_secs(5))?;
        file.execute("UPDATE entries SET value = '{\"n\":1' WHERE key = 'b'", [])
    });
    assert_eq!(damage.expect("the file can be written"), 1);
    let found = block_on(store.query(field("n").eq(1) & field("$version").eq(1))).expect("answers");
    let keys: Vec<String> = found.items.iter().map(name).collect();
    assert!(keys.first().is_some_and(|key| key == "a") && keys.last().is_some_and(|key| key == "c"), "{keys:?}");
    assert!(block_on(store.query(field("n").eq(2))).expect("answers").items.is_empty());
}
