//! Verifying: what differs is told, and what is broken too.

use larder_conformance::TestWorld;
use larder_core::{Range, Result};
use larder_moving::{copy, diff, verify};

use crate::ground::{On, fill, fresh, namespace, now};

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
