//! G5: what a transaction sees, of itself and of others, and what it is guarded against.

use futures_lite::future::block_on;
use larder_core::{
    Entry, ErrorKind, Glob, Isolation, Key, Metadata, Revision, Scope, Select, Timestamp, Transaction, Value,
};

use crate::{
    ground::{Ground, Seam, fails, key, metadata, namespace, seconds},
    work::{Work, found},
};

/// Questions of every shape about the keys below.
fn selects() -> Vec<Select> {
    let glob = |text: &str| Select::glob(Glob::new(text).expect("a glob"));
    let mut all = vec![Select::all(), Select::prefix("k/"), Select::prefix("k/1"), Select::prefix("none"), glob("*1*")];
    all.extend(["k/0", "k/1", "k/15", "k/9", "l", "a"].map(|at| Select::prefix("k").after(key(at))));
    let turned: Vec<Select> = all.iter().cloned().map(Select::reverse).collect();
    all.extend(turned);
    let cut = |select: &Select| {
        let cuts = [(0, 0), (1, 0), (2, 1), (3, 3), (50, 2), (50, 50)];
        cuts.map(|(limit, offset)| select.clone().limit(limit).offset(offset))
    };
    let cuts: Vec<Select> = all.iter().flat_map(cut).collect();
    all.extend(cuts);
    all
}

/// What of an entry is the same before and after it is committed.
fn essence(entry: &Entry) -> (String, Value, u64, Option<Timestamp>, Metadata) {
    let Entry { address, value, version, expires_at, metadata, .. } = entry.clone();
    (address.key.as_str().to_owned(), value, version.get(), expires_at, metadata)
}

/// Everything that `$handle`, a scope or a transaction, answers.
macro_rules! seen {
    ($handle:expr) => {
        block_on(async {
            let mut seen = Vec::new();
            for select in selects() {
                let entries = $handle.scan(select.clone()).await.expect("scans");
                let keys = $handle.list(select.clone()).await.expect("lists");
                let scanned: Vec<&Key> = entries.items.iter().map(|entry| &entry.address.key).collect();
                assert_eq!(keys.items.iter().collect::<Vec<_>>(), scanned, "a list and a scan of {select:?}");
                let count = $handle.count(select.clone()).await.expect("counts");
                seen.push((format!("{select:?}"), entries.items.iter().map(essence).collect::<Vec<_>>(), keys.next, count));
            }
            seen
        })
    };
}

pub(super) fn g5_a_transaction_reads_its_own_writes(ground: &Ground) {
    let store = ground.store();
    let mut t = block_on(async {
        for n in 0..20 {
            let set = store.set(format!("k/{n}"), Value::integer(n)).metadata(metadata(r#"{"a":1}"#));
            set.ttl(seconds(60)).await.expect("sets");
        }
        let mut t = store.begin(Isolation::default());
        for (key, value) in [("k/0", "again"), ("k/11", "again"), ("k/1a", "new"), ("a", "new"), ("l", "new")] {
            t.set(key, value).expect("writes");
        }
        for key in ["k/10", "k/19", "k/2", "nothing"] {
            t.delete(key).expect("deletes");
        }
        assert_eq!(t.add("k/5", 7, 0..=100).await.ok(), Some(12));
        assert_eq!(t.add("k/n", 7, 0..=100).await.ok(), Some(7));
        t.touch("k/6", None).await.expect("touches");
        t.set_metadata("k/7", metadata(r#"{"b":2}"#)).await.expect("annotates");
        // Written and gone again, gone and written again.
        t.set("brief", "1").expect("writes");
        t.delete("brief").expect("deletes");
        t.delete("k/8").expect("deletes");
        t.set("k/8", "anew").expect("writes");
        t
    });
    let before = seen!(t);
    let one_by_one = block_on(async {
        let mut one_by_one = Vec::new();
        for key in ["k/0", "k/5", "k/6", "k/7", "k/8", "k/10", "k/1a", "brief", "nothing", "k/3"] {
            let entry = t.get(key).await.expect("gets");
            assert_eq!(t.exists(key).await.ok(), Some(entry.is_some()), "{key}");
            one_by_one.push((key, entry.as_ref().map(essence)));
        }
        one_by_one
    });
    block_on(t.commit()).expect("commits");
    for (before, after) in before.into_iter().zip(seen!(store)) {
        assert_eq!(before, after, "as it was seen before it was committed, and after");
    }
    for (key, before) in one_by_one {
        assert_eq!(before, block_on(store.get(key)).expect("gets").as_ref().map(essence), "{key}");
    }
}

/// What can be done to one key.
const DEEDS: [&str; 5] = ["set", "delete", "add", "touch", "annotate"];

pub(super) fn g5_a_transaction_may_write_a_key_again_and_again(ground: &Ground) {
    let store = ground.store();
    let mut sequences: Vec<Vec<&str>> = DEEDS.map(|deed| vec![deed]).into();
    for _ in 0..2 {
        let longer = sequences.iter().flat_map(|deeds| DEEDS.map(|deed| [&deeds[..], &[deed]].concat())).collect::<Vec<_>>();
        sequences.extend(longer);
    }
    let (one, other) = (namespace("alone"), namespace("together"));
    let (alone, together) = (store.scope(&one).expect("a scope"), store.scope(&other).expect("a scope"));
    for (n, deeds) in sequences.iter().enumerate() {
        let begin = ["absent", "number", "text"][n % 3];
        for scope in [&alone, &together] {
            block_on(async {
                let _ = scope.delete("k").await;
                let with = metadata(r#"{"old":true}"#);
                match begin {
                    "number" => drop(scope.set("k", Value::integer(1)).ttl(seconds(60)).metadata(with).await),
                    "text" => drop(scope.set("k", "text").metadata(with).await),
                    _ => {}
                }
            });
        }
        let kind = |error: larder_core::Error| error.kind();
        let mut t = together.begin(Isolation::default());
        for deed in deeds {
            let (expected, answer) = block_on(async {
                let with = metadata(r#"{"new":1}"#);
                match *deed {
                    "set" => (alone.set("k", Value::integer(5)).await.map(drop), t.set("k", Value::integer(5))),
                    "delete" => (alone.delete("k").await.map(drop), t.delete("k")),
                    "add" => {
                        let (expected, sum) = (alone.add("k", 2, 0..=99).await, t.add("k", 2, 0..=99).await);
                        assert_eq!(sum.as_ref().ok(), expected.as_ref().ok(), "{begin}: {deeds:?}");
                        (expected.map(drop), sum.map(drop))
                    }
                    "touch" => (alone.touch("k", Some(seconds(9))).await.map(drop), t.touch("k", Some(seconds(9))).await),
                    _ => (alone.set_metadata("k", with.clone()).await.map(drop), t.set_metadata("k", with).await),
                }
            });
            assert_eq!(answer.map_err(kind), expected.map_err(kind), "{deed} of {deeds:?} where there was {begin}");
        }
        block_on(t.commit()).expect("commits");
        let rest = |scope: &Scope| {
            let entry = block_on(scope.get("k")).expect("gets");
            entry.map(|entry| (entry.value, entry.expires_at, entry.metadata))
        };
        assert_eq!(rest(&together), rest(&alone), "{deeds:?} where there was {begin}");
    }
}

pub(super) fn g5_a_transaction_never_sees_two_moments(ground: &Ground) {
    let (store, other) = (ground.store(), ground.store());
    // With few keys read they are all read again, with many the log is asked, and so it is after a range.
    for (many, ranged) in [(1, false), (15, false), (16, false), (17, false), (40, false), (1, true), (40, true)] {
        let what = format!("{many} keys, {}", if ranged { "and a range" } else { "no range" });
        let set = |number: i64| {
            let both = other.commit().set("both/a", Value::integer(number)).set("both/b", Value::integer(number));
            block_on(both.into_future()).expect("commits");
        };
        set(1);
        let mut t = Work::begin(&store);
        for n in 0..many {
            t.get(&format!("far/{n:02}"));
        }
        if ranged {
            t.scan("range/");
        }
        // Nothing that was read has changed: the moment moves on, and what is new is seen.
        set(2);
        assert_eq!(t.get("both/a"), Some(2), "{what}: a transaction does not stay behind without a reason");
        set(3);
        assert_eq!(t.get("both/b"), Some(2), "{what}");
        assert_eq!(t.scan("both/"), found(&[("both/a", 2), ("both/b", 2)]), "{what}");
        assert_eq!(block_on(t.0.count("both/")).ok(), Some(2), "{what}");
        block_on(other.delete("both/a")).expect("deletes");
        assert_eq!(t.scan(Select::prefix("both/").reverse().limit(2)).len(), 2, "{what}: deleted since");
        assert_eq!(block_on(t.0.count(Select::prefix("both/"))).ok(), Some(2), "{what}: counted although deleted since");
        t.set("out", 1);
        t.conflicts();
    }
}

pub(super) fn g5_phantoms_are_caught(ground: &Ground) {
    let (store, other) = (ground.store(), ground.store());
    let keys = || Select::prefix("r/");
    // What is scanned, where somebody else writes meanwhile, and whether that is something that was looked at.
    let table: [(&str, Select, &str, bool); 18] = [
        ("an insert", keys(), "r/b1", true),
        ("an update", keys(), "r/b", true),
        ("an insert in front", keys(), "r/!", true),
        ("an insert at the end", keys(), "r/\u{10ffff}", true),
        ("a neighbour in front", keys(), "r", false),
        ("a neighbour behind", keys(), "r0", false),
        ("an update of the last one of two", keys().limit(2), "r/b", true),
        ("an insert before the last one of two", keys().limit(2), "r/a1", true),
        ("an insert behind the last one of two", keys().limit(2), "r/b1", false),
        ("an update behind the last one of two", keys().limit(2), "r/c", false),
        ("an insert among what was passed over", keys().offset(2).limit(1), "r/a1", true),
        ("an insert behind the limit after an offset", keys().offset(2).limit(1), "r/c1", false),
        ("an insert behind the last one, backwards", keys().reverse().limit(2), "r/b1", false),
        ("an insert before the last one, backwards", keys().reverse().limit(2), "r/c1", true),
        ("an insert although there were fewer than the limit", keys().limit(9), "r/e", true),
        ("an insert after the cursor", keys().after(key("r/b")), "r/b1", true),
        ("an insert before the cursor", keys().after(key("r/b")), "r/a1", false),
        ("an insert that a glob could match", Select::glob(Glob::new("r/*1").expect("a glob")), "r/b1", true),
    ];
    for (what, select, at, conflicts) in table {
        for (how, own) in [("a scan", None), ("a scan over own writes", Some("r/a")), ("a list", None), ("a count", None)] {
            block_on(other.clear("").into_future()).expect("clears");
            for key in ["r/a", "r/b", "r/c", "r/d"] {
                block_on(other.set(key, Value::integer(1)).into_future()).expect("sets");
            }
            let mut t = store.begin(Isolation::default());
            if let Some(own) = own {
                t.set(own, Value::integer(2)).expect("writes");
            }
            block_on(async {
                let read = match how {
                    "a list" => t.list(select.clone()).await.is_ok(),
                    "a count" => t.count(select.clone()).await.is_ok(),
                    _ => t.scan(select.clone()).await.is_ok(),
                };
                assert!(read, "{what} under {how}");
                other.set(at, Value::integer(3)).await.expect("writes meanwhile");
                t.set("out", Value::integer(1)).expect("writes");
                let answer = t.commit().await.map(drop).map_err(|error| error.kind());
                let expected = if conflicts { Err(ErrorKind::Conflict) } else { Ok(()) };
                assert_eq!(answer, expected, "{what} under {how}");
            });
        }
    }
    // A deletion, and what came and went: that is not there in the end, but it was.
    block_on(other.set("r/b", Value::integer(1)).into_future()).expect("sets");
    for deleted in [true, false] {
        let mut t = Work::begin(&store);
        t.scan("r/");
        if !deleted {
            block_on(other.set("r/brief", Value::integer(1)).into_future()).expect("sets");
        }
        block_on(other.delete(if deleted { "r/b" } else { "r/brief" })).expect("deletes");
        t.set("out", 2);
        t.conflicts();
    }
}

pub(super) fn g5_a_transaction_that_only_reads_never_conflicts(ground: &Ground) {
    let (store, other) = (ground.store(), ground.store());
    let zeros = (0..30).map(|n| (format!("k/{n:02}"), Value::integer(0)));
    assert!(block_on(other.set_many(zeros)).iter().all(Result::is_ok));
    let mut t = Work::begin(&store);
    assert_eq!(t.get("k/00"), Some(0));
    for n in 0..30 {
        block_on(other.set(format!("k/{n:02}"), Value::integer(1)).into_future()).expect("sets");
        assert_eq!(t.get(&format!("k/{n:02}")), Some(0), "as of the first read");
    }
    assert!(t.scan("k/").iter().all(|(_, number)| *number == 0));
    let at = t.revision().expect("it has read");
    assert_eq!(t.commits().revision, at, "the receipt names the moment");
    let nothing = Work::begin(&store).commits();
    assert!(nothing.writes.is_empty() && nothing.revision > at, "one that read nothing is of the present");
}

pub(super) fn g5_more_reads_than_checks_are_all_guarded(ground: &Ground) {
    let (store, other) = (ground.store(), ground.store());
    let scopes = ["a", "c"].map(|name| store.scope(&namespace(name)).expect("a scope"));
    let between = other.scope(&namespace("b")).expect("a scope");
    let elsewhere: Vec<Scope> = ["a", "c"].map(|name| other.scope(&namespace(name)).expect("a scope")).into();
    let names: Vec<String> = (0..152).map(|n| format!("k/{n:03}")).collect();
    let half = names.iter().step_by(2).map(|name| (name.clone(), Value::integer(1)));
    for scope in &elsewhere {
        assert!(block_on(scope.set_many(half.clone())).iter().all(Result::is_ok));
    }
    let reading = || {
        let mut t = store.begin(Isolation::default());
        for scope in &scopes {
            block_on(t.within(scope).expect("of this store").get_many(&names)).expect("reads");
        }
        t.set("out", "1").expect("writes");
        t
    };
    // Those that are there, and those that are not, at both ends and in between.
    for (n, scope) in [(0, 0), (1, 0), (63, 0), (64, 0), (151, 0), (0, 1), (75, 1), (150, 1), (151, 1)] {
        let t = reading();
        block_on(elsewhere[scope].set(&names[n], "changed").into_future()).expect("sets");
        fails(block_on(t.commit()), ErrorKind::Conflict);
        let t = reading();
        block_on(elsewhere[scope].delete(&names[n])).expect("deletes");
        fails(block_on(t.commit()), ErrorKind::Conflict);
    }
    // What lies before, behind and between the two namespaces is nobody's business here.
    let t = reading();
    for at in ["j", "l"] {
        block_on(elsewhere[0].set(at, "beside").into_future()).expect("sets");
    }
    block_on(between.set("k/075", "beside").into_future()).expect("sets");
    block_on(t.commit()).expect("nothing that was read has changed");
}

pub(super) fn g5_what_expires_before_the_commit_conflicts(ground: &Ground) {
    let seam = ground.open();
    let store = seam.store();
    type Read = fn(&mut Transaction);
    let reads: [(&str, Read); 5] = [
        ("a key", |t| assert!(block_on(t.get("r/brief")).is_ok())),
        ("a scan", |t| assert!(block_on(t.scan("r/")).is_ok())),
        ("a count", |t| assert!(block_on(t.count("r/")).is_ok())),
        ("a list, over own writes", |t| {
            t.set("r/own", "1").expect("writes");
            assert!(block_on(t.list("r/")).is_ok());
        }),
        ("many keys", |t| {
            let many = (0..80).map(|n| format!("r/{n}")).chain(["r/brief".to_owned()]);
            assert!(block_on(t.get_many(many)).is_ok());
        }),
    ];
    for (what, read) in reads {
        let begin = seam.now();
        let attempt = |read_at: Timestamp, commit_at: Timestamp| {
            block_on(store.set("r/brief", "1").expires_at(begin.after(seconds(10))).into_future()).expect("sets");
            seam.world.set(read_at);
            let mut t = store.begin(Isolation::default());
            read(&mut t);
            t.set("out", "1").expect("writes");
            seam.world.set(commit_at);
            block_on(t.commit()).map(drop).map_err(|error| error.kind())
        };
        let (early, at) = (begin.after(seconds(9)), begin.after(seconds(10)));
        assert_eq!(attempt(begin, early), Ok(()), "{what}: still there");
        seam.world.set(begin);
        assert_eq!(attempt(begin, at), Err(ErrorKind::Conflict), "{what}: expired since it was read");
        seam.world.set(begin);
        assert_eq!(attempt(at, at), Ok(()), "{what}: gone already when it was read");
        seam.world.set(begin);
        assert_eq!(attempt(at, early), Err(ErrorKind::Conflict), "{what}: back for a clock that is behind");
        seam.world.set(begin.after(seconds(100)));
    }
}

pub(super) fn g5_what_the_log_no_longer_tells_is_no_pass(ground: &Ground) {
    let seam = ground.open();
    let (store, none) = (seam.store(), Timestamp::EPOCH);
    let trim = |seam: &Seam| seam.trim(Revision::new(u64::MAX >> 1), none);
    seam.draft().put("r/a", "1").put("r/b", "1").put("k", "1").done();
    // Nothing of it has changed, but nobody can tell: the head is beyond the moment, and the log begins there.
    let mut t = Work::begin(&store);
    t.scan("r/");
    seam.put("other", "1");
    trim(&seam);
    t.set("out", 1);
    t.conflicts();
    // The same, asked for by a read before the commit.
    let mut t = Work::begin(&store);
    t.scan("r/");
    seam.put("r/a", "2");
    seam.put("k", "2");
    trim(&seam);
    fails(block_on(t.0.get("k")), ErrorKind::Trimmed);
    t.set("out", 1);
    t.conflicts();
    // Single keys need no log.
    for changed in [false, true] {
        let mut t = Work::begin(&store);
        assert_eq!((t.get("k").is_some(), t.get("absent")), (true, None));
        seam.put(if changed { "k" } else { "other" }, "3");
        trim(&seam);
        t.set("out", 1);
        if changed { t.conflicts() } else { drop(t.commits()) }
    }
}
