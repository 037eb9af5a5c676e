//! What the server lets through is what the evaluator lets through, and what it cannot read it passes on.

mod place;

use std::sync::Arc;

use futures_lite::future::block_on;
use larder_conformance::{Site as _, TestWorld};
use larder_core::{
    Address, Engine, Entry, Filter, Namespace, Range, Store, Value,
    engine::Scan,
    query::{self, Fit, Matcher, Plan},
};
use place::Place;

/// Documents of which a server might think otherwise than we do.
fn documents() -> Vec<(String, String)> {
    let long = "x".repeat(70_000);
    let numbers = [
        "0",
        "-0",
        "-0.0",
        "1",
        "1.0",
        "1e0",
        "9007199254740992",
        "9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "-9223372036854775808",
        "0.1",
        "0.1000000000000000055511151231257827",
        "1e308",
        "1.7976931348623157e308",
        "-1.7976931348623157e308",
        "5e-324",
        "1e-400",
    ];
    let mut all: Vec<String> = numbers.iter().map(|number| format!("{{\"n\":{number}}}")).collect();
    all.extend(
        [
            r#"{"n":null}"#,
            r#"{"n":true}"#,
            r#"{"n":false}"#,
            r#"{"n":[]}"#,
            r#"{"n":{}}"#,
            r#"{"n":[1,"a\u0000b",null]}"#,
            r#"{}"#,
            r#"[]"#,
            r#"[{"n":1},{"n":2}]"#,
            r#""n""#,
            r#"7"#,
            r#"null"#,
            r#"{"n":"1"}"#,
            r#"{"n":""}"#,
            r#"{"n":"\u0000"}"#,
            r#"{"n":"a\u0000b"}"#,
            r#"{"n":"a\\u0000b"}"#,
            r#"{"n\u0000":1}"#,
            r#"{"n":"\u00e4"}"#,
            r#"{"n":"ä"}"#,
            r#"{"n":"Z"}"#,
            r#"{"n":"a"}"#,
            r#"{"n":"\ud83d\ude00"}"#,
            r#"{"n":{"0":1,"00":2,"-1":3}}"#,
            r#"{"n":[10,20]}"#,
            r#"{"a":{"b":{"c":1}}}"#,
            r#"{"n":"say \"a\""}"#,
            r#"{"":{"":1}}"#,
        ]
        .map(str::to_owned),
    );
    all.push(format!("{{\"n\":\"{long}\"}}"));
    all.push(format!("{{\"m\":\"{long}\",\"n\":1}}"));
    all.push(format!("{}1{}", "[".repeat(127), "]".repeat(127)));
    all.into_iter().enumerate().map(|(index, json)| (format!("doc{index:02}"), json)).collect()
}

/// Documents that PostgreSQL cannot read at all: one of them, and a statement answers nothing.
fn unreadable() -> Vec<(String, String)> {
    let digits = format!("{{\"n\":0.{}1}}", "0".repeat(20_000));
    let all = [digits, "{\"n\":1e-99999999}".to_owned(), "{\"n\":1}".to_owned(), "{\"n\":2}".to_owned()];
    all.into_iter().enumerate().map(|(index, json)| (format!("odd{index}"), json)).collect()
}

const FILTERS: &[&str] = &[
    "n = 0",
    "n = 1",
    "n = 0.1",
    "n = 9007199254740993",
    "n = 18446744073709551615",
    "n > 1",
    "n >= 9223372036854775807",
    "n < 0",
    "n <= 5e-324",
    "n > 1e308",
    "n = 1.7976931348623157e308",
    "n < -1.7976931348623157e308",
    "n != 1",
    "n in [1, \"a\", null]",
    "n nin [1, 0]",
    "n = null",
    "n = true",
    "n = false",
    "n = []",
    "n = {}",
    "n = \"\"",
    "n = \"1\"",
    "n = \"ä\"",
    "n > \"Z\"",
    "n < \"a\"",
    "n >= \"\"",
    "n = \"a\\u0000b\"",
    "n contains \"\\u0000\"",
    "n contains \"a\"",
    "n contains 10",
    "n startsWith \"a\"",
    "n endsWith \"b\"",
    "n endsWith \"\\\"\"",
    "n exists",
    "not n exists",
    "n.0 = 10",
    "n.00 = 2",
    "n.\"-1\" = 20",
    "n.\"-1\" = 3",
    "n.1 = 20",
    "a.b.c = 1",
    "$value[].n = 2",
    "n[] = \"a\\u0000b\"",
    "$value = 7",
    "$value = \"n\"",
    "\"\".\"\" = 1",
    "n = 1 or n = \"a\"",
    "not n = 1",
    "n = 1 and $key > \"doc04\"",
    "$key = \"doc03\"",
    "$key contains \"oc0\"",
    "$key startsWith \"doc1\"",
    "$key endsWith \"7\"",
    "$key contains \"\\u0000\"",
    "$key in [\"doc01\", \"doc02\\u0000\", 7]",
    "$key > \"doc\\u0000\"",
    "not $key < \"doc05\"",
    "$version = 1",
    "$version = 1.0",
    "$version > 18446744073709551615",
    "$version = \"1\"",
    "$created > \"2000-01-01T00:00:00Z\"",
    "$meta.owner = \"ann\"",
    "$meta.owner != \"ann\"",
    "$meta.n >= 2",
    "$meta exists",
    "$meta = {}",
    "not $meta.owner exists",
];

/// Everything that the engine lets through, page by page, and how many entries it looked at.
fn let_through(engine: &dyn Engine, native: &Filter, limit: usize, reverse: bool) -> (Vec<Entry>, u64) {
    let pushdown = engine.pushdown().expect("this engine filters");
    let (mut range, mut all, mut examined) = (Range::namespace(&Namespace::default()), Vec::new(), 0);
    loop {
        let scan = Scan { range: range.clone(), reverse, limit, now: TestWorld::START };
        let found = block_on(pushdown.filter(scan, native.clone())).expect("answers").value;
        all.extend(found.items);
        examined += found.examined;
        let Some(through): Option<Address> = found.through else { return (all, examined) };
        range = if reverse { range.before(&through) } else { range.after(&through) };
    }
}

/// A store with these documents, and two that are opaque.
fn stored(place: &Place, documents: &[(String, String)]) -> (Arc<dyn Engine>, Vec<Entry>) {
    let engine: Arc<dyn Engine> = block_on(place.open()).expect("opens");
    let store = Store::new(engine.clone(), Arc::new(TestWorld::new(1)));
    for (index, (key, json)) in documents.iter().enumerate() {
        let value = Value::json(json.clone()).unwrap_or_else(|bad| panic!("{key}: {bad}"));
        let set = store.set(key, value);
        let metadata = [None, Some(serde_json::json!({"owner": "ann"})), Some(serde_json::json!({"n": index, "\u{0}": 1}))];
        let set = match &metadata[index % 3] {
            None => set,
            Some(metadata) => set.metadata(larder_core::Metadata::from_serialize(metadata).expect("an object")),
        };
        block_on(set.into_future()).expect("sets");
    }
    for (key, bytes) in [("opaque", &b"{\"n\":1}"[..]), ("opaque2", b"\xff\xfe")] {
        block_on(store.set(key, Value::opaque(bytes.to_vec())).into_future()).expect("sets");
    }
    let all = block_on(store.scan("").into_future()).expect("scans").items;
    assert_eq!(all.len(), documents.len() + 2);
    (engine, all)
}

/// Asks `filter` in pages of every kind; whether any of it was asked of the server.
fn check(engine: &dyn Engine, all: &[Entry], text: &str) -> bool {
    let filter = Filter::parse(text).unwrap_or_else(|bad| panic!("{text}: {bad}"));
    let pushdown = engine.pushdown().expect("this engine filters");
    let plan = Plan::of(&filter, &|condition| pushdown.fit(condition));
    let residual = Matcher::new(&plan.residual).expect("a good filter");
    let keys = |entries: Vec<&Entry>| -> Vec<String> {
        entries.into_iter().map(|entry| entry.address.key.as_str().to_owned()).collect()
    };
    let mut expected = keys(all.iter().filter(|entry| query::matches(&filter, entry)).collect());
    for (limit, reverse) in [(1000, false), (9, false), (9, true)] {
        let (found, examined) = let_through(engine, &plan.native, limit, reverse);
        if reverse {
            expected.reverse();
        }
        assert_eq!(keys(found.iter().filter(|entry| residual.matches(entry)).collect()), expected, "{text}\n{plan}");
        assert_eq!(examined, all.len() as u64, "{text}: every entry is looked at once");
    }
    !plan.native.is_everything()
}

#[test]
fn what_the_server_lets_through_is_what_the_evaluator_lets_through() {
    let place = Place::fresh();
    let (engine, all) = stored(&place, &documents());
    let native = FILTERS.iter().filter(|text| check(&*engine, &all, text)).count();
    assert!(native * 4 > FILTERS.len() * 3, "most of them are asked of the server: {native}");
}

#[test]
fn what_the_server_cannot_read_is_looked_at_here() {
    let place = Place::fresh();
    let (engine, all) = stored(&place, &unreadable());
    for text in ["n = 1", "n > 0", "n = 0", "n exists", "n != 2", "$key = \"odd1\" or n = 1"] {
        assert!(check(&*engine, &all, text), "{text}");
    }
}

/// What is a column is answered exactly, and what is not there at the server is not asked of it.
#[test]
fn conditions_fit_as_they_are_recorded_to() {
    let place = Place::fresh();
    let engine = block_on(place.open()).expect("opens");
    for (text, fit) in [
        ("$key > \"a\"", Fit::Exact),
        ("$version in [1, 2]", Fit::Exact),
        ("n = 1", Fit::Loose),
        ("n.0.m >= \"x\"", Fit::Loose),
        ("n[] = \"x\"", Fit::Loose),
        ("n[] = 1", Fit::None),
        ("$meta.owner = \"ann\"", Fit::Loose),
        ("n = \"\\u0000\"", Fit::None),
    ] {
        let filter = Filter::parse(text).expect("a filter");
        let condition = filter.conditions()[0].clone();
        assert_eq!(engine.pushdown().expect("this engine filters").fit(&condition), fit, "{text}");
    }
}
