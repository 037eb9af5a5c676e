//! What can be done with documents, one by one.

use std::time::Duration;

use larder::{
    Condition, ErrorKind, Filter, Metadata, Query, Quota, Result, Sort, Value,
    documents::{Document, Documents, Patch, Violation, Violations},
    field,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::place::{everywhere, kind, person};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Person {
    name: String,
    #[serde(default)]
    age: u64,
}

fn ann(age: u64) -> Person {
    Person { name: "Ann".to_owned(), age }
}

#[tokio::test]
async fn a_document_is_written_read_and_deleted() -> Result<()> {
    for place in everywhere().await? {
        let people = place.people().await?;
        let inserted = people.insert(&ann(31)).id("ann").metadata(Metadata::parse(br#"{"by":"x"}"#)?).await?;
        assert_eq!((inserted.version.get(), inserted.existed, inserted.id.as_str()), (1, false, "ann"), "{}", place.engine);

        let replaced = people.replace("ann", &ann(32)).if_version(1).await?;
        let patched = people.patch("ann", Patch::merge(&json!({"age": 33}))?).if_revision(replaced.revision).await?;
        assert_eq!((replaced.version.get(), patched.version.get(), patched.existed), (2, 3, true));
        let found: Document<Person> = people.get("ann").await?.expect("it is there");
        assert_eq!((found.content, found.version.get(), found.revision), (ann(33), 3, patched.revision));
        assert_eq!(found.metadata.as_str(), r#"{"by":"x"}"#, "it stays");

        assert_eq!(kind(people.delete_if("ann", Condition::Version(2.into())).await), Err(ErrorKind::Conflict));
        assert!(people.delete("ann").await? && !people.delete("ann").await?);
        assert!(people.get::<Person>("ann").await?.is_none());
        let again = people.replace("ann", &ann(1)).or_insert().await?;
        assert_eq!((again.version.get(), again.existed), (1, false));
        people.delete_if("ann", Condition::Version(1.into())).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_as_expected_is_told() -> Result<()> {
    for place in everywhere().await? {
        let people = place.people().await?;
        people.insert(&ann(1)).id("ann").await?;
        let patch = Patch::merge(&json!({"age": 2}))?;
        let failing = Patch::operations(&json!([{"op": "test", "path": "/age", "value": 7}]))?;
        let invalid = Patch::merge(&json!({"age": -1}))?;
        for (result, expected) in [
            (kind(people.insert(&ann(2)).id("ann").await), ErrorKind::AlreadyExists),
            (kind(people.replace("bob", &ann(2)).await), ErrorKind::NotFound),
            (kind(people.replace("ann", &ann(2)).if_version(7).await), ErrorKind::Conflict),
            (kind(people.patch("bob", patch.clone()).await), ErrorKind::NotFound),
            (kind(people.patch("ann", patch.clone()).if_version(7).await), ErrorKind::Conflict),
            (kind(people.patch("ann", failing).await), ErrorKind::Conflict),
            (kind(people.patch("ann", invalid).await), ErrorKind::Invalid),
            (kind(people.insert(&ann(2)).ttl(Duration::ZERO).await), ErrorKind::Invalid),
            (kind(people.insert(&ann(2)).id("a\nb").await), ErrorKind::Invalid),
            (kind(people.get::<Vec<u8>>("ann").await), ErrorKind::Invalid),
            (kind(people.insert_value(Value::json("{")).await), ErrorKind::Invalid),
            (kind(people.insert_value(Ok(Value::opaque("text"))).await), ErrorKind::Invalid),
        ] {
            assert_eq!(result, Err(expected), "{}", place.engine);
        }
        let conflict = people.patch("ann", patch).if_version(7).await.expect_err("it has version 1");
        assert!(conflict.to_string().contains("expected version 7, found version 1"), "{conflict}");
        let found: Document<Person> = people.get("ann").await?.expect("it is there");
        assert_eq!((found.content, found.version.get()), (ann(1), 1), "nothing of this was written");
        assert_eq!(people.count(Filter::all([])).await?, 1);
    }
    Ok(())
}

/// Every rule is named, with where in the document and where in the schema; what the document says is not repeated.
#[tokio::test]
async fn a_refusal_names_every_violated_rule() -> Result<()> {
    for place in everywhere().await? {
        let people = place.collection("people")?;
        people
            .set_schema(json!({
                "properties": {
                    "age": {"type": "integer", "minimum": 0},
                    "tags": {"items": {"$ref": "#/$defs/tag"}},
                },
                "required": ["name"],
                "$defs": {"tag": {"type": "string", "maxLength": 3}},
            }))
            .await?;
        let document = json!({"age": -5, "tags": ["ok", "secret", 7, "more"]});
        let refused = people.insert(&document).id("x").await.expect_err("it is wrong in five places");
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        let violations = refused.cause::<Violations>().expect("the cause tells which");
        let mut found: Vec<_> = violations
            .all
            .iter()
            .map(|Violation { path, schema_path, keyword, .. }| (path.as_str(), schema_path.as_str(), keyword.as_str()))
            .collect();
        found.sort_unstable();
        let expected = [
            ("", "/required", "required"),
            ("/age", "/properties/age/minimum", "minimum"),
            ("/tags/1", "/$defs/tag/maxLength", "maxLength"),
            ("/tags/2", "/$defs/tag/type", "type"),
            ("/tags/3", "/$defs/tag/maxLength", "maxLength"),
        ];
        assert_eq!((found, violations.total), (expected.to_vec(), 5));
        let told = refused.to_string();
        assert!(told.contains("\"x\"") && told.contains("at /tags/1: ") && told.contains("/required"), "{told}");
        assert!(!told.contains("secret") && !told.contains("-5"), "{told}");
        assert!(people.get::<serde_json::Value>("x").await?.is_none());
    }
    Ok(())
}

#[tokio::test]
async fn ids_are_generated_and_sort_by_time() -> Result<()> {
    for place in everywhere().await? {
        let things = place.collection("things")?;
        let first = things.insert(&1).await?;
        while place.store.world().now().as_millis()
            == things.get::<u8>(&first.id).await?.expect("there").created_at.as_millis()
        {
            tokio::task::yield_now().await;
        }
        let second = things.insert(&2).await?;
        assert!(first.id < second.id && first.id.len() == 32, "{:?} {:?}", first.id, second.id);
    }
    Ok(())
}

#[tokio::test]
async fn documents_are_found_by_the_algebra_of_queries() -> Result<()> {
    for place in everywhere().await? {
        let people = place.people().await?;
        for (id, age) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
            people.insert(&ann(age)).id(id).await?;
        }
        let oldest = Query::new(field("age").gte(20)).sort(Sort::by_key().descending("age")?).limit(2);
        let page = people.find::<Person>(oldest.clone()).await?;
        assert_eq!(page.items.iter().map(|found| found.content.age).collect::<Vec<_>>(), [40, 30]);
        let rest = people.find::<Person>(oldest.after(page.next.expect("there is more"))).await?;
        assert_eq!(rest.items.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["b"]);
        assert_eq!(people.count(Filter::parse("age < 35")?).await?, 3);
    }
    Ok(())
}

/// A guest has its bounds and leaves the schema alone, and is judged like everybody.
#[tokio::test]
async fn a_guest_writes_within_its_bounds() -> Result<()> {
    for place in everywhere().await? {
        let people = place.people().await?;
        let scope = people.scope();
        let small = people.through(&scope.with_quota(Quota { entries: Some(1), ..Quota::default() }))?;
        small.insert(&ann(1)).id("a").await?;
        assert_eq!(kind(small.insert(&ann(2)).id("b").await), Err(ErrorKind::Quota));
        assert_eq!(kind(small.replace("a", &json!({"age": 1})).await), Err(ErrorKind::Invalid));
        assert_eq!(kind(small.set_schema("true").await), Err(ErrorKind::Denied));
        let reader = people.through(&scope.read_only())?;
        assert_eq!(kind(reader.insert(&ann(2)).await), Err(ErrorKind::Denied));
        assert_eq!(kind(reader.delete("a").await), Err(ErrorKind::Denied));
        assert!(reader.get::<Person>("a").await?.is_some());
        let narrow = people.through(&scope.narrowed("own/")?)?;
        assert_eq!(kind(narrow.insert(&ann(2)).id("a").await), Err(ErrorKind::Denied));
        assert_eq!(kind(people.through(&place.store)), Err(ErrorKind::Invalid));
        assert_eq!(kind(narrow.set_schema("true").await), Err(ErrorKind::Denied));
    }
    Ok(())
}

#[tokio::test]
async fn collections_are_listed_and_dropped() -> Result<()> {
    for place in everywhere().await? {
        let documents = Documents::new(&place.store);
        assert!(documents.collections().await?.is_empty());
        let people = place.people().await?;
        people.insert(&ann(1)).await?;
        place.collection("a:b")?.insert(&1).await?;
        place.collection("empty")?.set_schema("{}").await?;
        place.collection("empty")?.set_schema("true").await?;
        let listed = |found: Vec<larder::documents::CollectionInfo>| -> Vec<(String, u64, u64)> {
            found.into_iter().map(|info| (info.name, info.schema_version, info.documents)).collect()
        };
        let row = |name: &str, version, documents| (name.to_owned(), version, documents);
        let all = listed(documents.collections().await?);
        assert_eq!(all, [row("a:b", 0, 1), row("empty", 2, 0), row("people", 1, 1)]);

        assert_eq!((documents.drop_collection("people").await?, documents.drop_collection("empty").await?), (1, 0));
        assert_eq!(listed(documents.collections().await?), [row("a:b", 0, 1)]);
        assert_eq!(kind(documents.drop_collection("people").await), Err(ErrorKind::NotFound));

        // Version 1 of the schema is another one now, and a handle from before knows.
        let anew = place.collection("people")?;
        anew.set_schema(json!({"required": ["email"]})).await?;
        assert_eq!(kind(people.insert(&ann(1)).await), Err(ErrorKind::Invalid));
        people.insert(&json!({"email": 1})).await?;
        assert_eq!(anew.set_schema(person()).await.expect_err("the new one has no name").kind(), ErrorKind::InvalidState);
    }
    Ok(())
}

#[tokio::test]
async fn a_name_of_a_collection_is_checked() -> Result<()> {
    let store = larder::open("memory:").await?;
    for bad in ["", "a/b", "*", "a::b", &"x".repeat(300)] {
        assert_eq!(kind(Documents::new(&store).collection(bad)), Err(ErrorKind::Invalid), "{bad:?}");
    }
    Ok(())
}
