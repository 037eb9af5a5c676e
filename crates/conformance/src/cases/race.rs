//! G4: of racing writers one wins, and the others are told; G5: nothing that was read moves unseen.
//!
//! Each race is run on threads, on two handles of one store, because engines are wrong in different places there and
//! among futures that one thread polls together.

use std::{collections::BTreeSet, time::Duration};

use futures_lite::future::block_on;
use larder_core::{
    Address, Condition, Entry, ErrorKind, Expected, Found, Namespace, Outcome, Range, Revision, Store, Timestamp, Version,
};

use crate::ground::{
    Draft, Ground, at, committed, conflicted, fails, key, namespace, prefix, put, put_until, race, seconds,
};

const RACERS: usize = 8;

pub(super) fn g4_one_of_racing_compare_and_sets_wins(ground: &Ground) {
    let handles = [ground.open(), ground.open()];
    handles[0].put("k", "start");
    for round in 1..=5 {
        let from = Version::new(round);
        let answers = race(RACERS, |racer| {
            let seam = &handles[racer % 2];
            seam.draft().check("k", Condition::Version(from)).put("k", &format!("{round}/{racer}")).send()
        });
        let entry = handles[0].get("k").expect("the key is there");
        assert_eq!(entry.version, from.next(), "every round is one step");
        let mut winners = Vec::new();
        for (racer, answer) in answers.into_iter().enumerate() {
            match answer.expect("a race is no error") {
                Outcome::Committed(receipt) => {
                    assert_eq!(receipt.revision, entry.revision);
                    winners.push(format!("{round}/{racer}"));
                }
                Outcome::Conflicted(conflict) => {
                    assert_eq!(conflict.expected, Expected::Version(from));
                    let met = Found::Entry { version: entry.version, revision: entry.revision };
                    assert_eq!(conflict.found, met, "a loser is told what it met");
                }
            }
        }
        assert_eq!(winners.len(), 1, "exactly one wins");
        assert_eq!(entry.value.bytes(), winners[0].as_bytes(), "the winner's value stands");
    }
}

pub(super) fn g4_one_of_racing_creates_wins(ground: &Ground) {
    let handles = [ground.store(), ground.store()];
    for round in 0..4 {
        let key = format!("lock/{round}");
        let answers = race(RACERS, |racer| {
            let store = &handles[racer % 2];
            block_on(store.create(&key, racer.to_string()))
        });
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "exactly one creates");
        lost.into_iter().for_each(|answer| drop(fails(answer, ErrorKind::AlreadyExists)));
    }
}

/// What 64 sets answered must be 64 steps.
fn distinct(stamps: &[(Version, Revision)]) {
    let versions: BTreeSet<u64> = stamps.iter().map(|(version, _)| version.get()).collect();
    assert_eq!(versions, (1..=64).collect(), "every set makes a version of its own, from 1 on");
    let revisions: BTreeSet<Revision> = stamps.iter().map(|(_, revision)| *revision).collect();
    assert_eq!(revisions.len(), 64, "every set takes a revision of its own");
    let mut sorted = stamps.to_vec();
    sorted.sort_unstable();
    assert!(sorted.is_sorted_by_key(|(_, revision)| *revision), "later versions have later revisions");
}

pub(super) fn g4_sets_polled_together_get_distinct_versions(ground: &Ground) {
    let store = ground.store();
    let answers = block_on(store.set_many((0..64).map(|n| ("k", n.to_string()))));
    let stamps: Vec<_> = answers.into_iter().map(|stamp| stamp.expect("sets")).collect();
    distinct(&stamps.iter().map(|stamp| (stamp.version, stamp.revision)).collect::<Vec<_>>());
}

pub(super) fn g4_sets_on_threads_get_distinct_versions(ground: &Ground) {
    let handles = [ground.open(), ground.open()];
    let stamps = race(RACERS, |racer| {
        let seam = &handles[racer % 2];
        (0..64 / RACERS).map(|_| seam.put("k", "v")).map(|done| (done.writes[0].version, done.revision)).collect::<Vec<_>>()
    });
    distinct(&stamps.concat());
    assert_eq!(handles[1].changes_after(Revision::ZERO).len(), 64, "every set is in the log");
}

pub(super) fn g4_racing_adds_sum_exactly_and_stay_below_the_ceiling(ground: &Ground) {
    const CEILING: i64 = 50;
    let handles = [ground.store(), ground.store()];
    let sums = race(RACERS, |racer| {
        let store: &Store = &handles[racer % 2];
        let adds = (0..8).map(|_| block_on(store.add("budget", 1, 0..=CEILING)));
        adds.filter_map(|answer| answer.map_err(|error| assert_eq!(error.kind(), ErrorKind::Conflict)).ok())
            .collect::<Vec<_>>()
    });
    let mut sums = sums.concat();
    sums.sort_unstable();
    assert_eq!(sums, (1..=CEILING).collect::<Vec<_>>(), "every sum up to the ceiling is arrived at once, and none beyond");
    let stored = block_on(handles[0].get_json::<i64>("budget")).expect("JSON");
    assert_eq!(stored, Some(CEILING));
}

pub(super) fn g4_money_moves_and_none_is_made(ground: &Ground) {
    const ACCOUNTS: usize = 4;
    let handles = [ground.open(), ground.open()];
    let account = |n: usize| format!("account/{}", n % ACCOUNTS);
    (0..ACCOUNTS).fold(handles[0].draft(), |draft, n| draft.put(&account(n), "100")).done();
    race(4, |racer| {
        let seam = &handles[racer % 2];
        for round in 0..12 {
            let (from, to) = (account(racer + round), account(racer + round + 1 + round % 3));
            // Reads both, and writes what it computed only if neither has moved.
            for attempt in 0.. {
                assert!(attempt < 10_000, "nobody gets through: of racing commits one wins");
                let read = seam.read(vec![at(&from), at(&to)]).value;
                let [Some(source), Some(target)] = &read[..] else { panic!("an account has gone") };
                let amount = |entry: &Entry| entry.value.as_integer().expect("a balance");
                let sent = seam
                    .draft()
                    .check(&from, Condition::Version(source.version))
                    .check(&to, Condition::Revision(target.revision))
                    .put(&from, &(amount(source) - 7).to_string())
                    .put(&to, &(amount(target) + 7).to_string())
                    .send();
                if let Outcome::Committed(_) = sent.expect("a race is no error") {
                    break;
                }
            }
        }
    });
    let balances = handles[1].entries(prefix("account/"));
    let total: i64 = balances.iter().map(|entry| entry.value.as_integer().expect("a balance")).sum();
    assert_eq!((balances.len(), total), (ACCOUNTS, 400), "money was made or lost");
}

pub(super) fn g5_a_range_that_was_read_conflicts_with_whatever_changes_it(ground: &Ground) {
    let seam = ground.open();
    seam.draft().put("r/a", "1").put("r/b", "1").put("s", "1").done();
    let range = || prefix("r/");
    type Change = fn(Draft<'_>) -> Draft<'_>;
    let changes: [(&str, Change, bool); 7] = [
        ("an update", |draft| draft.put("r/a", "2"), true),
        ("a phantom", |draft| draft.put("r/new", "1"), true),
        ("a deletion", |draft| draft.delete("r/b"), true),
        ("a write beside the range", |draft| draft.put("s", "2").put("r", "1").put("r0", "1"), false),
        ("the deletion of nothing", |draft| draft.delete("r/none"), false),
        ("the same prefix elsewhere", |draft| draft.write(elsewhere("r/a"), put("1")), false),
        ("coming and going", |draft| draft.put("r/brief", "1"), true),
    ];
    for (what, change, conflicts) in changes {
        let (since, read_at) = (seam.page(range(), false, 10).revision, seam.now());
        let changed = change(seam.draft()).done();
        if what == "coming and going" {
            seam.draft().delete("r/brief").done();
        }
        let draft = seam.draft().unchanged(range(), since, read_at).put("out", what);
        if conflicts {
            let conflict = draft.conflict();
            assert_eq!((conflict.address, conflict.expected), (None, Expected::Unchanged(since)), "{what}");
            assert_eq!(conflict.found, Found::Changed(changed.revision), "{what}: the first change is named");
        } else {
            draft.done();
        }
    }
}

fn elsewhere(name: &str) -> Address {
    Address::new(namespace("elsewhere"), key(name))
}

pub(super) fn g5_write_skew_is_caught(ground: &Ground) {
    let seam = ground.open();
    seam.draft().put("oncall/ann", "1").put("oncall/bob", "1").done();
    let (since, read_at) = (seam.page(prefix("oncall/"), false, 10).revision, seam.now());
    // Each sees two on call and leaves; run one after the other, the second would have seen only itself.
    let leave = |who: &str| seam.draft().unchanged(prefix("oncall/"), since, read_at).delete(who).commit();
    let mut answers = seam.commit(vec![leave("oncall/ann"), leave("oncall/bob")]).into_iter();
    committed(answers.next().expect("two answers"));
    conflicted(answers.next().expect("two answers"));
    assert_eq!(seam.count(prefix("oncall/")), 1);
}

pub(super) fn g5_nobody_can_vouch_for_a_past_that_is_not_there(ground: &Ground) {
    let seam = ground.open();
    let first = seam.put("a", "1").revision;
    let head = seam.put("b", "1").revision;
    let range = || Range::namespace(&Namespace::default());
    let beyond = Revision::new(head.get() + 1_000);
    let conflict = seam.draft().unchanged(range(), beyond, seam.now()).put("out", "1").conflict();
    assert_eq!(conflict.found, Found::Head(head));
    let oldest = seam.trim(head, TRIM_NO_IDS).oldest;
    assert_eq!(oldest, head);
    // Nothing in this empty range has ever changed, but the log no longer tells.
    let conflict = seam.draft().unchanged(prefix("nothing"), first, seam.now()).put("out", "1").conflict();
    assert_eq!(conflict.found, Found::Trimmed(head));
    seam.draft().unchanged(range(), head, seam.now()).put("out", "1").done();
}

/// A moment before which no case makes an id.
const TRIM_NO_IDS: Timestamp = Timestamp::EPOCH;

pub(super) fn g5_a_range_check_fails_when_an_entry_has_expired_since(ground: &Ground) {
    let seam = ground.open();
    let expires_at = seam.now().after(seconds(10));
    seam.draft().act("r/brief", put_until("1", expires_at)).put("r/long", "1").done();
    let (since, read_at) = (seam.head(), seam.now());
    let check = |read_at| seam.draft().unchanged(prefix("r/"), since, read_at);
    seam.world.step(seconds(9));
    check(read_at).done();
    seam.world.step(seconds(1));
    let conflict = check(read_at).put("out", "1").conflict();
    assert_eq!((conflict.expected, conflict.found), (Expected::Unchanged(since), Found::Expired));
    // Who read when it was gone already has not been deceived.
    check(seam.now()).put("out", "1").done();
    // Nor is anybody by a revision that another commit of the same group makes.
    let next = seam.head().next();
    let late = seam.draft().unchanged(prefix("r/"), next, read_at).put("out", "2").commit();
    let answers = seam.commit(vec![seam.draft().put("out", "1").commit(), late]);
    let [first, second] = <[_; 2]>::try_from(answers).expect("an answer each");
    assert_eq!(committed(first).revision, next);
    assert_eq!(conflicted(second).found, Found::Expired);
}

pub(super) fn g5_a_range_check_fails_when_an_entry_is_back_for_a_clock_behind(ground: &Ground) {
    let seam = ground.open();
    let expires_at = seam.now().after(seconds(10));
    seam.draft().act("r/brief", put_until("1", expires_at)).put("r/long", "1").done();
    seam.world.set(expires_at);
    let (page, read_at) = (seam.page(prefix("r/"), false, 10), seam.now());
    assert_eq!(page.value.items.len(), 1, "the reader saw one entry");
    let check = |read_at| seam.draft().unchanged(prefix("r/"), page.revision, read_at);
    check(read_at).done();
    seam.world.step_back(Duration::from_millis(1));
    let conflict = check(read_at).put("out", "1").conflict();
    assert_eq!((conflict.expected, conflict.found), (Expected::Unchanged(page.revision), Found::Expired));
    // Nor does a clock behind matter where nothing expires in between.
    check(seam.now()).done();
    seam.world.step_back(seconds(5));
    check(expires_at.before(Duration::from_millis(1))).put("out", "1").done();
}
