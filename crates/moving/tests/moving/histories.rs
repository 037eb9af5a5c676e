//! Copies with their log: history and the past are told alike.

use larder_conformance::TestWorld;
use larder_core::{Change, Entry, Key, Result, Revision, Select, Store, Timestamp, Trim};
use larder_moving::{copy, digests, progress};

use crate::ground::{On, fill, fresh, namespace, now};

/// A change without what is a number of one store.
fn told(change: &Change) -> String {
    let side = |entry: &Option<Entry>| {
        entry.as_ref().map(|entry| {
            let revision = format!("\"revision\":{},", entry.revision);
            entry.to_json_line().replace(&revision, "")
        })
    };
    format!("{} {:?} {:?} {:?}", change.at, change.kind, side(&change.before), side(&change.after))
}

async fn history(store: &Store, key: &Key) -> Result<Vec<String>> {
    let found = store.history(key, usize::MAX, None).await?;
    Ok(found.changes.iter().map(told).collect())
}

#[tokio::test]
async fn the_log_of_a_copy_tells_the_same() -> Result<()> {
    for (seed, from, to) in [(1, On::Memory, On::Sqlite), (2, On::Sqlite, On::Memory), (3, On::Memory, On::Memory)] {
        println!("seed {seed}");
        let world = TestWorld::new(seed);
        let (source, target) = (fresh(from, &world).await, fresh(to, &world).await);
        fill(&source.store, &world, seed, 400).await?;
        // The log has a beginning, and so has that of the copy.
        let head = source.store.view().await?.revision();
        let begin = Revision::new(head.get() / 4);
        source.store.engine().trim(Trim::new(begin, Timestamp::EPOCH)).await?;
        let copied = copy(&source.store, &target.store).history(true).await?;
        assert!(copied.progress.commits > 100, "{copied:?}");
        assert_eq!(now(&source.store).await, now(&target.store).await);

        let mut compared = 0;
        for room in ["default", "users", "wasm:thing", "principal://ann", "é"] {
            let (one, other) = (source.store.in_namespace(&namespace(room))?, target.store.in_namespace(&namespace(room))?);
            for key in (0..30).map(|at| format!("k{at}")).chain(["both".to_owned()]) {
                let key = Key::new(key)?;
                let changes = history(&one, &key).await?;
                assert_eq!(changes, history(&other, &key).await?, "{key:?} in {room}");
                compared += changes.len();
            }
        }
        assert!(compared > 300, "{compared} changes");

        // The progress says which revision of the source each revision of the target was.
        let (mut moments, head) = (0, target.store.view().await?.revision());
        let oldest = target.store.status().await?.oldest;
        for revision in (oldest.get() + 1..=head.get()).map(Revision::new).step_by(17) {
            let then = larder_moving::source_at(&target.store, revision).await?.expect("it is a copy");
            let (one, other) = (source.store.view_at(then.revision).await?, target.store.view_at(revision).await?);
            let at = one.time();
            let of = |store, position| digests(store, position, at, |_| ());
            assert_eq!(
                of(&source.store, one.position()).await?,
                of(&target.store, other.position()).await?,
                "{then:?} and {revision}"
            );
            let place = larder_moving::place_of(&target.store, then).await?.revision;
            assert!(place <= revision && larder_moving::source_at(&target.store, place).await? == Some(then));
            moments += 1;
        }
        assert!(moments > 10);
        let early = larder_moving::source_at(&target.store, oldest.next()).await?.expect("it is a copy");
        let middle = Revision::new((oldest.get() + head.get()) / 2);
        target.store.engine().trim(Trim::new(middle, Timestamp::EPOCH)).await?;
        let gone = larder_moving::place_of(&target.store, early).await.map_err(|error| error.oldest());
        assert_eq!(gone, Err(Some(middle)), "what came behind it is forgotten");
        assert_eq!(source.store.scan(Select::all()).await?.items.len(), target.store.scan(Select::all()).await?.items.len());
        assert!(progress(&source.store).await?.is_none());
    }
    Ok(())
}
