//! A power cut, or the death of the process, after every single operation of the disk.

mod simulated;
mod work;

use futures_lite::future::block_on;
use larder_core::Durability;
use larder_file::FileMap;
use larder_ordered::Map as _;

use crate::{
    simulated::{Keeps, Plan, Simulated},
    work::{Known, check_files, contents, open},
};

/// Every so many operations there is a crash; `LARDER_CRASHES=1` is after each, and takes a while.
fn stride() -> usize {
    std::env::var("LARDER_CRASHES").map_or(7, |stride| stride.parse().expect("LARDER_CRASHES is a number"))
}

/// Some of everything that a store does. It ends where the disk does not go on.
fn work(map: &FileMap, known: &mut Known) {
    for round in 0..12 {
        if known.step(map).is_some() {
            return;
        }
        let tidied = match round {
            2 | 5 | 8 => map.tidy(false),
            3 | 9 => map.tidy(true),
            _ => Ok(()),
        };
        if tidied.is_err() {
            return;
        }
    }
    let _ = block_on(map.close());
}

/// How many operations all of it takes.
fn operations(durability: Durability) -> u64 {
    let disk = Simulated::new(0);
    let map = open(&disk, durability).expect("opens");
    let mut known = Known::default();
    work(&map, &mut known);
    assert_eq!((known.next, known.refusals), (12, 0), "a disk that works refuses nothing");
    drop(map);
    disk.operations()
}

/// Works until the process dies after operation `at`; what is known then, and the disk.
fn until(at: u64, seed: u64, durability: Durability) -> (Simulated, Known) {
    let disk = Simulated::new(seed);
    disk.plan(Plan::Dies(at));
    let mut known = Known::default();
    if let Ok(map) = open(&disk, durability) {
        work(&map, &mut known);
    }
    (disk, known)
}

/// The store goes on after a crash as if nothing had been.
fn goes_on(disk: &Simulated, mut known: Known, durability: Durability, told: &str) {
    let map = open(disk, durability).unwrap_or_else(|error| panic!("{told}: {error}"));
    match durability {
        Durability::Full => known.check(&map, told),
        _ => known.check_relaxed(&map, told),
    }
    for _ in 0..3 {
        assert!(known.step(&map).is_none(), "{told}: it goes on");
    }
    map.tidy(false).unwrap_or_else(|error| panic!("{told}: {error}"));
    check_files(disk, &known.acknowledged, told);
    map.tidy(true).unwrap_or_else(|error| panic!("{told}: {error}"));
    assert!(disk.files("edited").is_empty(), "{told}: nobody has edited anything, but {:?}", disk.files("edited"));
    block_on(map.close()).expect("closes");
    let map = open(disk, durability).unwrap_or_else(|error| panic!("{told}: {error}"));
    known.check(&map, told);
    block_on(map.close()).expect("closes");
}

/// A power cut anywhere, with nothing, something or everything of what was not synced: what was acknowledged is there, what
/// was refused is not, no batch is there in part, and the files of entries become what they have to be.
#[test]
fn a_power_cut_loses_nothing_acknowledged() {
    let all = operations(Durability::Full);
    let mut unknown = 0;
    for at in (1..=all).step_by(stride()) {
        for (seed, keeps) in
            [(1, Keeps::Nothing), (2, Keeps::Everything), (3, Keeps::Some), (4, Keeps::Some), (5, Keeps::Some)]
        {
            let told = format!("cut at {at} of {all}, seed {seed}, {keeps:?}");
            let (disk, known) = until(at, seed * 1000 + at, Durability::Full);
            unknown += known.unknowns;
            goes_on(&disk.cut(keeps), known, Durability::Full, &told);
        }
    }
    assert!(unknown > 0, "some batches were under way");
}

/// A second power cut while the store recovers from the first.
#[test]
fn a_power_cut_during_recovery_loses_nothing_acknowledged() {
    let all = operations(Durability::Full);
    for at in (1..=all).step_by(stride()) {
        for again in [1, 2, 3, 5, 8, 13, 21] {
            let told = format!("cut at {at} of {all} and {again} operations later");
            let (disk, known) = until(at, at * 100 + again, Durability::Full);
            let disk = disk.cut(Keeps::Some);
            disk.plan(Plan::Dies(again));
            if let Ok(map) = open(&disk, Durability::Full) {
                let _ = map.tidy(false).and_then(|()| map.tidy(true));
            }
            goes_on(&disk.cut(Keeps::Some), known, Durability::Full, &told);
        }
    }
}

/// A killed process loses nothing, synced or not; and a power cut right after the next one has opened the store does not
/// take back what that has seen.
#[test]
fn a_kill_loses_nothing_acknowledged() {
    for durability in [Durability::Full, Durability::Relaxed] {
        let all = operations(durability);
        for at in (1..=all).step_by(stride()) {
            let told = format!("killed at {at} of {all}, {durability:?}");
            let (disk, mut known) = until(at, at, durability);
            let disk = disk.kill();
            let map = open(&disk, Durability::Full).unwrap_or_else(|error| panic!("{told}: {error}"));
            known.check(&map, &told);
            drop(map);
            goes_on(&disk.cut(Keeps::Some), known, Durability::Full, &told);
        }
    }
}

/// A relaxed store comes back as it was at some moment, whole.
#[test]
fn a_power_cut_takes_relaxed_batches_from_the_end_alone() {
    let all = operations(Durability::Relaxed);
    let mut lost = 0;
    for at in (1..=all).step_by(stride()) {
        for (seed, keeps) in [(1, Keeps::Nothing), (2, Keeps::Some), (3, Keeps::Some)] {
            let told = format!("cut at {at} of {all}, seed {seed}, {keeps:?}");
            let (disk, known) = until(at, seed * 1000 + at, Durability::Relaxed);
            let disk = disk.cut(keeps);
            let map = open(&disk, Durability::Relaxed).unwrap_or_else(|error| panic!("{told}: {error}"));
            let found = contents(&map);
            if known.unsafe_since.contains(&found) && found != known.acknowledged {
                lost += 1;
            }
            // As a crash would, before anybody was told.
            let disk = disk.kill();
            drop(map);
            goes_on(&disk, known, Durability::Relaxed, &told);
        }
    }
    assert!(lost > 0, "some was lost");
}

/// A store that was closed has lost nothing, however it was written.
#[test]
fn a_clean_end_is_safe() {
    for durability in [Durability::Full, Durability::Relaxed] {
        let disk = Simulated::new(9);
        let map = open(&disk, durability).expect("opens");
        let mut known = Known::default();
        work(&map, &mut known);
        let disk = disk.cut(Keeps::Nothing);
        let map = open(&disk, durability).expect("opens");
        known.check(&map, "a clean end");
        check_files(&disk, &known.acknowledged, "a clean end");
    }
}
