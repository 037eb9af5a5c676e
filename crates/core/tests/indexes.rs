//! Queries along indexes: the same answers, in the same order, as without one, of the present and of the past.
//!
//! The store is one in memory; two of them hold the same, and one has indexes.

use std::{sync::Arc, time::Duration};

use futures_lite::future::block_on;
use larder_core::{BoxFuture, Index, Question, Result, Store, StoreId, Timestamp, Value, World, memory::MemoryEngine};
use proptest::{collection::vec, prelude::*, sample::select};

#[derive(Debug, Default)]
struct Still(std::sync::atomic::AtomicU64);

impl World for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis_saturating(1_700_000_000_000)
    }
    fn random(&self) -> u128 {
        u128::from(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) << 64
    }
    #[expect(clippy::disallowed_methods, reason = "this is the world, which has threads")]
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        std::thread::spawn(move || block_on(task));
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

fn store() -> Store {
    Store::new(Arc::new(MemoryEngine::new(StoreId::from_bytes([1; 16]))), Arc::new(Still::default()))
}

/// Some have several terms in an index, some one, and some what says that there is nothing.
fn any_value() -> impl Strategy<Value = String> {
    let tag = select(&["\"x\"", "\"y\"", "\"z\"", "1", "2", "null"][..]);
    let tags = prop_oneof![3 => vec(tag, 0..5).prop_map(|tags| format!(",\"tags\":[{}]", tags.join(","))), 1 => Just(String::new())];
    let age = prop_oneof![4 => (0..4_u8).prop_map(|age| format!("\"age\":{age}")), 1 => Just("\"old\":true".to_owned())];
    (age, tags).prop_map(|(age, tags)| format!("{{{age}{tags}}}"))
}

const QUESTIONS: [&str; 18] = [
    "tags[] in [\"x\",\"y\",2]",
    "tags[] in [1,\"z\"] and age in [1,2,3]",
    "tags[] >= \"x\"",
    "tags[] >= \"x\" and tags[] < \"y\" limit 3",
    "tags[] exists",
    "tags[] missing",
    "tags[] = 1 or tags[] ^= \"z\"",
    "age in [0,2] and tags[] in [\"x\",\"y\",null]",
    "age >= 1 sort age",
    "age >= 1 sort -age limit 4",
    "age < 3 sort -age, $key offset 2",
    "age in [1,3] sort -age limit 5",
    "sort tags limit 7",
    "age in [0,1,2] and age in [1,2,3]",
    "(age >= 2 or age missing) and (age < 3 or age missing) sort -age limit 9",
    "sort -age limit 5",
    "age = 2 and tags[] = \"y\" count",
    "group tags[]",
];

const INDEXES: [&[&str]; 5] = [&["age"], &["tags[]"], &["age", "tags[]"], &["tags[]", "age"], &["tags"]];

async fn write(stores: [&Store; 2], key: u8, value: Option<&str>) -> Result<()> {
    for store in stores {
        match value {
            Some(value) => drop(store.set(format!("k{key:02}"), Value::json(value.to_owned())?).await?),
            None => drop(store.delete(format!("k{key:02}")).await?),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_changes_no_answer(
        first in vec(any_value(), 0..40),
        then in vec((0..40_u8, proptest::option::of(any_value())), 0..20),
        indexes in proptest::sample::subsequence(&INDEXES[..], 1..4),
        late in any::<bool>(),
    ) {
        let (with, without) = (store(), store());
        let differ = block_on(async {
            let create = async || -> Result<()> {
                for paths in &indexes {
                    with.create_index(Index::over(paths.iter().copied())?).await?;
                }
                Ok(())
            };
            if !late {
                create().await?;
            }
            for (key, value) in (0..).zip(&first) {
                write([&with, &without], key, Some(value)).await?;
            }
            if late {
                create().await?;
            }
            let views = [with.view().await?, without.view().await?];
            for (key, value) in &then {
                write([&with, &without], *key, value.as_deref()).await?;
            }
            for question in QUESTIONS {
                let question = Question::parse(question)?;
                let (one, other) = (with.ask(question.clone()).await?, without.ask(question.clone()).await?);
                let then = (views[0].ask(question.clone()).await?, views[1].ask(question.clone()).await?);
                if told(one) != told(other) || told(then.0) != told(then.1) {
                    return Ok(Some(question));
                }
            }
            Ok::<_, larder_core::Error>(None)
        });
        prop_assert_eq!(differ.map_err(|error| error.to_string()), Ok(None));
    }
}

/// All of an answer but what it took.
fn told(answer: larder_core::Answer) -> String {
    match answer {
        larder_core::Answer::Entries(found) => {
            format!("{:?} {:?} {:?}", found.items, found.next, found.revision)
        }
        other => format!("{other:?}"),
    }
}
