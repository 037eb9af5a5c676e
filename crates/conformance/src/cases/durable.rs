//! G2: acknowledged is durable, and what "durable" means is said.

use futures_lite::future::block_on;
use larder_core::{
    Action, BoxFuture, CommitId, Durability, ErrorKind, Limits, Metadata, MetadataChange, Range, Result, Revision,
    Timestamp, Trim, Value,
    engine::{Resolution, Scan},
};

use crate::ground::{Ground, at, committed, fails, metadata, seconds};

pub(super) fn g2_acknowledged_is_there_after_reopening(ground: &Ground) {
    let mut seam = ground.open();
    for round in 0..3 {
        let key = format!("round/{round}");
        let value = Value::json(&b" {\"a\": 1.0} "[..]).expect("JSON");
        let metadata = MetadataChange::Replace(metadata(r#"{"n":1e2}"#));
        let expires_at = Some(seam.now().after(seconds(60)));
        seam.draft().act(&key, Action::Put { value, expires_at, metadata }).put("counter", "x").done();
        seam.draft().put("gone", "soon").done();
        let deletion = seam.draft().delete("gone").commit();
        let receipt = committed(seam.commit(vec![deletion.clone()]).swap_remove(0));
        let picture = seam.picture();
        seam = ground.reopen(seam);
        assert_eq!(seam.picture(), picture, "the store is another one after reopening");
        assert_eq!(seam.resolve(deletion.id), Resolution::Committed(receipt), "the id was forgotten");
    }
    let identity = seam.status().store;
    assert_eq!(ground.reopen(seam).status().store, identity, "a store keeps its identity");
}

pub(super) fn g2_capabilities_keep_the_floor(ground: &Ground) {
    let seam = ground.open();
    let capabilities = seam.engine.capabilities();
    let (limits, floor) = (capabilities.limits, Limits::FLOOR);
    assert!(!capabilities.engine.is_empty());
    assert!(limits.value_bytes >= floor.value_bytes && limits.commit_bytes >= floor.commit_bytes);
    assert!(limits.commit_writes >= floor.commit_writes && limits.commit_checks >= floor.commit_checks);
    let status = block_on(seam.store().status()).expect("the status is known");
    assert_eq!((status.engine, status.limits), (capabilities.engine, limits));
    assert_eq!((status.durability, status.reach), (capabilities.durability, capabilities.reach));
    assert!([Durability::Volatile, Durability::Relaxed, Durability::Full].contains(&status.durability));
}

pub(super) fn g2_a_new_store_is_empty_and_says_so(ground: &Ground) {
    let seam = ground.open();
    let status = seam.status();
    assert_eq!((status.entries, status.bytes, status.changes), (0, 0, 0));
    assert_eq!((status.revision, status.oldest), (Revision::ZERO, Revision::ZERO));
    assert_eq!((seam.entries(Range::all()), seam.changes_after(Revision::ZERO)), (vec![], vec![]));
    seam.draft().put("ab", "cde").act("f", with_metadata(metadata(r#"{"g":1}"#))).put("gone", "x").done();
    seam.draft().delete("gone").done();
    let status = seam.status();
    assert_eq!((status.entries, status.bytes), (2, 2 + 3 + 1 + 1 + 7), "bytes are those of keys, values and metadata");
    assert_eq!(status.changes, 4);
}

fn with_metadata(metadata: Metadata) -> Action {
    Action::Put { value: Value::opaque("v"), expires_at: None, metadata: MetadataChange::Replace(metadata) }
}

pub(super) fn g2_two_handles_see_one_store(ground: &Ground) {
    let (one, other) = (ground.open(), ground.open());
    assert_eq!(one.status().store, other.status().store);
    for round in 0..8 {
        // Twice in turn, so that what a reader may have kept is old.
        let (writer, reader) = if round % 4 < 2 { (&one, &other) } else { (&other, &one) };
        let receipt = writer.put("a", &round.to_string());
        assert_eq!(reader.text("a"), Some(round.to_string()), "an acknowledged write is seen through every handle");
        assert_eq!(reader.head(), receipt.revision);
        assert_eq!(receipt.writes[0].version.get(), round + 1);
    }
    assert_eq!(one.picture(), other.picture());
}

pub(super) fn g2_a_closed_handle_answers_closed(ground: &Ground) {
    let seam = ground.open();
    seam.put("a", "1");
    let (draft, query) = (seam.draft().put("a", "2").commit(), seam.after(Revision::ZERO));
    let close = || block_on(seam.engine.close());
    close().expect("the store closes");
    close().expect("closing twice is fine");
    let trim = Trim::new(Revision::ZERO, Timestamp::EPOCH);
    let (engine, now) = (&seam.engine, seam.now());
    for (call, found) in [
        ("get", kind(engine.get(vec![at("a")], now))),
        ("scan", kind(engine.scan(everything(now)))),
        ("list", kind(engine.list(everything(now)))),
        ("count", kind(engine.count(Range::all(), now))),
        ("resolve", kind(engine.resolve(CommitId::new(now, 1)))),
        ("status", kind(engine.status(now))),
        ("changes", kind(engine.changes(query))),
        ("trim", kind(engine.trim(trim))),
    ] {
        assert_eq!(found, Some(ErrorKind::Closed), "{call} of a closed handle");
    }
    fails(seam.commit(vec![draft]).swap_remove(0), ErrorKind::Closed);
}

fn kind<T>(answer: BoxFuture<'_, Result<T>>) -> Option<ErrorKind> {
    block_on(answer).err().map(|error| error.kind())
}

fn everything(now: Timestamp) -> Scan {
    Scan { range: Range::all(), reverse: false, limit: 1, now }
}
