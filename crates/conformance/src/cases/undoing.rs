//! G6: a past moment can be had back, as far as the log reaches: what has changed since is undone.

use std::collections::BTreeMap;

use larder_core::{
    Action, Address, ErrorKind, ExpiryChange, Lineage, MetadataChange, Range, Revision, Timestamp, Undo, Undone,
};

use crate::{
    case,
    ground::{Ground, Seam, at, fails, key, metadata, namespace, prefix, put, put_until, seconds},
    random::Random,
};

use super::counting::{Stored, stored};

/// Few enough that each of them comes and goes many times.
fn addresses() -> Vec<Address> {
    let mut all: Vec<Address> = ["a", "ab", "b", "\u{e9}"].map(at).into();
    all.extend(["a", "b"].map(|name| Address::new(namespace("x"), key(name))));
    all
}

/// One commit by chance: creations, updates, deletions, and entries that have expired already.
fn step(seam: &Seam, random: &mut Random) -> Revision {
    let mut draft = seam.draft();
    let mut addresses = addresses();
    for _ in 0..=random.below(2) {
        let address = random.pick(&addresses);
        addresses.retain(|other| *other != address);
        let text = random.below(100).to_string();
        let action = match random.below(6) {
            0 => Action::Delete,
            1 => put_until(&text, seam.now().after(seconds(random.below(3)))),
            _ => put(&text),
        };
        draft = draft.write(address, action);
    }
    seam.world.step(seconds(random.below(2)));
    draft.done().revision
}

fn question(seam: &Seam, after: Revision, range: Range) -> Undo {
    Undo { lineage: seam.status().lineage, after, range, reverse: false, limit: 1_000 }
}

/// Everything that is undone of `undo`, page by page.
fn undone(seam: &Seam, mut undo: Undo) -> Vec<Undone> {
    let mut all: Vec<Undone> = Vec::new();
    loop {
        let page = seam.undo(undo.clone()).expect("the log reaches back that far").value;
        assert!(page.items.len() <= undo.limit, "a page holds at most what was asked for");
        assert!(!page.more || !page.items.is_empty(), "when there are no items, there is no more");
        assert!(page.items.iter().all(|item| undo.range.contains(&item.address)), "a page is of the range asked for");
        all.extend(page.items);
        match all.last().filter(|_| page.more) {
            Some(last) if undo.reverse => undo.range = undo.range.before(&last.address),
            Some(last) => undo.range = undo.range.after(&last.address),
            None => return all,
        }
    }
}

pub(super) fn g6_undo_goes_back_to_the_moment_asked(ground: &Ground) {
    let mut seam = ground.open();
    let mut random = Random::new(case::seed());
    let mut pasts: Vec<(Revision, Stored)> = vec![(Revision::ZERO, BTreeMap::new())];
    for _ in 0..60 {
        let revision = step(&seam, &mut random);
        pasts.push((revision, stored(&seam)));
    }
    for _ in 0..2 {
        let (head, now) = (seam.head(), stored(&seam));
        for (after, past) in &pasts {
            for range in [Range::all(), prefix(""), prefix("a"), Range::namespace(&namespace("x")), Range::key(&at("b"))] {
                let undo = question(&seam, *after, range.clone());
                assert_eq!(seam.undo(undo.clone()).expect("is told").revision, head, "undone from the present");
                let mut seen: Stored = now.iter().map(|(at, entry)| (at.clone(), entry.clone())).collect();
                seen.retain(|address, _| range.contains(address));
                for Undone { address, entry } in undone(&seam, undo) {
                    match entry {
                        Some(entry) => drop(seen.insert(address, entry)),
                        None => drop(seen.remove(&address)),
                    }
                }
                let mut expected = past.clone();
                expected.retain(|address, _| range.contains(address));
                assert_eq!(seen, expected, "{range:?} at {after}");
            }
        }
        seam = ground.reopen(seam);
    }
}

pub(super) fn g6_undo_tells_what_a_key_was_before_its_first_change(ground: &Ground) {
    let seam = ground.open();
    seam.draft().put("changed", "1").put("deleted", "1").put("kept", "1").done();
    seam.draft().write(at("expired"), put_until("1", seam.now().after(seconds(1)))).done();
    let after = seam.head();
    let was = |key: &str| seam.at(at(key));
    let (changed, deleted, expired) = (was("changed"), was("deleted"), was("expired"));
    seam.world.step(seconds(2));
    seam.draft().put("changed", "2").put("created", "1").put("passing", "1").done();
    let merge = MetadataChange::Merge(metadata(r#"{"x":1}"#));
    seam.draft().act("changed", Action::Annotate { metadata: merge, expiry: ExpiryChange::Keep }).done();
    seam.draft().put("changed", "3").delete("deleted").delete("passing").put("expired", "2").delete("kept too").done();
    let told: Vec<_> = undone(&seam, question(&seam, after, Range::all()))
        .into_iter()
        .map(|item| (item.address.key.as_str().to_owned(), item.entry))
        .collect();
    let expected = [("changed", changed), ("created", None), ("deleted", deleted), ("expired", expired), ("passing", None)];
    assert_eq!(told, expected.map(|(key, entry)| (key.to_owned(), entry)), "each once, as it was stored");
    assert_eq!(undone(&seam, question(&seam, seam.head(), Range::all())), [], "nothing has changed since now");
}

pub(super) fn g6_undo_comes_in_pages_from_both_ends(ground: &Ground) {
    let seam = ground.open();
    seam.draft().put("b", "1").put("d", "1").done();
    let after = seam.head();
    for n in 0..30 {
        seam.draft().put(["a", "b", "c", "d", "e"][n % 5], &n.to_string()).done();
        seam.draft().write(Address::new(namespace("x"), key("a")), put(&n.to_string())).done();
    }
    seam.draft().delete("a").delete("b").done();
    for range in
        [Range::all(), prefix(""), prefix("").after(&at("a")).before(&at("e")), prefix("none"), Range::key(&at("b"))]
    {
        let whole = undone(&seam, question(&seam, after, range.clone()));
        assert!(whole.is_sorted_by_key(|item| item.address.clone()), "in the order of addresses");
        for (limit, reverse) in [1, 2, 3, 5, 6, 100].into_iter().flat_map(|limit| [(limit, false), (limit, true)]) {
            let undo = Undo { reverse, limit, ..question(&seam, after, range.clone()) };
            let mut paged = undone(&seam, undo.clone());
            if reverse {
                paged.reverse();
            }
            assert_eq!(paged, whole, "{range:?}, {limit} at once, reverse: {reverse}");
            let first = seam.undo(undo).expect("is told").value;
            let all = first.items.len() == whole.len();
            assert!(first.more || all, "a page ended too early");
        }
        let none = seam.undo(Undo { limit: 0, ..question(&seam, after, range) }).expect("is told").value;
        assert_eq!((none.items, none.more), (vec![], false));
    }
}

pub(super) fn g6_what_cannot_be_undone_is_told(ground: &Ground) {
    let seam = ground.open();
    let revisions = ["1", "2", "3", "4"].map(|text| seam.put("a", text).revision);
    let head = seam.head();
    let ask = |after, range| seam.undo(question(&seam, after, range));
    for range in [Range::all(), prefix(""), Range::key(&at("a")), prefix("none")] {
        fails(ask(Revision::new(head.get() + 1), range.clone()), ErrorKind::Trimmed);
        fails(ask(Revision::new(1 << 60), range.clone()), ErrorKind::Trimmed);
        let other = Lineage::new(seam.status().lineage.get().wrapping_add(7));
        fails(seam.undo(Undo { lineage: other, ..question(&seam, head, range) }), ErrorKind::Trimmed);
    }
    seam.trim(revisions[1], Timestamp::EPOCH);
    for range in [Range::all(), prefix(""), Range::key(&at("a")), prefix("none")] {
        let error = fails(ask(revisions[0], range.clone()), ErrorKind::Trimmed);
        assert_eq!(error.oldest(), Some(revisions[1]), "the error says how far back the log reaches");
        assert!(ask(revisions[1], range).is_ok(), "and that far it does");
    }
}
