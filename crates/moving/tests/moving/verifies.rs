//! Verifying: what differs is told, and what is broken too.

use std::{sync::Arc, time::Duration};

use larder_conformance::TestWorld;
use larder_core::{Index, Range, Result, Store, Value};
use larder_moving::{copy, diff, verify};

use crate::{
    ground::{On, fill, fresh, namespace, now},
    stops::Dying,
};

#[tokio::test]
async fn what_differs_is_told_and_nothing_else() -> Result<()> {
    let world = TestWorld::new(2);
    let (one, other) = (fresh(On::Memory, &world).await, fresh(On::Sqlite, &world).await);
    fill(&one.store, &world, 2, 300).await?;
    copy(&one.store, &other.store).await?;
    let differences = async || -> Result<Vec<String>> {
        let (first, second) = (one.store.view().await?, other.store.view().await?);
        let mut diff = diff((&one.store, &first), (&other.store, &second), &Range::all());
        let mut found = Vec::new();
        while let Some(page) = diff.next().await? {
            found.extend(page.into_iter().map(|difference| {
                let sign = match (difference.before, difference.after) {
                    (None, _) => '+',
                    (_, None) => '-',
                    _ => '~',
                };
                format!("{sign}{}/{}", difference.address.namespace.as_str(), difference.address.key.as_str())
            }));
        }
        Ok(found)
    };
    assert_eq!(differences().await?, Vec::<String>::new());
    other.store.in_namespace(&namespace("zoo"))?.set("new", "1").await?;
    one.store.set("gone", "1").await?;
    one.store.set("twice", "1").await?;
    other.store.set("twice", "1").await?;
    // The same bytes, another version.
    other.store.set("twice", "1").await?;
    assert_eq!(differences().await?, ["-default/gone", "~default/twice", "+zoo/new"]);
    assert_ne!(now(&one.store).await, now(&other.store).await);
    Ok(())
}

#[tokio::test]
async fn a_store_is_what_it_says() -> Result<()> {
    for (seed, on) in [(1, On::Memory), (2, On::Sqlite), (3, On::Memory)] {
        let world = TestWorld::new(seed);
        let place = fresh(on, &world).await;
        fill(&place.store, &world, seed, 300).await?;
        let verified = verify(&place.store, |_| ()).await?;
        assert_eq!((verified.faults, verified.indexes), (vec![], 3));
        assert_eq!(
            verified.namespaces.iter().filter(|digest| !digest.namespace.is_reserved()).collect::<Vec<_>>(),
            now(&place.store).await.iter().filter(|digest| !digest.namespace.is_reserved()).collect::<Vec<_>>()
        );
    }
    Ok(())
}

/// A store that counts wrong and an index that has lost rows are found out.
#[tokio::test]
async fn a_store_that_lies_is_found_out() -> Result<()> {
    let world = TestWorld::new(4);
    let place = fresh(On::Memory, &world).await;
    let users = place.store.in_namespace(&namespace("users"))?;
    users.create_index(Index::on("n")?).await?;
    users.set("k", "{\"n\":1}").await?;
    let lying = Store::new(Dying::lying(place.store.engine()), Arc::new(world.clone()));
    let faults = verify(&lying, |_| ()).await?.faults;
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("holds 1 entries of 8 bytes, and counts 1 of 9"), "{faults:?}");
    assert!(faults[1].contains("index on n of the namespace \"users\" has 0 rows where the entries make 1"), "{faults:?}");
    Ok(())
}

/// Each part of an entry is in the digest, and what stands beside it is not taken for it.
#[tokio::test]
async fn a_digest_tells_every_part_apart() -> Result<()> {
    let world = TestWorld::new(5);
    let mut found = Vec::new();
    for at in 0..9 {
        let store = fresh(On::Memory, &world).await.store;
        let metadata = larder_core::Metadata::parse(if at == 1 { b"{\"a\":1}" } else { b"{}" })?;
        let (key, value) = match at {
            2 => ("kv", Value::opaque("")),
            3 => ("", Value::opaque("")),
            4 => ("k", Value::from_stored("v", larder_core::ContentKind::Json, "".parse()?)),
            5 => ("k", Value::from_stored("v", larder_core::ContentKind::Opaque, "zip".parse()?)),
            _ => ("k", Value::opaque("v")),
        };
        if !key.is_empty() {
            let set = store.set(key, value.clone()).metadata(metadata);
            if at == 6 {
                set.ttl(Duration::from_secs(1)).await?
            } else {
                set.await?
            };
        }
        if at == 7 {
            store.set(key, value.clone()).await?;
        }
        if at == 8 {
            store.delete(key).await?;
            world.step(Duration::from_millis(1));
            store.set(key, value).await?;
        }
        found.push(now(&store).await.first().map(ToString::to_string));
    }
    let different: std::collections::BTreeSet<_> = found.iter().collect();
    assert_eq!(different.len(), found.len(), "{found:#?}");
    Ok(())
}
