//! G12: what a namespace takes is counted exactly, is bounded where it is to be, and is nobody else's.

use std::collections::BTreeMap;

use larder_core::{
    Action, Address, Change, ChangesQuery, Conflict, Entry, Expected, ExpiryChange, Found, Metadata, MetadataChange,
    Namespace, Outcome, Part, Quota, Range, Resource, Revision, Timestamp, Usage, Value, Version, engine::Scan,
};

use futures_lite::future::block_on;

use crate::{
    case,
    ground::{Ground, Seam, at, committed, key, metadata, namespace, put, put_until, put_value, race, seconds},
    random::Random,
};

/// Everything that is stored, by its address.
pub(super) type Stored = BTreeMap<Address, Entry>;

/// Everything that is stored, expired or not: a clock that is far behind sees all of it.
pub(super) fn stored(seam: &Seam) -> Stored {
    let scan = Scan { range: Range::all(), reverse: false, limit: 10_000, now: Timestamp::EPOCH };
    let page = block_on(seam.engine.scan(scan)).expect("scanning succeeds").value;
    assert!(!page.more, "this is all of it");
    page.items.into_iter().map(|entry| (entry.address.clone(), entry)).collect()
}

/// What `namespace` takes, counted one by one.
pub(super) fn recount(seam: &Seam, namespace: &Namespace) -> Usage {
    let mut usage = Usage::default();
    for entry in stored(seam).values().filter(|entry| entry.address.namespace == *namespace) {
        usage.entries += 1;
        usage.bytes += entry.bytes();
    }
    let own = ChangesQuery { ranges: vec![Range::namespace(namespace)], gaps: true, ..seam.after(seam.status().oldest) };
    let bytes = |change: &Change| change.before.as_ref().map_or(change.address.key.len() as u64, Entry::bytes);
    usage.log_bytes = seam.log(own).iter().map(bytes).sum();
    usage
}

/// Every name in use here, and one that is not.
const NAMES: [&str; 4] = ["default", "x", "wasm:x", "none"];

/// Compares what is counted with a recount, and all namespaces together with the whole store.
fn compare(seam: &Seam, when: &str) {
    let mut all = Usage::default();
    for name in NAMES.map(namespace) {
        let (told, counted) = (seam.usage(&name), recount(seam, &name));
        assert_eq!(told, counted, "what {name} takes {when}");
        all.entries += told.entries;
        all.bytes += told.bytes;
        all.log_bytes += told.log_bytes;
    }
    let status = block_on(seam.engine.status(Timestamp::EPOCH)).expect("the status is known");
    assert_eq!((all.entries, all.bytes, all.log_bytes), (status.entries, status.bytes, status.log_bytes), "{when}");
    let head = block_on(seam.engine.usage(Namespace::default())).expect("is told").revision;
    assert_eq!(head, status.revision, "the answer names its moment");
}

pub(super) fn g12_what_a_namespace_takes_is_counted_exactly(ground: &Ground) {
    let mut seam = ground.open();
    compare(&seam, "at first");
    let there = |name: &str, text: &str| Address::new(namespace(name), key(text));
    let long = Metadata::parse("{\"who\":\"\u{e9}\"}".as_bytes()).expect("good metadata");
    let replace = MetadataChange::Replace(long.clone());
    let (x, wasm) = (there("x", "k"), there("wasm:x", "\u{1f980}"));
    seam.put("a", "four");
    compare(&seam, "after a creation");
    assert_eq!(seam.usage(&Namespace::default()), Usage { entries: 1, bytes: 5, log_bytes: 1 });
    assert_eq!(seam.usage(&namespace("x")), Usage::default(), "what others have counts for nothing");
    seam.draft().put("a", "eleven more").write(x.clone(), put("1")).write(wasm.clone(), put("\u{e9}")).done();
    compare(&seam, "after writes to several namespaces in one commit");
    assert_eq!(seam.usage(&Namespace::default()), Usage { entries: 1, bytes: 12, log_bytes: 1 + 5 });
    seam.draft().act("a", Action::Annotate { metadata: replace, expiry: ExpiryChange::Keep }).add("n", 10, 0..=99).done();
    seam.draft().add("n", 89, 0..=99).delete("none").done();
    compare(&seam, "after metadata and sums");
    let restored = Action::Restore {
        value: Value::opaque("r"),
        version: Version::new(7),
        created_at: seam.now(),
        updated_at: seam.now(),
        expires_at: None,
        metadata: long,
    };
    seam.draft().act("restored", restored).done();
    compare(&seam, "after a restore");
    let entry = seam.get("restored").expect("is there");
    let value = Value::from_stored(vec![0; 99], entry.value.kind(), "x".parse().expect("good encodings"));
    seam.draft().act("restored", Action::Recode { value, revision: entry.revision }).done();
    compare(&seam, "after a recoding");
    let log = seam.usage(&namespace("x")).log_bytes;
    seam.draft().delete("a").write(x.clone(), Action::Delete).done();
    compare(&seam, "after deletions");
    assert_eq!(seam.usage(&namespace("x")), Usage { entries: 0, bytes: 0, log_bytes: log + 2 }, "the log takes it over");

    seam.draft().write(x.clone(), put_until("brief", seam.now().after(seconds(1)))).put("brief", "s").done();
    seam.draft().act("brief", put_until("longer", seam.now().after(seconds(1)))).done();
    seam.world.step(seconds(2));
    compare(&seam, "while what has expired is stored");
    assert_eq!(seam.usage(&namespace("x")).entries, 1, "it counts until it is swept up");
    seam.draft().write(x.clone(), put("again")).delete("brief").done();
    compare(&seam, "after writing over what has expired, and sweeping it up");
    let again = seam.draft().put("again", "1").commit();
    committed(seam.commit(vec![again.clone()]).swap_remove(0));
    let before = seam.usage(&Namespace::default());
    committed(seam.commit(vec![again]).swap_remove(0));
    assert_eq!(seam.usage(&Namespace::default()), before, "the same commit again counts once");
    let _ = seam.draft().put("a", "refused").write(x.clone(), Action::Add { delta: 1, floor: 0, ceiling: 0 }).send();
    compare(&seam, "after a refusal");
    seam = ground.reopen(seam);
    compare(&seam, "after reopening");

    let revisions: Vec<Revision> = seam.changes_after(Revision::ZERO).iter().map(|change| change.revision).collect();
    seam.trim(revisions[2], Timestamp::EPOCH);
    compare(&seam, "after a trim");
    seam.trim_namespace("x", revisions[revisions.len() - 3]);
    compare(&seam, "after a trim of one namespace");
    seam.trim_namespace("none", seam.head());
    seam.put("a", "later");
    seam.trim(seam.head(), Timestamp::EPOCH);
    compare(&seam, "with nothing in the log");
    compare(&ground.reopen(seam), "after reopening again");
}

pub(super) fn g12_a_random_history_is_counted_exactly(ground: &Ground) {
    let mut seam = ground.open();
    let mut random = Random::new(case::seed());
    for step in 0..120 {
        let group: Vec<_> = (0..=random.below(2))
            .map(|_| {
                let mut addresses: Vec<Address> = ["a", "bb", "\u{e9}"].map(at).into();
                addresses.extend(["a", "bb"].map(|text| Address::new(namespace("x"), key(text))));
                addresses.push(Address::new(namespace("wasm:x"), key("a")));
                let mut draft = seam.draft();
                for _ in 0..=random.below(3) {
                    let address = random.pick(&addresses);
                    addresses.retain(|other| *other != address);
                    let value = Value::opaque(vec![b'v'; random.below(40) as usize]);
                    let action = match random.below(8) {
                        0 | 1 => Action::Delete,
                        2 => put_until("brief", seam.now().after(seconds(random.below(2)))),
                        3 => {
                            Action::Put { value, expires_at: None, metadata: MetadataChange::Merge(metadata(r#"{"a":1}"#)) }
                        }
                        // Whether it conflicts depends on what stands there by then.
                        4 => Action::Recode { value, revision: seam.head() },
                        5 => Action::Annotate { metadata: MetadataChange::Keep, expiry: ExpiryChange::Keep },
                        _ => put_value(value),
                    };
                    draft = draft.write(address, action);
                }
                draft.commit()
            })
            .collect();
        drop(seam.commit(group));
        match random.below(30) {
            0 => drop(seam.trim(Revision::new(seam.head().get().saturating_sub(random.below(9))), Timestamp::EPOCH)),
            1 => {
                let through = Revision::new(seam.head().get().saturating_sub(random.below(9)));
                seam.trim_namespace(random.pick(&NAMES), through);
            }
            2 => seam = ground.reopen(seam),
            3..8 => seam.world.step(seconds(1)),
            _ => {}
        }
        compare(&seam, &format!("in step {step} of the history of seed {}", case::seed()));
    }
}

fn exceeded(index: usize, resource: Resource, most: u64, found: u64) -> Conflict {
    let (expected, found) = (Expected::AtMost(resource, most), Found::Usage(found));
    Conflict { part: Part::Check(index), address: None, expected, found }
}

pub(super) fn g12_a_quota_holds_inside_the_commit(ground: &Ground) {
    let seam = ground.open();
    let (default, x) = (Namespace::default(), namespace("x"));
    let entries = |most| Quota { entries: Some(most), ..Quota::default() };
    let bytes = |most| Quota { bytes: Some(most), ..Quota::default() };
    let log_bytes = |most| Quota { log_bytes: Some(most), ..Quota::default() };
    seam.draft().put("a", "1234").put("b", "1234").done();
    seam.draft().write(Address::new(x.clone(), key("k")), put("much more than that")).done();
    // 2 entries of 5 bytes each; 2 bytes in the log.
    let before = seam.picture();
    for (draft, conflict) in [
        (seam.draft().quota(&default, entries(2)).put("c", "1"), exceeded(0, Resource::Entries, 2, 3)),
        (seam.draft().quota(&default, bytes(11)).put("c", "1"), exceeded(0, Resource::Bytes, 11, 12)),
        (seam.draft().quota(&default, bytes(10)).put("a", "12345"), exceeded(0, Resource::Bytes, 10, 11)),
        (seam.draft().quota(&default, log_bytes(6)).put("a", "1"), exceeded(0, Resource::LogBytes, 6, 7)),
        (seam.draft().quota(&default, log_bytes(6)).delete("a"), exceeded(0, Resource::LogBytes, 6, 7)),
        (seam.draft().quota(&default, log_bytes(2)).put("c", "1"), exceeded(0, Resource::LogBytes, 2, 3)),
        (
            seam.draft().quota(&x, entries(1)).quota(&default, entries(2)).put("c", "1").put("d", "1"),
            exceeded(1, Resource::Entries, 2, 4),
        ),
    ] {
        assert_eq!(draft.clone().conflict(), conflict);
        assert_eq!(seam.picture(), before, "nothing of it has happened");
        assert_eq!(draft.conflict(), conflict, "its id is free, too");
    }
    let commits = seam.usage(&default);
    for draft in [
        seam.draft().quota(&default, entries(0)).quota(&default, bytes(0)).quota(&default, log_bytes(0)),
        seam.draft().quota(&default, Quota::default()).delete("none"),
        seam.draft().quota(&x, entries(1)).quota(&namespace("none"), entries(0)).delete("none"),
    ] {
        draft.done();
        assert_eq!(seam.usage(&default), commits, "what does not grow passes, also where there is too much");
    }
    // As much as there may be, to the byte.
    seam.draft().quota(&default, entries(3)).quota(&default, bytes(12)).quota(&default, log_bytes(3)).put("c", "1").done();
    assert_eq!(seam.usage(&default), Usage { entries: 3, bytes: 12, log_bytes: 3 });
    // Too much already: shrinking helps, and is allowed; so is putting one in the place of another.
    seam.draft().quota(&default, entries(1)).quota(&default, bytes(1)).delete("a").done();
    seam.draft().quota(&default, entries(1)).quota(&default, bytes(1)).delete("b").put("d", "1").done();
    seam.draft().quota(&default, entries(1)).put("d", "larger, and no entry more").done();
    let conflict = seam.draft().quota(&default, entries(1)).put("e", "1").conflict();
    assert_eq!(conflict, exceeded(0, Resource::Entries, 1, 3));
    // What has expired counts until it is swept up, and sweeping is never too much.
    seam.draft().write(at("d"), put_until("1", seam.now())).done();
    assert_eq!(seam.draft().quota(&default, entries(2)).put("e", "1").conflict(), exceeded(0, Resource::Entries, 2, 3));
    seam.draft().quota(&default, entries(2)).delete("d").put("e", "1").done();
    assert_eq!(ground.reopen(seam).draft().quota(&default, entries(2)).put("f", "1").conflict().part, Part::Check(0));
}

pub(super) fn g12_racing_commits_never_exceed_a_quota(ground: &Ground) {
    let seam = ground.open();
    let quota = Quota { entries: Some(10), ..Quota::default() };
    let name = Namespace::default();
    // In one group: each is decided on what those before it have left.
    let group = (0..9)
        .map(|n| seam.draft().quota(&name, quota).put(&format!("group/{n}"), "1").put(&format!("too/{n}"), "1").commit());
    let outcomes: Vec<bool> =
        seam.commit(group.collect()).into_iter().map(|answer| matches!(answer, Ok(Outcome::Committed(_)))).collect();
    assert_eq!(outcomes, [true, true, true, true, true, false, false, false, false]);
    assert_eq!(seam.usage(&name).entries, 10);

    let name = namespace("raced");
    let seams: Vec<Seam> = (0..4).map(|_| ground.open()).collect();
    let won: usize = race(seams.len(), |racer| {
        let seam = &seams[racer];
        let one = |n: usize| {
            let address = Address::new(name.clone(), key(&format!("{racer}/{n}")));
            matches!(seam.draft().quota(&name, quota).write(address, put("1")).send(), Ok(Outcome::Committed(_)))
        };
        (0..8).filter(|n| one(*n)).count()
    })
    .into_iter()
    .sum();
    assert_eq!((won, seam.usage(&name).entries), (10, 10), "as many as there is room for, and not one more");
}
