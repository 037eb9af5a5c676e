//! G12: who holds a scope sees its namespace, and of everything else that revisions may skip.

use std::{cell::Cell, sync::Arc};

use futures_lite::future::block_on;
use larder_core::{
    Condition, ErrorKind, Glob, Isolation, Key, Metadata, Quota, Result, Revision, Scope, Select, Store, StoreId,
    TransactionState, Value, engine::Resolution, memory::MemoryEngine,
};

use super::attempts::{ATTEMPTS, Guest};
use crate::{
    TestWorld, case,
    ground::{Ground, fails, metadata, namespace, seconds},
};

/// The guest's namespace, and those of its neighbours: before, behind, longer, and the one that everybody knows.
const GUEST: &str = "wasm:a";
const NEIGHBOURS: [&str; 5] = ["wasm:a-hidden", "wasm:ab-hidden", "wasm:A-hidden", "wasm:\u{10ffff}hidden", "default"];

/// What the guest has of its own.
fn move_in(scope: &Scope) -> Revision {
    block_on(async {
        let first = scope.set("a", "old").await.expect("sets").revision;
        scope.set("a/1", Value::integer(1)).metadata(metadata(r#"{"own":1}"#)).await.expect("sets");
        scope.set("a/2", "2").await.expect("sets");
        scope.delete("a/2").await.expect("deletes");
        scope.set("a", "new").await.expect("sets");
        first
    })
}

/// Neighbours do what they do: with keys of the guest's names and others, and hidden values and metadata.
fn disturb(store: &Store, turn: usize) {
    block_on(async {
        for name in NEIGHBOURS {
            let scope = store.scope(&namespace(name)).expect("a scope");
            let hidden = Value::detect(format!("\"hidden {turn}\""));
            let mut commit = scope.commit().set("hidden", hidden.clone()).set("a", hidden.clone());
            commit = match turn % 3 {
                0 => commit.set("a/1", hidden.clone()).set(format!("hidden/{}", turn % 7), hidden.clone()),
                1 => commit.delete("a/1").set("\u{10ffff}", hidden.clone()).set("!hidden", hidden.clone()),
                _ => commit.delete("\u{10ffff}").delete(format!("hidden/{}", turn % 5)),
            };
            commit.await.expect("a neighbour commits");
            if turn.is_multiple_of(4) {
                scope.set_metadata("hidden", metadata(r#"{"hidden":true}"#)).await.expect("a neighbour annotates");
            }
        }
    });
}

/// `text` without the numbers of revisions and the names of engines: they are what may differ.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = ["evision(", "evision "].iter().filter_map(|mark| rest.find(mark)).min() {
        let (before, after) = rest.split_at(at + "evision(".len());
        masked.push_str(before);
        rest = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
    }
    masked + rest
}

pub(super) fn g12_a_guest_learns_nothing_of_its_neighbours(ground: &Ground) {
    let (seam, neighbours) = (ground.open(), ground.store());
    let crowded = seam.store();
    // The same guest in a store of its own.
    let engine = Arc::new(MemoryEngine::new(StoreId::from_bytes([3; 16])));
    let alone = Store::new(engine, Arc::new(TestWorld::new(case::seed())));
    let turn = Cell::new(0);
    let busy = || {
        turn.set(turn.get() + 1);
        disturb(&neighbours, turn.get());
    };
    busy();
    let scopes = [&crowded, &alone].map(|store| store.scope(&namespace(GUEST)).expect("a scope"));
    let firsts = scopes.each_ref().map(move_in);
    let quiet = || {};
    for (what, attempt) in ATTEMPTS {
        busy();
        let found = attempt(&Guest { scope: &scopes[0], first: firsts[0], disturb: &busy });
        let expected = attempt(&Guest { scope: &scopes[1], first: firsts[1], disturb: &quiet });
        for (found, expected) in found.lines().zip(expected.lines()) {
            assert_eq!(masked(found), masked(expected), "an attempt {what}");
        }
        assert_eq!(found.lines().count(), expected.lines().count(), "an attempt {what}");
        assert!(found.contains(|letter: char| letter.is_alphanumeric()), "an attempt {what} has tried nothing");
    }
    for name in NEIGHBOURS {
        let there = block_on(neighbours.scope(&namespace(name)).expect("a scope").get("hidden")).expect("gets");
        assert!(there.is_some(), "{name} has everything that is its own");
    }
}

pub(super) fn g12_an_id_tells_no_keys_and_no_values(ground: &Ground) {
    let store = ground.store();
    let guest = store.scope(&namespace(GUEST)).expect("a scope");
    let neighbour = store.scope(&namespace(NEIGHBOURS[0])).expect("a scope");
    block_on(async {
        // Who knows an id, which nobody can guess, may ask what became of it, and learns that and no more.
        let id = store.world().commit_id();
        let commit = neighbour.commit().id(id).set("hidden", "hidden");
        let receipt = commit.await.expect("commits");
        let told = guest.resolve(id).await.expect("resolves");
        assert!(!format!("{told:?}").contains("hidden"));
        assert_eq!(told, Resolution::Committed(receipt));

        let mut t = neighbour.begin(Isolation::default());
        t.set("hidden", "again").expect("writes");
        let id = t.park(seconds(60)).expect("there is room");
        let error = fails(guest.resume(id), ErrorKind::NotFound);
        assert!(!error.to_string().contains("hidden"));
        assert_eq!(guest.transaction_state(id).await.ok(), Some(TransactionState::Open));
        let t = neighbour.resume(id).expect("asking has done it no harm");
        t.commit().await.expect("nor stopped it");
    });
}

pub(super) fn g12_a_neighbour_cannot_take_away_what_a_guest_has(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let guest = store.scope(&namespace(GUEST)).expect("a scope");
    let first = move_in(&guest);
    (0..20).for_each(|turn| disturb(&store, turn));
    let before = block_on(guest.usage()).expect("counted");
    for name in NEIGHBOURS {
        let trim = larder_core::Trim::namespace(namespace(name), seam.head());
        block_on(seam.engine.trim(trim)).expect("trims");
        block_on(store.scope(&namespace(name)).expect("a scope").clear("").into_future()).expect("clears");
        if name != "default" {
            block_on(store.delete_namespace(&namespace(name), true)).map(drop).or_else(gone).expect("deletes");
        }
    }
    assert_eq!(block_on(guest.usage()).ok(), Some(before));
    let view = block_on(guest.view_at(first)).expect("a noisy neighbour's log is not the guest's");
    assert_eq!(block_on(view.list("")).expect("reaches back").items.len(), 1);
    assert_eq!(block_on(guest.history("a", 10, None)).expect("reaches back").changes.len(), 2);
}

fn gone(error: larder_core::Error) -> Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Every way to write, with what it writes to.
type Writing = (&'static str, fn(&Scope, &str) -> Result<()>);
const WRITINGS: &[Writing] = &[
    ("set", |scope, key| block_on(scope.set(key, "1").into_future()).map(drop)),
    ("create", |scope, key| block_on(scope.create(key, "1")).map(drop)),
    ("compare and set", |scope, key| block_on(scope.compare_and_set(key, Condition::Exists, "1")).map(drop)),
    ("delete", |scope, key| block_on(scope.delete(key)).map(drop)),
    ("add", |scope, key| block_on(scope.add(key, 1, 0..=9)).map(drop)),
    ("touch", |scope, key| block_on(scope.touch(key, None)).map(drop)),
    ("set metadata", |scope, key| block_on(scope.set_metadata(key, Metadata::default())).map(drop)),
    ("merge metadata", |scope, key| block_on(scope.merge_metadata(key, Metadata::default())).map(drop)),
    ("set many", |scope, key| block_on(scope.set_many([(key, "1")])).swap_remove(0).map(drop)),
    ("delete many", |scope, key| block_on(scope.delete_many([key])).swap_remove(0).map(drop)),
    ("commit", |scope, key| block_on(scope.commit().delete(key).into_future()).map(drop)),
    ("transact", |scope, key| block_on(scope.transact(async |mut t| t.set(key, "1")))),
    ("add in a transaction", |scope, key| block_on(scope.transact(async |mut t| t.add(key, 1, 0..=9).await)).map(drop)),
    ("delete in a transaction", |scope, key| block_on(scope.transact(async |mut t| t.delete(key)))),
    ("touch in a transaction", |scope, key| block_on(scope.transact(async |mut t| t.touch(key, None).await))),
];

/// Every way to read one key.
const READINGS: &[Writing] = &[
    ("get", |scope, key| block_on(scope.get(key)).map(drop)),
    ("get many", |scope, key| block_on(scope.get_many([key])).map(drop)),
    ("exists", |scope, key| block_on(scope.exists(key)).map(drop)),
    ("version", |scope, key| block_on(scope.version(key)).map(drop)),
    ("metadata", |scope, key| block_on(scope.metadata(key)).map(drop)),
    ("history", |scope, key| block_on(scope.history(key, 9, None)).map(drop)),
    ("watch", |scope, key| block_on(scope.watch_key(key).start()).map(drop)),
    ("check", |scope, key| block_on(scope.commit().check(key, Condition::Exists).into_future()).map(drop)),
    ("get in a view", |scope, key| block_on(async { scope.view().await?.get(key).await }).map(drop)),
    ("get in a transaction", |scope, key| block_on(scope.begin(Isolation::default()).get(key)).map(drop)),
    ("get within", |scope, key| block_on(scope.begin(Isolation::default()).within(scope)?.get(key)).map(drop)),
];

pub(super) fn g12_a_handle_that_only_reads_writes_nothing(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    block_on(store.set("k", Value::integer(1)).into_future()).expect("sets");
    let before = seam.picture();
    let reader = store.read_only();
    for (what, write) in WRITINGS {
        for scope in [&reader, &reader.narrowed("k").expect("narrower"), &reader.with_largest_value(9)] {
            let error = fails(write(scope, "k"), ErrorKind::Denied);
            assert!(error.to_string().contains("only reads"), "{what}: {error}");
        }
    }
    for select in ["", "nothing"] {
        fails(block_on(reader.clear(select).into_future()), ErrorKind::Denied);
    }
    fails(block_on(store.commit().within(&reader).set("k", "1").into_future()), ErrorKind::Denied);
    let mut t = store.begin(Isolation::default());
    fails(t.within(&reader).expect("of this store").set("k", "1"), ErrorKind::Denied);
    drop(t);
    assert_eq!(seam.picture(), before);
    for (what, read) in READINGS {
        read(&reader, "k").unwrap_or_else(|error| panic!("{what} is reading: {error}"));
    }
}

pub(super) fn g12_a_narrowed_handle_stays_inside(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let all = ["a", "a/", "a/1", "a/2", "a/\u{10ffff}", "a0", "b", "A/1"];
    for name in all {
        block_on(store.set(name, "1").into_future()).expect("sets");
    }
    let narrow = store.narrowed("a/").expect("narrower");
    let inside = ["a/", "a/1", "a/2", "a/\u{10ffff}"];
    for name in all.into_iter().filter(|name| !inside.contains(name)) {
        for (what, attempt) in WRITINGS.iter().chain(READINGS) {
            let denied = matches!(attempt(&narrow, name), Err(error) if error.kind() == ErrorKind::Denied);
            assert!(denied, "{what} of {name}");
        }
    }
    let keys = |found: Result<larder_core::Listing<Key>>| -> Vec<String> {
        found.expect("lists").items.iter().map(|key| key.as_str().to_owned()).collect()
    };
    let glob = |text: &str| Select::glob(Glob::new(text).expect("a glob"));
    let table: [(Select, &[&str]); 9] = [
        (Select::all(), &inside),
        (Select::prefix("a"), &inside),
        (Select::prefix("a/1"), &["a/1"]),
        (Select::prefix("b"), &[]),
        (Select::prefix("A"), &[]),
        (glob("*"), &inside),
        (glob("*1"), &["a/1"]),
        (Select::all().after(Key::new("a").expect("a key")), &inside),
        (Select::all().reverse().limit(1), &["a/\u{10ffff}"]),
    ];
    for (select, expected) in table {
        let what = format!("{select:?}");
        let view = block_on(narrow.view()).expect("the present");
        let mut t = narrow.begin(Isolation::default());
        assert_eq!(keys(block_on(narrow.list(select.clone()))), expected, "{what}");
        assert_eq!(keys(block_on(view.list(select.clone()))), expected, "{what} in a view");
        assert_eq!(keys(block_on(t.list(select.clone()))), expected, "{what} in a transaction");
        for count in [narrow.count(select.clone()).into_future(), narrow.count(select.clone()).into_future()] {
            assert_eq!(block_on(count).ok(), Some(expected.len() as u64), "{what}");
        }
        assert_eq!(block_on(t.count(select.clone())).ok(), Some(expected.len() as u64), "{what} in a transaction");
        assert_eq!(block_on(view.count(select.clone())).ok(), Some(expected.len() as u64), "{what} in a view");
        let page = block_on(narrow.pages(select).next()).expect("reads").unwrap_or_default();
        assert_eq!(page.len(), expected.len(), "{what} by pages");
    }
    block_on(async {
        // Watches, differences, checks and clears, too.
        let before = narrow.view().await.expect("the present");
        let mut watches = Vec::new();
        for watch in [narrow.watch(""), narrow.watch("a"), narrow.watch_glob(Glob::new("*").expect("a glob"))] {
            watches.push(watch.start().await.expect("starts"));
        }
        store.commit().set("a", "2").set("b", "2").set("a0", "2").await.expect("commits");
        let unchanged = narrow.commit().check_unchanged("", before.revision(), before.time()).set("a/1", "2");
        unchanged.await.expect("nothing inside has changed");
        for watch in &mut watches {
            let seen = watch.next().await.expect("there is one").changes;
            assert_eq!(seen.iter().map(|change| change.address.key.as_str()).collect::<Vec<_>>(), ["a/1"]);
        }
        let after = narrow.view().await.expect("the present");
        let mut diff = narrow.diff("", &before, &after).expect("two views");
        let some = diff.next().await.expect("reaches back").unwrap_or_default();
        assert_eq!((some.len(), some[0].address.key.as_str()), (1, "a/1"));
        assert!(diff.next().await.expect("reaches back").is_none());
        assert_eq!(narrow.clear("").await.ok(), Some(4));
    });
    assert_eq!(seam.keys(), ["A/1", "a", "a0", "b"], "only what was inside is gone");
}

pub(super) fn g12_a_handle_is_never_made_wider(ground: &Ground) {
    let store = ground.store();
    let narrow = store.narrowed("a/").expect("narrower");
    for wider in ["", "a", "b", "A/"] {
        let error = fails(narrow.narrowed(wider).map(drop), ErrorKind::Denied);
        assert!(error.to_string().contains("\"a/\""), "it names what it is bound to: {error}");
    }
    let narrower = narrow.narrowed("a/b").expect("narrower still");
    fails(block_on(narrower.get("a/c")), ErrorKind::Denied);
    fails(block_on(narrow.read_only().narrowed("a/b").expect("narrower").set("a/b", "1").into_future()), ErrorKind::Denied);

    let quota = |entries| Quota { entries: Some(entries), ..Quota::default() };
    let bounds: [fn(&Scope) -> Scope; 3] = [
        |scope| scope.with_largest_value(3).with_largest_value(100),
        |scope| scope.with_largest_value(100).with_largest_value(3),
        |scope| scope.with_largest_value(3).read_only().clone(),
    ];
    for bound in bounds {
        assert!(block_on(bound(&store).set("k", "1234").into_future()).is_err(), "four are more than three");
    }
    for (one, two) in [(1, 100), (100, 1)] {
        let scope = store.scope(&namespace("small")).expect("a scope").with_quota(quota(one)).with_quota(quota(two));
        block_on(scope.set("k", "1").into_future()).expect("one fits");
        fails(block_on(scope.set("l", "1").into_future()), ErrorKind::Quota);
        let bytes = scope.with_quota(Quota { bytes: Some(1 << 20), ..Quota::default() });
        fails(block_on(bytes.set("l", "1").into_future()), ErrorKind::Quota);
    }
}

pub(super) fn g12_two_handles_together_may_what_each_of_them_may(ground: &Ground) {
    let (store, stranger) = (ground.store(), ground.store());
    let [left, right] = ["left", "right"].map(|name| store.scope(&namespace(name)).expect("a scope"));
    let narrow = right.narrowed("in/").expect("narrower");
    let full = right.with_quota(Quota { entries: Some(1), ..Quota::default() });
    block_on(async {
        left.commit().set("k", "1").within(&narrow).set("in/k", "1").await.expect("both at once");
        fails(left.commit().set("k", "2").within(&narrow).set("out", "2").await, ErrorKind::Denied);
        fails(left.commit().set("k", "2").within(&narrow).check("out", Condition::Absent).await, ErrorKind::Denied);
        fails(left.commit().set("k", "2").within(&right.with_largest_value(1)).set("l", "22").await, ErrorKind::Quota);
        let error = fails(left.commit().set("k", "2").within(&full).set("l", "2").await, ErrorKind::Quota);
        assert!(!error.to_string().contains("in/k"), "{error}");
        fails(left.commit().set("k", "2").within(&stranger).set("l", "2").await, ErrorKind::Invalid);

        let mut t = left.begin(Isolation::default());
        t.set("k", "3").expect("writes");
        t.within(&narrow).expect("of this store").set("in/k", "3").expect("writes");
        fails(t.set("out", "3"), ErrorKind::Denied);
        fails(t.get("k").await, ErrorKind::Denied);
        assert_eq!(t.list("").await.map(|found| found.items.len()).ok(), Some(1), "of the other one, what is inside");
        t.within(&left).expect("of this store");
        assert_eq!(t.list("").await.map(|found| found.items.len()).ok(), Some(1));
        t.commit().await.expect("both at once");
        let mut t = left.begin(Isolation::default());
        t.within(&full).expect("of this store").set("l", "4").expect("writes");
        t.within(&left).expect("of this store").set("k", "4").expect("writes");
        fails(t.commit().await, ErrorKind::Quota);
        let text = |entry: Option<larder_core::Entry>| entry.map(|entry| entry.value.bytes().clone());
        assert_eq!(text(left.get("k").await.expect("gets")).as_deref(), Some(&b"3"[..]), "all or nothing");
        assert_eq!(text(right.get("in/k").await.expect("gets")).as_deref(), Some(&b"3"[..]));
    });
}
