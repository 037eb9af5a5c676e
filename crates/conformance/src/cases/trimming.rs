//! G7, G5: a namespace may be trimmed by itself. Who asks about it is told, and nobody else notices.

use larder_core::{
    Address, Change, ChangesQuery, ErrorKind, Expected, Found, LogOrder, Namespace, Range, Revision, Timestamp, Undo,
};

use crate::ground::{Ground, Seam, at, committed, fails, key, namespace, prefix, put, seconds};

/// Two namespaces that changed in turn, and in one commit.
fn live(seam: &Seam) -> (Namespace, Namespace) {
    let (brief, long) = (namespace("brief"), namespace("long"));
    let there = |name: &Namespace, text: &str| Address::new(name.clone(), key(text));
    for text in ["1", "2", "3"] {
        seam.draft().write(there(&brief, "a"), put(text)).done();
        seam.draft().write(there(&brief, text), put(text)).write(there(&long, "a"), put(text)).put("k", text).done();
    }
    (brief, long)
}

/// The answer to whether the log tells everything about `ranges` after `after`: the changes, or how far back it does.
fn told(seam: &Seam, ranges: &[Range], after: Revision) -> Result<Vec<Change>, Option<Revision>> {
    let query = ChangesQuery { ranges: ranges.to_vec(), ..seam.after(after) };
    let order = LogOrder::NewestFirst { before: None };
    let backwards = seam.changes(ChangesQuery { order, ..query.clone() });
    match seam.changes(query.clone()) {
        Ok(_) => {
            assert!(backwards.is_ok(), "read backwards the log reaches as far");
            Ok(seam.log(query))
        }
        Err(error) => {
            fails(backwards, ErrorKind::Trimmed);
            Err(fails(Err::<(), _>(error), ErrorKind::Trimmed).oldest())
        }
    }
}

fn undo(seam: &Seam, range: &Range, after: Revision) -> Result<usize, Option<Revision>> {
    let undo = Undo { lineage: seam.status().lineage, after, range: range.clone(), reverse: false, limit: 100 };
    match seam.undo(undo) {
        Ok(page) => Ok(page.value.items.len()),
        Err(error) => Err(fails(Err::<(), _>(error), ErrorKind::Trimmed).oldest()),
    }
}

pub(super) fn g7_a_namespace_trimmed_by_itself_says_so(ground: &Ground) {
    let mut seam = ground.open();
    let (brief, long) = live(&seam);
    let sent = seam.draft().put("sent", "1").commit();
    let receipt = committed(seam.commit(vec![sent.clone()]).swap_remove(0));
    // The newest id stays whatever happens; this one is not the newest.
    seam.world.step(seconds(1));
    seam.put("after", "1");
    let all = seam.changes_after(Revision::ZERO);
    let entries = seam.entries(Range::all());
    let status = seam.status();
    let cut = all[4].revision;
    let goes = |change: &&Change| change.address.namespace == brief && change.revision <= cut;
    let gone = all.iter().filter(goes).count() as u64;
    let trimmed = seam.trim_namespace("brief", cut);
    assert_eq!((trimmed.oldest, trimmed.changes, trimmed.ids), (cut, gone, 0), "only its own changes are forgotten");
    let left: Vec<Change> = all.iter().filter(|change| !goes(change)).cloned().collect();
    for _ in 0..2 {
        let now = seam.status();
        assert_eq!((now.oldest, now.changes), (status.oldest, status.changes - gone), "the store is told from where it was");
        assert_eq!(seam.entries(Range::all()), entries, "trimming changes no entry");
        let own = Range::namespace(&brief);
        for ranges in [vec![], vec![Range::all()], vec![own.clone()], vec![prefix(""), Range::key(&all[0].address)]] {
            for early in [Revision::ZERO, all[0].revision, Revision::new(cut.get() - 1)] {
                assert_eq!(told(&seam, &ranges, early), Err(Some(cut)), "{ranges:?} after {early}");
            }
            let rest: Vec<Change> = all
                .iter()
                .filter(|change| change.revision > cut)
                .filter(|change| ranges.is_empty() || ranges.iter().any(|range| range.contains(&change.address)))
                .cloned()
                .collect();
            assert_eq!(told(&seam, &ranges, cut), Ok(rest), "from there on it is told whole");
        }
        assert_eq!(undo(&seam, &own, Revision::ZERO), Err(Some(cut)));
        assert_eq!(undo(&seam, &Range::all(), Revision::new(cut.get() - 1)), Err(Some(cut)));
        assert!(undo(&seam, &own, cut).is_ok() && undo(&seam, &Range::all(), cut).is_ok());
        let with_gaps = ChangesQuery { gaps: true, ..seam.after(Revision::ZERO) };
        assert_eq!(seam.log(with_gaps), left, "who asks for what is left gets it, with both sides");
        seam = ground.reopen(seam);
    }
    assert_eq!(committed(seam.commit(vec![sent]).swap_remove(0)), receipt, "ids stay");
    let (again, less) = (seam.trim_namespace("brief", cut), seam.trim_namespace("brief", all[0].revision));
    assert_eq!((again.changes, again.oldest, less.changes, less.oldest), (0, cut, 0, cut), "again, or less, is nothing");
    assert_eq!(told(&seam, &[Range::namespace(&long)], Revision::ZERO).map(|changes| changes.len()), Ok(3));
}

pub(super) fn g7_nobody_else_notices_when_a_namespace_is_trimmed(ground: &Ground) {
    let seam = ground.open();
    let (brief, long) = live(&seam);
    let others = [
        vec![Range::namespace(&long)],
        vec![prefix(""), Range::namespace(&long)],
        vec![Range::after_namespace(&brief)],
        vec![Range::key(&at("k"))],
    ];
    let before: Vec<_> = others.iter().map(|ranges| told(&seam, ranges, Revision::ZERO)).collect();
    let undone: Vec<_> = others.iter().map(|ranges| undo(&seam, &ranges[0], Revision::ZERO)).collect();
    let usage = (seam.usage(&long), seam.usage(&Namespace::default()));
    seam.trim_namespace("brief", Revision::new(seam.head().get() + 1_000));
    seam.trim_namespace("brie", seam.head());
    seam.trim_namespace("long ago", seam.head());
    assert_eq!(others.each_ref().map(|ranges| told(&seam, ranges, Revision::ZERO)).to_vec()[..2], before[..2]);
    assert_eq!(told(&seam, &others[3], Revision::ZERO), before[3]);
    assert_eq!(told(&seam, &others[2], Revision::ZERO), Err(Some(seam.head())), "one of those after it was trimmed, too");
    assert_eq!(undo(&seam, &others[0][0], Revision::ZERO), undone[0]);
    assert_eq!((seam.usage(&long), seam.usage(&Namespace::default())), usage);
    let head = seam.head();
    assert_eq!(seam.usage(&brief).log_bytes, 0);
    assert_eq!(told(&seam, &[], head), Ok(vec![]), "beyond the head nothing was forgotten");
    seam.draft().write(Address::new(brief.clone(), key("a")), put("4")).done();
    let rest = told(&seam, &[Range::namespace(&brief)], head).expect("what comes after a trim is told");
    assert_eq!((rest.len(), rest[0].before.is_some()), (1, true), "with what was before");
    // When all are trimmed at least as far, that namespace is one like the others.
    seam.trim(seam.head(), Timestamp::EPOCH);
    assert_eq!(told(&seam, &[], head), Err(Some(seam.head())));
    assert_eq!(told(&seam, &[], seam.head()), Ok(vec![]));
    let trimmed = seam.trim_namespace("brief", head);
    assert_eq!((trimmed.oldest, trimmed.changes), (seam.head(), 0), "it is told from where the store is");
}

pub(super) fn g5_nobody_can_vouch_for_a_namespace_that_was_trimmed(ground: &Ground) {
    let seam = ground.open();
    let (brief, long) = live(&seam);
    let (since, now) = (seam.head(), seam.now());
    seam.put("later", "1");
    let head = seam.head();
    seam.trim_namespace("brief", head);
    for range in [Range::namespace(&brief), Range::key(&Address::new(brief.clone(), key("none"))), Range::all()] {
        let conflict = seam.draft().unchanged(range.clone(), since, now).put("x", "1").conflict();
        assert_eq!((conflict.expected, conflict.found), (Expected::Unchanged(since), Found::Trimmed(head)), "{range:?}");
        seam.draft().unchanged(range, head, now).done();
    }
    for range in [Range::namespace(&long), Range::key(&at("k"))] {
        seam.draft().unchanged(range, since, now).done();
    }
}
