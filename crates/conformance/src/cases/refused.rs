//! G13: bad input is refused before anything is written; the floor of limits is one and the same on every engine.

use futures_lite::future::block_on;
use larder_core::{
    Action, Condition, ErrorKind, ExpiryChange, Glob, Key, Limits, Metadata, MetadataChange, Namespace, Value, World,
    engine::Resolution,
};

use crate::ground::{Ground, Seam, fails, metadata, put_value, seconds};

pub(super) fn g13_bad_input_is_refused_before_anything_is_written(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    block_on(async {
        store.set("a", "1").await.expect("sets");
        let before = seam.picture();
        let long = "k".repeat(1025);
        for bad in ["", "a\0b", "\n", "\u{1f}", "\u{7f}", &long] {
            fails(store.set(bad, "v").await, ErrorKind::Invalid);
            fails(store.create(bad, "v").await, ErrorKind::Invalid);
            fails(store.get(bad).await, ErrorKind::Invalid);
            fails(store.delete(bad).await, ErrorKind::Invalid);
            fails(store.exists(bad).await, ErrorKind::Invalid);
            fails(store.add(bad, 1, 0..=9).await, ErrorKind::Invalid);
            fails(store.touch(bad, None).await, ErrorKind::Invalid);
            fails(store.get_many(["a", bad]).await, ErrorKind::Invalid);
            fails(store.commit().set("b", "v").check(bad, Condition::Absent).await, ErrorKind::Invalid);
            fails(store.commit().set("b", "v").delete(bad).await, ErrorKind::Invalid);
        }
        for bad in ["", "a/b", "a*", ":", "a:", "a::b", "principal://", "principal://k/x", "a\u{7f}"] {
            fails(Namespace::new(bad), ErrorKind::Invalid);
        }
        for bad in ["{\"a\":1,\"a\":2}", "\"\\ud83e\"", "1e999", "[1,]", "", "\u{feff}1"] {
            fails(Value::json(bad), ErrorKind::Invalid);
        }
        fails(Metadata::parse(b"[]"), ErrorKind::Invalid);
        fails(Glob::new("*".repeat(4097)), ErrorKind::Limit);
        fails(store.in_namespace(&Namespace::new("larder:mine").expect("a name")), ErrorKind::Denied);
        assert_eq!(seam.picture(), before);
    });
}

pub(super) fn g13_a_portable_store_keeps_the_floor_everywhere(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let (floor, writes_most) = (Limits::FLOOR, Limits::FLOOR.commit_writes);
    for (writes, checks, value, fits) in [
        (writes_most, 0, 18 * 1024, true),
        (writes_most, floor.commit_checks, 1, true),
        (writes_most + 1, 0, 1, false),
        (1, floor.commit_checks + 1, 1, false),
        (1, floor.commit_checks + Limits::EXTRA_CHECKS, 1, false),
        (1, 0, floor.value_bytes, true),
        (1, 0, floor.value_bytes + 1, false),
        (2, 0, floor.value_bytes * 3 / 4, false),
    ] {
        let id = seam.world.commit_id();
        let mut commit = store.commit().id(id);
        for n in 0..writes {
            commit = commit.set(format!("k{n}"), vec![7; value]);
        }
        for n in 0..checks {
            commit = commit.check(format!("none{n}"), Condition::Absent);
        }
        let before = seam.head();
        let what = format!("{writes} writes of {value} bytes and {checks} checks");
        match block_on(commit.into_future()) {
            Ok(receipt) => assert!(fits && receipt.writes.len() == writes, "{what} are more than the floor"),
            Err(error) => {
                assert!(!fits && error.kind() == ErrorKind::Limit, "{what}: {error}");
                assert_eq!(seam.head(), before, "{what} left something behind");
                assert_eq!(seam.resolve(id), Resolution::Never, "{what} never reached the engine");
            }
        }
    }
    the_heaviest_commit_fits(&seam);
}

/// As many of the longest keys as a commit may write, with values that fill it: created, written over, and written again
/// when all of them have expired, which logs each of them twice.
fn the_heaviest_commit_fits(seam: &Seam) {
    let floor = Limits::FLOOR;
    let value = floor.commit_bytes / floor.commit_writes - Key::MAX_BYTES;
    let before = seam.head();
    for round in 0..3_u8 {
        let expires_at = Some(seam.now().after(seconds(60)));
        let mut draft = seam.draft();
        for n in 0..floor.commit_writes {
            let value = Value::opaque(vec![round; value]);
            let put = Action::Put { value, expires_at, metadata: MetadataChange::Keep };
            draft = draft.act(&format!("{n:0>width$}", width = Key::MAX_BYTES), put);
        }
        let receipt = draft.done();
        assert_eq!(receipt.writes.len(), floor.commit_writes);
        if round == 1 {
            seam.world.step(seconds(61));
        }
    }
    let changes = seam.changes_after(before);
    assert_eq!(changes.len(), 4 * floor.commit_writes, "created, updated, expired and created");
    let sides = changes.iter().flat_map(|change| [&change.before, &change.after]).flatten();
    assert!(sides.into_iter().all(|entry| entry.value.bytes().len() == value));
}

pub(super) fn g13_adding_and_annotating_refuse_what_they_cannot_change(ground: &Ground) {
    let seam = ground.open();
    let any = i64::MIN..=i64::MAX;
    let values = ["1.0", "1e2", "9223372036854775808", "\"1\"", "null", "[1]", "true", "x", ""];
    for (n, text) in values.iter().enumerate() {
        seam.put(&format!("v{n}"), text);
    }
    seam.draft().act("opaque", put_value(Value::opaque("1"))).done();
    let before = seam.picture();
    for key in (0..values.len()).map(|n| format!("v{n}")).chain(["opaque".to_owned()]) {
        assert_eq!(seam.draft().add(&key, 1, any.clone()).refused().kind(), ErrorKind::InvalidState, "{key}");
    }
    let merge = Action::Annotate { metadata: MetadataChange::Merge(metadata("{\"a\":1}")), expiry: ExpiryChange::Keep };
    assert_eq!(seam.draft().act("none", merge).refused().kind(), ErrorKind::NotFound);
    assert_eq!(seam.picture(), before);
    for (start, delta, sum) in [(" 7\n", 1, 8), ("-9223372036854775808", i64::MAX, -1), ("-0", 0, 0)] {
        seam.put("n", start);
        let receipt = seam.draft().add("n", delta, any.clone()).done();
        assert_eq!(receipt.writes[0].number, Some(sum));
        assert_eq!(seam.text("n"), Some(sum.to_string()));
    }
}

pub(super) fn g13_reserved_namespaces_are_out_of_reach(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let own = Namespace::new("larder:namespaces").expect("a name");
    block_on(async {
        store.create_namespace(&Namespace::new("mine").expect("a name"), Metadata::default()).await.expect("creates");
        let before = seam.picture();
        fails(store.in_namespace(&own), ErrorKind::Denied);
        fails(store.scope(&own), ErrorKind::Denied);
        fails(store.create_namespace(&own, Metadata::default()).await, ErrorKind::Denied);
        fails(store.delete_namespace(&own, true).await, ErrorKind::Denied);
        let listed = store.list_namespaces().await.expect("lists");
        assert!(listed.iter().all(|info| !info.namespace.is_reserved()), "what is the store's own is listed");
        let status = store.status().await.expect("the status is known");
        assert_eq!((status.entries, status.bytes, status.namespaces), (0, 0, 2), "what is the store's own is counted");
        assert_eq!(seam.picture(), before);
    });
}

pub(super) fn g13_damaged_metadata_is_told_and_stops_nobody(ground: &Ground) {
    let mut seam = ground.open();
    let damaged = Metadata::from_stored("{\"a\":}").expect("looks like an object");
    let write = |change| Action::Put { value: Value::opaque("1"), expires_at: None, metadata: change };
    seam.draft().act("k", write(MetadataChange::Replace(damaged.clone()))).done();
    for _ in 0..2 {
        assert_eq!(seam.get("k").map(|entry| entry.metadata), Some(damaged.clone()), "what is around it can be read");
        let merge = || MetadataChange::Merge(metadata("{\"b\":1}"));
        let before = seam.picture();
        for action in [write(merge()), Action::Annotate { metadata: merge(), expiry: ExpiryChange::Keep }] {
            assert_eq!(seam.draft().put("beside", "1").act("k", action).refused().kind(), ErrorKind::Corrupt);
        }
        assert_eq!(seam.picture(), before);
        seam = ground.reopen(seam);
    }
    seam.draft().act("k", write(MetadataChange::Replace(metadata("{}")))).put("beside", "1").done();
}
