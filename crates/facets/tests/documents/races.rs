//! Many write while the schema changes: what is there afterwards keeps to it, whoever was faster.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use larder::{
    ErrorKind, Filter, Result, Select,
    documents::{Collection, Patch, Survey},
};
use serde_json::{Value, json};

use crate::place::everywhere;

const TASKS: u64 = 64;
/// After about so many documents a task tries to write one that the strict schema refuses.
const SELDOM: u64 = 60;
/// How many have to be refused before a round ends.
const REFUSED: u64 = 32;

fn rounds() -> u64 {
    if std::env::var_os("LARDER_SOAK").is_some() { 50 } else { 3 }
}

fn strict() -> Value {
    json!({"required": ["strict"]})
}

/// What the tasks have done in a round.
#[derive(Debug, Default)]
struct Done {
    stop: AtomicBool,
    loose: AtomicU64,
    refused: AtomicU64,
}

/// Writes what both schemas let through without pause, and now and then what only the loose one does: inserted, replaced or
/// patched.
async fn write(collection: Collection, task: u64, done: Arc<Done>) -> Result<()> {
    let mut own = collection.insert(&json!({"strict": task})).await?.id;
    for n in 0.. {
        if done.stop.load(Ordering::SeqCst) {
            return Ok(());
        }
        // At times of its own, so that the rounds differ.
        if n % (SELDOM + 3 * task) != task {
            collection.replace(&own, &json!({"strict": n})).await?;
            continue;
        }
        let (loose, id) = (json!({"loose": task}), own);
        own = collection.insert(&json!({"strict": task})).await?.id;
        let written = match task % 3 {
            0 => collection.insert(&loose).await,
            1 => collection.replace(id, &loose).await,
            _ => collection.patch(id, Patch::merge(&json!({"strict": null}))?).await,
        };
        match written {
            Ok(_) => done.loose.fetch_add(1, Ordering::SeqCst),
            Err(error) if error.kind() == ErrorKind::Invalid => done.refused.fetch_add(1, Ordering::SeqCst),
            Err(error) => return Err(error),
        };
    }
    Ok(())
}

/// Puts the strict schema in force: what is in its way is deleted, until nothing is. Answers how much that was.
async fn tighten(collection: &Collection) -> Result<u64> {
    let mut deleted = 0;
    loop {
        match collection.set_schema(strict()).await {
            Ok(_) => return Ok(deleted),
            Err(error) if error.kind() == ErrorKind::InvalidState => {
                for found in &error.cause::<Survey>().expect("the cause tells which").found {
                    deleted += u64::from(collection.delete(&found.id).await?);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_invalid_remains_when_the_schema_changes_under_64_tasks() -> Result<()> {
    for place in everywhere().await? {
        let collection = place.collection("raced")?;
        let (mut loose, mut refused) = (0, 0);
        for round in 0..rounds() {
            collection.set_schema("true").await?;
            // What takes long to judge gives others long to come in between, and the round might never end.
            collection.scope().clear(Select::all()).await?;
            let done = Arc::new(Done::default());
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| {
                    // Half of them share what they know of the schema, the others look for themselves.
                    let own = if task % 2 == 0 { Ok(collection.clone()) } else { place.collection("raced") };
                    own.map(|own| tokio::spawn(write(own, task, done.clone())))
                })
                .collect::<Result<_>>()?;
            while collection.count(Filter::all([])).await? < TASKS {
                tokio::task::yield_now().await;
            }
            let deleted = tighten(&collection).await?;
            while done.refused.load(Ordering::SeqCst) < REFUSED {
                tokio::task::yield_now().await;
            }
            done.stop.store(true, Ordering::SeqCst);
            for task in tasks {
                task.await.expect("nobody panics")?;
            }
            let survey = collection.survey(strict(), |_| ()).await?;
            assert_eq!(survey.violating, 0, "{}, round {round}: {:?}", place.engine, survey.found);
            let written = done.loose.load(Ordering::SeqCst);
            assert_eq!(written, deleted, "{}, round {round}: what was let through was deleted", place.engine);
            loose += written;
            refused += done.refused.load(Ordering::SeqCst);
        }
        println!("{}: {loose} let through before, {refused} refused after", place.engine);
    }
    Ok(())
}
