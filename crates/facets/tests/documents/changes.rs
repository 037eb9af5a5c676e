//! Changing schemas: what is there is judged first, and nothing is lost of what was in force.

use std::sync::{Arc, Mutex};

use larder::{
    ErrorKind, Key, Namespace, Result, Value,
    documents::{Existing, Progress, SchemaChange, Survey},
};
use serde_json::json;

use crate::place::{everywhere, kind, person};

#[tokio::test]
async fn every_version_of_a_schema_is_kept() -> Result<()> {
    for place in everywhere().await? {
        let people = place.collection("people")?;
        assert!(people.schema().await?.is_none() && people.schemas().await?.is_empty());
        people.insert(&json!("anything")).id("x").await?;

        let spelled = "{ \"title\":\n  1.0e0 }";
        assert_eq!(kind(people.set_schema(spelled).await), Err(ErrorKind::Invalid), "a title is a text");
        let spelled = "{ \"title\":\n  \"one\" }";
        let first = people.set_schema(spelled).if_version(0).await?;
        assert_eq!((first.version, first.unchanged, first.survey.looked_at), (1, false, 1), "{}", place.engine);
        let same = people.set_schema(spelled).await?;
        assert_eq!((same.version, same.unchanged), (1, true));
        assert_eq!(kind(people.set_schema("true").if_version(7).await), Err(ErrorKind::Conflict));
        let second: SchemaChange = people.set_schema("true").if_version(1).await?;
        assert_eq!((second.version, second.unchanged), (2, false));

        let versions = people.schemas().await?;
        assert_eq!(versions.iter().map(|version| version.version).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(versions[0].schema.text(), spelled, "as it was written");
        assert!(versions[0].revision < versions[1].revision);
        assert_eq!(people.schema().await?.as_ref(), versions.last());
    }
    Ok(())
}

/// A handle that has judged by an old schema hears of the new one with its next write, whoever has changed it.
#[tokio::test]
async fn every_handle_keeps_to_the_schema_in_force() -> Result<()> {
    for place in everywhere().await? {
        let (one, other) = (place.collection("people")?, place.collection("people")?);
        one.insert(&json!({"name": "Ann"})).id("ann").await?;
        other.set_schema(person()).await?;
        assert_eq!(kind(one.insert(&json!({})).await), Err(ErrorKind::Invalid), "{}: refused by the new one", place.engine);
        one.insert(&json!({"name": "Bob"})).await?;
        other.set_schema("true").await?;
        // What the old one refuses is judged by the one in force before it is refused.
        one.insert(&json!({})).await?;
        other.set_schema("{}").await?;
        one.replace("ann", &json!([])).await?;
        assert!(one.delete("ann").await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_schema_that_documents_violate_is_refused_or_reported() -> Result<()> {
    for place in everywhere().await? {
        let people = place.collection("people")?;
        for n in 0..300 {
            let document = if n % 2 == 0 { json!({"name": "x"}) } else { json!({"age": -1}) };
            people.insert(&document).id(format!("{n:03}")).await?;
        }
        let refused = people.set_schema(person()).await.expect_err("half of them violate it");
        assert_eq!(refused.kind(), ErrorKind::InvalidState, "{}", place.engine);
        let survey = refused.cause::<Survey>().expect("the cause tells which");
        assert_eq!((survey.looked_at, survey.violating, survey.found.len()), (300, 150, 100), "a hundred are told");
        assert_eq!((survey.found[0].id.as_str(), survey.found[0].violations.total), ("001", 2));
        assert!(refused.to_string().contains("150 of 300 documents violate it, such as \"001\": at "), "{refused}");
        assert!(people.schema().await?.is_none(), "nothing has changed");
        people.insert(&json!({})).id("300").await?;

        let seen = Arc::new(Mutex::new(Vec::new()));
        let surveyed = people.survey(person(), |progress| seen.lock().expect("nobody panics").push(progress)).await?;
        assert_eq!((surveyed.looked_at, surveyed.violating), (301, 151));
        let last = seen.lock().expect("nobody panics").last().copied();
        assert_eq!(last, Some(Progress { looked_at: 301, violating: 151, of: 301 }));
        assert!(people.schema().await?.is_none(), "looking changes nothing");

        let reported = people.set_schema(person()).existing(Existing::Report).await?;
        assert_eq!((reported.version, reported.survey.looked_at, reported.survey.violating), (1, 301, 151));
        assert_eq!(kind(people.insert(&json!({})).await), Err(ErrorKind::Invalid));
        people.replace("001", &json!({"name": "fixed"})).await?;
        let again = people.set_schema(person()).existing(Existing::Report).await?;
        assert_eq!((again.unchanged, again.survey.violating), (true, 150));
    }
    Ok(())
}

/// What was written past the collection is judged by nobody, and found.
#[tokio::test]
async fn what_is_no_json_is_found() -> Result<()> {
    for place in everywhere().await? {
        let people = place.people().await?;
        people.scope().set("raw", "no JSON").await?;
        people.scope().set("wrong", Value::json("{}")?).await?;
        let survey = people.survey(person(), |_| ()).await?;
        let found: Vec<_> = survey.found.iter().map(|found| (found.id.as_str(), found.violations.total)).collect();
        assert_eq!(found, [("raw", 1), ("wrong", 1)], "{}", place.engine);
        assert_eq!(kind(people.set_schema("{}").await), Err(ErrorKind::InvalidState));
    }
    Ok(())
}

/// Of two who change a schema at once one is told that the other was faster.
#[tokio::test]
async fn changes_of_a_schema_do_not_overtake_each_other() -> Result<()> {
    for place in everywhere().await? {
        let people = place.collection("people")?;
        let schemas: Vec<String> = (0..8).map(|n| format!("{{\"title\": \"{n}\"}}")).collect();
        let changes: Vec<_> = schemas
            .into_iter()
            .map(|schema| {
                let people = people.clone();
                tokio::spawn(async move { people.set_schema(&*schema).await })
            })
            .collect();
        let mut won = Vec::new();
        for change in changes {
            match change.await.expect("nobody panics") {
                Ok(change) => won.push(change.version),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
        }
        won.sort_unstable();
        let versions: Vec<u64> = people.schemas().await?.iter().map(|version| version.version).collect();
        assert_eq!((won.clone(), !won.is_empty()), (versions, true), "{}: every version has one winner", place.engine);
    }
    Ok(())
}

/// Whoever closed the collection and was killed closes it for seconds, and for nobody who comes later.
#[tokio::test]
async fn a_collection_does_not_stay_closed() -> Result<()> {
    for place in everywhere().await? {
        let people = place.people().await?;
        let settings = place.store.scope(&Namespace::new("facet:documents")?)?;
        let close = async |until: i64| {
            settings.set("people", Value::json(format!("{{\"version\":1,\"closed_until_ms\":{until}}}"))?).await
        };
        let now = place.store.world().now().as_millis();
        close(now - 1).await?;
        people.insert(&json!({"name": "Ann"})).await?;

        close(now + 3_600_000).await?;
        let mut waiting = Box::pin(async { people.insert(&json!({"name": "Bob"})).await });
        for _ in 0..20 {
            tokio::select! {
                biased;
                _ = &mut waiting => panic!("{}: it is closed", place.engine),
                _ = place.store.get("anything") => {}
            }
        }
        close(now - 1).await?;
        waiting.await?;
        assert_eq!(people.scope().count("").await?, 2);

        settings.set(Key::new("people")?, Value::json(r#"{"version":1,"later":true}"#)?).await?;
        assert_eq!(kind(people.insert(&json!({"name": "Cid"})).await), Err(ErrorKind::Corrupt));
    }
    Ok(())
}
