//! G7, as far as the seam goes: the log tells every change once, with both sides, or says that it cannot.

use futures_lite::future::block_on;
use larder_core::{
    Action, Address, Change, ChangeKind, ChangesQuery, ErrorKind, ExpiryChange, Lineage, LogOrder, MetadataChange, Range,
    Revision, Timestamp,
};

use crate::ground::{Ground, Seam, at, fails, key, metadata, namespace, prefix, put, seconds};

/// A short line for a change: kind, key, version before, version after.
fn line(change: &Change) -> String {
    let version = |side: &Option<larder_core::Entry>| side.as_ref().map_or(0, |entry| entry.version.get());
    let (kind, key) = (change.kind.as_str(), &change.address.key);
    format!("{kind} {key} {}->{}", version(&change.before), version(&change.after))
}

fn lines(changes: &[Change]) -> Vec<String> {
    changes.iter().map(line).collect()
}

/// A history with every kind of change.
fn live(seam: &Seam) {
    seam.draft().put("a", "1").put("b", "1").done();
    seam.draft().put("a", "2").delete("b").delete("none").done();
    let merge = MetadataChange::Merge(metadata(r#"{"x":1}"#));
    seam.draft().act("a", Action::Annotate { metadata: merge, expiry: ExpiryChange::Keep }).add("n", 5, 0..=9).done();
    seam.draft().delete("a").put("b", "2").done();
    seam.draft().put("a", "3").done();
}

pub(super) fn g7_every_change_is_told_with_both_sides(ground: &Ground) {
    let seam = ground.open();
    live(&seam);
    let log = seam.changes_after(Revision::ZERO);
    let expected = [
        "created a 0->1",
        "created b 0->1",
        "updated a 1->2",
        "deleted b 1->0",
        "updated a 2->3",
        "created n 0->1",
        "deleted a 3->0",
        "created b 0->1",
        "created a 0->1",
    ];
    assert_eq!(lines(&log), expected);
    // What a key became is what it was before its next change, and at the end what it is.
    for (index, change) in log.iter().enumerate() {
        let next = log[index + 1..].iter().find(|next| next.address == change.address);
        let became = next.map_or_else(|| seam.at(change.address.clone()), |next| next.before.clone());
        assert_eq!(change.after, became, "{}", line(change));
        assert!(
            change.after.as_ref().is_none_or(|entry| entry.revision == change.revision && entry.updated_at == change.at)
        );
    }
    assert_eq!(log[4].after.as_ref().map(|entry| entry.metadata.as_str()), Some(r#"{"x":1}"#));
    let reopened = ground.reopen(seam);
    assert_eq!(reopened.changes_after(Revision::ZERO), log, "the log is another one after reopening");
}

pub(super) fn g7_both_sides_are_kept_over_any_later_write(ground: &Ground) {
    let seam = ground.open();
    live(&seam);
    // Seen from the first revision only, the second side of a change stands further on in the log.
    for limit in [1, 2, 3] {
        let part = seam.changes(ChangesQuery { limit, ..seam.after(Revision::ZERO) }).expect("is there");
        let texts: Vec<_> = part.changes.iter().filter_map(|change| change.after.as_ref()).collect();
        assert_eq!(texts[0].value.bytes(), &b"1"[..], "what `a` became first is not what it is now");
        assert_eq!(part.changes[1].after.as_ref().map(|entry| entry.version.get()), Some(1), "nor is `b`");
    }
}

pub(super) fn g7_ranges_choose_changes(ground: &Ground) {
    let seam = ground.open();
    live(&seam);
    let other = Address::new(namespace("other"), key("a"));
    seam.draft().write(other.clone(), put("1")).put("ab", "1").done();
    let all = seam.changes_after(Revision::ZERO);
    let only = |key: &str| prefix(key).before(&at(&format!("{key}!")));
    for ranges in [
        vec![prefix("a")],
        vec![only("a")],
        vec![only("b"), only("n")],
        vec![prefix("a"), only("a"), prefix("")],
        vec![Range::namespace(&other.namespace)],
        vec![Range::namespace(&other.namespace), only("n")],
        vec![Range::all()],
        vec![prefix("nothing")],
        vec![prefix("b").after(&at("c"))],
    ] {
        let wanted: Vec<Change> =
            all.iter().filter(|change| ranges.iter().any(|range| range.contains(&change.address))).cloned().collect();
        for limit in [1, 2, 100] {
            let query = ChangesQuery { ranges: ranges.clone(), limit, ..seam.after(Revision::ZERO) };
            assert_eq!(seam.log(query), wanted, "{ranges:?} with limit {limit}");
        }
    }
    let query = ChangesQuery { ranges: vec![prefix("nothing")], ..seam.after(Revision::ZERO) };
    let part = seam.changes(query).expect("is there");
    assert_eq!((part.changes.len(), part.through), (0, seam.head()), "with nothing found it goes on at the head");
}

pub(super) fn g7_ranges_have_a_most(ground: &Ground) {
    let seam = ground.open();
    live(&seam);
    let all = seam.changes_after(Revision::ZERO);
    let ranges = |count: usize| (0..count).map(|n| if n == 0 { prefix("") } else { prefix(&format!("none{n}")) });
    let query = |count| ChangesQuery { ranges: ranges(count).collect(), ..seam.after(Revision::ZERO) };
    assert_eq!(seam.log(query(ChangesQuery::RANGES_MAX)), all, "as many ranges as are promised");
    for count in [ChangesQuery::RANGES_MAX + 1, 5_000] {
        fails(seam.changes(query(count)), ErrorKind::Limit);
    }
}

pub(super) fn g7_reading_goes_on_after_any_revision(ground: &Ground) {
    let seam = ground.open();
    live(&seam);
    let all = seam.changes_after(Revision::ZERO);
    for after in all.iter().map(|change| change.revision).chain([Revision::ZERO]) {
        let rest: Vec<Change> = all.iter().filter(|change| change.revision > after).cloned().collect();
        assert_eq!(seam.changes_after(after), rest, "after {after}");
    }
    let end = seam.changes(seam.after(seam.head())).expect("the head is a place to go on from");
    assert_eq!((end.changes, end.through, end.head), (vec![], seam.head(), seam.head()));
}

pub(super) fn g7_who_comes_too_late_is_told(ground: &Ground) {
    let mut seam = ground.open();
    live(&seam);
    let all = seam.changes_after(Revision::ZERO);
    let entries = seam.entries(Range::all());
    let cut = all[3].revision;
    let trimmed = seam.trim(cut, Timestamp::EPOCH);
    let gone = all.iter().filter(|change| change.revision <= cut).count();
    assert_eq!((trimmed.oldest, trimmed.changes, trimmed.ids), (cut, gone as u64, 0));
    for _ in 0..2 {
        let status = seam.status();
        assert_eq!((status.oldest, status.changes), (cut, (all.len() - gone) as u64));
        assert_eq!(seam.changes_after(cut), all[gone..], "what is left is whole, with both sides");
        for early in [Revision::ZERO, all[0].revision] {
            let error = fails(seam.changes(seam.after(early)), ErrorKind::Trimmed);
            assert_eq!(error.oldest(), Some(cut), "the error says how far back the log reaches");
        }
        assert_eq!(seam.entries(Range::all()), entries, "trimming the log changes no entry");
        seam = ground.reopen(seam);
    }
    let (again, earlier) = (seam.trim(cut, Timestamp::EPOCH), seam.trim(all[0].revision, Timestamp::EPOCH));
    assert_eq!((again.changes, again.oldest, earlier.oldest), (0, cut, cut), "trimming again, or less, does nothing");
}

pub(super) fn g7_trimming_stops_at_the_head(ground: &Ground) {
    let seam = ground.open();
    live(&seam);
    let head = seam.head();
    let trimmed = seam.trim(Revision::new(head.get() + 1_000), Timestamp::EPOCH);
    assert_eq!((trimmed.oldest, seam.status().changes), (head, 0));
    assert_eq!(seam.changes_after(head), []);
    let before = seam.get("a");
    let later = seam.put("a", "4").revision;
    assert!(later > head, "revisions go on");
    let log = seam.changes_after(head);
    assert_eq!((log.len(), &log[0].before), (1, &before), "the first change after a trim knows what was before");
}

pub(super) fn g7_another_past_is_not_this_one(ground: &Ground) {
    let seam = ground.open();
    live(&seam);
    let head = seam.head();
    fails(seam.changes(seam.after(Revision::new(head.get() + 1))), ErrorKind::Trimmed);
    fails(seam.changes(seam.after(Revision::new(1 << 60))), ErrorKind::Trimmed);
    let other = Lineage::new(seam.status().lineage.get().wrapping_add(7));
    for after in [Revision::ZERO, head] {
        fails(seam.changes(ChangesQuery { lineage: other, ..seam.after(after) }), ErrorKind::Trimmed);
    }
}

pub(super) fn g7_an_entry_can_come_and_go_and_come_again(ground: &Ground) {
    let seam = ground.open();
    for round in 1..=3 {
        let created = seam.put("a", &round.to_string());
        assert_eq!((created.writes[0].version.get(), created.writes[0].existed), (1, false), "version starts again at 1");
        seam.world.step(seconds(1));
        let deleted = seam.draft().delete("a").done();
        assert_eq!((deleted.writes[0].version.get(), deleted.writes[0].existed), (0, true));
        assert_eq!(seam.get("a"), None);
    }
    let log = seam.changes_after(Revision::ZERO);
    let kinds: Vec<ChangeKind> = log.iter().map(|change| change.kind).collect();
    assert_eq!(kinds, [ChangeKind::Created, ChangeKind::Deleted].repeat(3));
    let values: Vec<_> = log.iter().filter_map(|change| change.before.as_ref()).map(|entry| entry.value.bytes()).collect();
    assert_eq!(values, [&b"1"[..], b"2", b"3"], "each deletion remembers what it deleted");
}

pub(super) fn g7_the_log_reads_backwards_as_forwards(ground: &Ground) {
    let seam = ground.open();
    for _ in 0..5 {
        live(&seam);
        seam.draft().delete("n").done();
    }
    let ranges = [vec![], vec![prefix("a")], vec![prefix("b"), prefix("n")], vec![prefix("nothing")]];
    for (after, ranges) in
        [0, 7].into_iter().flat_map(|after| ranges.iter().map(move |ranges| (Revision::new(after), ranges)))
    {
        let query = ChangesQuery { ranges: ranges.clone(), ..seam.after(after) };
        let mut forwards = seam.log(query.clone());
        forwards.reverse();
        for limit in [1, 2, 3, 1_000] {
            let (mut backwards, mut before) = (Vec::new(), None);
            loop {
                let order = LogOrder::NewestFirst { before };
                let part = seam.changes(ChangesQuery { limit, order, ..query.clone() }).expect("is there");
                backwards.extend(part.changes);
                if part.through == after {
                    break;
                }
                assert!(before.is_none_or(|before| part.through < before), "reading backwards gets on");
                before = Some(part.through);
            }
            assert_eq!(backwards, forwards, "after {after}, {ranges:?}, {limit} at once");
        }
    }
}

pub(super) fn g7_a_key_has_its_history(ground: &Ground) {
    let seam = ground.open();
    live(&seam);
    let store = seam.store();
    block_on(async {
        let mut told = Vec::new();
        let mut before = None;
        loop {
            let page = store.history("a", 2, before).await.expect("is told");
            told.extend(page.changes);
            assert!(told.len() < 100, "the history of a few writes comes to an end");
            before = page.next;
            if before.is_none() {
                break;
            }
        }
        assert_eq!(lines(&told), ["created a 0->1", "deleted a 3->0", "updated a 2->3", "updated a 1->2", "created a 0->1"]);
        assert_eq!(store.history("none", 9, None).await.expect("is told").changes, []);
        let cut = told[2].revision;
        seam.trim(cut, Timestamp::EPOCH);
        let rest = store.history("a", 9, None).await.expect("is told");
        assert_eq!((rest.changes.len(), rest.next, rest.oldest), (2, None, cut));
        fails(store.history("", 9, None).await, ErrorKind::Invalid);
    });
}
