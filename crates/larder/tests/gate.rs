//! The gate: a store that is being moved takes no writes, and says why.

use std::{sync::Arc, time::Duration};

use larder::{ErrorKind, Gate, Metadata, Namespace, Result, Store, World};
use larder_conformance::TestWorld;

async fn paused(world: &TestWorld) -> Result<Store> {
    let engine = larder::memory::MemoryEngine::new(larder::StoreId::from_bytes([3; 16]));
    let world: Arc<dyn World> = Arc::new(world.clone());
    let store = Store::new(Arc::new(engine), world);
    store.set("k", "1").await?;
    store.in_namespace(&Namespace::new("users")?)?.set("k", "1").await?;
    assert_eq!(store.gate().await?, Gate::Open);
    store.pause_writes(Duration::from_secs(5)).await?;
    Ok(store)
}

/// What every way to write is answered.
async fn answers(store: &Store) -> Result<Vec<Option<(ErrorKind, String)>>> {
    let users = store.in_namespace(&Namespace::new("users")?)?;
    // As another process has it.
    let other = Store::new(store.engine().clone(), store.world().clone());
    let new = other.in_namespace(&Namespace::new("new")?)?;
    let told = |answer: Result<()>| answer.err().map(|error| (error.kind(), error.message().to_owned()));
    let mut transaction = store.begin(larder::Isolation::Serializable);
    transaction.set("t", "1")?;
    Ok(vec![
        told(store.set("k", "2").await.map(drop)),
        told(users.delete("k").await.map(drop)),
        told(new.set("k", "2").await.map(drop)),
        told(other.commit().set("a", "1").within(&new).set("a", "1").await.map(drop)),
        told(store.create_namespace(&Namespace::new("made")?, Metadata::default()).await),
        told(store.delete_namespace(&Namespace::new("users")?, true).await.map(drop)),
        told(store.clear("").await.map(drop)),
        told(transaction.commit().await.map(drop)),
    ])
}

#[tokio::test]
async fn a_paused_store_takes_no_writes_and_a_moved_one_says_where_it_is() -> Result<()> {
    let world = TestWorld::new(1);
    let store = paused(&world).await?;
    let head = store.view().await?.revision();
    for answer in answers(&store).await? {
        let (kind, message) = answer.expect("it is refused");
        assert_eq!(kind, ErrorKind::Unavailable, "{message}");
        assert!(message.contains("is being moved"), "{message}");
    }
    assert_eq!(store.view().await?.revision(), head, "nothing was written");
    store.hold("h", store.view().await?.position(), Duration::from_secs(9)).await?;
    assert_eq!(store.get("k").await?.expect("reads go on").value.bytes(), "1");

    // Somebody whose clock is ahead has written: then it has not moved.
    world.step(Duration::from_secs(6));
    let late = store.set("k", "2").await?;
    let refused = store.close_gate("elsewhere", head).await.map_err(|error| error.kind());
    assert_eq!(refused.map(drop), Err(ErrorKind::Conflict));
    store.close_gate("elsewhere", late.revision).await?;
    assert_eq!(store.gate().await?, Gate::Moved { to: "elsewhere".to_owned() });
    for answer in answers(&store).await? {
        let (kind, message) = answer.expect("it is refused");
        assert_eq!(kind, ErrorKind::InvalidState, "{message}");
        assert!(message.contains("has moved to elsewhere"), "{message}");
    }
    assert_eq!(store.pause_writes(Duration::from_secs(1)).await.map_err(|error| error.kind()), Err(ErrorKind::InvalidState));
    store.open_gate().await?;
    for answer in answers(&store).await?.into_iter().take(5) {
        assert_eq!(answer, None);
    }
    Ok(())
}

/// A pause ends by itself, so that a move that died holds nobody up; who sends until it is known what happened waits for that.
#[tokio::test]
async fn a_pause_ends_by_itself() -> Result<()> {
    let world = TestWorld::new(2);
    let store = paused(&world).await?;
    world.step(Duration::from_secs(5));
    store.set("k", "2").await?;
    store.pause_writes(Duration::from_secs(1)).await?;
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.set("k", "3").once().await }
    });
    while !waiting.is_finished() {
        world.step(Duration::from_millis(10));
        tokio::task::yield_now().await;
    }
    assert_eq!(waiting.await.expect("it ends")?.version.get(), 3);
    Ok(())
}
