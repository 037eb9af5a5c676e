//! What each write does: metadata, restoring, recoding, folding.

use futures_lite::future::block_on;
use larder_core::{
    Action, ChangeKind, Condition, ContentKind, ErrorKind, Expected, ExpiryChange, Found, Limits, Metadata, MetadataChange,
    Part, Receipt, Revision, Timestamp, Value, Version,
};

use crate::ground::{Ground, Seam, fails, metadata, put, put_until, seconds};

fn set_with(text: &str, metadata: MetadataChange) -> Action {
    Action::Put { value: Value::opaque(text.to_owned()), expires_at: None, metadata }
}

fn metadata_of(seam: &Seam, key: &str) -> String {
    seam.get(key).expect("is there").metadata.as_str().to_owned()
}

pub(super) fn writes_keep_replace_and_merge_metadata(ground: &Ground) {
    let seam = ground.open();
    let (one, two) = (|| metadata(r#"{"a":{"x":1},"b":1.50}"#), || metadata(r#"{"c":1e2,"a":null}"#));
    let annotate = |metadata| Action::Annotate { metadata, expiry: ExpiryChange::Keep };
    let steps: [(Action, &str); 9] = [
        (set_with("1", MetadataChange::Keep), "{}"),
        (set_with("2", MetadataChange::Replace(one())), r#"{"a":{"x":1},"b":1.50}"#),
        (set_with("3", MetadataChange::Keep), r#"{"a":{"x":1},"b":1.50}"#),
        (set_with("4", MetadataChange::Merge(two())), r#"{"a":null,"b":1.50,"c":1e2}"#),
        (annotate(MetadataChange::Keep), r#"{"a":null,"b":1.50,"c":1e2}"#),
        (annotate(MetadataChange::Merge(metadata(r#"{"b":[]}"#))), r#"{"a":null,"b":[],"c":1e2}"#),
        (annotate(MetadataChange::Replace(one())), r#"{"a":{"x":1},"b":1.50}"#),
        (annotate(MetadataChange::Replace(Metadata::default())), "{}"),
        (annotate(MetadataChange::Merge(two())), r#"{"c":1e2,"a":null}"#),
    ];
    for (n, (action, left)) in steps.into_iter().enumerate() {
        let receipt = seam.draft().act("k", action).done();
        assert_eq!(receipt.writes[0].version, Version::new(n as u64 + 1), "every write is one version more");
        assert_eq!(metadata_of(&seam, "k"), left, "step {n}");
    }
    assert_eq!(seam.text("k").as_deref(), Some("4"), "annotating keeps the value");
    seam.draft().delete("k").done();
    seam.put("k", "5");
    assert_eq!(metadata_of(&seam, "k"), "{}", "metadata does not outlive its entry");
}

pub(super) fn writes_that_add_keep_expiry_and_metadata(ground: &Ground) {
    let seam = ground.open();
    let expires_at = Some(seam.now().after(seconds(60)));
    let metadata = MetadataChange::Replace(metadata(r#"{"unit":"ms"}"#));
    seam.draft().act("n", Action::Put { value: Value::integer(5), expires_at, metadata }).done();
    seam.world.step(seconds(5));
    let receipt = seam.draft().add("n", -7, -2..=0).done();
    let entry = seam.get("n").expect("is there");
    assert_eq!((receipt.writes[0].number, receipt.writes[0].existed), (Some(-2), true));
    assert_eq!((entry.expires_at, entry.metadata.as_str()), (expires_at, r#"{"unit":"ms"}"#));
    assert_eq!((entry.value.bytes().as_ref(), entry.value.kind()), (&b"-2"[..], ContentKind::Json));
    assert_eq!((entry.version, entry.updated_at), (Version::new(2), seam.now()));
    let created = seam.draft().add("new", 3, 0..=9).done();
    assert_eq!((created.writes[0].number, created.writes[0].existed), (Some(3), false), "absent counts as 0");
    for (delta, floor, ceiling) in [(10, 0, 9), (-4, 0, 9), (i64::MAX, i64::MIN, i64::MAX)] {
        let conflict = seam.draft().put("x", "1").add("new", delta, floor..=ceiling).conflict();
        assert_eq!((conflict.part, conflict.found), (Part::Write(1), Found::Number(3)));
        assert_eq!(conflict.expected, Expected::Within { floor, ceiling });
    }
}

fn restore(version: u64, expires_at: Option<Timestamp>) -> Action {
    Action::Restore {
        value: Value::from_stored("{}", ContentKind::Json, "zstd".parse().expect("good encodings")),
        version: Version::new(version),
        created_at: Timestamp::from_millis_saturating(1_000),
        updated_at: Timestamp::from_millis_saturating(2_000),
        expires_at,
        metadata: metadata(r#"{"n":1.0}"#),
    }
}

pub(super) fn writes_that_restore_bring_back_exactly_what_was(ground: &Ground) {
    let seam = ground.open();
    let expires_at = Some(seam.now().after(seconds(10)));
    let receipt = seam.draft().act("k", restore(41, expires_at)).done();
    let entry = seam.get("k").expect("was restored");
    assert_eq!((entry.version, entry.revision), (Version::new(41), receipt.revision));
    assert_eq!((entry.created_at.as_millis(), entry.updated_at.as_millis()), (1_000, 2_000));
    assert_eq!((entry.expires_at, entry.metadata.as_str()), (expires_at, r#"{"n":1.0}"#));
    assert_eq!(entry.value.encodings().to_string(), "zstd");
    let log = seam.changes_after(Revision::ZERO);
    assert_eq!((log[0].kind, log[0].at, log[0].after.as_ref()), (ChangeKind::Created, seam.now(), Some(&entry)));
    // Over what exists nothing is restored, and over what has expired everything.
    let conflict = seam.draft().act("k", restore(7, None)).conflict();
    assert_eq!((conflict.part, conflict.expected), (Part::Write(0), Expected::Absent));
    assert_eq!(seam.put("k", "next").writes[0].version, Version::new(42), "versions go on from there");
    seam.draft().act("k", put_until("brief", seam.now().after(seconds(1)))).done();
    seam.world.step(seconds(1));
    seam.draft().act("k", restore(7, None)).done();
    assert_eq!(seam.get("k").map(|entry| entry.version), Some(Version::new(7)));
}

pub(super) fn g13_a_version_that_cannot_be_counted_on_is_not_restored(ground: &Ground) {
    let seam = ground.open();
    seam.draft().act("most", restore(Limits::RESTORED_VERSION_MAX, None)).done();
    assert_eq!(seam.put("most", "next").writes[0].version.get(), Limits::RESTORED_VERSION_MAX + 1);
    let before = seam.picture();
    for version in [0, Limits::RESTORED_VERSION_MAX + 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        let error = seam.draft().put("a", "1").act("k", restore(version, None)).refused();
        assert_eq!((error.kind(), seam.picture() == before), (ErrorKind::Invalid, true), "version {version}");
    }
}

pub(super) fn writes_that_recode_leave_nothing_but_other_bytes(ground: &Ground) {
    let mut seam = ground.open();
    seam.put("k", "{}");
    let revision = seam.put("k", r#"{"plain":1}"#).revision;
    let old = seam.get("k").expect("is there");
    let (head, changes) = (seam.head(), seam.status().changes);
    seam.world.step(seconds(5));
    let value = Value::from_stored(&b"\x28\xb5"[..], ContentKind::Json, "zstd".parse().expect("good encodings"));
    let receipt = seam.draft().act("k", Action::Recode { value: value.clone(), revision }).done();
    assert_eq!((receipt.revision, receipt.writes[0].version), (head, old.version));
    seam = ground.reopen(seam);
    let entry = seam.get("k").expect("is there");
    assert!(entry == larder_core::Entry { value: value.clone(), ..old.clone() }, "all but the bytes stays");
    assert_eq!((seam.head(), seam.status().changes), (head, changes), "no revision and no change");
    seam.draft().unchanged(crate::ground::prefix("k"), head, seam.now()).check("k", Condition::Revision(revision)).done();
    assert_eq!(seam.changes_after(Revision::ZERO).last().and_then(|last| last.after.clone()), Some(entry));
    // What has been written since is left alone.
    let later = seam.put("k", "later").revision;
    let conflict = seam.draft().act("k", Action::Recode { value: value.clone(), revision }).conflict();
    assert_eq!(conflict.found, Found::Entry { version: Version::new(3), revision: later });
    assert_eq!(seam.draft().act("none", Action::Recode { value, revision }).conflict().found, Found::Absent);
    assert_eq!(seam.text("k").as_deref(), Some("later"));
}

pub(super) fn writes_of_one_key_fold_into_one_step(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let any = i64::MIN..=i64::MAX;
    let merge = |text: &str| MetadataChange::Merge(metadata(text));
    block_on(async {
        store.set("k", "1").metadata(metadata(r#"{"a":1}"#)).ttl(seconds(60)).await.expect("sets");
        let since = seam.head();
        let receipt = store.commit().set("k", "2").set("other", "x").set("k", "3").await.expect("commits");
        one_step(&seam, since, &receipt, 2);
        assert_eq!((seam.text("k").as_deref(), metadata_of(&seam, "k").as_str()), (Some("3"), r#"{"a":1}"#));

        let since = seam.head();
        let receipt = store.commit().delete("k").set("other", "x").set("k", Value::integer(4)).await.expect("commits");
        one_step(&seam, since, &receipt, 3);
        assert_eq!(metadata_of(&seam, "k"), "{}", "deleted and set, it begins anew");

        let since = seam.head();
        let commit = store.commit().add("k", 5, any.clone()).set("other", "x").add("k", -2, any.clone());
        one_step(&seam, since, &commit.await.expect("commits"), 4);
        assert_eq!(seam.text("k").as_deref(), Some("7"));

        let since = seam.head();
        let commit = store.commit().annotate("k", merge(r#"{"x":1,"y":1}"#), ExpiryChange::Set(Some(Timestamp::MAX)));
        let commit = commit.set("other", "x").annotate("k", merge(r#"{"y":2}"#), ExpiryChange::Keep);
        one_step(&seam, since, &commit.await.expect("commits"), 5);
        let entry = seam.get("k").expect("is there");
        assert_eq!((entry.metadata.as_str(), entry.expires_at), (r#"{"x":1,"y":2}"#, Some(Timestamp::MAX)));

        let since = seam.head();
        let receipt = store.commit().set("k", "8").set("other", "x").delete("k").await.expect("commits");
        assert_eq!(receipt.writes[0], receipt.writes[2], "both writes of a key answer what became of it");
        assert_eq!((seam.get("k"), seam.changes_after(since).len()), (None, 2));
        let orders = [
            store.commit().delete("k").annotate("k", MetadataChange::Keep, ExpiryChange::Keep).await,
            store.commit().set("k", "text").add("k", 1, any).await,
            store.commit().annotate("absent", MetadataChange::Keep, ExpiryChange::Keep).set("absent", "x").await,
            store.commit().delete("k").add("k", 7, 0..=5).await,
        ];
        let alone = [ErrorKind::NotFound, ErrorKind::InvalidState, ErrorKind::NotFound, ErrorKind::Conflict];
        for (answer, kind) in orders.into_iter().zip(alone) {
            fails(answer, kind);
        }
    });
}

pub(super) fn writes_that_fold_are_named_by_their_own_place(ground: &Ground) {
    let store = ground.store();
    let commit = store.commit().set("k", "1").set("k", "2").set("other", "x").add("n", 7, 0..=5);
    let conflict = fails(block_on(commit.into_future()), ErrorKind::Conflict);
    assert_eq!(conflict.as_conflict().map(|conflict| conflict.part), Some(Part::Write(3)));
}

pub(super) fn writes_that_fold_answer_as_one_by_one(ground: &Ground) {
    const ANY: (i64, i64) = (i64::MIN, i64::MAX);
    let store = ground.store();
    // What the key holds, then what is added to it within which bounds; `None` deletes it in between.
    type Step = Option<(i64, (i64, i64))>;
    let add = |delta, bounds| Some((delta, bounds));
    let chains: [(Option<i64>, Vec<Step>); 16] = [
        (Some(0), vec![add(5, ANY), add(-3, ANY)]),
        (None, vec![add(5, ANY), add(-3, ANY), add(40, ANY)]),
        (Some(40), vec![None, add(2, ANY)]),
        (Some(40), vec![None, add(2, ANY), add(3, ANY), None, add(-1, ANY), add(-1, ANY)]),
        (Some(40), vec![None, add(2, ANY), add(3, (0, 4))]),
        (Some(0), vec![add(5, (0, 5)), add(5, (10, 10)), add(-10, (0, 0))]),
        (Some(0), vec![add(5, (0, 4)), add(-5, ANY)]),
        (Some(0), vec![add(5, ANY), add(-6, (0, 9)), add(6, ANY)]),
        (Some(i64::MAX - 1), vec![add(0, (i64::MAX, i64::MAX)), add(1, ANY)]),
        (Some(i64::MIN + 1), vec![add(0, (i64::MIN, i64::MIN)), add(-1, ANY)]),
        (Some(i64::MAX - 1), vec![add(0, (i64::MAX, i64::MAX)), add(1, ANY), add(-5, ANY)]),
        (Some(i64::MAX), vec![add(1, ANY), add(-1, ANY)]),
        (Some(i64::MIN), vec![add(i64::MAX, ANY), add(-i64::MAX, ANY), add(7, ANY)]),
        (Some(-10), vec![add(-5, ANY), add(i64::MAX, ANY), add(5, ANY)]),
        (Some(3), vec![add(1, (9, 0)), add(i64::MAX - 9, ANY)]),
        (Some(i64::MAX - 5), vec![add(5, (i64::MAX, i64::MAX)), add(-9, ANY), add(9, (i64::MAX, i64::MAX))]),
    ];
    for (n, (start, steps)) in chains.into_iter().enumerate() {
        let (alone, together) = (format!("alone/{n}"), format!("together/{n}"));
        if let Some(start) = start {
            let both = store.commit().set(&alone, Value::integer(start)).set(&together, Value::integer(start));
            block_on(both.into_future()).expect("sets");
        }
        let (mut numbers, mut refusal) = (Vec::new(), None);
        let mut commit = store.commit();
        for (index, step) in steps.iter().enumerate() {
            let one = match step {
                None => store.commit().delete(&alone),
                Some((delta, (floor, ceiling))) => store.commit().add(&alone, *delta, *floor..=*ceiling),
            };
            commit = match step {
                None => commit.delete(&together),
                Some((delta, (floor, ceiling))) => commit.add(&together, *delta, *floor..=*ceiling),
            };
            if refusal.is_none() {
                match block_on(one.into_future()) {
                    Ok(receipt) => numbers.push(receipt.writes[0].number),
                    Err(error) => {
                        refusal = error.as_conflict().map(|met| (Part::Write(index), met.expected.clone(), met.found))
                    }
                }
            }
        }
        match (block_on(commit.into_future()), refusal) {
            (Ok(receipt), None) => {
                let answered: Vec<_> = receipt.writes.iter().map(|written| written.number).collect();
                assert_eq!(answered, numbers, "chain {n}: the sums are not those of one by one");
            }
            (Err(error), Some(refusal)) => {
                let met = error.as_conflict().map(|met| (met.part, met.expected.clone(), met.found));
                assert_eq!(met, Some(refusal), "chain {n}: {error}");
            }
            (folded, refusal) => panic!("chain {n}: together {folded:?}, one by one {refusal:?}"),
        }
    }
}

/// `receipt` answers three writes, of which the first and the last are of `k` and made it this version in one change.
fn one_step(seam: &Seam, since: Revision, receipt: &Receipt, version: u64) {
    assert_eq!(receipt.writes.len(), 3, "every write is answered");
    let (first, last) = (receipt.writes[0], receipt.writes[2]);
    assert_eq!((first.version, first.existed, last.version.get()), (last.version, last.existed, version));
    let log = seam.changes_after(since);
    let of_k: Vec<_> = log.iter().filter(|change| change.address.key.as_str() == "k").collect();
    assert_eq!((log.len(), of_k.len(), of_k[0].kind), (2, 1, ChangeKind::Updated), "one change for each key");
}

pub(super) fn writes_answer_in_their_order(ground: &Ground) {
    let seam = ground.open();
    seam.draft().put("b", "1").put("n", "1").done();
    let draft = seam.draft().act("z", put("1")).delete("b").add("n", 1, 0..=9).delete("none").put("a", "1");
    let answers: Vec<_> = draft.done().writes.iter().map(|done| (done.version.get(), done.existed, done.number)).collect();
    assert_eq!(answers, [(1, false, None), (0, true, None), (2, true, Some(2)), (0, false, None), (1, false, None)]);
}
