//! Backups: what was in the file is in the store, at every revision; a damaged file is refused before anything is written.

use std::{fs, path::Path};

use larder_conformance::TestWorld;
use larder_core::{ErrorKind, Range, Result, Revision, Store};
use larder_moving::{Digest, backup, digests, inspect, restore, verify};

use crate::ground::{Chance, On, Place, fill, fresh, now, step};

async fn at(store: &Store, revision: Revision) -> Result<Vec<Digest>> {
    let view = store.view_at(revision).await?;
    digests(store, view.position(), view.time(), |_| ()).await
}

async fn is_empty(place: &Place) -> bool {
    place
        .store
        .stored(place.store.view().await.expect("a view").position(), Range::all())
        .next()
        .await
        .expect("a page")
        .is_none()
}

#[tokio::test]
async fn a_backup_is_restored_to_any_revision_on_any_engine() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = |name: &str| folder.path().join(name);
    let world = TestWorld::new(4);
    let source = fresh(On::Sqlite, &world).await;
    fill(&source.store, &world, 4, 150).await?;
    let full = backup(&source.store, path("full.larder")).await?;
    assert!(full.header.full && full.entries == 0 && full.commits > 100, "{full:?}");
    let mut chance = Chance(8);
    for _ in 0..100 {
        step(&source.store, &world, &mut chance).await?;
    }
    let more = backup(&source.store, path("more.larder")).since(Some(full.header.through())).await?;
    assert!(!more.header.full && more.entries == 0 && more.commits > 20);
    let plain = backup(&source.store, path("plain.larder")).history(false).await?;
    assert!(plain.entries > 10 && plain.commits == 0);
    assert_eq!(source.store.holds().await?, []);

    let both = [path("full.larder"), path("more.larder")];
    for on in [On::Memory, On::Sqlite] {
        let target = fresh(on, &world).await;
        let restored = restore(&both, &target.store).await?;
        assert_eq!((restored.indexes, restored.progress.position().revision), (3, more.header.through()));
        assert_eq!(now(&source.store).await, now(&target.store).await);
        assert_eq!(verify(&target.store, |_| ()).await?.faults, Vec::<String>::new());
        let target = fresh(on, &world).await;
        restore([path("plain.larder")], &target.store).await?;
        assert_eq!(now(&source.store).await, now(&target.store).await);
        // One after the other is the same.
        let target = fresh(on, &world).await;
        restore([path("full.larder")], &target.store).await?;
        restore([path("more.larder")], &target.store).await?;
        assert_eq!(now(&source.store).await, now(&target.store).await);
    }
    for revision in (full.header.base().revision.get()..=more.header.through().get()).step_by(23).map(Revision::new) {
        let target = fresh(On::Memory, &world).await;
        restore(&both, &target.store).to(Some(revision)).await?;
        let (view, then) = (target.store.view().await?, source.store.view_at(revision).await?);
        let found = digests(&target.store, view.position(), then.time(), |_| ()).await?;
        assert_eq!(found, at(&source.store, revision).await?, "revision {revision}");
    }

    let refused = async |files: &[&Path], to: Option<u64>| {
        let target = fresh(On::Memory, &world).await;
        let answer = restore(files, &target.store).to(to.map(Revision::new)).await;
        assert!(is_empty(&target).await, "nothing was written");
        answer.map(drop).map_err(|error| error.kind())
    };
    let (full, more) = (&*both[0], &*both[1]);
    assert_eq!(refused(&[more], None).await, Err(ErrorKind::Invalid));
    assert_eq!(refused(&[more, full], None).await, Err(ErrorKind::Invalid));
    assert_eq!(refused(&[full, full], None).await, Err(ErrorKind::Invalid));
    assert_eq!(refused(&[full, more], Some(1 << 40)).await, Err(ErrorKind::Invalid));
    assert_eq!(refused(&[&path("none.larder")], None).await, Err(ErrorKind::NotFound));
    let again = backup(&source.store, full).await.map(drop).map_err(|error| error.kind());
    assert_eq!(again, Err(ErrorKind::AlreadyExists));
    let left: Vec<_> = fs::read_dir(folder.path()).expect("it can be listed").collect();
    assert_eq!(left.len(), 3, "nothing else is left behind");
    Ok(())
}

/// Cut off anywhere, with any byte changed, or with a block gone: told before anything is written.
#[tokio::test]
async fn a_damaged_backup_is_refused() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("full.larder");
    let world = TestWorld::new(6);
    let source = fresh(On::Memory, &world).await;
    fill(&source.store, &world, 6, 60).await?;
    backup(&source.store, &path).await?;
    let whole = fs::read(&path).expect("it can be read");
    assert!(inspect(&path).await?.full);
    let target = fresh(On::Memory, &world).await;
    let broken = folder.path().join("broken.larder");
    let mut chance = Chance(1);
    for _ in 0..150 {
        let at = chance.below(whole.len() as u64) as usize;
        let mut bytes = whole.clone();
        match chance.below(3) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << chance.below(8),
            _ => bytes.push(0),
        }
        fs::write(&broken, bytes).expect("it can be written");
        let answer = restore([&broken], &target.store).await.map(drop).map_err(|error| error.kind());
        assert!(matches!(answer, Err(ErrorKind::Corrupt | ErrorKind::Unsupported)), "at {at}: {answer:?}");
    }
    assert!(is_empty(&target).await, "nothing was written");
    restore([&path], &target.store).await?;
    assert_eq!(now(&source.store).await, now(&target.store).await);
    Ok(())
}

/// A backup that was taken when the form was new is restored for ever.
#[tokio::test]
async fn an_old_backup_is_restored() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("small.larder");
    let hex = include_str!("small.larder.hex").trim();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two hex digits");
    fs::write(&path, (0..hex.len()).step_by(2).map(byte).collect::<Vec<u8>>()).expect("it can be written");
    let target = fresh(On::Memory, &TestWorld::new(1)).await;
    restore([&path], &target.store).await?;
    let history = target.store.history("k", 9, None).await?.changes;
    let kinds: Vec<_> = history.iter().map(|change| change.kind.as_str()).collect();
    assert_eq!(kinds, ["deleted", "updated", "created"]);
    let first = history[2].after.as_ref().expect("it was created").to_json_line();
    assert!(first.ends_with(r#""metadata":{"m":1},"text":"{\"a\": 1}"}"#), "{first}");
    let last = target.store.get("l").await?.expect("it is there");
    assert_eq!((last.version.get(), last.expires_at.map(|at| at.as_millis())), (1, Some(1_800_000_000_000)));
    assert_eq!((last.created_at, &last.value.bytes()[..]), (TestWorld::START, &b"3"[..]));
    Ok(())
}
