//! Others write between what a change of a schema sees and what it commits: at every moment at which they can.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_lite::future::block_on;
use larder::{
    BoxFuture, Builder, CommitId, ErrorKind, Namespace, Result, Scope, SystemWorld, Timestamp, Value, World,
    documents::{Collection, Documents, Existing, Survey},
};
use serde_json::json;

use crate::place::kind;

type Deed = Box<dyn FnOnce() + Send>;

/// The system's world, in which something happens just before a commit is sent: nothing, or the next of these deeds.
#[derive(Default)]
struct Eventful {
    system: SystemWorld,
    deeds: Mutex<VecDeque<Option<Deed>>>,
}

impl std::fmt::Debug for Eventful {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Eventful")
    }
}

impl World for Eventful {
    fn now(&self) -> Timestamp {
        self.system.now()
    }
    fn random(&self) -> u128 {
        self.system.random()
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.system.spawn(task);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.system.sleep(duration)
    }
    fn commit_id(&self) -> CommitId {
        // What a deed commits meets the rest of the list, so that is put aside for as long.
        let mut deeds = std::mem::take(&mut *self.deeds.lock().expect("nobody panics"));
        if let Some(Some(deed)) = deeds.pop_front() {
            std::thread::spawn(deed).join().expect("a deed ends well");
        }
        *self.deeds.lock().expect("nobody panics") = deeds;
        self.system.commit_id()
    }
}

/// A collection with a hundred documents, and the world it lives in.
async fn eventful(url: &str) -> Result<(Arc<Eventful>, Collection, Scope)> {
    let world = Arc::new(Eventful::default());
    let store = Builder::new(url).world(world.clone()).open().await?;
    let collection = Documents::new(&store).collection("people")?;
    for n in 0..100 {
        collection.insert(&json!({"age": n})).id(format!("{n:03}")).await?;
    }
    let settings = store.scope(&Namespace::new("facet:documents")?)?;
    Ok((world, collection, settings))
}

/// Writes `text` as the document `id`, past the collection and past its being closed.
fn writes(collection: &Collection, id: &'static str, text: &'static str) -> Option<Deed> {
    let scope = collection.scope().clone();
    Some(Box::new(move || {
        let value = Value::json(text).expect("JSON");
        block_on(async { scope.set(id, value).await }).expect("a write between others");
    }))
}

fn schema() -> serde_json::Value {
    json!({"properties": {"age": {"minimum": 0}}})
}

/// What was written about the collection: its version, and whether it was closed.
async fn settings(scope: &Scope) -> Result<Vec<(u64, bool)>> {
    let read = |change: larder::Change| {
        let entry = change.after.expect("it was not deleted");
        let stored: serde_json::Value = serde_json::from_slice(entry.value.bytes()).expect("JSON");
        (stored["version"].as_u64().expect("a number"), stored.get("closed_until_ms").is_some())
    };
    let history = scope.history("people", 100, None).await?;
    Ok(history.changes.into_iter().rev().map(read).collect())
}

async fn everywhere() -> Result<Vec<(Arc<Eventful>, Collection, Scope, tempfile::TempDir)>> {
    let mut found = Vec::new();
    for url in ["memory:", "sqlite:"] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("documents.db");
        let url = if url == "sqlite:" { format!("{url}{}", file.display()) } else { url.to_owned() };
        let (world, collection, settings) = eventful(&url).await?;
        found.push((world, collection, settings, folder));
    }
    Ok(found)
}

/// A document comes after everything was judged and before the schema is in force: it is judged, too.
#[tokio::test]
async fn what_comes_last_is_judged_too() -> Result<()> {
    for (world, people, scope, _folder) in everywhere().await? {
        world.deeds.lock().expect("nobody panics").push_back(writes(&people, "late", r#"{"age": -1}"#));
        let refused = people.set_schema(schema()).await.expect_err("the last one violates it");
        let survey = refused.cause::<Survey>().expect("the cause tells which");
        assert_eq!((refused.kind(), survey.found[0].id.as_str()), (ErrorKind::InvalidState, "late"));
        assert!(people.schema().await?.is_none());
        people.delete("late").await?;

        world.deeds.lock().expect("nobody panics").push_back(writes(&people, "late", r#"{"age": 1}"#));
        assert_eq!(people.set_schema(schema()).await?.version, 1);
        assert_eq!(settings(&scope).await?, [(1, false)], "nobody had to wait");
    }
    Ok(())
}

/// A report is of everything that was there when the schema came into force.
#[tokio::test]
async fn what_comes_last_is_reported_too() -> Result<()> {
    for (world, people, _scope, _folder) in everywhere().await? {
        world.deeds.lock().expect("nobody panics").push_back(writes(&people, "late", r#"{"age": -1}"#));
        let change = people.set_schema(schema()).existing(Existing::Report).await?;
        assert_eq!((change.survey.looked_at, change.survey.violating), (101, 1));
    }
    Ok(())
}

/// Where others come in between again the collection is closed, and who does not keep to that is met all the same.
#[tokio::test]
async fn a_collection_is_closed_over_the_last_few() -> Result<()> {
    for (world, people, scope, _folder) in everywhere().await? {
        // The commits: the schema, the schema, closing, the schema, closing for longer, opening or the schema.
        let deeds = |last: &'static str| {
            VecDeque::from([
                writes(&people, "000", r#"{"age": 1000}"#),
                writes(&people, "001", r#"{"age": 1001}"#),
                None,
                writes(&people, "002", last),
            ])
        };
        *world.deeds.lock().expect("nobody panics") = deeds(r#"{"age": -2}"#);
        let refused = people.set_schema(schema()).await.expect_err("one violates it");
        assert_eq!(refused.cause::<Survey>().expect("the cause tells which").found[0].id.as_str(), "002");
        assert_eq!(settings(&scope).await?, [(0, true), (0, true), (0, false)], "and is opened again");

        people.replace("002", &json!({"age": 2})).await?;
        *world.deeds.lock().expect("nobody panics") = deeds(r#"{"age": 1002}"#);
        assert_eq!(people.set_schema(schema()).await?.version, 1);
        assert_eq!(settings(&scope).await?[3..], [(0, true), (0, true), (1, false)], "the schema opens it");
        assert_eq!(kind(people.insert(&json!({"age": -1})).await), Err(ErrorKind::Invalid));
    }
    Ok(())
}

/// Whoever changes the schema in between wins, also over who has closed the collection.
#[tokio::test]
async fn who_is_overtaken_changes_nothing() -> Result<()> {
    for (world, people, scope, _folder) in everywhere().await? {
        let other = people.clone();
        let deed: Deed = Box::new(move || {
            block_on(async { other.set_schema("true").await }).expect("a change between others");
        });
        world.deeds.lock().expect("nobody panics").push_back(Some(deed));
        assert_eq!(kind(people.set_schema(schema()).await), Err(ErrorKind::Conflict));
        assert_eq!(settings(&scope).await?, [(1, false)]);
        assert_eq!(people.schema().await?.expect("the other's").schema.text(), "true");
    }
    Ok(())
}

/// A document that was judged by a schema which is no longer in force when it is sent is judged anew.
#[tokio::test]
async fn a_schema_that_comes_in_between_judges_what_is_sent() -> Result<()> {
    for (world, people, _scope, _folder) in everywhere().await? {
        let other = people.clone();
        let deed: Deed = Box::new(move || {
            block_on(async { other.set_schema(schema()).await }).expect("a change between others");
        });
        // The first commit id is the document's own; the second is that of its commit.
        world.deeds.lock().expect("nobody panics").extend([None, Some(deed)]);
        assert_eq!(kind(people.insert(&json!({"age": -1})).await), Err(ErrorKind::Invalid));
        assert_eq!(people.scope().count("").await?, 100);
    }
    Ok(())
}
