//! G11: a search answers the same on every engine, along an index and without one, now and as of then.
//!
//! What it answers is compared with what the memory engine does, scores included, to the last bit.

use std::sync::Arc;

use futures_lite::future::block_on;
use larder_core::{Entry, ErrorKind, Filter, Hits, Index, Search, Store, StoreId, Value, View, field, memory::MemoryEngine};

use crate::{
    TestWorld, case,
    ground::{Ground, put_until, seconds},
};

/// Words that texts are made of: some alike, some written in several ways.
const WORDS: [&str; 10] =
    ["rust", "RUST", "rusty", "green", "threads", "Größe", "grosse", "serde_json", "\\u0072ust", "漢字"];

fn document(n: usize) -> Value {
    let word = |at: usize| WORDS[(n * 7 + at * at * 3 + n * at) % WORDS.len()];
    let text = |from: usize, count: usize| (from..from + count).map(word).collect::<Vec<_>>().join(" ");
    let json = format!(
        "{{\"title\" : \"{}\",\"parts\":[{{\"t\":\"{}\"}},{{\"t\":[\"{}\",{n}]}}],\"v\":[{},{},1e-1],\"n\":{}}}",
        text(0, n % 3),
        text(3, n % 9),
        text(20, n % 2),
        n as f64 / 10.0 - 3.0,
        n * n % 11,
        n % 4
    );
    Value::json(json).expect("JSON")
}

fn searches() -> Vec<Search> {
    let words = |text: &str| Search::words(text).expect("words");
    let near = || Search::near("v", [0.5, -0.25, 1.0]).expect("a vector");
    let mut all: Vec<Search> = [
        "rust",
        "rust green threads",
        "+rust -green",
        "\"green threads\"",
        "\"rust gr\"* thread*",
        "grosse serde_json 漢",
        "+\"serde json\" rus* threads",
        "nothing",
    ]
    .map(words)
    .into();
    all.push(words("rust").within(["title", "parts[].t"]).expect("paths"));
    all.push(near());
    all.push(words("green rust").and_near("v", [1.0, 0.0, 0.0]).expect("a vector"));
    let among = |filter: Filter| all.iter().map(move |search| search.clone().filter(filter.clone())).collect::<Vec<_>>();
    let (some, others) = (among(field("n").gte(2)), among(field("$key").starts_with("k1") & !field("n").eq(0)));
    all.extend(some.into_iter().chain(others));
    all.iter().flat_map(|search| [3, 100].map(|limit| search.clone().limit(limit))).collect()
}

/// How many entries hold the words, and of each that was found its key, the bits of its score, and where the words are.
type Told = (u64, Vec<(String, u64, String)>);

/// What was found, to the last bit of each score; times and revisions are those of each store.
fn told(found: Hits<Entry>) -> Told {
    let told = |hit: &larder_core::Hit<Entry>| {
        assert!(!hit.item.value.bytes().is_empty(), "an entry comes whole");
        (hit.item.address.key.as_str().to_owned(), hit.score.to_bits(), format!("{:?}", hit.highlights))
    };
    (found.total, found.hits.iter().map(told).collect())
}

fn now(store: &Store) -> Vec<Told> {
    let found = searches().into_iter().map(|search| block_on(store.search(&search)).expect("answers"));
    found.map(told).collect()
}

fn then(view: &View) -> Vec<Told> {
    let found = searches().into_iter().map(|search| block_on(view.search(&search)).expect("answers"));
    found.map(told).collect()
}

fn write(store: &Store, from: usize, to: usize) {
    let sets = (from..to).fold(store.commit(), |commit, n| commit.set(format!("k{:02}", n % 40), document(n)));
    block_on(async { sets.await }).expect("commits");
}

pub(super) fn g11_a_search_answers_the_same_everywhere(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let engine = Arc::new(MemoryEngine::new(StoreId::from_bytes([3; 16])));
    let reference = Store::new(engine, Arc::new(TestWorld::new(case::seed())));
    for store in [&store, &reference] {
        write(store, 0, 40);
    }
    let before = now(&reference);
    assert!(before.iter().any(|(total, _)| *total > 10), "there is something to be found");
    assert_eq!(now(&store), before);

    // As of then, when half of it has changed since and some of it is gone.
    let view = block_on(store.view()).expect("a view");
    for store in [&store, &reference] {
        write(store, 60, 80);
        block_on(async { store.commit().delete("k03").delete("k38").set("l", document(5)).await }).expect("commits");
    }
    assert_eq!(then(&view), before, "as of then");
    let after = now(&reference);
    assert_ne!(after, before, "something has changed");
    assert_eq!(now(&store), after);

    // Along an index, where the engine keeps any.
    let created = block_on(async { store.create_index(Index::words::<&str>([]).expect("an index")).await });
    if seam.engine.indexes().is_none() {
        assert_eq!(created.map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
    } else {
        created.expect("is built");
        let found = block_on(store.search(&Search::words("rusty").expect("words"))).expect("answers");
        assert!(found.index.is_some() && found.examined < 40, "the index is used: {} entries", found.examined);
        assert_eq!(now(&store), after, "along an index");
        assert_eq!(then(&view), before, "as of then, along an index");
    }
}

pub(super) fn g11_a_search_sees_what_is_there(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let until = seam.now().after(seconds(10));
    seam.draft().act("brief", put_until("\"rust\"", until)).done();
    block_on(async {
        store.commit().set("json", Value::json("\"rust\"").expect("JSON")).set("opaque", Value::opaque("\"rust\"")).await
    })
    .expect("commits");
    let ask = || {
        let found = block_on(store.search(&Search::words("rust").expect("words"))).expect("answers");
        let keys = found.hits.iter().map(|hit| hit.item.address.key.as_str().to_owned()).collect::<Vec<_>>();
        (keys, found.total)
    };
    assert_eq!(ask(), (vec!["brief".to_owned(), "json".to_owned()], 2), "what is not JSON has no words");
    seam.world.step(seconds(10));
    assert_eq!(ask(), (vec!["json".to_owned()], 1), "what has expired is not there, and does not count");
}
