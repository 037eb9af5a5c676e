//! A disk without space, and one that cannot sync, from every single operation on.

mod simulated;
mod work;

use futures_lite::future::block_on;
use larder_core::{Durability, ErrorKind};
use larder_ordered::Map as _;

use crate::{
    simulated::{Keeps, Plan, Simulated},
    work::{Known, check_files, open},
};

const ROUNDS: u64 = 14;

/// After every so many operations something fails; `LARDER_CRASHES=1` is after each, and takes a while.
fn stride() -> usize {
    std::env::var("LARDER_CRASHES").map_or(3, |stride| stride.parse().expect("LARDER_CRASHES is a number"))
}

/// When the power is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    /// Right after the first batch that was not acknowledged.
    AtOnce,
    /// After all of it, while the disk still fails if it does.
    Late,
    /// When the disk works again and the store has gone on.
    Recovered,
}

/// Works on a disk that does what `plan` says, and then works again; what was refused and what is unknown.
fn work(seed: u64, plan: Plan, cut: Cut, expected: &str) -> (usize, usize) {
    let told = format!("{plan:?}, cut {cut:?}, seed {seed}");
    let disk = Simulated::new(seed);
    drop(block_on(open(&disk, Durability::Full).expect("opens").close()));
    let map = open(&disk, Durability::Full).expect("opens");
    let mut known = Known::default();
    disk.plan(plan);
    for round in 0..ROUNDS {
        if let Some(error) = known.step(&map) {
            assert!(error.to_string().contains(expected), "{told}: {error}");
            if cut == Cut::AtOnce {
                break;
            }
        }
        let tidied = match round % 4 {
            1 => map.tidy(false),
            3 => map.tidy(true),
            _ => Ok(()),
        };
        if let Err(error) = tidied {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{told}: {error}");
            assert!(error.to_string().contains(expected), "{told}: {error}");
        }
        // What is seen is what was acknowledged, also while the disk fails.
        assert!(work::contents(&map) == known.acknowledged, "{told}");
    }
    // A power cut while it is so bad: of what is unknown either all is there or nothing.
    let (refusals, unknowns) = (known.refusals, known.unknowns);
    if cut == Cut::Recovered {
        disk.plan(Plan::Well);
        assert!(known.step(&map).is_none(), "{told}: it goes on");
        map.tidy(false).unwrap_or_else(|error| panic!("{told}: {error}"));
        check_files(&disk, &known.acknowledged, &told);
    }
    let disk = disk.cut(Keeps::Some);
    drop(map);
    let map = open(&disk, Durability::Full).unwrap_or_else(|error| panic!("{told}: {error}"));
    known.check(&map, &told);
    assert!(known.step(&map).is_none(), "{told}: it goes on");
    map.tidy(true).unwrap_or_else(|error| panic!("{told}: {error}"));
    check_files(&disk, &known.acknowledged, &told);
    assert!(disk.files("edited").is_empty(), "{told}: nobody has edited anything");
    (refusals, unknowns)
}

/// No space from some operation on, for a while or for good: a clear error, nothing lost, and it goes on when there is some.
#[test]
fn a_full_disk_loses_nothing_and_goes_on() {
    let mut refused = 0;
    for from in (1..220).step_by(stride()) {
        for (length, cut) in
            [(9, Cut::Recovered), (9, Cut::Late), (9, Cut::AtOnce), (1000, Cut::Recovered), (1000, Cut::Late)]
        {
            let plan = Plan::Full(from, from + length);
            let (refusals, unknowns) = work(from, plan, cut, "the disk is full");
            assert_eq!(unknowns, 0, "what does not fit is surely not there");
            refused += refusals;
        }
    }
    assert!(refused > 200 / stride(), "{refused} were refused");
}

/// A sync that fails is never taken for one that was done: whoever waited for it is told that nobody knows, unless it can be
/// taken back for certain.
#[test]
fn a_failed_sync_is_not_a_sync() {
    let (mut refused, mut unknown) = (0, 0);
    for from in (1..220).step_by(stride()) {
        for (length, cut) in [
            (1, Cut::AtOnce),
            (1, Cut::Late),
            (9, Cut::AtOnce),
            (9, Cut::Recovered),
            (1000, Cut::Recovered),
            (1000, Cut::Late),
        ] {
            let plan = Plan::SyncFails(from, from + length);
            let (refusals, unknowns) = work(from, plan, cut, "the disk failed");
            refused += refusals;
            unknown += unknowns;
        }
    }
    assert!(refused > 200 / stride() && unknown > 50 / stride(), "{refused} refused, {unknown} unknown");
}
