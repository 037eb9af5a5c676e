//! Queries over a store: what a page is, what a cursor does, and that everything is as of one moment.
//!
//! The store is one in memory with a clock that stands still.

use std::{sync::Arc, time::Duration};

use futures_lite::future::block_on;
use larder_core::{
    Aggregate, Aggregated, Answer, BoxFuture, Cursor, ErrorKind, Filter, Matched, Namespace, Query, Question, Sort, Store,
    StoreId, Timestamp, Value, World, field,
    memory::MemoryEngine,
    query::{Json, Measure, Path},
};
use proptest::{collection::vec, prelude::*};

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

const PEOPLE: [(&str, &str); 7] = [
    ("p/ann", r#"{"name":"Ann","age":31}"#),
    ("p/bob", r#"{"name":"Bob","age":17}"#),
    ("p/cid", r#"{"name":"Cid"}"#),
    ("p/dan", r#"{"name":"Dan","age":31.0}"#),
    ("p/eve", r#"{"name":"Eve","age":null}"#),
    ("q/fay", r#"{"name":"Fay","age":99}"#),
    ("q/raw", "not JSON"),
];

fn keys(found: &Matched<larder_core::Entry>) -> Vec<&str> {
    found.items.iter().map(|entry| entry.address.key.as_str()).collect()
}

fn asked(text: &str) -> Query {
    match Question::parse(text).expect("a question") {
        Question::Entries(query) => query,
        other => panic!("{other} asks for something else"),
    }
}

#[test]
fn pages_are_what_was_asked_for() {
    let store = store();
    block_on(async {
        fill(&store, &PEOPLE).await;
        for (text, expected, more, examined) in [
            ("", &["p/ann", "p/bob", "p/cid", "p/dan", "p/eve", "q/fay", "q/raw"][..], false, 7),
            ("sort age", &["p/eve", "p/bob", "p/ann", "p/dan", "q/fay", "p/cid", "q/raw"], false, 7),
            ("sort -age", &["q/fay", "p/ann", "p/dan", "p/bob", "p/eve", "p/cid", "q/raw"], false, 7),
            ("sort -age, -$key limit 3", &["q/fay", "p/dan", "p/ann"], true, 7),
            ("sort -$key limit 2", &["q/raw", "q/fay"], true, 3),
            ("age >= 18 limit 3", &["p/ann", "p/dan", "q/fay"], false, 7),
            ("age >= 18 limit 2", &["p/ann", "p/dan"], true, 7),
            ("limit 2 offset 5", &["q/fay", "q/raw"], false, 7),
            ("offset 6", &["q/raw"], false, 7),
            ("offset 8", &[], false, 7),
            ("sort age offset 5", &["p/cid", "q/raw"], false, 7),
            ("sort age offset 1 limit 2", &["p/bob", "p/ann"], true, 7),
            ("sort age offset 8", &[], false, 7),
            ("limit 0", &[], false, 0),
            ("sort age limit 0", &[], false, 0),
            ("$key ^= \"q/\"", &["q/fay", "q/raw"], false, 2),
            ("$key = \"p/bob\" and age < 18", &["p/bob"], false, 1),
            ("$key > \"p/dan\" and $key <= \"q/fay\"", &["p/eve", "q/fay"], false, 2),
            ("$key in [\"p/ann\", \"p/cid\"]", &["p/ann", "p/cid"], false, 3),
            ("$key ^= \"p/\" or $key = \"q/raw\"", &["p/ann", "p/bob", "p/cid", "p/dan", "p/eve", "q/raw"], false, 7),
            ("not $key ^= \"p/\"", &["q/fay", "q/raw"], false, 7),
            ("$key = 5", &[], false, 0),
            ("false", &[], false, 0),
        ] {
            let found = store.query(asked(text)).await.expect("an answer");
            assert_eq!(
                (keys(&found).as_slice(), found.next.is_some(), found.examined),
                (expected, more, examined),
                "{text}"
            );
            assert_eq!(found.revision.get(), 7, "{text}");
        }
    });
}

#[test]
fn every_question_has_its_answer() {
    let store = store();
    block_on(async {
        fill(&store, &PEOPLE).await;
        let ask = async |text: &str| store.ask(Question::parse(text).expect("a question")).await.expect("an answer");
        assert_eq!(ask("count").await, Answer::Aggregate(Aggregated::Count(7)));
        assert_eq!(ask("$key ^= \"p/\" count").await, Answer::Aggregate(Aggregated::Count(5)));
        assert_eq!(ask("age > 0 sum age").await, Answer::Aggregate(Aggregated::Sum { sum: 178.into(), numbers: 4 }));
        let Answer::Fields(rows) = ask("age = 31 fields name, $version").await else { panic!("fields were asked for") };
        let rows: Vec<String> = rows.items.iter().map(ToString::to_string).collect();
        assert_eq!(rows[1], r#"{"key":"p/dan","fields":{"$version":1,"name":"Dan"}}"#);
        let Answer::Aggregate(Aggregated::Groups(groups)) = ask("group age limit 1").await else { panic!("groups") };
        let largest: Vec<_> = groups.iter().map(|group| (group.count, group.value.as_ref().map(Json::to_string))).collect();
        assert_eq!(largest, [(2, Some("31".to_owned()))], "two more have none, and they come behind");
    });
}

#[test]
fn a_bad_query_is_refused_before_anything_is_read() {
    let store = store();
    block_on(async {
        let refused = async |query: Query| store.query(query).await.map_err(|error| error.kind()).map(|_| ());
        assert_eq!(refused(field("a..b").eq(1).into()).await, Err(ErrorKind::Invalid));
        let many = Filter::all((0..2000).map(|n| field("a").eq(n)));
        assert_eq!(refused(many.clone().into()).await, Err(ErrorKind::Limit));
        let counted = store.aggregate(&Aggregate::new(many, Measure::Count)).await;
        assert_eq!(counted.map_err(|error| error.kind()), Err(ErrorKind::Limit));

        fill(&store, &PEOPLE).await;
        let by_age = Sort::by_key().ascending("age").expect("a sort");
        let page = store.query(asked("sort age limit 1")).await.expect("a page");
        let cursor = page.next.expect("there is more");
        let other = Query::new(Filter::everything()).after(cursor.clone());
        assert_eq!(refused(other.clone()).await, Err(ErrorKind::Invalid), "another sort");
        assert_eq!(refused(other.sort(by_age)).await, Ok(()));
    });
}

/// A guest who is asked about everything answers about its own.
#[test]
fn a_scope_is_not_widened_by_a_query() {
    let store = store();
    block_on(async {
        fill(&store, &PEOPLE).await;
        let neighbour = store.in_namespace(&Namespace::new("other").expect("valid")).expect("allowed");
        fill(&neighbour, &[("p/zoe", r#"{"age":5}"#)]).await;
        let guest = store.narrowed("p/").expect("allowed");
        for text in ["", "sort -$key", "sort age", "$key >= \"a\" or age exists", "not $key = \"p/bob\" or $key = \"p/bob\""]
        {
            let found = guest.query(asked(text)).await.expect("an answer");
            assert_eq!((found.items.len(), found.examined), (5, 5), "{text}");
        }
        assert_eq!(guest.query(asked("$key = \"q/fay\"")).await.map(|found| found.examined).ok(), Some(0));
        let count = Aggregate::new(Filter::everything(), Measure::Count);
        assert_eq!(guest.aggregate(&count).await.ok(), Some(Aggregated::Count(5)));
        // A cursor is a place, and no right: made up or carried over, it only ever begins later.
        let outside: Cursor = store.query(asked("sort -$key limit 1")).await.expect("a page").next.expect("there is more");
        let found = guest.query(asked("sort -$key").after(outside)).await.expect("an answer");
        assert_eq!(found.items.len(), 5);
    });
}

#[test]
fn a_view_answers_as_of_its_moment() {
    let store = store();
    block_on(async {
        fill(&store, &PEOPLE).await;
        let view = store.view().await.expect("a view");
        store.delete("p/ann").await.expect("deleted");
        fill(&store, &[("p/bob", r#"{"age":40}"#), ("p/new", r#"{"age":50}"#)]).await;
        let adults = || asked("age >= 18 sort age");
        assert_eq!(keys(&view.query(adults()).await.expect("an answer")), ["p/ann", "p/dan", "q/fay"]);
        assert_eq!(keys(&store.query(adults()).await.expect("an answer")), ["p/dan", "p/bob", "p/new", "q/fay"]);
        let sum = Aggregate::new(Filter::everything(), Measure::Max(Path::parse("age").expect("a path")));
        assert_eq!(view.aggregate(&sum).await.ok(), Some(Aggregated::Value(Json::parse(b"99").ok())));
        let Ok(Answer::Entries(found)) = view.ask(Question::Entries(asked("limit 1"))).await else { panic!("entries") };
        assert_eq!(found.revision, view.revision());
    });
}

/// What is wanted is more than may be held: told, and not tried.
#[test]
fn an_answer_that_is_too_large_is_a_limit() {
    let store = store();
    block_on(async {
        let large = |n: usize| Value::detect(format!("{{\"n\":{n:?},\"x\":\"{}\"}}", "x".repeat((1 << 20) - 20)));
        for n in 0..257 {
            store.set(format!("{n:03}"), large(n)).await.expect("stored");
        }
        for text in ["", "sort -n", "sort n", "sort -n limit 300"] {
            assert_eq!(store.query(asked(text)).await.map_err(|error| error.kind()), Err(ErrorKind::Limit), "{text}");
        }
        for text in ["limit 5", "sort -n limit 5", "sort n limit 5", "sort -n offset 240 limit 5"] {
            assert_eq!(store.query(asked(text)).await.map(|found| found.items.len()).ok(), Some(5), "{text}");
        }
        let rows = store.query_fields(asked("sort -n"), &[Path::key()]).await;
        assert_eq!(rows.map(|rows| rows.items.len()).ok(), Some(257), "of what is not asked for nothing is held");
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Under any page size, and the whole is what sorting everything by the reference gives.
    #[test]
    fn a_cursor_visits_everything_once(ages in vec(prop_oneof![Just(None), (0_u8..4).prop_map(Some)], 0..20), size in 1_usize..6, sort in 0_usize..5) {
        let store = store();
        let sort = ["", "sort age", "sort -age", "sort -$key", "sort age, -$key"][sort];
        let entries: Vec<(String, String)> = ages.iter().enumerate().map(|(n, age)| {
            (format!("k{n:02}"), age.map_or("{}".to_owned(), |age| format!("{{\"age\":{age}}}")))
        }).collect();
        block_on(async {
            for (key, value) in &entries {
                store.set(key, Value::detect(value.clone())).await.expect("stored");
            }
            let whole = store.query(asked(sort)).await.expect("an answer");
            let mut expected: Vec<(usize, Option<u8>)> = ages.iter().copied().enumerate().collect();
            match sort {
                "sort age" => expected.sort_by_key(|(key, age)| (age.is_none(), *age, *key)),
                "sort -age" => expected.sort_by_key(|(key, age)| (age.is_none(), std::cmp::Reverse(*age), *key)),
                "sort -$key" => expected.reverse(),
                "sort age, -$key" => expected.sort_by_key(|(key, age)| (age.is_none(), *age, std::cmp::Reverse(*key))),
                _ => {}
            }
            let expected: Vec<String> = expected.into_iter().map(|(key, _)| format!("k{key:02}")).collect();
            prop_assert_eq!(keys(&whole), expected.iter().map(String::as_str).collect::<Vec<_>>());

            let (mut visited, mut query) = (Vec::new(), asked(sort).limit(size));
            loop {
                let page = store.query(query.clone()).await.expect("a page");
                prop_assert!(page.items.len() == size || page.next.is_none());
                visited.extend(page.items);
                prop_assert!(visited.len() <= whole.items.len(), "it goes on and on");
                let Some(next) = page.next else { break };
                query = query.after(next.to_string().parse().expect("a cursor"));
            }
            prop_assert_eq!(visited, whole.items);
            Ok(())
        })?;
    }

    /// What was there from the beginning to the end and did not move is visited once, whatever else is written meanwhile.
    #[test]
    fn a_cursor_is_stable_under_writes(writes in vec((0_u8..30, prop_oneof![Just(None), (0_u8..9).prop_map(Some)]), 1..20), size in 1_usize..4, descending in any::<bool>()) {
        let store = store();
        let sort = if descending { "sort -n" } else { "sort n" };
        block_on(async {
            let stays: Vec<String> = (0..10).map(|n| format!("stay{n}")).collect();
            for (n, key) in stays.iter().enumerate() {
                store.set(key, Value::detect(format!("{{\"n\":{}}}", n % 5))).await.expect("stored");
            }
            let (mut visited, mut query) = (Vec::new(), asked(sort).limit(size));
            let mut writes = writes.into_iter().cycle();
            loop {
                let page = store.query(query.clone()).await.expect("a page");
                visited.extend(page.items.into_iter().map(|entry| entry.address.key.as_str().to_owned()));
                prop_assert!(visited.len() < 1_000, "it goes on and on");
                let Some(next) = page.next else { break };
                query = query.after(next);
                // Only until there would be too many: else pages could go on for ever.
                if visited.len() < 60 && let Some((key, n)) = writes.next() {
                    let key = format!("other{key}");
                    match n {
                        Some(n) => store.set(key, Value::detect(format!("{{\"n\":{n}}}"))).await.map(drop).expect("stored"),
                        None => store.delete(key).await.map(drop).expect("deleted"),
                    }
                }
            }
            let mut seen: Vec<String> = visited.into_iter().filter(|key| key.starts_with("stay")).collect();
            seen.sort();
            prop_assert_eq!(seen, stays);
            Ok(())
        })?;
    }
}
