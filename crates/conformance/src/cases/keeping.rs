//! Keeping a store in bounds: what is forgotten, and what is not.

use std::time::Duration;

use futures_lite::future::block_on;
use larder_core::{Kept, Retention, Revision};

use crate::ground::{Ground, Seam, seconds};

fn keep(seam: &Seam, age: Duration, bytes: u64) -> Kept {
    block_on(seam.store().keep(Retention { age, bytes, held_bytes: bytes, ids: seconds(1_000) })).expect("keeps")
}

pub(super) fn keeping_forgets_what_is_too_old(ground: &Ground) {
    let seam = ground.open();
    // Two changes a commit, a commit a second: more than what is looked at at once.
    for n in 0..400 {
        seam.draft().put("a", &n.to_string()).put("b", "x").done();
        seam.world.step(seconds(1));
    }
    assert_eq!(keep(&seam, seconds(1_000), u64::MAX).changes, 0, "all of it is young enough");
    assert_eq!(keep(&seam, seconds(100), u64::MAX), Kept { expired: 0, changes: 600, ids: 0 });
    let status = seam.status();
    assert_eq!((status.changes, status.oldest > Revision::ZERO), (200, true));
    assert_eq!(seam.changes_after(status.oldest).len(), 200, "what is left can be read");
    assert_eq!(seam.text("a").as_deref(), Some("399"));
    seam.world.step(seconds(2_000));
    let kept = keep(&seam, seconds(100), u64::MAX);
    assert_eq!((kept.changes, kept.ids > 300), (200, true));
    assert_eq!((seam.status().changes, seam.status().log_bytes, seam.status().oldest), (0, 0, seam.head()));
    assert_eq!(keep(&seam, seconds(100), u64::MAX).changes, 0, "nothing is left to forget");
}

pub(super) fn keeping_forgets_what_is_too_much(ground: &Ground) {
    let seam = ground.open();
    for n in 0..50 {
        seam.put("k", &format!("{n}{}", "x".repeat(1_000)));
    }
    let full = seam.status();
    assert!((49_000..60_000).contains(&full.log_bytes), "the log counts what it keeps: {}", full.log_bytes);
    assert_eq!(keep(&seam, seconds(1_000), full.log_bytes).changes, 0);
    keep(&seam, seconds(1_000), 10_000);
    let status = seam.status();
    assert!((8_000..=10_000).contains(&status.log_bytes), "as much as fits is kept: {}", status.log_bytes);
    assert_eq!(seam.changes_after(status.oldest).len() as u64, status.changes);
    keep(&seam, seconds(1_000), 0);
    assert_eq!((seam.status().changes, seam.status().log_bytes), (0, 0));
    assert!(seam.text("k").is_some_and(|text| text.starts_with("49x")));
    assert!(seam.status().oldest > Revision::ZERO);
    // A commit is forgotten whole, also where half of it would be enough.
    for _ in 0..20 {
        seam.draft().put("a", &"x".repeat(1_000)).put("b", &"x".repeat(1_000)).done();
    }
    for bytes in [10_500, 9_500] {
        keep(&seam, seconds(1_000), bytes);
        let status = seam.status();
        assert!((bytes - 2_100..=bytes).contains(&status.log_bytes), "{} of {bytes} bytes are kept", status.log_bytes);
    }
}
