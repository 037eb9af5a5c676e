//! Stores to move: fresh ones on every engine, and one that was worked on by chance.

use std::{sync::Arc, time::Duration};

use larder_conformance::TestWorld;
use larder_core::{
    Action, ErrorKind, ExpiryChange, Index, Key, Metadata, MetadataChange, Namespace, Result, Retention, Store, StoreId,
    Value, Version, World,
};
use larder_moving::{Digest, digests};

/// A place where one store can be; it is gone with this.
pub(crate) struct Place {
    pub(crate) store: Store,
    _folder: Option<tempfile::TempDir>,
}

/// Engines to move between.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    Memory,
    Sqlite,
}

pub(crate) async fn fresh(on: On, world: &TestWorld) -> Place {
    let world: Arc<dyn World> = Arc::new(world.clone());
    match on {
        On::Memory => {
            let id = StoreId::from_bytes(world.random().to_be_bytes());
            let engine = larder_core::memory::MemoryEngine::new(id);
            Place { store: Store::new(Arc::new(engine), world), _folder: None }
        }
        On::Sqlite => {
            let folder = tempfile::tempdir().expect("a folder for the test");
            let url = format!("sqlite:{}", folder.path().join("store.db").display());
            let builder = larder::Builder::new(url).world(world).retention(None).durability(larder::Durability::Relaxed);
            Place { store: builder.open().await.expect("a store"), _folder: Some(folder) }
        }
    }
}

/// Numbers by chance, the same for the same seed.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

pub(crate) fn namespace(name: &str) -> Namespace {
    Namespace::new(name).expect("a valid name")
}

/// One thing that somebody does to a store.
pub(crate) async fn step(store: &Store, world: &TestWorld, chance: &mut Chance) -> Result<()> {
    let rooms = ["default", "users", "wasm:thing", "principal://ann", "é"];
    let room = store.in_namespace(&namespace(rooms[chance.below(5) as usize]))?;
    let key = Key::new(format!("k{}", chance.below(30)))?;
    let number = chance.below(1000);
    let value = match chance.below(4) {
        0 => Value::opaque(vec![number as u8; number as usize]),
        1 => Value::detect(format!("{{ \"n\": {number},\n \"tags\": [\"a{}\"] }}", number % 7)),
        2 => Value::from_stored(vec![1, 2, number as u8], larder_core::ContentKind::Json, "seal,zip".parse()?),
        _ => Value::detect(number.to_string()),
    };
    let soon = Duration::from_millis(chance.below(4_000) + 1);
    let done = match chance.below(12) {
        0..4 => room.set(&key, value).await.map(drop),
        4 => room.set(&key, value).ttl(soon).metadata(Metadata::parse(br#"{"a":[1.0]}"#)?).await.map(drop),
        5 => room.delete(&key).await.map(drop),
        6 => room.add(&key, 1, i64::MIN..=i64::MAX).await.map(drop),
        7 => room.touch(&key, Some(soon)).await.map(drop),
        8 => room.merge_metadata(&key, Metadata::parse(format!("{{\"n\":{number}}}").as_bytes())?).await.map(drop),
        9 => {
            let version = Version::new(number + 1);
            let (now, early) = (world.now(), world.now().before(soon));
            let (metadata, expires_at) = (Metadata::default(), chance.below(2).eq(&0).then(|| now.after(soon)));
            let restored = Action::Restore { value, version, created_at: early, updated_at: now, expires_at, metadata };
            room.commit().action(&key, restored).await.map(drop)
        }
        10 => {
            let other = store.in_namespace(&namespace(rooms[chance.below(5) as usize]))?;
            let mut commit = room.commit();
            for at in 0..chance.below(20) {
                commit = commit.set(format!("k{at}"), format!("{number}"));
            }
            let expiry = ExpiryChange::Set(Some(world.now().after(soon)));
            commit = commit.within(&other).set("both", "1").annotate("both", MetadataChange::Keep, expiry);
            commit.await.map(drop)
        }
        _ => store.keep(Retention { age: Duration::from_secs(1 << 20), ..Retention::default() }).await.map(drop),
    };
    match chance.below(6) {
        0 => world.step_back(Duration::from_millis(chance.below(300))),
        1 => world.step(Duration::from_millis(chance.below(2_000))),
        _ => world.step(Duration::from_millis(chance.below(20))),
    }
    match done {
        // Nothing to touch, or nothing to add to: then it is not done.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidState | ErrorKind::Conflict) => Ok(()),
        other => other,
    }
}

/// Works on a store by chance, and gives it namespaces, indexes and bounds.
pub(crate) async fn fill(store: &Store, world: &TestWorld, seed: u64, steps: usize) -> Result<()> {
    let mut chance = Chance(seed);
    store.create_namespace(&namespace("users"), Metadata::parse(br#"{"owner":"ann"}"#)?).await?;
    store.create_namespace(&namespace("empty"), Metadata::default()).await?;
    store.bound_log(&namespace("wasm:thing"), larder_core::LogBounds { age: None, bytes: Some(1 << 30) }).await?;
    for _ in 0..steps {
        step(store, world, &mut chance).await?;
    }
    store.in_namespace(&namespace("users"))?.create_index(Index::on("n")?).await?;
    store.create_index(Index::on("tags[]")?).await?;
    store.create_index(Index::words(["tags"])?).await
}

/// The digests of a store as it is now.
pub(crate) async fn now(store: &Store) -> Vec<Digest> {
    let view = store.view().await.expect("a view");
    digests(store, view.position(), view.time(), |_| ()).await.expect("digests")
}
