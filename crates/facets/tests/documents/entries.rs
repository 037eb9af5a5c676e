//! Documents are entries like any others: watched, remembered, written together with others or not at all.

use std::cell::Cell;

use larder::{
    ErrorKind, Index, Result, Value,
    documents::{Document, Documents, Patch},
    field,
};
use serde_json::{json, value::RawValue};

use crate::place::{everywhere, kind, person};

#[tokio::test]
async fn documents_are_watched_and_remembered() -> Result<()> {
    for place in everywhere().await? {
        let people = place.people().await?;
        let mut watch = people.scope().watch("").start().await?;
        let first = people.insert(&json!({"name": "Ann"})).id("ann").await?;
        people.replace("ann", &json!({"name": "Anna"})).await?;
        let change = watch.next().await?.changes.remove(0);
        let seen = Document::<serde_json::Value>::read(change.after.expect("it was created"))?;
        assert_eq!((seen.id.as_str(), seen.content), ("ann", json!({"name": "Ann"})), "{}", place.engine);

        let then = people.scope().view_at(first.revision).await?.get("ann").await?.expect("it was there");
        assert_eq!(Document::<serde_json::Value>::read(then)?.content["name"], "Ann");
        let names = place.store.list_namespaces().await?;
        assert!(names.iter().any(|info| info.namespace.as_str() == "documents:people"));
    }
    Ok(())
}

/// Bytes and numbers come back as they were spelled, also where no number of Rust holds them, and past a patch beside them.
#[tokio::test]
async fn what_was_written_comes_back_exactly() -> Result<()> {
    let text = r#"{"z": 1.50, "whole": 18446744073709551615, "long": 123456789012345678901234567890.10, "low": -9223372036854775808,
        "tiny": 5e-324, "text": "\u00e9\n", "none": null, "a": [1e2, -0]}"#;
    for place in everywhere().await? {
        let things = place.collection("things")?;
        things.set_schema(json!({"properties": {"whole": {"minimum": 18_446_744_073_709_551_615_u64}}})).await?;
        let raw: Box<RawValue> = serde_json::from_str(text).expect("JSON");
        for id in ["raw", "value"] {
            match id {
                "raw" => things.insert(&raw).id(id).await?,
                _ => things.insert_value(Value::json(text)).id(id).await?,
            };
            assert_eq!(things.scope().get(id).await?.expect("there").value.bytes(), text);
            things.patch(id, Patch::merge(&json!({"none": null, "new": 1}))?).await?;
            let patched = things.scope().get(id).await?.expect("there").value;
            let expected = r#"{"z":1.50,"whole":18446744073709551615,"long":123456789012345678901234567890.10,"low":-9223372036854775808,"tiny":5e-324,"text":"\u00e9\n","a":[1e2,-0],"new":1}"#;
            assert_eq!(patched.bytes(), expected, "{}", place.engine);
        }
        // One less is the same to whoever reads numbers as floats.
        let less = Patch::operations_text(r#"[{"op":"replace","path":"/whole","value":18446744073709551614}]"#)?;
        assert_eq!(kind(things.patch("raw", less).await), Err(ErrorKind::Invalid));
    }
    Ok(())
}

/// An index of the namespace is one of the collection: queries go along it, and where it is unique no two documents have the
/// same.
#[tokio::test]
async fn an_index_holds_for_documents() -> Result<()> {
    for place in everywhere().await? {
        let people = place.people().await?;
        people.scope().create_index(Index::on("name")?.unique()).await?;
        people.insert(&json!({"name": "Ann"})).id("ann").await?;
        people.insert(&json!({"name": "Bob"})).id("bob").await?;
        assert_eq!(kind(people.insert(&json!({"name": "Ann"})).await), Err(ErrorKind::Conflict), "{}", place.engine);
        let patch = Patch::merge(&json!({"name": "Ann"}))?;
        let taken = people.patch("bob", patch).await.expect_err("it is taken");
        assert!(taken.to_string().contains("in the unique index"), "told at once, and why: {taken}");
        let found = people.find::<serde_json::Value>(field("name").eq("Bob")).await?;
        assert_eq!((found.items.len(), found.examined), (1, 1), "{}", place.engine);
    }
    Ok(())
}

/// A patch leaves the expiry and the metadata as they are; a replacement ends the one and keeps the other.
#[tokio::test]
async fn an_expiry_survives_a_patch() -> Result<()> {
    for place in everywhere().await? {
        let things = place.collection("things")?;
        let hour = std::time::Duration::from_secs(3600);
        things.insert(&json!({})).id("x").ttl(hour).await?;
        let before = things.get::<serde_json::Value>("x").await?.expect("there").expires_at;
        things.patch("x", Patch::merge(&json!({"a": 1}))?).await?;
        let after = things.get::<serde_json::Value>("x").await?.expect("there").expires_at;
        assert!(before.is_some() && before == after, "{}", place.engine);
        things.replace("x", &json!({})).await?;
        assert_eq!(things.get::<serde_json::Value>("x").await?.expect("there").expires_at, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_transaction_writes_documents_or_nothing() -> Result<()> {
    for place in everywhere().await? {
        let people = place.people().await?;
        let orders = place.collection("orders")?;
        people.insert(&json!({"name": "Ann", "age": 1})).id("ann").await?;
        let order = async |age: i64, name: &str| {
            place
                .store
                .transact(async |mut t| {
                    t.add("orders", 1, 0..=10).await?;
                    orders.within(&mut t)?.insert(name, &json!({"of": "ann"})).await?;
                    people.within(&mut t)?.patch("ann", &Patch::merge(&json!({"age": age}))?).await
                })
                .await
        };
        order(2, "one").await?;
        assert_eq!(kind(order(-1, "two").await), Err(ErrorKind::Invalid));
        assert_eq!(kind(order(3, "one").await), Err(ErrorKind::AlreadyExists));
        let found = people.get::<serde_json::Value>("ann").await?.expect("there");
        assert_eq!((found.content["age"].as_i64(), found.version.get()), (Some(2), 2), "{}", place.engine);
        assert_eq!((orders.scope().count("").await?, place.store.get_json::<i64>("orders").await?), (1, Some(1)));

        place
            .store
            .transact(async |mut t| {
                let mut people = people.within(&mut t)?;
                people.replace("ann", &json!({"name": "Anna"})).await?;
                let seen = people.get::<serde_json::Value>("ann").await?.expect("it sees its own");
                assert_eq!((seen.content, seen.revision.get()), (json!({"name": "Anna"}), 0));
                assert_eq!(kind(people.replace("bob", &json!({"name": "Bob"})).await), Err(ErrorKind::NotFound));
                orders.within(&mut t)?.delete("one")
            })
            .await?;
        assert_eq!(orders.scope().count("").await?, 0);
    }
    Ok(())
}

/// A transaction that was judged by a schema which is no longer in force happens anew, or not at all.
#[tokio::test]
async fn a_transaction_depends_on_the_schema() -> Result<()> {
    for place in everywhere().await? {
        let people = Documents::new(&place.store).collection("people")?;
        let attempts = Cell::new(0);
        let answer = place
            .store
            .transact(async |mut t| {
                attempts.set(attempts.get() + 1);
                let written = people.within(&mut t)?.insert("ann", &json!({"age": 1})).await;
                if attempts.get() == 1 {
                    place.collection("people")?.set_schema(person()).await?;
                }
                written
            })
            .await;
        assert_eq!((kind(answer), attempts.get()), (Err(ErrorKind::Invalid), 2), "{}: it has no name", place.engine);
        assert_eq!(people.scope().count("").await?, 0);
    }
    Ok(())
}
