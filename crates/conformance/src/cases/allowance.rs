//! G12: quotas, through scopes: what a guest may take is decided with the commit itself, whoever else commits.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::future::block_on;
use larder_core::{Error, ErrorKind, Expected, Found, Isolation, Quota, Resource, Result, Scope, Trim, Usage, Value};

use crate::ground::{Ground, fails, namespace, put, race};

fn quota(entries: Option<u64>, bytes: Option<u64>, log_bytes: Option<u64>) -> Quota {
    Quota { entries, bytes, log_bytes }
}

fn set(scope: &Scope, key: &str, bytes: usize) -> Result<()> {
    block_on(scope.set(key, "x".repeat(bytes)).into_future()).map(drop)
}

fn usage(scope: &Scope) -> Usage {
    block_on(scope.usage()).expect("counted")
}

/// What a quota was exceeded by, as the error says it.
fn exceeded(error: &Error) -> (Expected, Found) {
    let conflict = error.as_conflict().expect("it says what was met");
    assert_eq!(conflict.address, None);
    (conflict.expected.clone(), conflict.found)
}

pub(super) fn g12_a_quota_bounds_what_a_guest_takes(ground: &Ground) {
    let store = ground.store();
    let scope = store.scope(&namespace("guest")).expect("a scope");
    let full = scope.with_quota(quota(Some(3), None, None));
    for key in ["a", "b", "c"] {
        set(&full, key, 5).expect("there is room");
    }
    let error = fails(set(&full, "d", 5), ErrorKind::Quota);
    assert_eq!(exceeded(&error), (Expected::AtMost(Resource::Entries, 3), Found::Usage(4)));
    set(&full, "a", 500).expect("no entry more");
    let swap = full.commit().delete("a").set("d", "1");
    block_on(swap.into_future()).expect("as many as before");
    fails(block_on(full.commit().delete("b").set("e", "1").set("f", "1").into_future()), ErrorKind::Quota);
    assert_eq!(usage(&scope).entries, 3, "refused as a whole");
    block_on(full.delete("b")).expect("deleting is always possible");
    set(&full, "e", 5).expect("and makes room");
    set(&scope, "beyond", 1).expect("another handle is bound by its own quota");
    set(&full, "e", 7).expect("what does not grow passes where there is too much already");
    fails(set(&full, "g", 5), ErrorKind::Quota);

    // Bytes are those of keys, values and metadata.
    block_on(scope.clear("").into_future()).expect("clears");
    let full = scope.with_quota(quota(None, Some(100), None));
    set(&full, "ab", 98).expect("it fits exactly");
    assert_eq!(usage(&scope).bytes, 100);
    let error = fails(set(&full, "ab", 99), ErrorKind::Quota);
    assert_eq!(exceeded(&error), (Expected::AtMost(Resource::Bytes, 100), Found::Usage(101)));
    let metadata = crate::ground::metadata(r#"{"a":1}"#);
    fails(block_on(full.set_metadata("ab", metadata.clone())), ErrorKind::Quota);
    set(&full, "ab", 98 - metadata.len()).expect("smaller");
    block_on(full.set_metadata("ab", metadata)).expect("it fits exactly");
    fails(block_on(full.add("n", 1, 0..=9)), ErrorKind::Quota);
    fails(block_on(full.transact(async |mut t| t.set("n", "1"))), ErrorKind::Quota);
    set(&full, "ab", 1).expect("smaller");
    assert_eq!(block_on(full.add("n", 1, 0..=9)).ok(), Some(1));
}

pub(super) fn g12_a_quota_bounds_the_log_of_a_guest(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let scope = store.scope(&namespace("guest")).expect("a scope");
    let full = scope.with_quota(quota(None, None, Some(50)));
    set(&full, "k", 20).expect("a creation takes the key");
    assert_eq!(usage(&scope).log_bytes, 1);
    set(&full, "k", 20).expect("an update takes what was there");
    assert_eq!(usage(&scope).log_bytes, 22);
    set(&full, "k", 20).expect("and so does the next");
    let error = fails(set(&full, "k", 20), ErrorKind::Quota);
    assert_eq!(exceeded(&error), (Expected::AtMost(Resource::LogBytes, 50), Found::Usage(64)));
    fails(block_on(full.delete("k")), ErrorKind::Quota);
    block_on(full.delete("nothing")).expect("what changes nothing takes nothing");
    // Trimming its log makes room, that of another does not.
    block_on(seam.engine.trim(Trim::namespace(namespace("other"), seam.head()))).expect("trims");
    fails(set(&full, "k", 20), ErrorKind::Quota);
    block_on(seam.engine.trim(Trim::namespace(namespace("guest"), seam.head()))).expect("trims");
    assert_eq!((usage(&scope).log_bytes, usage(&scope).entries), (0, 1));
    set(&full, "k", 20).expect("there is room again");
}

pub(super) fn g12_a_quota_bounds_the_largest_value(ground: &Ground) {
    let store = ground.store();
    let scope = store.with_largest_value(10);
    set(&scope, "k", 10).expect("it fits exactly");
    let error = fails(set(&scope, "k", 11), ErrorKind::Quota);
    assert!(error.to_string().contains("11 bytes") && error.to_string().contains("10"), "{error}");
    let mut t = scope.begin(Isolation::default());
    fails(t.set("k", "x".repeat(11)), ErrorKind::Quota);
    t.set("k", "x").expect("smaller");
    block_on(t.commit()).expect("commits");
    let large = block_on(store.set("large", "x".repeat(11)).into_future());
    assert!(large.is_ok(), "another handle is bound by its own");
    block_on(scope.touch("large", None)).expect("what is there may be annotated");
    block_on(scope.transact(async |mut t| t.touch("large", None).await)).expect("in a transaction, too");
    assert!(block_on(scope.delete("large")).is_ok_and(|there| there), "and deleted");
}

pub(super) fn g12_quotas_hold_in_a_race(ground: &Ground) {
    const MOST: u64 = 10;
    let handles = [ground.open(), ground.open()];
    let refused = AtomicUsize::new(0);
    race(4, |racer| {
        let store = handles[racer % 2].store();
        let scope = store.scope(&namespace("guest")).expect("a scope").with_quota(quota(Some(MOST), Some(200), None));
        let all = (0..12).map(|n| (format!("{racer}/{n:02}"), Value::integer(100_000)));
        for answer in block_on(scope.set_many(all)) {
            if answer.is_err() {
                fails(answer, ErrorKind::Quota);
                refused.fetch_add(1, Ordering::SeqCst);
            }
            let now = usage(&scope);
            assert!(now.entries <= MOST && now.bytes <= 200, "{now:?}");
        }
    });
    let scope = handles[1].store().scope(&namespace("guest")).expect("a scope");
    assert_eq!(usage(&scope).entries, MOST, "as many as there was room for");
    assert_eq!(block_on(scope.count("")).ok(), Some(MOST), "what is counted is what is there");
    assert_eq!(refused.load(Ordering::SeqCst) as u64, 48 - MOST, "everybody else was told");

    // In one group, which is decided one by one.
    let seam = &handles[0];
    let check =
        |entries| larder_core::Check::Quota { namespace: namespace("group"), quota: quota(Some(entries), None, None) };
    let group = (0..4).map(|n| {
        let address = larder_core::Address::new(namespace("group"), crate::ground::key(&format!("{n}")));
        let mut commit = seam.draft().write(address, put("1")).commit();
        commit.checks.push(check(2));
        commit
    });
    let answers = seam.commit(group.collect());
    let happened = answers.iter().filter(|answer| matches!(answer, Ok(larder_core::Outcome::Committed(_)))).count();
    assert_eq!(happened, 2, "each sees those before it");
}
