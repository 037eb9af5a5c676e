//! G3: revisions increase in commit order, and what a revision names is whole.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_lite::future::block_on;
use larder_core::{
    Action, Change, Condition, Entry, ErrorKind, ExpiryChange, MetadataChange, Namespace, Range, Revision, Value,
    engine::Scan,
};

use crate::ground::{Ground, Seam, at, committed, fails, key, prefix, race, seconds};

pub(super) fn g3_revisions_increase_in_commit_order(ground: &Ground) {
    let (one, other) = (ground.open(), ground.open());
    let mut last = one.head();
    for round in 0..12 {
        let seam = if round % 3 == 0 { &one } else { &other };
        let drafts = (0..=round % 4).map(|n| seam.draft().put(&format!("k{n}"), "v").add("n", 1, 0..=1_000).commit());
        for answer in seam.commit(drafts.collect()) {
            let receipt = committed(answer);
            assert!(receipt.revision > last, "revision {} came after {last}", receipt.revision);
            last = receipt.revision;
        }
        assert_eq!((one.head(), other.head()), (last, last), "the status knows the latest revision");
    }
    let revisions: Vec<Revision> = one.changes_after(Revision::ZERO).iter().map(|change| change.revision).collect();
    assert!(revisions.is_sorted(), "the log is in the order of revisions");
    assert_eq!(one.get("n").map(|entry| entry.revision), Some(last), "an entry has the revision of its commit");
    let reopened = ground.reopen(one);
    assert!(reopened.put("k0", "later").revision > last, "revisions go on after reopening");
}

pub(super) fn g3_a_commit_that_changes_nothing_takes_no_revision(ground: &Ground) {
    let seam = ground.open();
    let first = seam.put("a", "1").revision;
    let before = seam.picture();
    for draft in [seam.draft(), seam.draft().delete("b"), seam.draft().check("a", Condition::Exists).delete("b").delete("c")]
    {
        let receipt = draft.done();
        assert_eq!(receipt.revision, first, "the revision of what the commit saw");
        assert!(receipt.writes.iter().all(|written| !written.existed && written.version.get() == 0));
        assert_eq!(seam.picture(), before);
    }
    // The same value again is a change: identical bytes still make a new version.
    let again = seam.put("a", "1");
    assert!(again.revision > first && again.writes[0].version.get() == 2);
}

pub(super) fn g3_a_commit_is_never_torn_in_the_log(ground: &Ground) {
    let seam = ground.open();
    let sizes = [3, 1, 5, 2, 1, 4];
    for (round, size) in sizes.into_iter().enumerate() {
        (0..size).fold(seam.draft(), |draft, n| draft.put(&format!("{round}/{n}"), "v")).done();
    }
    let all = seam.changes_after(Revision::ZERO);
    for limit in 1..=17 {
        let mut query = seam.after(Revision::ZERO);
        query.limit = limit;
        let mut found = Vec::new();
        let mut places = Vec::new();
        loop {
            let part = seam.changes(query.clone()).expect("the log is all there");
            assert_eq!(part.head, seam.head());
            for change in &part.changes {
                assert!(change.revision > query.after && change.revision <= part.through, "limit {limit} tears");
            }
            let whole = places_of(&part.changes);
            assert!(whole.iter().all(|(revision, count)| sizes[nth(&all, *revision)] == *count), "limit {limit} tears");
            // It stops with the commit that reaches the limit: without that commit the limit is not reached.
            let last = whole.last().map_or(0, |(_, count)| *count);
            assert!(part.changes.len() - last < limit, "limit {limit} is not kept");
            found.extend(part.changes);
            places.push(part.through);
            if part.through == part.head {
                break;
            }
            query.after = part.through;
        }
        assert_eq!(found, all, "limit {limit} loses or doubles");
        assert!(places.is_sorted());
    }
}

/// The revisions of `changes`, and how many changes each has.
fn places_of(changes: &[Change]) -> Vec<(Revision, usize)> {
    changes.chunk_by(|a, b| a.revision == b.revision).map(|commit| (commit[0].revision, commit.len())).collect()
}

/// Which commit of the log took `revision`.
fn nth(all: &[Change], revision: Revision) -> usize {
    places_of(all).iter().position(|(at, _)| *at == revision).expect("every revision is in the log")
}

pub(super) fn g3_the_log_keeps_the_order_of_writes(ground: &Ground) {
    let seam = ground.open();
    seam.draft().put("m", "0").put("b", "0").done();
    let since = seam.head();
    seam.draft().put("z", "1").delete("m").put("a", "1").put("b", "1").done();
    let keys: Vec<_> = seam.changes_after(since).into_iter().map(|change| change.address).collect();
    assert_eq!(keys, [at("z"), at("m"), at("a"), at("b")], "changes of a commit stand in the order of its writes");
}

pub(super) fn g3_a_reader_never_sees_a_revision_without_what_came_before(ground: &Ground) {
    const READS: usize = 40;
    let handles = [ground.open(), ground.open(), ground.open()];
    handles[0].draft().put("a", "0").put("b", "0").done();
    let readers_done = AtomicUsize::new(0);
    let written = race(3, |racer| {
        let seam = &handles[racer];
        if racer == 0 {
            // `a` and `b` are equal after every commit, so whoever sees them differ has seen half of one. It goes on
            // while anybody reads, within reason.
            let mut written = 0;
            while readers_done.load(Ordering::SeqCst) < 2 && written < 2_000 {
                written += 1;
                seam.draft().put("a", &written.to_string()).put("b", &written.to_string()).done();
            }
            return written;
        }
        let mut last = Revision::ZERO;
        for n in 0..READS {
            let (revision, values) = if racer == 1 { both_read(seam) } else { both_scanned(seam, n % 2 == 0) };
            assert!(revision >= last, "the store went back");
            assert_eq!(values[0], values[1], "half of a commit was seen");
            // Whatever the log has after this, it has whole, and it reaches up to what was read.
            let log = seam.changes_after(last);
            assert!(log.last().map_or(last, |change| change.revision) >= revision, "the log lags behind");
            assert!(log.chunks(2).all(|both| both[0].revision == both[both.len() - 1].revision), "half a commit in the log");
            last = revision;
        }
        readers_done.fetch_add(1, Ordering::SeqCst);
        0
    });
    assert_eq!(handles[1].changes_after(Revision::ZERO).len(), 2 * (written[0] + 1));
}

/// What `a` and `b` are in one read, and at which revision.
fn both_read(seam: &Seam) -> (Revision, Vec<Value>) {
    let read = seam.read(vec![at("b"), at("a")]);
    let entries: Vec<Entry> = read.value.into_iter().flatten().collect();
    assert!(entries.iter().all(|entry| entry.revision == read.revision), "the read names another moment than its own");
    (read.revision, entries.into_iter().map(|entry| entry.value).collect())
}

/// What `a` and `b` are in one page, and at which revision.
fn both_scanned(seam: &Seam, reverse: bool) -> (Revision, Vec<Value>) {
    let page = seam.page(prefix(""), reverse, 2);
    let entries = page.value.items;
    assert!(entries.iter().all(|entry| entry.revision == page.revision), "the page names another moment than its own");
    (page.revision, entries.into_iter().map(|entry| entry.value).collect())
}

pub(super) fn g6_every_read_names_its_moment(ground: &Ground) {
    let seam = ground.open();
    let engine = &seam.engine;
    for _ in 0..3 {
        let head = seam.put("a", "1").revision;
        let scan = Scan { range: Range::all(), reverse: false, limit: 5, now: seam.now() };
        let named = block_on(async {
            [
                engine.get(vec![], seam.now()).await.map(|read| read.revision),
                engine.get(vec![at("none")], seam.now()).await.map(|read| read.revision),
                engine.scan(scan.clone()).await.map(|page| page.revision),
                engine.list(scan).await.map(|page| page.revision),
                engine.count(Range::all(), seam.now()).await.map(|count| count.revision),
            ]
        });
        assert!(named.into_iter().all(|revision| revision.is_ok_and(|revision| revision == head)));
    }
}

pub(super) fn g6_a_commit_is_known_by_its_revision_everywhere(ground: &Ground) {
    let seam = ground.open();
    seam.world.step(seconds(5));
    let receipt = seam.draft().put("a", "1").put("b", "1").done();
    let now = seam.now();
    for name in ["a", "b"] {
        let entry = seam.get(name).expect("was put");
        assert_eq!((entry.revision, entry.created_at, entry.updated_at), (receipt.revision, now, now));
    }
    for change in seam.changes_after(Revision::ZERO) {
        assert_eq!((change.revision, change.at), (receipt.revision, now));
        assert_eq!(change.after.map(|entry| entry.revision), Some(receipt.revision));
    }
    seam.world.step(seconds(5));
    let touch = Action::Annotate { metadata: MetadataChange::Keep, expiry: ExpiryChange::Keep };
    let later = seam.draft().act("a", touch).done();
    let entry = seam.get("a").expect("is there");
    assert_eq!((entry.version.get(), entry.revision), (2, later.revision));
    assert_eq!((entry.created_at, entry.updated_at), (now, seam.now()));
    let store = seam.store();
    let late = block_on(store.set(key("a"), "2").if_revision(receipt.revision).into_future());
    fails(late, ErrorKind::Conflict);
    assert_eq!(seam.count(Range::namespace(&Namespace::default())), 2);
}
