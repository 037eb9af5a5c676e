//! Namespaces: created by name or by use, listed, deleted, and closed while they are being deleted.

use std::sync::Arc;

use futures_lite::future::block_on;
use larder_core::{Engine, ErrorKind, Metadata, MetadataChange, Namespace, Select, Store};

use crate::{
    fault::Fault,
    ground::{Ground, Seam, fails, metadata, namespace, seconds},
};

fn names(store: &Store) -> Vec<String> {
    let listed = block_on(store.list_namespaces()).expect("lists");
    listed.into_iter().map(|info| info.namespace.as_str().to_owned()).collect()
}

fn bound(store: &Store, space: &Namespace) -> Store {
    store.in_namespace(space).expect("anybody may use it")
}

pub(super) fn namespaces_are_the_created_and_the_used(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    assert_eq!(names(&store), ["default"], "default is always there");
    block_on(async {
        for used in ["wasm:b", "zoo", "\u{e9}", "wasm:a", "principal://k", "\u{10000}", "\u{e000}"] {
            bound(&store, &namespace(used)).set("k", "v").await.expect("sets");
        }
        bound(&store, &namespace("brief")).set("k", "v").ttl(seconds(10)).await.expect("sets");
        let created = namespace("created");
        store.create_namespace(&created, metadata(r#"{"owner":1.0}"#)).await.expect("creates");
        store.create_namespace(&namespace("zoo2"), Metadata::default()).await.expect("creates");
        bound(&store, &namespace("zoo2")).set("k", "v").await.expect("sets");
        let all = [
            "brief",
            "created",
            "default",
            "principal://k",
            "wasm:a",
            "wasm:b",
            "zoo",
            "zoo2",
            "\u{e9}",
            "\u{e000}",
            "\u{10000}",
        ];
        assert_eq!(names(&store), all, "the sorted union of both");
        let listed = store.list_namespaces().await.expect("lists");
        let info = |name: &str| listed.iter().find(|info| info.namespace.as_str() == name).expect("is listed");
        assert_eq!((info("created").registered, info("created").metadata.as_str()), (true, r#"{"owner":1.0}"#));
        assert_eq!((info("zoo").registered, info("zoo2").registered, info("default").registered), (false, true, false));
        assert_eq!(store.status().await.expect("is known").namespaces, all.len() as u64);
        seam.world.step(seconds(10));
        bound(&store, &namespace("zoo")).delete("k").await.expect("deletes");
        assert_eq!(names(&store).len(), all.len() - 2, "what holds nothing and was not created is not there");
    });
    let reopened = ground.reopen(seam);
    assert!(names(&reopened.store()).contains(&"created".to_owned()), "an empty namespace outlives reopening");
}

pub(super) fn namespaces_are_created_strictly(ground: &Ground) {
    let store = ground.store();
    block_on(async {
        let (created, used) = (namespace("created"), namespace("used"));
        let create = async |space: &Namespace| store.create_namespace(space, Metadata::default()).await;
        create(&created).await.expect("creates");
        fails(create(&created).await, ErrorKind::AlreadyExists);
        fails(create(&Namespace::default()).await, ErrorKind::AlreadyExists);
        bound(&store, &used).set("k", "v").await.expect("sets");
        fails(create(&used).await, ErrorKind::AlreadyExists);
        bound(&store, &used).delete("k").await.expect("deletes");
        create(&used).await.expect("what is empty can be created");
    });
}

pub(super) fn namespaces_are_deleted_with_care(ground: &Ground) {
    let store = ground.store();
    block_on(async {
        let (full, empty, brief) = (namespace("full"), namespace("empty"), namespace("full2"));
        fails(store.delete_namespace(&full, true).await, ErrorKind::NotFound);
        fails(store.delete_namespace(&full, false).await, ErrorKind::NotFound);
        for n in 0..5 {
            bound(&store, &full).set(format!("k{n}"), "v").await.expect("sets");
        }
        bound(&store, &brief).set("k", "v").await.expect("sets");
        store.set("k", "v").await.expect("sets");
        store.create_namespace(&empty, Metadata::default()).await.expect("creates");
        fails(store.delete_namespace(&full, false).await, ErrorKind::NotEmpty);
        fails(store.delete_namespace(&Namespace::default(), true).await, ErrorKind::Denied);
        assert_eq!(names(&store), ["default", "empty", "full", "full2"], "a refusal deletes nothing");
        assert_eq!(store.delete_namespace(&empty, false).await.ok(), Some(0));
        fails(store.delete_namespace(&empty, false).await, ErrorKind::NotFound);
        assert_eq!(store.delete_namespace(&full, true).await.ok(), Some(5));
        fails(store.delete_namespace(&full, true).await, ErrorKind::NotFound);
        assert_eq!(names(&store), ["default", "full2"], "its neighbours stay");
        assert_eq!((store.exists("k").await.ok(), bound(&store, &brief).exists("k").await.ok()), (Some(true), Some(true)));
        // It can be used and created again, and starts from nothing.
        let stamp = bound(&store, &full).set("k0", "v").await.expect("sets");
        assert_eq!(stamp.version.get(), 1);
    });
}

/// A store whose engine can no longer be reached after so many commits.
fn cut_off(seam: &Seam, commits: usize) -> Store {
    let engine: Arc<dyn Engine> = Fault::after(commits, seam.engine.clone());
    Store::new(engine, Arc::new(seam.world.clone()))
}

pub(super) fn namespaces_being_deleted_take_no_writes(ground: &Ground) {
    let seam = ground.open();
    let (store, doomed, entries) = (seam.store(), namespace("doomed"), 200_usize);
    store_many(&bound(&store, &doomed), entries);
    // The first commit marks the namespace, each of the next ones takes away what fits into one commit.
    for commits in [1, 2, 1] {
        let cut = cut_off(&seam, commits);
        fails(block_on(cut.delete_namespace(&doomed, true)), ErrorKind::Unavailable);
    }
    let other = ground.store();
    let left = block_on(bound(&other, &doomed).count(Select::all())).expect("reading goes on");
    assert!(left > 0 && left < entries as u64, "half of it has gone");
    block_on(async {
        for closed in [bound(&store, &doomed), bound(&other, &doomed)] {
            fails(closed.set("new", "v").await, ErrorKind::InvalidState);
            fails(closed.delete("k1").await, ErrorKind::InvalidState);
            fails(closed.add("n", 1, 0..=9).await, ErrorKind::InvalidState);
            fails(closed.clear(Select::all()).await, ErrorKind::InvalidState);
            fails(closed.set_many([("a", "1")]).await.swap_remove(0), ErrorKind::InvalidState);
        }
        let across = other.commit().set("k", "v").within(&bound(&other, &doomed)).set("new", "v").await;
        fails(across, ErrorKind::InvalidState);
        assert_eq!(other.exists("k").await.ok(), Some(false), "the other half of that commit has not happened");
        fails(other.create_namespace(&doomed, Metadata::default()).await, ErrorKind::AlreadyExists);
        other.set("k", "v").await.expect("other namespaces take writes");
        assert_eq!(other.delete_namespace(&doomed, true).await.ok(), Some(left), "deleting again ends it");
        bound(&other, &doomed).set("new", "v").await.expect("takes writes again");
        assert_eq!(bound(&store, &doomed).count(Select::all()).await.ok(), Some(1));
    });
}

fn store_many(store: &Store, count: usize) {
    for chunk in (0..count).collect::<Vec<_>>().chunks(50) {
        let commit = chunk.iter().fold(store.commit(), |commit, n| commit.set(format!("k{n}"), "v"));
        block_on(commit.into_future()).expect("commits");
    }
}

pub(super) fn clearing_goes_on_where_it_was_cut_off(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    store_many(&store, 150);
    block_on(async {
        store.set("stays", "v").await.expect("sets");
        bound(&store, &namespace("other")).set("k1", "v").await.expect("sets");
        let mut progress = Vec::new();
        fails(cut_off(&seam, 1).clear("k").progress(|gone| progress.push(gone)).await, ErrorKind::Unavailable);
        assert_eq!(progress, [64], "what went is told after every commit");
        assert_eq!(store.count("k").await.ok(), Some(150 - 64), "what went stays away");
        assert_eq!(store.clear("k").await.ok(), Some(150 - 64), "clearing again goes on");
        assert_eq!(store.clear("k").await.ok(), Some(0));
        assert_eq!(store.count(Select::all()).await.ok(), Some(1), "what was not selected stays");
        assert_eq!(bound(&store, &namespace("other")).count("k").await.ok(), Some(1), "other namespaces stay");
    });
}

pub(super) fn handles_see_their_namespace_alone(ground: &Ground) {
    let store = ground.store();
    let (one, other) = (bound(&store, &namespace("wasm:a")), bound(&store, &namespace("wasm:ab")));
    block_on(async {
        one.set("k", "one").await.expect("sets");
        other.set("k", "other").await.expect("sets");
        other.set("l", "other").await.expect("sets");
        assert_eq!(one.list(Select::all()).await.expect("lists").items.len(), 1);
        assert_eq!(
            (one.count("").await.ok(), other.count("").await.ok(), store.count("").await.ok()),
            (Some(1), Some(2), Some(0))
        );
        assert_eq!(one.clear(Select::all()).await.ok(), Some(1), "clearing stays within the namespace");
        assert_eq!(other.count("").await.ok(), Some(2));
        let moved = one.commit().set("m", "1").within(&other).annotate("l", MetadataChange::Keep, Default::default());
        moved.await.expect("one commit over two namespaces");
        assert_eq!(
            (one.version("m").await.map(|v| v.get()).ok(), other.version("l").await.map(|v| v.get()).ok()),
            (Some(1), Some(2))
        );
    });
}
