//! G11: a query means what the reference evaluator says, whoever answers it.
//!
//! An engine may sort out entries by itself. What it makes of documents that are written oddly, of limits, pages and moments
//! shows in the answers of the store, so that is where it is looked for.

use futures_lite::future::block_on;
use larder_core::{
    Action, Entry, Filter, Index, MetadataChange, Query, Select, Sort, Store, Value, field,
    query::{Condition, Json, Path, Test, matches},
};

use super::indexes::create;
use crate::ground::{Ground, Seam, metadata, namespace, put_until, seconds};

/// Values of every kind, several of them the same in other words; with those that databases take for each other.
const VALUES: [&str; 22] = [
    "null",
    "true",
    "false",
    "0",
    "-0.0",
    "1",
    "1.0",
    "0.1",
    "9007199254740992",
    "9007199254740993",
    "18446744073709551615",
    "\"\"",
    "\"1\"",
    "\"a\"",
    "\"A\"",
    "\"\\u0061\"",
    "\"a%\"",
    "\"ab\"",
    "[]",
    "[1,\"a\"]",
    "{}",
    "{\"a\\u0000b\":2,\"a\":1}",
];

fn json(text: &str) -> Value {
    Value::json(text.to_owned()).expect("JSON")
}

fn everything(store: &Store) -> Vec<Entry> {
    block_on(store.scan(Select::all())).expect("scans").items
}

fn keys(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.address.key.as_str().to_owned()).collect()
}

/// What the evaluator lets through of `entries`.
pub(super) fn through(filter: &Filter, entries: &[Entry]) -> Vec<Entry> {
    entries.iter().filter(|entry| matches(filter, entry)).cloned().collect()
}

/// Asks for `filter` and compares with what the evaluator makes of `entries`.
fn check(store: &Store, entries: &[Entry], filter: &Filter) {
    let found = block_on(store.query(filter.clone())).expect("answers");
    let expected = through(filter, entries);
    assert_eq!(keys(&found.items), keys(&expected), "{filter}");
    assert_eq!(found.items, expected, "{filter}: other than they were");
}

pub(super) fn g11_operators_mean_what_they_say(ground: &Ground) {
    let store = ground.store();
    write_values(&store);
    every_operator(&store);
}

/// Writes every value, in JSON and in bytes.
pub(super) fn write_values(store: &Store) {
    let written = VALUES.iter().enumerate().fold(store.commit(), |commit, (n, value)| {
        let commit = commit.set(format!("v{n:02}"), json(&format!("{{\"a\" : {value}, \"b\":[{value}]}}")));
        // The same as bytes that are nobody's business.
        commit.set(format!("o{n:02}"), Value::opaque(format!("{{\"a\":{value}}}")))
    });
    block_on(async { written.set("missing", json("{\"A\":1}")).set("text", json("\"a\"")).await }).expect("commits");
}

/// Asks with every operator for every value.
pub(super) fn every_operator(store: &Store) {
    let entries = everything(store);
    let a = Path::parse("a").expect("a path");
    for value in VALUES.map(|text| Json::parse(text.as_bytes()).expect("JSON")) {
        let mut tests = vec![
            Test::Eq(value.clone()),
            Test::Ne(value.clone()),
            Test::Gt(value.clone()),
            Test::Gte(value.clone()),
            Test::Lt(value.clone()),
            Test::Lte(value.clone()),
            Test::In(vec![Json::Null, value.clone()]),
            Test::Nin(vec![value.clone(), Json::Bool(false)]),
            Test::Contains(value.clone()),
        ];
        if let Json::Text(text) = value {
            tests.extend([Test::StartsWith(text.clone()), Test::EndsWith(text)]);
        }
        for test in tests {
            let condition = Condition::new(a.clone(), test).expect("a condition");
            check(store, &entries, &Filter::condition(condition.clone()));
            check(store, &entries, &!Filter::condition(condition));
        }
    }
    for text in [
        "a exists",
        "a missing",
        "not a missing",
        "b[] = 1",
        "b.0 = \"a\"",
        "b[] exists",
        "$value = \"a\"",
        "a.a = 1",
        "a.a = 2",
        "$key ^= \"v1\" and not (a = 1 or a = \"a\")",
        "$key *= \"%\" or $key $= \"1\"",
        "$version = 1 and b *= 1",
        "not (a > 1 or a <= 1)",
    ] {
        check(store, &entries, &Filter::parse(text).expect("a filter"));
    }
}

/// Many entries, of which one in seven is asked for, and none in the middle.
fn sparse(seam: &Seam) -> Store {
    let store = seam.store();
    for first in (0..300).step_by(50) {
        let wanted = |n: usize| n.is_multiple_of(7) && !(100..200).contains(&n);
        let sets = (first..first + 50).fold(store.commit(), |commit, n| {
            commit.set(format!("k{n:03}"), json(&format!("{{\"n\":{n},\"wanted\":{}}}", wanted(n))))
        });
        block_on(async { sets.await }).expect("commits");
    }
    store
}

pub(super) fn g11_pages_of_what_is_rare_are_whole(ground: &Ground) {
    let store = sparse(&ground.open());
    let entries = everything(&store);
    let filter = field("wanted").eq(true);
    for reverse in [false, true] {
        let mut expected = through(&filter, &entries);
        let sort = if reverse { Sort::by_key().descending("$key").expect("a sort") } else { Sort::by_key() };
        if reverse {
            expected.reverse();
        }
        let query = Query::new(filter.clone()).sort(sort);
        for limit in [1, 3, expected.len(), 1000] {
            let (mut found, mut next) = (Vec::new(), Some(query.clone().limit(limit)));
            while let Some(query) = next.take() {
                let page = block_on(store.query(query.clone())).expect("answers");
                assert!(page.items.len() <= limit, "a page holds at most what was asked for");
                found.extend(page.items);
                next = page.next.map(|cursor| query.after(cursor));
            }
            assert_eq!(keys(&found), keys(&expected), "in pages of {limit}, reverse: {reverse}");
        }
        let skipped = block_on(store.query(query.offset(5).limit(4))).expect("answers");
        assert_eq!(keys(&skipped.items), keys(&expected[5..9]), "an offset counts what was let through");
    }
}

pub(super) fn g11_a_query_is_as_of_one_moment(ground: &Ground) {
    let seam = ground.open();
    let store = sparse(&seam);
    let before = everything(&store);
    let view = block_on(store.view()).expect("a view");
    // What was wanted is not any more, and the other way round; some go, and others come.
    let changes = (0..40).fold(store.commit(), |commit, n| match n % 4 {
        0 => commit.delete(format!("k{:03}", n * 7)),
        1 => commit.set(format!("k{:03}", n * 7), json("{\"n\":0,\"wanted\":false}")),
        2 => commit.set(format!("k{:03}", n * 7 + 1), json("{\"n\":0,\"wanted\":true}")),
        _ => commit.set(format!("k{n:03}/new"), json("{\"n\":0,\"wanted\":true}")),
    });
    block_on(async { changes.await }).expect("commits");
    for filter in [field("wanted").eq(true), !field("wanted").eq(true), field("n").lt(100) & field("wanted").eq(true)] {
        let now = block_on(store.query(filter.clone())).expect("answers");
        assert_eq!(now.revision, seam.status().revision, "a query names its moment");
        assert_eq!(keys(&now.items), keys(&through(&filter, &everything(&store))), "{filter}");
        let then = block_on(view.query(filter.clone())).expect("answers");
        assert_eq!(then.items, through(&filter, &before), "as it was: {filter}");
    }
}

pub(super) fn g11_a_query_sees_what_is_there(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let until = seam.now().after(seconds(10));
    seam.draft().act("brief", put_until("1", until)).done();
    let put = |value: Value, owner: &str| Action::Put {
        value,
        expires_at: None,
        metadata: MetadataChange::Replace(metadata(owner)),
    };
    let commit = store.commit().action("mine", put(json("1"), "{\"owner\":\"ann\"}"));
    let commit = commit.action("yours", put(json("1.0"), "{\"owner\":\"Ann\"}"));
    block_on(async { commit.action("nobody's", put(json("2"), "{}")).await }).expect("commits");
    let neighbour = store.scope(&namespace("default2")).expect("a good name");
    block_on(async { neighbour.set("mine", json("1")).await }).expect("writes");

    let ask = |text: &str| {
        let filter = Filter::parse(text).expect("a filter");
        keys(&block_on(store.query(filter)).expect("answers").items)
    };
    assert_eq!(ask("$meta.owner = \"ann\""), ["mine"]);
    assert_eq!(ask("$meta.owner exists"), ["mine", "yours"]);
    seam.world.step(seconds(10));
    assert_eq!(ask("$value = 1"), ["mine", "yours"], "what has expired is not there");
    assert_eq!(ask("$value >= 1 and $version = 1"), ["mine", "nobody's", "yours"]);
}

/// An index has room for the beginning of a text alone.
pub(super) fn g11_texts_that_begin_alike_for_long_are_told_apart(ground: &Ground) {
    let store = ground.store();
    let long = |tail: &str| format!("{{\"a\":\"{}{tail}\",\"b\":1}}", "x".repeat(2000));
    // The order of the texts is not that of the keys.
    let tails = ["e", "a", "d", "", "c", "b"];
    let sets =
        tails.iter().enumerate().fold(store.commit(), |commit, (n, tail)| commit.set(format!("k{n}"), json(&long(tail))));
    block_on(async { sets.set("short", json("{\"a\":\"x\",\"b\":1}")).set("none", json("{\"b\":1}")).await })
        .expect("commits");
    let entries = everything(&store);
    for index in [vec!["a"], vec!["b", "a"], vec!["a", "b"]] {
        create(&store, Index::over(index).expect("an index"));
        for (down, order) in [
            (false, ["short", "k3", "k1", "k5", "k4", "k2", "k0", "none"]),
            (true, ["k0", "k2", "k4", "k5", "k1", "k3", "short", "none"]),
        ] {
            let sort = if down { Sort::by_key().descending("a") } else { Sort::by_key().ascending("a") }.expect("a sort");
            for filter in [Filter::everything(), field("b").eq(1), field("a").starts_with("x") | field("a").missing()] {
                let mut next = Some(Query::new(filter).sort(sort.clone()).limit(3));
                let mut found = Vec::new();
                while let Some(query) = next.take() {
                    let page = block_on(store.query(query.clone())).expect("answers");
                    found.extend(page.items);
                    next = page.next.map(|cursor| query.after(cursor));
                }
                assert_eq!(keys(&found), order, "down: {down}");
            }
        }
        for tail in ["", "c", "cc"] {
            let text = format!("{}{tail}", "x".repeat(2000));
            let a = || field("a");
            for filter in
                [a().eq(&*text), a().gt(&*text), a().gte(&*text), a().lt(&*text), a().lte(&*text), a().starts_with(&*text)]
            {
                check(&store, &entries, &filter);
            }
            check(&store, &entries, &a().is_in([&*text, "x"]));
        }
    }
}
