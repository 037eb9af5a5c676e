//! Migrations while others write and watch: nothing lost, nothing twice, nothing out of order.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use larder::SystemWorld;
use larder_core::{ChangeKind, Engine, Error, ErrorKind, Gate, Index, Limits, Position, Result, Store};
use larder_moving::{Migrated, follow_back, migrate, place_of, progress};
use tokio::task::JoinHandle;

use crate::{ground::namespace, ground::now, stops::Dying};

/// Who writes: to the old store, until that says that it has moved; and what was acknowledged: how often each key was written.
async fn writer(stores: Vec<Store>, number: usize, stop: Arc<AtomicBool>) -> Result<BTreeMap<String, u64>> {
    let (mut acknowledged, mut at, mut round) = (BTreeMap::new(), 0, 0_u64);
    let rooms = ["default", "users", "wasm:thing"];
    while !stop.load(Ordering::SeqCst) {
        round += 1;
        let store = stores[at].in_namespace(&namespace(rooms[number % 3]))?;
        let keys = [format!("w{number}/{}", round % 7), format!("w{number}/all")];
        // Two keys at once: a commit that is torn would be seen.
        match store.commit().add(&keys[0], 1, 0..=i64::MAX).add(&keys[1], 1, 0..=i64::MAX).once().await {
            Ok(_) => keys.into_iter().for_each(|key| *acknowledged.entry(key).or_default() += 1),
            Err(error) if error.kind() == ErrorKind::InvalidState && error.message().contains("has moved") => at += 1,
            Err(error) => return Err(error),
        }
        // So many writers that are never idle would be faster than anything that follows them in one thread.
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    Ok(acknowledged)
}

/// Who watches: the old store until it has moved, then the new one from the same place on. All that came, in order.
async fn watcher(stores: Vec<Store>, from: Position, stop: Arc<AtomicBool>) -> Result<Seen> {
    let (mut seen, mut position, mut at) = (Vec::new(), from, 0);
    loop {
        let mut watch = stores[at].watch_all().resume(position).start().await?;
        loop {
            let patience = Duration::from_millis(300);
            match tokio::time::timeout(patience, watch.next()).await {
                Ok(batch) => {
                    let batch = batch?;
                    position.revision = batch.revision;
                    let told = batch.changes.iter().filter(|change| change.kind != ChangeKind::Expired).map(|change| {
                        let after = change.after.as_ref().expect("nobody deletes");
                        (after.address.key.as_str().to_owned(), after.version.get())
                    });
                    seen.push(told.collect());
                }
                // It is quiet: over, or elsewhere.
                Err(_) => match stores[at].gate().await? {
                    Gate::Moved { .. } => break,
                    _ if stop.load(Ordering::SeqCst) => return Ok(seen),
                    _ => {}
                },
            }
        }
        at += 1;
        position = place_of(&stores[at], position).await?;
    }
}

/// Commits, each with the keys that it wrote and their versions.
type Seen = Vec<Vec<(String, u64)>>;

struct Crew {
    stop_writing: Arc<AtomicBool>,
    stop_watching: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Result<BTreeMap<String, u64>>>>,
    watchers: Vec<JoinHandle<Result<Seen>>>,
}

impl Crew {
    async fn begin(stores: &[Store]) -> Result<Self> {
        let (stop_writing, stop_watching) = <(Arc<AtomicBool>, Arc<AtomicBool>)>::default();
        let from = stores[0].view().await?.position();
        let watchers = (0..4).map(|_| tokio::spawn(watcher(stores.to_vec(), from, stop_watching.clone()))).collect();
        let writers = (0..16).map(|number| tokio::spawn(writer(stores.to_vec(), number, stop_writing.clone()))).collect();
        Ok(Self { stop_writing, stop_watching, writers, watchers })
    }

    /// Ends them all, and holds what they saw against what was acknowledged. How many commits there were.
    async fn end(self, last: &Store) -> Result<u64> {
        self.stop_writing.store(true, Ordering::SeqCst);
        let mut acknowledged = BTreeMap::new();
        for writer in self.writers {
            acknowledged.extend(writer.await.expect("a writer ends")?);
        }
        // Who watches ends when it is quiet, and only now can it be.
        self.stop_watching.store(true, Ordering::SeqCst);
        let mut commits = 0;
        for (key, times) in &acknowledged {
            let number: usize = key[1..key.find('/').expect("a key with a slash")].parse().expect("a number");
            let room = last.in_namespace(&namespace(["default", "users", "wasm:thing"][number % 3]))?;
            let entry = room.get(key).await?.expect("what was acknowledged is there");
            assert_eq!((entry.version.get(), entry.value.as_integer()), (*times, i64::try_from(*times).ok()), "{key}");
            commits += if key.ends_with("all") { *times } else { 0 };
        }
        for watcher in self.watchers {
            let seen = watcher.await.expect("a watcher ends")?;
            let mut versions: BTreeMap<&str, u64> = BTreeMap::new();
            for batch in &seen {
                assert_eq!(batch.len(), 2, "no commit is torn");
                for (key, version) in batch {
                    let before = versions.entry(key).or_default();
                    assert_eq!(*version, *before + 1, "{key}: none lost, none twice, none out of order");
                    *before = *version;
                }
            }
            assert_eq!(seen.len() as u64, commits);
        }
        Ok(commits)
    }
}

async fn filled(url: &str, entries: usize) -> Result<Store> {
    let store = larder::Builder::new(url);
    let store = if url == "memory:" { store } else { store.durability(larder::Durability::Relaxed) }.open().await?;
    store.in_namespace(&namespace("users"))?.create_index(Index::on("n")?).await?;
    for part in (0..entries).collect::<Vec<_>>().chunks(500) {
        for answer in store.set_many(part.iter().map(|at| (format!("old/{at}"), format!("{{\"n\":{at}}}")))).await {
            answer?;
        }
    }
    Ok(store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_watchers_go_on_through_a_migration() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let file = format!("sqlite:{}", folder.path().join("store.db").display());
    for (from, to) in [("memory:", &*file), ("memory:", "memory:")] {
        let (source, target) = (filled(from, 3000).await?, larder::Builder::new(to));
        let durability = if to == "memory:" { larder::Durability::Volatile } else { larder::Durability::Relaxed };
        let target = target.durability(durability).open().await?;
        let crew = Crew::begin(&[source.clone(), target.clone()]).await?;
        let moved = migrate(&source, &target, "elsewhere").await?;
        let paused = moved.paused.expect("it was this run that paused them");
        assert!(moved.verified.len() >= 2 && moved.progress.entries >= 3000);
        let moved_at = target.status().await?.revision;
        while target.status().await?.revision < moved_at.next() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let commits = crew.end(&target).await?;
        println!(
            "{from} -> {to}: {commits} commits by 16 writers, 4 watchers, {} repeated, paused for {paused:?}",
            moved.progress.commits
        );
        assert!(commits > moved.progress.commits, "they went on in the target");
        assert_eq!(source.gate().await?, Gate::Moved { to: "elsewhere".to_owned() });
        assert_eq!(target.gate().await?, Gate::Open);
        let again = migrate(&source, &target, "elsewhere").await.map(drop).map_err(|error| error.kind());
        assert_eq!(again, Err(ErrorKind::AlreadyExists));
    }
    Ok(())
}

/// Whenever the target dies, and whoever moves with it, the same call goes on, and the source is the store until it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_dies_anywhere_is_gone_on_with() -> Result<()> {
    for answer_lost in [false, true] {
        let (source, target) = (filled("memory:", 1500).await?, larder::open("memory:").await?);
        let crew = Crew::begin(&[source.clone(), target.clone()]).await?;
        let (mut deaths, mut life) = (0, 3);
        let moved: Migrated = loop {
            let dying = Dying::after(target.engine(), life, answer_lost, Limits::FLOOR);
            let store = Store::new(dying.clone(), Arc::new(SystemWorld::new()));
            match migrate(&source, &store, "elsewhere").await {
                Ok(moved) => break moved,
                Err(error) if dying.is_dead() => assert_eq!(error.kind(), ErrorKind::Internal, "{error}"),
                Err(error) => return Err(error),
            }
            deaths += 1;
            life = life * 2 + deaths % 3;
        };
        assert!(deaths >= 3, "it died {deaths} times");
        println!("answer lost {answer_lost}: died {deaths} times, {} repeated", moved.progress.commits);
        crew.end(&target).await?;
    }
    Ok(())
}

/// Dead between closing the source and saying so in the target, the most delicate place there is.
#[tokio::test]
async fn one_that_died_at_the_last_step_ends_well() -> Result<()> {
    let (source, target) = (filled("memory:", 10).await?, larder::open("memory:").await?);
    // Three commits a run: the last one dies with its fourth, which is the one that says that it is done.
    let (mut life, mut closed) = (4, 0);
    loop {
        let dying: Arc<Dying> = Dying::after(target.engine(), life, false, Limits::FLOOR);
        let below: Arc<dyn Engine> = dying.clone();
        let store = Store::new(below, Arc::new(SystemWorld::new()));
        match migrate(&source, &store, "elsewhere").await {
            Ok(moved) => {
                assert_eq!((closed, moved.paused), (1, None), "the run before this one had closed it");
                break;
            }
            Err(_) => {
                assert!(dying.is_dead());
                closed += usize::from(matches!(source.gate().await?, Gate::Moved { .. }));
                // Dead before that, it holds nobody up.
                assert!(closed == 1 || source.set("k", "v").await.is_ok());
                life = if closed == 1 { 99 } else { 4 };
            }
        }
    }
    assert_eq!(now(&source).await, now(&target).await);
    Ok(())
}

/// Followed back, the old store is up to date, and one returns to it as one came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_can_return() -> Result<()> {
    let (old, new) = (filled("memory:", 200).await?, larder::open("memory:").await?);
    let nothing = follow_back(&new, &old, |_| ()).await.map_err(|error| error.kind());
    assert_eq!(nothing, Err(ErrorKind::InvalidState));
    migrate(&old, &new, "new").await?;
    new.set("written", "there").await?;
    new.delete("old/7").await?;

    // Twice, as one that was ended goes on where it was.
    for round in 0..2 {
        let following = tokio::spawn({
            let (old, new) = (old.clone(), new.clone());
            async move { follow_back(&new, &old, |_| ()).await }
        });
        let last = new.set("round", format!("{round}")).await?;
        while progress(&old)
            .await?
            .is_none_or(|progress| progress.source() != status_of(&new).0 || progress.position().revision < last.revision)
        {
            tokio::task::yield_now().await;
            assert!(!following.is_finished(), "it goes on");
        }
        following.abort();
        assert!(following.await.is_err_and(|error| error.is_cancelled()));
        assert_eq!(now(&old).await, now(&new).await);
    }
    assert!(old.set("k", "v").await.is_err_and(|error: Error| error.message().contains("has moved to new")));

    let back = migrate(&new, &old, "old").await?;
    assert!(back.progress.entries == 0 && back.progress.commits >= 4, "{back:?}");
    assert_eq!((old.gate().await?, new.gate().await?), (Gate::Open, Gate::Moved { to: "old".to_owned() }));
    old.set("k", "v").await?;
    assert_eq!(old.get("written").await?.expect("it came along").value.bytes(), "there");
    Ok(())
}

fn status_of(store: &Store) -> (larder_core::StoreId, larder_core::Revision) {
    let status = futures_lite::future::block_on(store.status()).expect("a status");
    (status.store, status.revision)
}
