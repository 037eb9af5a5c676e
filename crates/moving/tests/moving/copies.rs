//! Copies: everything arrives, as of one moment, and nothing else does.

use std::time::Duration;

use larder_conformance::TestWorld;
use larder_core::{ErrorKind, Result, Retention, Store};
use larder_moving::{Step, copy, digests, verify};

use crate::ground::{Chance, On, fill, fresh, namespace, now, step};

/// How many stores by chance are copied; `LARDER_SEED` chooses the first one.
fn seeds() -> std::ops::Range<u64> {
    let first = std::env::var("LARDER_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    first..first + 12
}

async fn names(store: &Store) -> Vec<String> {
    let found = store.list_namespaces().await.expect("namespaces");
    found.iter().map(|info| format!("{} {} {}", info.namespace.as_str(), info.registered, info.metadata.as_str())).collect()
}

#[tokio::test]
async fn a_copy_of_a_copy_on_another_engine_is_the_same() -> Result<()> {
    for seed in seeds() {
        println!("LARDER_SEED={seed}");
        let world = TestWorld::new(seed);
        let (first, second, third) =
            (fresh(On::Memory, &world).await, fresh(On::Sqlite, &world).await, fresh(On::Memory, &world).await);
        fill(&first.store, &world, seed, 300).await?;
        let copied = copy(&first.store, &second.store).await?;
        assert_eq!((copied.indexes, copied.progress.step), (3, Step::Done));
        copy(&second.store, &third.store).await?;
        let before = now(&first.store).await;
        assert!(before.len() >= 6, "{before:?}");
        for place in [&second, &third] {
            assert_eq!(before, now(&place.store).await);
            assert_eq!(names(&first.store).await, names(&place.store).await);
            for room in ["default", "users"] {
                let of = |store: &Store| store.in_namespace(&namespace(room));
                assert_eq!(of(&first.store)?.indexes().await?, of(&place.store)?.indexes().await?);
            }
            let bounds = place.store.log_bounds(&namespace("wasm:thing")).await?;
            assert_eq!(bounds.bytes, Some(1 << 30));
            let verified = verify(&place.store, |_| ()).await?;
            assert_eq!((verified.faults, verified.indexes), (vec![], 3));
        }
        assert_eq!(second.store.holds().await?, [], "nothing is held when it is done");
        assert_eq!(first.store.holds().await?, []);
    }
    Ok(())
}

/// What is copied is what was there when the copy was begun, whatever is written meanwhile.
#[tokio::test]
async fn a_copy_is_of_one_moment() -> Result<()> {
    for on in [On::Memory, On::Sqlite] {
        let world = TestWorld::new(3);
        let (source, target) = (fresh(on, &world).await, fresh(On::Memory, &world).await);
        fill(&source.store, &world, 3, 100).await?;
        for part in 0..12_u64 {
            let many = (0..1000).map(|at| (format!("many/{part:02}/{at:04}"), "v".repeat(part as usize)));
            for answer in source.store.set_many(many).await {
                answer?;
            }
        }
        let view = source.store.view().await?;
        let before = digests(&source.store, view.position(), view.time(), |_| ()).await?;
        let (mut chance, mut told) = (Chance(9), 0);
        let store = source.store.clone();
        let copied = {
            let copying = copy(&source.store, &target.store).progress(|_| {
                told += 1;
                // Somebody writes between any two steps.
                let mut written = Box::pin(async {
                    store.clear("many/05").await.expect("it is cleared");
                    for _ in 0..20 {
                        step(&store, &world, &mut chance).await.expect("somebody writes");
                    }
                });
                futures_lite::future::block_on(&mut written);
            });
            copying.await?
        };
        assert!(told > 2, "it took several steps");
        assert_eq!(copied.source, view.position());
        let after = target.store.view().await?;
        assert_eq!(before, digests(&target.store, after.position(), view.time(), |_| ()).await?);
        assert_ne!(before, now(&source.store).await);
    }
    Ok(())
}

#[tokio::test]
async fn a_copy_goes_where_nothing_is() -> Result<()> {
    let world = TestWorld::new(5);
    let places = [fresh(On::Memory, &world).await, fresh(On::Memory, &world).await, fresh(On::Memory, &world).await];
    let [source, target, other] = places;
    source.store.set("k", "v").await?;
    let refused = |answer: Result<larder_moving::Copied>| answer.map(|_| ()).map_err(|error| error.kind());

    other.store.in_namespace(&namespace("z"))?.set("x", "v").await?;
    assert_eq!(refused(copy(&source.store, &other.store).await), Err(ErrorKind::NotEmpty));
    copy(&source.store, &target.store).await?;
    let head = target.store.view().await?.revision();
    assert_eq!(refused(copy(&source.store, &target.store).await), Err(ErrorKind::AlreadyExists));
    assert_eq!(refused(copy(&other.store, &target.store).await), Err(ErrorKind::InvalidState));
    assert_eq!(target.store.view().await?.revision(), head, "nothing was written");

    // Asked for, it is brought up to date.
    source.store.set("k", "v2").await?;
    source.store.set("l", "v").await?;
    let copied = copy(&source.store, &target.store).again(true).await?;
    assert_eq!(copied.progress.commits, 2);
    assert_eq!(now(&source.store).await, now(&target.store).await);
    // But not over what somebody else has written there.
    target.store.set("k", "mine").await?;
    source.store.set("k", "v3").await?;
    assert_eq!(refused(copy(&source.store, &target.store).again(true).await), Err(ErrorKind::InvalidState));
    assert_eq!(target.store.get("k").await?.expect("it is there").value.bytes(), "mine");
    Ok(())
}

/// A lease is renewed in time, and the copy hears of that after its own sweeper has removed it: it is there again, as it is.
#[tokio::test]
async fn what_was_swept_too_early_comes_back_as_it_was() -> Result<()> {
    let world = TestWorld::new(7);
    let (source, target) = (fresh(On::Memory, &world).await, fresh(On::Sqlite, &world).await);
    let second = Duration::from_secs(1);
    source.store.set("lease", "a").ttl(second).await?;
    source.store.set("lease", "b").ttl(second).await?;
    copy(&source.store, &target.store).await?;
    world.step(second / 2);
    source.store.touch("lease", Some(10 * second)).await?;
    source.store.set("other", "1").await?;
    world.step(second);
    assert_eq!(target.store.keep(Retention::default()).await?.expired, 1);
    let copied = copy(&source.store, &target.store).again(true).await?;
    assert_eq!(copied.progress.commits, 2);
    assert_eq!(target.store.get("lease").await?.expect("it is there again").version.get(), 3);
    assert_eq!(now(&source.store).await, now(&target.store).await);
    Ok(())
}
