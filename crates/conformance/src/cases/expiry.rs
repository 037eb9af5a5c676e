//! G8: expired is absent, at the caller's `now`, everywhere, before any sweeper ran.

use futures_lite::future::block_on;
use larder_core::{
    Action, Change, ChangeKind, ChangesQuery, Condition, ErrorKind, Expected, ExpiryChange, Found, MetadataChange, Outcome,
    Range, Retention, Revision, Select, Timestamp, Value, Version,
};

use crate::ground::{Ground, Seam, at, fails, metadata, prefix, put, put_until, seconds};

/// Puts `brief`, which expires in ten seconds, between two entries that stay.
fn furnish(seam: &Seam) {
    let brief = put_until("1", seam.now().after(seconds(10)));
    seam.draft().put("a", "1").act("brief", brief).put("c", "1").done();
}

/// Every way of reading says whether `brief` is there, and all say the same.
fn seen(seam: &Seam) -> bool {
    let keys = seam.keys();
    let there = keys.contains(&"brief".to_owned());
    let expected: Vec<&str> = if there { vec!["a", "brief", "c"] } else { vec!["a", "c"] };
    assert_eq!(keys, expected);
    assert_eq!(seam.get("brief").is_some(), there, "get");
    let many = seam.read(vec![at("a"), at("brief"), at("c"), at("brief")]).value;
    assert_eq!(many.iter().map(Option::is_some).collect::<Vec<_>>(), [true, there, true, there], "get of many");
    assert_eq!(seam.entries(Range::all()).len(), expected.len(), "scan");
    assert!(seam.backwards(prefix("")).into_iter().eq(expected.iter().rev().map(|key| at(key))), "scan in reverse");
    assert_eq!(seam.page(prefix("b"), false, 1).value.items.len(), usize::from(there), "a page of one");
    assert_eq!((seam.count(prefix("")), seam.count(prefix("b"))), (expected.len() as u64, u64::from(there)), "count");
    assert_eq!(seam.status().entries, expected.len() as u64, "status");
    let store = seam.store();
    block_on(async {
        assert_eq!(store.exists("brief").await.ok(), Some(there), "exists");
        assert_eq!(store.version("brief").await.ok(), Some(Version::new(u64::from(there))), "version");
        assert_eq!(store.metadata("brief").await.ok().map(|metadata| metadata.is_some()), Some(there), "metadata");
        assert_eq!(store.count("b").await.ok(), Some(u64::from(there)), "count of a store");
        assert_eq!(store.list("b").await.ok().map(|list| list.items.len()), Some(usize::from(there)), "list of a store");
        let second = store.list(Select::all().offset(1).limit(1)).await.expect("lists").items;
        assert_eq!(second[0].as_str(), expected[1], "an offset counts what is there");
    });
    for (holds, condition) in [(!there, Condition::Absent), (there, Condition::Exists)] {
        let sent = seam.draft().check("brief", condition).send().expect("decides");
        assert_eq!(matches!(sent, Outcome::Committed(_)), holds, "checks");
    }
    there
}

pub(super) fn g8_expired_is_absent_to_every_read_and_check(ground: &Ground) {
    let seam = ground.open();
    furnish(&seam);
    let head = seam.head();
    for (step, there) in [(0, true), (9, true), (1, false), (100, false)] {
        seam.world.step(seconds(step));
        assert_eq!(seen(&seam), there, "after {step} seconds more");
    }
    seam.world.step_back(seconds(102));
    assert!(seen(&seam), "a clock that steps back before the expiry sees the entry again");
    assert_eq!(seam.head(), head, "reading changes nothing, whatever the clock says");
    assert_eq!(seam.changes_after(Revision::ZERO).len(), 3, "no line of the log comes from reading");
}

pub(super) fn g8_an_entry_expires_at_its_moment_to_the_millisecond(ground: &Ground) {
    let seam = ground.open();
    furnish(&seam);
    let expires_at = seam.get("brief").and_then(|entry| entry.expires_at).expect("an expiry comes back");
    for (late, there) in [(-1, true), (0, false), (1, false)] {
        let now = Timestamp::from_millis(expires_at.as_millis() + late).expect("in range");
        seam.world.set(now);
        assert_eq!(seen(&seam), there, "{late} ms after its moment");
    }
}

pub(super) fn g8_an_entry_may_be_born_expired(ground: &Ground) {
    let seam = ground.open();
    let receipt = seam.draft().act("late", put_until("1", seam.now().before(seconds(1)))).done();
    assert_eq!((receipt.writes[0].version, receipt.writes[0].existed), (Version::new(1), false));
    assert_eq!((seam.get("late"), seam.keys().len()), (None, 0));
    assert_eq!(seam.changes_after(Revision::ZERO).len(), 1, "it was written, and the log says so");
}

pub(super) fn g8_writing_over_an_expired_entry_creates(ground: &Ground) {
    let overwrites: [(&str, Action); 3] = [
        ("put", put("2")),
        ("add", Action::Add { delta: 2, floor: 2, ceiling: 2 }),
        (
            "merge",
            Action::Put {
                value: Value::opaque("2"),
                expires_at: None,
                metadata: MetadataChange::Merge(metadata(r#"{"b":2}"#)),
            },
        ),
    ];
    let seam = ground.open();
    for (key, action) in overwrites {
        let old = Action::Put {
            value: Value::integer(40),
            expires_at: Some(seam.now().after(seconds(10))),
            metadata: MetadataChange::Replace(metadata(r#"{"a":1}"#)),
        };
        seam.draft().act(key, old.clone()).done();
        seam.draft().act(key, old).done();
        let before = seam.get(key).expect("is there");
        assert_eq!(before.version, Version::new(2));
        seam.world.step(seconds(10));
        let receipt = seam.draft().put("beside", "1").act(key, action).done();
        let entry = seam.get(key).expect("was written");
        assert_eq!((receipt.writes[1].version, receipt.writes[1].existed), (Version::new(1), false), "{key}");
        assert_eq!((entry.version, entry.created_at, entry.expires_at), (Version::new(1), seam.now(), None), "{key}");
        let left = if key == "merge" { r#"{"b":2}"# } else { "{}" };
        assert_eq!((entry.value.bytes().as_ref(), entry.metadata.as_str()), (&b"2"[..], left), "{key} met what was gone");
        let log = seam.log(ChangesQuery { ranges: vec![prefix(key)], ..seam.after(before.revision) });
        let [expired, created] = &log[..] else { panic!("{key}: Expired, then Created, and found {log:?}") };
        assert_eq!((expired.kind, created.kind), (ChangeKind::Expired, ChangeKind::Created), "{key}");
        assert_eq!((expired.revision, created.revision), (receipt.revision, receipt.revision), "{key}: in one commit");
        assert_eq!((expired.before.as_ref(), expired.after.as_ref()), (Some(&before), None), "{key}");
        assert_eq!((created.before.as_ref(), created.after.as_ref()), (None, Some(&entry)), "{key}");
    }
}

pub(super) fn g8_deleting_or_annotating_what_has_expired_finds_nothing(ground: &Ground) {
    let seam = ground.open();
    furnish(&seam);
    seam.world.step(seconds(10));
    let before = seam.picture();
    let annotate = Action::Annotate { metadata: MetadataChange::Keep, expiry: ExpiryChange::Set(None) };
    assert_eq!(seam.draft().act("brief", annotate).refused().kind(), ErrorKind::NotFound);
    let conflict = seam.draft().check("brief", Condition::Version(Version::new(1))).put("c", "2").conflict();
    assert_eq!(conflict.found, Found::Absent);
    let conflict = seam.draft().check("brief", Condition::Value("1".into())).put("c", "2").conflict();
    assert_eq!((conflict.expected, conflict.found), (Expected::SameValue, Found::Absent));
    assert_eq!(seam.picture(), before);
    let deleted = seam.draft().delete("brief").done().writes[0];
    assert_eq!((deleted.existed, deleted.version), (false, Version::ZERO), "it was gone already");
}

pub(super) fn g8_deleting_what_has_expired_removes_it_for_every_clock(ground: &Ground) {
    let mut seam = ground.open();
    furnish(&seam);
    let (brief, full) = (seam.get("brief"), seam.status());
    seam.world.step(seconds(10));
    let receipt = seam.draft().put("c", "2").delete("brief").delete("none").done();
    assert!(receipt.revision > full.revision, "removing what is stored is a change");
    assert!(receipt.writes[1..].iter().all(|written| !written.existed && written.version == Version::ZERO));
    let again = seam.draft().delete("brief").done();
    assert_eq!((again.revision, again.writes[0].existed), (receipt.revision, false), "the second time nothing is there");
    for _ in 0..2 {
        // Another clock, behind this one, sees the same.
        seam.world.step_back(seconds(10));
        assert!(!seen(&seam), "what was deleted is there for a clock that is behind");
        let status = seam.status();
        let gone = brief.as_ref().map_or(0, |entry| entry.bytes());
        assert_eq!((status.entries, status.bytes), (full.entries - 1, full.bytes - gone));
        let log = seam.log(ChangesQuery { ranges: vec![prefix("b")], ..seam.after(full.revision) });
        let [expired] = &log[..] else { panic!("one change tells of it, and found {log:?}") };
        assert_eq!((expired.kind, expired.revision), (ChangeKind::Expired, receipt.revision));
        assert_eq!((&expired.before, &expired.after), (&brief, &None), "the log knows it as it was");
        seam.world.step(seconds(10));
        seam = ground.reopen(seam);
    }
    seam.world.step_back(seconds(10));
    let created = seam.put("brief", "2").writes[0];
    assert_eq!((created.existed, created.version), (false, Version::new(1)), "what comes next begins anew");
}

pub(super) fn g8_touching_extends_and_setting_ends_an_expiry(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    block_on(async {
        let expiry = async || store.get("k").await.expect("reads").and_then(|entry| entry.expires_at);
        store.set("k", "v").ttl(seconds(10)).metadata(metadata(r#"{"a":1}"#)).await.expect("sets");
        assert_eq!(expiry().await, Some(seam.now().after(seconds(10))));
        seam.world.step(seconds(9));
        store.touch("k", Some(seconds(10))).await.expect("is still there");
        seam.world.step(seconds(9));
        assert_eq!(store.version("k").await.ok(), Some(Version::new(2)), "touched, it lives longer");
        store.merge_metadata("k", metadata(r#"{"b":2}"#)).await.expect("is there");
        assert_eq!(expiry().await, Some(seam.now().after(seconds(1))), "metadata alone leaves the expiry");
        store.touch("k", None).await.expect("is there");
        assert_eq!(expiry().await, None, "touched for ever");
        store.touch_at("k", seam.now().after(seconds(3))).await.expect("is there");
        store.set("k", "w").await.expect("sets");
        assert_eq!(expiry().await, None, "a set without a time to live ends the expiry");
        assert_eq!(store.metadata("k").await.expect("reads"), Some(metadata(r#"{"a":1,"b":2}"#)));
        store.set("n", "x").ttl(seconds(1)).await.expect("sets");
        seam.world.step(seconds(1));
        fails(store.touch("n", None).await, ErrorKind::NotFound);
        fails(store.set("n", "x").ttl(seconds(0)).await, ErrorKind::Invalid);
    });
}

pub(super) fn g8_the_log_knows_what_expired_as_it_was(ground: &Ground) {
    let seam = ground.open();
    furnish(&seam);
    let since = seam.head();
    seam.world.step(seconds(10));
    seam.put("brief", "2");
    seam.world.step_back(seconds(10));
    seam.put("brief", "3");
    let log: Vec<Change> = seam.changes_after(since);
    let kinds: Vec<ChangeKind> = log.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Expired, ChangeKind::Created, ChangeKind::Updated]);
    assert_eq!(seam.get("brief").map(|entry| entry.version), Some(Version::new(2)), "what has expired does not return");
}

pub(super) fn g8_what_has_expired_can_be_swept_up(ground: &Ground) {
    let seam = ground.open();
    for (key, lives) in [("late", 30), ("soon", 10), ("later", 40), ("middle", 20), ("renewed", 15)] {
        seam.draft().act(key, put_until("1", seam.now().after(seconds(lives)))).done();
    }
    seam.put("stays", "1");
    seam.draft().act("renewed", put_until("2", seam.now().after(seconds(90)))).done();
    let expired = |limit| block_on(seam.engine.expired(seam.now(), limit)).expect("finds");
    assert!(expired(9).is_empty());
    seam.world.step(seconds(30));
    assert_eq!(expired(9), [at("soon"), at("middle"), at("late")], "in the order of their expiry");
    assert_eq!(expired(2), [at("soon"), at("middle")]);

    let since = seam.head();
    let kept = block_on(seam.store().keep(Retention::default())).expect("keeps");
    assert_eq!((kept.expired, kept.changes), (3, 0));
    assert!(expired(9).is_empty());
    let log = seam.changes_after(since);
    assert!(
        log.iter().all(|change| change.kind == ChangeKind::Expired && change.before.is_some() && change.after.is_none())
    );
    assert_eq!(log.iter().map(|change| change.address.clone()).collect::<Vec<_>>(), [at("soon"), at("middle"), at("late")]);
    assert_eq!(seam.keys(), ["later", "renewed", "stays"]);
    seam.world.step_back(seconds(30));
    assert_eq!(seam.keys(), ["later", "renewed", "stays"], "what was swept up does not come back");
}
