//! G1 and G2 when nobody says goodbye: what was acknowledged is there after a crash, and nothing is there by half.
//!
//! Where the place cannot crash, handles are dropped without being closed, which nothing may depend on either.

use std::task::{Context, Poll, Waker};

use larder_core::{ErrorKind, Outcome, Revision, Timestamp, engine::Resolution};

use crate::ground::{Ground, committed, fails, seconds};

pub(super) fn g2_acknowledged_is_there_after_a_crash(ground: &Ground) {
    let mut seam = ground.open();
    for round in 0..6 {
        let beside = ground.open();
        let text = round.to_string();
        let first = beside.draft().put("a", &text).add("n", 1, 0..=100).commit();
        let receipt = committed(beside.commit(vec![first.clone()]).swap_remove(0));
        seam.world.step(seconds(1));
        // One thing each time is the last before the end.
        let fenced = seam.draft().put("late", "x").commit();
        match round % 3 {
            0 => assert_eq!(seam.resolve(fenced.id), Resolution::Never),
            1 => drop(seam.trim(receipt.revision, Timestamp::EPOCH)),
            _ => drop(seam.put("b", &text)),
        }
        let before = seam.picture();
        drop(beside);
        seam = ground.crash(seam);
        assert_eq!(seam.picture(), before, "what was acknowledged is not what is there after a crash");
        assert_eq!(seam.resolve(first.id), Resolution::Committed(receipt));
        if round % 3 == 0 {
            fails(seam.commit(vec![fenced]).swap_remove(0), ErrorKind::InvalidState);
        }
        assert!(seam.put("c", &text).revision > before.head(), "revisions go on");
    }
}

pub(super) fn g1_a_crash_leaves_no_half(ground: &Ground) {
    let mut seam = ground.open();
    seam.draft().put("left", "0").put("right", "0").done();
    for round in 1..12 {
        let text = round.to_string();
        let commit = seam.draft().put("left", &text).put("right", &text).commit();
        let engine = seam.engine.clone();
        let mut committing = engine.commit(vec![commit.clone()]);
        for _ in 0..round % 3 {
            if let Poll::Ready(mut answers) = committing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                assert!(matches!(answers.remove(0), Ok(Outcome::Committed(_))));
                break;
            }
        }
        seam = ground.crash_during(seam, committing);
        drop(engine);
        // Asked first: where nothing really crashes the commit may still be on its way, and this settles it.
        let resolved = seam.resolve(commit.id);
        let (left, right) = (seam.text("left"), seam.text("right"));
        assert_eq!(left, right, "half of a commit has survived");
        let happened = left == Some(text);
        let log = seam.changes_after(Revision::ZERO);
        let last = log.last().expect("there is a log").revision;
        assert_eq!(log.iter().filter(|change| change.revision == last).count(), 2, "half of it is in the log");
        assert_eq!(matches!(resolved, Resolution::Committed(_)), happened, "the id knows what happened");
    }
}
