//! Search over a store: what is found and in which order, compared with a plain implementation; and that no answer depends on
//! an index, on what happened since, or on what the handle does not see.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_lite::future::block_on;
use larder_core::{
    BoxFuture, Entry, ErrorKind, Filter, Hits, Index, Namespace, Search, Store, StoreId, Timestamp, Value, World, field,
    memory::MemoryEngine, query::Path,
};
use proptest::{collection::vec, prelude::*, sample::select};

#[derive(Debug)]
struct Still;

impl World for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis_saturating(1_700_000_000_000)
    }
    fn random(&self) -> u128 {
        7
    }
    #[expect(clippy::disallowed_methods, reason = "this is the world, which has threads")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        std::thread::spawn(move || block_on(task));
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
    fn commit_id(&self) -> larder_core::CommitId {
        // The ids must differ; one store has one of these worlds, and tests are on threads of their own.
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        larder_core::CommitId::new(self.now(), u128::from(NEXT.fetch_add(1, Ordering::Relaxed)) << 64)
    }
}

fn store() -> Store {
    Store::new(Arc::new(MemoryEngine::new(StoreId::from_bytes([1; 16]))), Arc::new(Still))
}

async fn fill(store: &Store, values: &[(&str, &str)]) {
    for (key, value) in values {
        store.set(*key, Value::detect((*value).to_owned())).await.expect("stored");
    }
}

fn words(text: &str) -> Search {
    Search::words(text).expect("words").limit(100)
}

fn keys(found: &Hits<Entry>) -> Vec<&str> {
    found.hits.iter().map(|hit| hit.item.address.key.as_str()).collect()
}

/// What is found, by key and score alone.
fn scores(found: &Hits<Entry>) -> Vec<(String, f64)> {
    found.hits.iter().map(|hit| (hit.item.address.key.as_str().to_owned(), hit.score)).collect()
}

const NOTES: [(&str, &str); 8] = [
    ("a", r#"{"title":"Rust","body":"async rust without green threads","tags":["lang"]}"#),
    ("b", r#"{"title":"Go","body":"green threads, called goroutines","tags":["lang","Größe"]}"#),
    ("c", r#"{"title":"Threads","body":"threads that are not green","parts":[{"text":"rust"},{"text":"serde_json"}]}"#),
    ("d", r#"{"rust":"names of fields are not words","n":42}"#),
    ("e", r#""rust async rust""#),
    ("f", "rust, but not JSON"),
    ("g", r#"{"title":"green","body":"threads"}"#),
    ("h", r#"{"body":"rusty \u0072ust \"quoted\" rust\nrust"}"#),
];

#[test]
fn words_find_what_holds_them() {
    let store = store();
    block_on(async {
        fill(&store, &NOTES).await;
        for (text, paths, expected) in [
            ("rust", &[][..], &["a", "c", "e", "h"][..]),
            ("RÙST", &[], &["a", "c", "e", "h"]),
            ("rust", &["title"], &["a"]),
            ("rust", &["title", "body"], &["a", "h"]),
            ("rust", &["parts[].text"], &["c"]),
            ("rust", &["parts.0"], &["c"]),
            ("rust", &["parts.1.text"], &[]),
            ("lang", &["tags"], &["a", "b"]),
            ("lang", &["tags[]"], &["a", "b"]),
            ("grosse", &[], &["b"]),
            ("rust async", &[], &["a", "c", "e", "h"]),
            ("+rust +async", &[], &["a", "e"]),
            ("rust -async", &[], &["c", "h"]),
            ("+rust green", &[], &["a", "c", "e", "h"]),
            ("\"green threads\"", &[], &["a", "b"]),
            ("\"threads green\"", &[], &[]),
            ("\"async rust\"", &[], &["a", "e"]),
            ("\"rust async rust\"", &[], &["e"]),
            ("\"green th\"*", &[], &["a", "b"]),
            ("rus*", &[], &["a", "c", "e", "h"]),
            ("rust*  -rusty", &[], &["a", "c", "e"]),
            ("json", &[], &["c"]),
            ("serde_json", &[], &["c"]),
            ("serde json", &[], &["c"]),
            ("fields", &[], &["d"]),
            ("42", &[], &[]),
            ("quoted", &[], &["h"]),
            ("e", &["$key"], &["e"]),
        ] {
            let search = words(text).within(paths.iter().copied()).expect("paths");
            let found = store.search(&search).await.expect("an answer");
            let mut sorted = keys(&found);
            sorted.sort_unstable();
            assert_eq!(sorted, expected, "{text} in {paths:?}");
            assert_eq!((found.total, found.examined, found.revision.get()), (expected.len() as u64, 8, 8), "{text}");
        }
    });
}

#[test]
fn the_best_come_first_and_say_where() {
    let store = store();
    block_on(async {
        fill(&store, &NOTES).await;
        let found = store.search(&words("green threads rust")).await.expect("an answer");
        assert_eq!(keys(&found)[..2], ["a", "c"], "all three words");
        let marked = |at: usize| -> Vec<(String, String)> {
            let found = found.hits[at].highlights.iter();
            found.map(|found| (found.path.to_string(), found.marked("[", "]"))).collect()
        };
        assert_eq!(
            marked(1),
            [
                ("body".to_owned(), "[threads] that are not [green]".to_owned()),
                ("parts.0.text".to_owned(), "[rust]".to_owned()),
                ("title".to_owned(), "[Threads]".to_owned()),
            ]
        );
        assert_eq!(marked(0)[0].1, "async [rust] without [green] [threads]");
        let first = store.search(&words("green threads rust").limit(1)).await.expect("an answer");
        assert_eq!((&first.hits[..], first.total), (&found.hits[..1], found.total));
        let none = store.search(&words("green").limit(0)).await.expect("an answer");
        assert_eq!((none.hits.len(), none.total), (0, 4));
        let rows =
            store.search_fields(&words("goroutines"), &[Path::parse("title").expect("a path")]).await.expect("an answer");
        assert_eq!(rows.hits[0].item.to_string(), r#"{"key":"b","fields":{"title":"Go"}}"#);
    });
}

#[test]
fn a_long_text_is_shown_where_the_words_are() {
    let store = store();
    block_on(async {
        let long = format!(
            "{} the needle {} a hay {} hay and a Nädel needle {}",
            "straw ".repeat(90),
            "straw ".repeat(90),
            "straw ".repeat(90),
            "ähre ".repeat(90)
        );
        store.set("k", Value::json(serde_json::to_string(&long).expect("text")).expect("JSON")).await.expect("stored");
        let found = store.search(&words("\"a nadel\" hay needle")).await.expect("an answer");
        let [shown] = &found.hits[0].highlights[..] else { panic!("one text") };
        let marked = shown.marked("[", "]");
        assert!(marked.contains("[hay] and [a Nädel] [needle]"), "{marked}");
        assert!(marked.starts_with('…') && marked.ends_with('…') && shown.text.len() < 240, "{marked}");
        assert_eq!(shown.path.to_string(), "$value");
        // However far apart the words of a phrase are.
        let apart = format!("\"first{}second\"", " - ".repeat(10_000));
        store.set("k", Value::json(apart).expect("JSON")).await.expect("stored");
        let found = store.search(&words("\"first second\"")).await.expect("an answer");
        assert!(found.hits[0].highlights[0].text.len() < 240, "{} bytes", found.hits[0].highlights[0].text.len());
    });
}

#[test]
fn vectors_find_what_is_near() {
    let store = store();
    block_on(async {
        fill(
            &store,
            &[
                ("east", r#"{"v":[1,0],"w":1}"#),
                ("north", r#"{"v":[0.0, 2e0]}"#),
                ("west", r#"{"v":[-3,0]}"#),
                ("both", r#"{"v":[1,1],"parts":[{"v":[0,1]},{"v":[-1,0.001]},{"v":1}]}"#),
                ("zero", r#"{"v":[0,0]}"#),
                ("short", r#"{"v":[1]}"#),
                ("long", r#"{"v":[1,0,0]}"#),
                ("odd", r#"{"v":[1,"0"]}"#),
                ("none", "{}"),
                ("raw", "[1,0"),
            ],
        )
        .await;
        let near = |path: &str, vector: [f32; 2]| Search::near(path, vector).expect("a vector");
        let found = store.search(&near("v", [2.0, 0.0])).await.expect("an answer");
        assert_eq!(keys(&found), ["east", "both", "north", "west"]);
        let far = |(hit, expected): (&larder_core::Hit<Entry>, f64)| (hit.score - expected).abs() > 1e-12;
        assert!(!found.hits.iter().zip([1.0, 0.5_f64.sqrt(), 0.0, -1.0]).any(far), "{:?}", scores(&found));
        assert_eq!((found.total, found.examined), (4, 10));
        let found = store.search(&near("v", [2.0, 0.0]).limit(2).filter(field("w").missing())).await.expect("an answer");
        assert_eq!(keys(&found), ["both", "north"], "the filter comes before the limit");
        let found = store.search(&near("parts[].v", [-1.0, 0.0])).await.expect("an answer");
        assert!(found.hits.len() == 1 && found.hits[0].score > 0.999, "the nearest of several counts");
    });
}

#[test]
fn two_lists_become_one() {
    let store = store();
    block_on(async {
        fill(
            &store,
            &[
                ("words", r#"{"t":"rust rust","v":[-1,0]}"#),
                ("both", r#"{"t":"rust and more","v":[1,0.1]}"#),
                ("vector", r#"{"t":"go","v":[1,0]}"#),
                ("neither", r#"{"t":"go"}"#),
                ("only", r#"{"t":"rust and a lot more"}"#),
            ],
        )
        .await;
        let search = words("rust").and_near("v", [1.0, 0.0]).expect("a vector");
        let found = store.search(&search).await.expect("an answer");
        let part = |place: u32| 1.0 / (60.0 + f64::from(place));
        let expected = [("both", part(2) + part(2)), ("words", part(1) + part(3)), ("vector", part(1)), ("only", part(3))];
        let mut expected = expected.map(|(key, score)| (key.to_owned(), score)).to_vec();
        expected.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        assert_eq!(scores(&found), expected);
        let first = store.search(&search.limit(1)).await.expect("an answer");
        assert_eq!(first.hits[..], found.hits[..1], "a limit changes no score");
    });
}

#[test]
fn a_guest_learns_nothing_of_what_it_does_not_see() {
    let store = store();
    block_on(async {
        fill(&store, &[("in/a", r#""rust and async""#), ("in/b", r#""rust rust and more of it""#), ("in/c", r#""async""#)])
            .await;
        let guest = store.narrowed("in/").expect("a prefix");
        let search = words("rust async");
        let near = Search::near("v", [1.0]).expect("a vector");
        let alone = (guest.search(&search).await.expect("an answer"), guest.search(&near).await.expect("an answer"));
        let elsewhere = store.scope(&Namespace::new("other").expect("a name")).expect("a scope");
        for n in 0..50 {
            elsewhere.set(format!("in/{n}"), Value::json(r#""rust""#).expect("JSON")).await.expect("stored");
            store
                .set(format!("out/{n}"), Value::json(r#"{"a":"rust rust rust","v":[1]}"#).expect("JSON"))
                .await
                .expect("stored");
        }
        let beside = guest.search(&search).await.expect("an answer");
        assert_eq!((scores(&beside), beside.total, beside.examined), (scores(&alone.0), 3, 3));
        assert_eq!(guest.search(&near).await.expect("an answer").hits, alone.1.hits);
        assert_eq!(store.search(&search).await.expect("an answer").total, 53);
        store.create_index(Index::words(["$value"]).expect("an index")).await.expect("is built");
        let indexed = guest.search(&search).await.expect("an answer");
        assert_eq!((scores(&indexed), indexed.total), (scores(&alone.0), 3));
        // What the filter does not let through is outside, too.
        let filtered = store.search(&search.filter(field("$key").starts_with("in/"))).await.expect("an answer");
        assert_eq!(scores(&filtered), scores(&alone.0));
    });
}

#[test]
fn what_is_wrong_is_refused() {
    let store = store();
    block_on(async {
        let mut nothing = words("a");
        nothing.words = None;
        assert_eq!(store.search(&nothing).await.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
        let wrong = words("a").filter(field("a..b").eq(1));
        assert_eq!(store.search(&wrong).await.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
        assert_eq!(
            Search::near("v", [1.0]).expect("a vector").within(["a"]).map_err(|error| error.kind()),
            Err(ErrorKind::Invalid)
        );
        let unique = Index::words(["a"]).expect("an index").unique();
        assert_eq!(store.create_index(unique).await.map_err(|error| error.kind()), Err(ErrorKind::Invalid));
    });
}

#[test]
fn an_index_of_words_stands_beside_one_of_values() {
    let store = store();
    block_on(async {
        fill(&store, &NOTES).await;
        let (of_words, of_values) = (Index::words(["title"]).expect("an index"), Index::on("title").expect("an index"));
        store.create_index(of_words.clone()).await.expect("is built");
        let found = store.query(field("title").eq("Rust")).await.expect("an answer");
        assert_eq!((found.items.len(), found.examined), (1, 8), "words are of no help to a filter");
        store.create_index(of_values.clone()).await.expect("is built");
        let listed: Vec<String> = store.indexes().await.expect("a list").iter().map(|info| info.index.to_string()).collect();
        assert_eq!(listed, ["words title", "title"]);
        assert!(store.drop_index(&of_values).await.expect("is dropped"));
        let search = words("rust").within(["title"]).expect("a path");
        let found = store.search(&search).await.expect("an answer");
        assert_eq!((keys(&found), found.examined, &found.index), (vec!["a"], 1, &Some(of_words)));
        let elsewhere = store.search(&words("rust").within(["body"]).expect("a path")).await.expect("an answer");
        assert_eq!((elsewhere.examined, elsewhere.index), (8, None), "the index says nothing of other paths");
    });
}

#[test]
fn an_entry_of_many_words_is_found_all_the_same() {
    let store = store();
    block_on(async {
        let many: String = (0..5000).map(|n| format!("w{n} ")).collect();
        store.set("many", Value::json(format!("\"{many}\"")).expect("JSON")).await.expect("stored");
        store.set("few", Value::json("\"w4999 w1\"").expect("JSON")).await.expect("stored");
        fill(&store, &NOTES).await;
        let before = store.search(&words("w4999")).await.expect("an answer");
        assert_eq!(keys(&before), ["few", "many"]);
        store.create_index(Index::words::<&str>([]).expect("an index")).await.expect("is built");
        let after = store.search(&words("w4999")).await.expect("an answer");
        assert_eq!((after.examined, &after.hits), (2, &before.hits));
        assert_eq!(store.search(&words("rust -w7")).await.expect("an answer").total, 4);
    });
}

/// A document of few words, so that many have some in common.
fn any_document() -> impl Strategy<Value = String> {
    let word = || select(&["a", "b", "c", "ab", "abc", "B", "x_y", "é"][..]);
    let text = move || vec(word(), 0..8).prop_map(|words| words.join(" "));
    (text(), vec(text(), 0..3), vec(-2..3_i8, 2..4), 0..3_u8).prop_map(|(title, parts, vector, n)| {
        let parts: Vec<_> = parts.iter().map(|part| format!("{{\"t\":\"{part}\"}}")).collect();
        format!("{{\"title\":\"{title}\",\"parts\":[{}],\"v\":{vector:?},\"n\":{n}}}", parts.join(","))
    })
}

fn any_words() -> impl Strategy<Value = String> {
    let phrase = vec(select(&["a", "b", "c", "ab", "x", "y", "e", "zz"][..]), 1..4).prop_map(|words| words.join(" "));
    let one = (select(&["", "", "", "+", "-"][..]), phrase, any::<bool>());
    let one = one.prop_map(|(sign, phrase, prefix)| format!("{sign}\"{phrase}\"{}", if prefix { "*" } else { "" }));
    vec(one, 1..4).prop_map(|all| all.join(" "))
}

/// What a search by words finds, written as plainly as can be.
fn plainly(entries: &[Entry], search: &Search) -> BTreeMap<String, f64> {
    let wanted = search.words.as_ref().expect("it is one by words");
    let split = |text: &str| -> Vec<String> {
        let text = text.to_lowercase().replace('é', "e");
        text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let count = |texts: &[Vec<String>], phrase: &larder_core::search::Phrase| -> f64 {
        let last = phrase.words.len() - 1;
        let is = |(place, (word, wanted)): (usize, (&String, &String))| {
            word == wanted || phrase.prefix && place == last && word.starts_with(wanted.as_str())
        };
        let here = |window: &&[String]| window.iter().zip(&phrase.words).enumerate().all(is);
        texts.iter().map(|text| text.windows(last + 1).filter(here).count() as f64).sum()
    };
    let texts = |entry: &Entry| -> Vec<Vec<String>> {
        let value: serde_json::Value = serde_json::from_slice(entry.value.bytes()).expect("JSON");
        let title = value["title"].as_str().map(split);
        let parts = value["parts"].as_array().expect("an array").iter().filter_map(|part| part["t"].as_str().map(split));
        title.into_iter().chain(parts).collect()
    };
    use larder_core::search::Need;
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| larder_core::query::matches(&search.filter, entry)) {
        let texts = texts(entry);
        let counts: Vec<(Need, f64)> = wanted.phrases().iter().map(|phrase| (phrase.need, count(&texts, phrase))).collect();
        let refused = |(need, count): &(Need, f64)| match need {
            Need::Any => false,
            Need::Must => *count == 0.0,
            Need::Not => *count > 0.0,
        };
        let counts_of_wanted: Vec<f64> =
            counts.iter().filter(|(need, _)| *need != Need::Not).map(|(_, count)| *count).collect();
        if !counts.iter().any(refused) && counts_of_wanted.iter().any(|count| *count > 0.0) {
            let length = texts.iter().map(Vec::len).sum::<usize>() as f64;
            found.push((entry.address.key.as_str().to_owned(), counts_of_wanted, length));
        }
    }
    let n = found.len() as f64;
    let mean = found.iter().map(|(_, _, length)| length).sum::<f64>() / n;
    let score = |counts: &[f64], length: f64| -> f64 {
        let part = |at: usize| {
            let holding = found.iter().filter(|(_, counts, _)| counts[at] > 0.0).count() as f64;
            let weight = (1.0 + (n + 1.0) / (holding + 0.5)).ln();
            weight * counts[at] * 2.2 / (counts[at] + 1.2 * (0.25 + 0.75 * length / mean))
        };
        (0..counts.len()).map(part).sum()
    };
    found.iter().map(|(key, counts, length)| (key.clone(), score(counts, *length))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn an_answer_is_that_of_the_plain_way_with_and_without_an_index(
        documents in vec(any_document(), 0..12), later in vec((0..12_usize, prop::option::of(any_document())), 0..6),
        text in any_words(), n in prop::option::of(0..3_i64), vector in prop::option::of([1..3_i8, -2..3_i8]), limit in 0..14_usize,
        index in select(vec![vec!["title", "parts"], vec!["$value"], vec!["parts", "title", "n"]]),
    ) {
        let Ok(search) = Search::words(&text) else { return Ok(()) };
        let search = search.filter(n.map_or_else(Filter::everything, |n| field("n").eq(n)));
        let store = store();
        block_on(async {
            for (at, document) in documents.iter().enumerate() {
                store.set(format!("k{at:02}"), Value::json(document.clone()).expect("JSON")).await.expect("stored");
            }
            let entries = store.scan(larder_core::Select::all()).await.expect("scans").items;
            let before = store.view().await.expect("a view");

            // The plain way.
            let all = store.search(&search.clone().limit(100)).await.expect("an answer");
            let expected = plainly(&entries, &search);
            assert_eq!(all.total, expected.len() as u64);
            assert_eq!(all.hits.len(), expected.len());
            for (key, score) in scores(&all) {
                assert!((score - expected[&key]).abs() < 1e-9, "{key}: {score}, and not {}", expected[&key]);
            }
            assert!(scores(&all).is_sorted_by(|a, b| a.1 > b.1 || a.1 == b.1 && a.0 < b.0), "the best come first");

            // With less of it, and with a vector beside it.
            let search = search.limit(limit).within(["title", "parts[].t"]).expect("paths");
            let search = match vector {
                Some(vector) => search.and_near("v", vector.map(f64::from)).expect("a vector"),
                None => search,
            };
            let scanned = store.search(&search).await.expect("an answer");
            if vector.is_none() {
                assert_eq!(scores(&scanned)[..], scores(&all)[..limit.min(all.hits.len())]);
            }

            // With an index, and as of then.
            store.create_index(Index::words(index.iter().copied()).expect("an index")).await.expect("is built");
            let indexed = store.search(&search).await.expect("an answer");
            assert!(indexed.index.is_some(), "the index is used");
            assert_eq!(indexed.hits, scanned.hits);
            assert_eq!((indexed.total, indexed.revision), (scanned.total, scanned.revision));
            for (at, document) in &later {
                let key = format!("k{at:02}");
                match document {
                    Some(document) => drop(store.set(key, Value::json(document.clone()).expect("JSON")).await.expect("stored")),
                    None => drop(store.delete(key).await.expect("deleted")),
                }
            }
            let then = before.search(&search).await.expect("an answer");
            assert_eq!((then.hits, then.total), (scanned.hits, scanned.total), "as of then");
            let now = store.search(&search).await.expect("an answer");
            store.drop_index(&Index::words(index.iter().copied()).expect("an index")).await.expect("is dropped");
            let without = store.search(&search).await.expect("an answer");
            assert_eq!((now.hits, now.total), (without.hits, without.total), "as of now");
        });
    }
}
