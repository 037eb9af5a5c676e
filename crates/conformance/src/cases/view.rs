//! G6: a view is as of one moment, whatever happens meanwhile.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use futures_lite::future::block_on;
use larder_core::{
    Action, ContentKind, Difference, Entry, ErrorKind, Glob, Key, Pages, Retention, Revision, Select, Store, Timestamp,
    Value, View,
};

use crate::{
    case,
    ground::{Draft, Ground, Seam, fails, key, put, put_until, race, seconds},
    random::Random,
};

/// What was there after a commit, and the clock of that commit.
type Album = BTreeMap<Revision, (Timestamp, Vec<Entry>)>;

const KEYS: [&str; 8] = ["a", "a/1", "a/2", "ab", "b", "b/1", "\u{e9}", "\u{10ffff}x"];

/// A history by chance, with a picture after each of its commits; the clock goes forwards with every one.
fn history(seam: &Seam, random: &mut Random, commits: usize) -> Album {
    let store = seam.store();
    let mut album = Album::new();
    while album.len() < commits {
        seam.world.step(Duration::from_millis(1 + random.below(3_000)));
        let mut draft: Draft<'_> = seam.draft();
        let mut keys = KEYS.to_vec();
        for _ in 0..1 + random.below(3) {
            let name = keys.swap_remove(random.below(keys.len() as u64) as usize);
            let expires_at = seam.now().after(Duration::from_millis(random.below(8_000)));
            draft = match random.below(6) {
                0 | 1 => draft.delete(name),
                2 => draft.act(name, put_until("brief", expires_at)),
                _ => draft.act(name, put(&random.below(1_000).to_string())),
            };
        }
        let revision = draft.done().revision;
        if album.contains_key(&revision) {
            // Nothing was there to be deleted.
            continue;
        }
        let there = block_on(store.scan(Select::all())).expect("scans");
        assert_eq!(there.revision, revision);
        album.insert(revision, (seam.now(), there.items));
    }
    album
}

/// A question, and how to answer it from a picture.
#[derive(Clone, Debug)]
struct Question {
    glob: Option<&'static str>,
    prefix: &'static str,
    after: Option<&'static str>,
    reverse: bool,
    limit: Option<usize>,
    offset: usize,
}

impl Question {
    fn draw(random: &mut Random) -> Self {
        Self {
            glob: random.pick(&[None, None, Some("a*1"), Some("*"), Some("*/*"), Some("b")]),
            prefix: random.pick(&["", "a", "a/", "b", "c", "\u{e9}", "\u{10ffff}"]),
            after: random.pick(&[None, None, Some("a"), Some("a/1"), Some("b"), Some("zz")]),
            reverse: random.once_in(2),
            limit: random.pick(&[None, Some(0), Some(1), Some(3), Some(100)]),
            offset: random.pick(&[0, 0, 1, 4]),
        }
    }

    fn select(&self) -> Select {
        let glob = |text| Select::glob(Glob::new(text).expect("a glob"));
        let mut select = self.glob.map_or_else(|| Select::prefix(self.prefix), glob).offset(self.offset);
        if let Some(after) = self.after {
            select = select.after(key(after));
        }
        if let Some(limit) = self.limit {
            select = select.limit(limit);
        }
        if self.reverse { select.reverse() } else { select }
    }

    fn answer(&self, picture: &[Entry]) -> Vec<Entry> {
        let matches = |name: &str| match self.glob {
            Some(glob) => Glob::new(glob).is_ok_and(|glob| glob.matches(name)),
            None => name.starts_with(self.prefix),
        };
        let mut all: Vec<Entry> = picture.iter().filter(|entry| matches(&entry.address.key)).cloned().collect();
        if let Some(after) = self.after {
            let behind = |name: &str| if self.reverse { name < after } else { name > after };
            all.retain(|entry| behind(&entry.address.key));
        }
        if self.reverse {
            all.reverse();
        }
        all.into_iter().skip(self.offset).take(self.limit.unwrap_or(usize::MAX)).collect()
    }
}

/// Every page, one behind the other.
fn paged(mut pages: Pages<'_>) -> Vec<Entry> {
    let mut all = Vec::new();
    while let Some(page) = block_on(pages.next()).expect("the log reaches back") {
        assert!(!page.is_empty(), "a page holds something");
        all.extend(page);
    }
    all
}

/// Asks `view` in every way, and compares with what was there.
fn compare(view: &View, picture: &[Entry], random: &mut Random) {
    let what = format!("at revision {}, by chance from LARDER_SEED={}", view.revision(), case::seed());
    let found = block_on(view.scan(Select::all())).expect("the log reaches back");
    assert_eq!((found.revision, &found.items[..]), (view.revision(), picture), "{what}");
    let expected: Vec<Option<&Entry>> =
        KEYS.iter().map(|name| picture.iter().find(|entry| *entry.address.key.as_str() == **name)).collect();
    let many = block_on(view.get_many(KEYS)).expect("the log reaches back");
    assert_eq!(many.iter().map(Option::as_ref).collect::<Vec<_>>(), expected, "{what}");
    for (name, expected) in KEYS.iter().zip(expected) {
        assert_eq!(block_on(view.get(*name)).expect("the log reaches back").as_ref(), expected, "{name} {what}");
        assert_eq!(block_on(view.exists(*name)).ok(), Some(expected.is_some()), "{name} {what}");
    }
    for _ in 0..12 {
        let question = Question::draw(random);
        let expected = question.answer(picture);
        let keys: Vec<&Key> = expected.iter().map(|entry| &entry.address.key).collect();
        let (scan, list) = (block_on(view.scan(question.select())), block_on(view.list(question.select())));
        assert_eq!(scan.expect("scans").items, expected, "{question:?} {what}");
        assert_eq!(list.expect("lists").items.iter().collect::<Vec<_>>(), keys, "{question:?} {what}");
        let count = block_on(view.count(question.select())).ok();
        assert_eq!(count, Some(expected.len() as u64), "{question:?} {what}");
        assert_eq!(paged(view.pages(question.select())), expected, "{question:?} {what}");
    }
}

pub(super) fn g6_every_revision_can_be_seen_as_it_was(ground: &Ground) {
    let (seam, mut random) = (ground.open(), Random::new(case::seed()));
    let album = history(&seam, &mut random, 60);
    let store = ground.store();
    // What has expired is swept up, which changes nothing of what was.
    block_on(store.keep(Retention::default())).expect("sweeps");
    for (revision, (at, picture)) in &album {
        let view = block_on(store.view_at(*revision)).expect("the log reaches back");
        assert_eq!((view.revision(), view.time()), (*revision, *at));
        compare(&view, picture, &mut random);
    }
    let present = block_on(store.view()).expect("the present");
    let now = block_on(store.scan("")).expect("scans").items;
    seam.world.step(seconds(60));
    seam.draft().delete("a").put("b", "later").put("c", "later").done();
    compare(&present, &now, &mut random);
    fails(block_on(store.view_at(seam.head().next())), ErrorKind::Trimmed);
}

pub(super) fn g6_a_time_is_seen_as_it_was(ground: &Ground) {
    let (seam, mut random) = (ground.open(), Random::new(case::seed()));
    let begin = seam.now();
    let album = history(&seam, &mut random, 40);
    seam.world.step(seconds(5));
    let store = seam.store();
    let last = album.iter().next_back().map(|(_, (at, _))| *at).expect("there is one");
    for (at, _) in album.values() {
        let millisecond = Duration::from_millis(1);
        for time in [at.before(millisecond), *at, at.after(millisecond), at.after(seconds(1)).min(seam.now())] {
            let before = album.iter().rev().find(|(_, (at, _))| *at <= time);
            let view = block_on(store.view_at(time)).expect("the log reaches back");
            let (revision, picture) = before.map_or((Revision::ZERO, &[][..]), |(at, (_, picture))| (*at, picture));
            assert_eq!((view.revision(), view.time()), (revision, time), "at {time}");
            let live: Vec<Entry> = picture.iter().filter(|entry| !entry.is_expired(time)).cloned().collect();
            assert_eq!(block_on(view.scan("")).expect("scans").items, live, "at {time}");
        }
    }
    assert_eq!(block_on(store.view_at(begin)).map(|view| view.revision()).ok(), Some(Revision::ZERO));
    fails(block_on(store.view_at(seam.now().after(Duration::from_millis(1)))), ErrorKind::Invalid);
    // What is forgotten is told, also when nothing is left that could contradict.
    let head = seam.head();
    seam.trim(head, Timestamp::EPOCH);
    fails(block_on(store.view_at(last.before(Duration::from_millis(1)))), ErrorKind::Trimmed);
    assert_eq!(block_on(store.view_at(seam.now())).map(|view| view.revision()).ok(), Some(head), "the present is known");
}

pub(super) fn g6_who_comes_too_late_for_a_view_is_told(ground: &Ground) {
    let (seam, mut random) = (ground.open(), Random::new(case::seed()));
    let album = history(&seam, &mut random, 12);
    let store = seam.store();
    let revisions: Vec<Revision> = album.keys().copied().collect();
    let views: Vec<View> = revisions.iter().map(|at| block_on(store.view_at(*at)).expect("reaches back")).collect();
    // One that has read its first page stands where the others stand.
    let mut begun = store.pages("");
    let first = block_on(begun.next()).expect("reads");
    let cut = 7;
    assert_eq!(seam.trim(revisions[cut], Timestamp::EPOCH).oldest, revisions[cut]);
    for (index, (view, (_, picture))) in views.iter().zip(album.values()).enumerate() {
        let again = block_on(store.view_at(revisions[index])).map(|view| view.revision());
        if index < cut {
            fails(again, ErrorKind::Trimmed);
            let error = fails(block_on(view.scan("")), ErrorKind::Trimmed);
            assert_eq!(error.oldest(), Some(revisions[cut]), "where to begin anew");
            fails(block_on(view.list("")), ErrorKind::Trimmed);
            fails(block_on(view.count("")), ErrorKind::Trimmed);
            fails(block_on(view.pages("").next()), ErrorKind::Trimmed);
            fails(block_on(view.get("never there")), ErrorKind::Trimmed);
        } else {
            assert_eq!(again.ok(), Some(revisions[index]), "what is left can be seen");
            compare(view, picture, &mut random);
        }
    }
    assert!(first.is_some() && block_on(begun.next()).expect("it was all on the first page").is_none());
}

/// Many entries, in commits that every engine takes.
fn fill(seam: &Seam, names: impl Iterator<Item = String>, value: &str) {
    let names: Vec<String> = names.collect();
    for some in names.chunks(64) {
        let mut draft = seam.draft();
        for name in some {
            draft = draft.put(name, value);
        }
        draft.done();
    }
}

pub(super) fn g6_pages_go_on_as_they_began(ground: &Ground) {
    const ENTRIES: usize = 2_300;
    let seam = ground.open();
    let store = ground.store();
    let name = |n: usize| format!("k/{n:05}");
    type Meanwhile = fn(&Seam, &Store, usize);
    let table: [(&str, Meanwhile); 6] = [
        ("inserts before and behind", |seam, _, turn| {
            seam.draft().put(&format!("k/!{turn}"), "new").put(&format!("k/~{turn}"), "new").done();
            fill(seam, (0..20).map(|n| format!("k/{:05}+{turn}", n * 115)), "new");
        }),
        ("a rewrite of everything", |seam, _, turn| {
            fill(seam, (0..ENTRIES).map(|n| format!("k/{n:05}")), &format!("rewritten {turn}"));
        }),
        ("deletions here and there", |seam, _, turn| {
            // Far more has changed in a page than is still there of it.
            fill(seam, (0..ENTRIES).step_by(2).map(|n| format!("k/{n:05}")), &format!("rewritten {turn}"));
            for from in (1..ENTRIES).step_by(128) {
                let odd = (from..ENTRIES.min(from + 128)).step_by(2);
                odd.fold(seam.draft(), |draft, n| draft.delete(&format!("k/{n:05}"))).done();
            }
        }),
        ("the end of everything", |_, store, _| assert!(block_on(store.clear("").into_future()).is_ok())),
        ("more between two than fits on a page", |seam, _, turn| {
            fill(seam, (0..1_100).map(|n| format!("k/01150+{turn}{n:04}")), "new");
        }),
        ("nothing", |_, _, _| {}),
    ];
    for (index, (what, meanwhile)) in table.into_iter().enumerate() {
        // Whatever is done, from both ends: over and over it would take long.
        for reverse in [false, true].into_iter().filter(|reverse| *reverse == (index % 2 == 1) || index == 0) {
            block_on(store.clear("").into_future()).expect("clears");
            fill(&seam, (0..ENTRIES).map(name), "old");
            let mut expected = block_on(store.scan("k/")).expect("scans");
            assert_eq!(expected.items.len(), ENTRIES);
            let select = if reverse { Select::prefix("k/").reverse() } else { Select::prefix("k/") };
            if reverse {
                expected.items.reverse();
            }
            let mut pages = store.pages(select.clone());
            let view = block_on(store.view()).expect("the present");
            let (mut found, mut turn) = (Vec::new(), 0);
            while let Some(page) = block_on(pages.next()).expect("the log reaches back") {
                assert_eq!(pages.revision(), Some(expected.revision));
                found.extend(page);
                if turn < 2 {
                    meanwhile(&seam, &store, turn);
                }
                turn += 1;
            }
            assert!(turn >= 3, "there were several pages: {turn}");
            assert!(found == expected.items, "{what}, reverse: {reverse}: pages are not of one moment");
            assert!(block_on(view.scan(select)).expect("scans").items == expected.items, "{what}, reverse: {reverse}");
            let middle = Select::prefix("k/").offset(1_100).limit(30);
            let some = block_on(view.list(middle)).expect("lists").items;
            assert_eq!(some, (1_100..1_130).map(|n| key(&name(n))).collect::<Vec<_>>(), "{what}");
            assert_eq!(block_on(view.count("k/")).ok(), Some(ENTRIES as u64), "{what}");
        }
    }
}

pub(super) fn g6_a_moment_is_named_right_while_others_write(ground: &Ground) {
    let (reader, writer) = (ground.store(), ground.open());
    let done = AtomicBool::new(false);
    race(2, |racer| {
        if racer == 0 {
            let mut n = 0;
            while !done.load(Ordering::SeqCst) {
                n += 1;
                let (come, go) = (format!("k/{}", n % 5), format!("k/{}", (n + 2) % 5));
                writer.draft().put("a", &n.to_string()).put("b", &n.to_string()).put(&come, "1").delete(&go).done();
            }
            return;
        }
        let done = Done(&done);
        for _ in 0..60 {
            let found = block_on(reader.scan("")).expect("scans");
            let view = block_on(reader.view_at(found.revision)).expect("the log reaches back");
            assert_eq!(block_on(view.scan("")).expect("scans").items, found.items, "at {}", found.revision);
            let many = block_on(reader.get_many(KEYS)).expect("gets");
            let view = block_on(reader.view_at(many.revision)).expect("the log reaches back");
            assert_eq!(block_on(view.get_many(KEYS)).expect("gets"), many.value, "at {}", many.revision);
        }
        drop(done);
    });
}

/// Tells the writer that it may stop, also when the reader panics.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// What is not the same in two pictures.
fn difference(earlier: &[Entry], later: &[Entry]) -> Vec<Difference> {
    let mut both: BTreeMap<_, (Option<Entry>, Option<Entry>)> = BTreeMap::new();
    for entry in earlier {
        both.entry(entry.address.clone()).or_default().0 = Some(entry.clone());
    }
    for entry in later {
        both.entry(entry.address.clone()).or_default().1 = Some(entry.clone());
    }
    let all = both.into_iter().map(|(address, (before, after))| Difference { address, before, after });
    all.filter(|difference| difference.before != difference.after).collect()
}

fn differences(store: &Store, prefix: &str, earlier: &View, later: &View) -> Vec<Difference> {
    let mut diff = store.diff(prefix, earlier, later).expect("two views of one past");
    let mut all = Vec::new();
    while let Some(some) = block_on(diff.next()).expect("the log reaches back") {
        assert!(!some.is_empty());
        all.extend(some);
    }
    all
}

pub(super) fn g6_a_difference_is_that_of_the_pictures(ground: &Ground) {
    let (seam, mut random) = (ground.open(), Random::new(case::seed()));
    let album: Vec<_> = history(&seam, &mut random, 24).into_iter().collect();
    let store = seam.store();
    for swept in [false, true] {
        for (n, (earlier, (_, before))) in album.iter().enumerate() {
            let first = block_on(store.view_at(*earlier)).expect("the log reaches back");
            for (later, (_, after)) in &album[n..] {
                let second = block_on(store.view_at(*later)).expect("the log reaches back");
                let what = format!("from {earlier} to {later}, swept: {swept}, LARDER_SEED={}", case::seed());
                let mut expected = difference(before, after);
                assert_eq!(differences(&store, "", &first, &second), expected, "{what}");
                expected.retain(|difference| difference.address.key.starts_with("a/"));
                assert_eq!(differences(&store, "a/", &first, &second), expected, "{what}");
            }
        }
        block_on(store.keep(Retention::default())).expect("sweeps");
    }
}

pub(super) fn g6_a_difference_of_many_comes_page_by_page(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let expires_at = seam.now().after(seconds(9));
    fill(&seam, (0..700).map(|n| format!("k/{n:04}")), "1");
    for n in (0..700).step_by(9) {
        seam.draft().act(&format!("k/{n:04}+"), put_until("1", expires_at)).done();
    }
    let earlier = block_on(store.view()).expect("the present");
    let before = block_on(store.scan("")).expect("scans").items;
    fill(&seam, (0..700).filter(|n| n % 2 == 0).map(|n| format!("k/{n:04}")), "2");
    seam.world.step(seconds(9));
    let later = block_on(store.view()).expect("the present");
    let after = block_on(store.scan("")).expect("scans").items;
    // What happens after the later one is nobody's business.
    fill(&seam, (0..700).filter(|n| n % 3 == 0).map(|n| format!("k/{n:04}")), "3");
    assert!(differences(&store, "", &earlier, &later) == difference(&before, &after));
    fails(store.diff("", &later, &earlier).map(drop), ErrorKind::Invalid);
    let stranger = ground.store();
    let theirs = block_on(stranger.view()).expect("the present");
    fails(store.diff("", &earlier, &theirs).map(drop), ErrorKind::Invalid);
}

pub(super) fn g6_a_recoded_entry_is_seen_in_the_past(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    let written = seam.put("k", "plain").revision;
    let view = block_on(store.view()).expect("the present");
    let value = Value::from_stored("packed", ContentKind::Opaque, "x".parse().expect("good encodings"));
    let recode = Action::Recode { value: value.clone(), revision: written };
    seam.draft().act("k", recode).done();
    seam.put("other", "1");
    // Another encoding of the same plain bytes is the same entry, now and then.
    let seen = block_on(view.get("k")).expect("gets").map(|entry| (entry.revision, entry.value));
    assert_eq!(seen, Some((written, value.clone())));
    seam.put("k", "again");
    let seen = block_on(view.get("k")).expect("gets").map(|entry| (entry.revision, entry.value));
    assert_eq!(seen, Some((written, value)), "and what was superseded is kept as it was last stored");
}
