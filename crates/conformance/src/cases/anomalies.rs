//! G5: every anomaly that Hermitage (Martin Kleppmann, github.com/ept/hermitage) looks for, under the name it has there.
//!
//! Each is told twice: by transactions of one handle, and of two that share nothing but the store.

use futures_lite::future::block_on;
use larder_core::{Scope, Value};

use crate::{
    ground::{Ground, namespace},
    work::{Work, found},
};

/// Tells `story` where 1 is 10 and 2 is 20, to one handle and to two.
fn told(ground: &Ground, story: impl Fn(&Scope, &Scope)) {
    let (one, two) = (ground.store(), ground.store());
    for (name, second) in [("together", &one), ("apart", &two)] {
        let (first, second) = (one.scope(&namespace(name)), second.scope(&namespace(name)));
        let (first, second) = (first.expect("a scope"), second.expect("a scope"));
        block_on(first.commit().set("1", Value::integer(10)).set("2", Value::integer(20)).into_future())
            .expect("the story begins");
        story(&first, &second);
    }
}

/// What is there for somebody who comes now.
fn now(scope: &Scope) -> crate::work::Found {
    Work::begin(scope).scan("")
}

pub(super) fn g5_g0_write_cycles(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        t1.set("1", 11);
        t2.set("1", 12);
        t1.set("2", 21);
        t1.commits();
        assert_eq!(now(two), found(&[("1", 11), ("2", 21)]));
        t2.set("2", 22);
        t2.commits();
        assert_eq!(now(one), found(&[("1", 12), ("2", 22)]), "both writes of one of them");
    });
}

pub(super) fn g5_g1a_aborted_reads(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        t1.set("1", 101);
        assert_eq!(t2.scan(""), found(&[("1", 10), ("2", 20)]));
        t1.0.rollback();
        drop(t1);
        assert_eq!(t2.scan(""), found(&[("1", 10), ("2", 20)]));
        t2.commits();
    });
}

pub(super) fn g5_g1b_intermediate_reads(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        t1.set("1", 101);
        assert_eq!(t2.get("1"), Some(10));
        t1.set("1", 11);
        let receipt = t1.commits();
        assert_eq!(receipt.writes.len(), 1, "what was in between has never been");
        assert_eq!(t2.scan(""), found(&[("1", 10), ("2", 20)]));
        t2.commits();
        assert_eq!(now(one), found(&[("1", 11), ("2", 20)]));
    });
}

pub(super) fn g5_g1c_circular_information_flow(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        t1.set("1", 11);
        t2.set("2", 22);
        assert_eq!((t1.get("2"), t2.get("1")), (Some(20), Some(10)));
        t1.commits();
        t2.conflicts();
        assert_eq!(now(two), found(&[("1", 11), ("2", 20)]));
    });
}

pub(super) fn g5_otv_observed_transaction_vanishes(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2, mut t3) = (Work::begin(one), Work::begin(two), Work::begin(one));
        t1.set("1", 11);
        t1.set("2", 19);
        t2.set("1", 12);
        t1.commits();
        assert_eq!(t3.get("1"), Some(11));
        t2.set("2", 18);
        assert_eq!(t3.get("2"), Some(19));
        t2.commits();
        assert_eq!((t3.get("2"), t3.get("1")), (Some(19), Some(11)));
        assert_eq!(t3.scan(""), found(&[("1", 11), ("2", 19)]));
        t3.commits();
    });
}

pub(super) fn g5_pmp_predicate_many_preceders(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        assert_eq!(t1.those(|value| value == 30), []);
        t2.set("3", 30);
        t2.commits();
        assert_eq!(t1.those(|value| value % 3 == 0), []);
        t1.commits();
    });
}

pub(super) fn g5_pmp_predicate_many_preceders_of_writes(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        for (key, value) in t1.those(|_| true) {
            t1.set(&key, value + 10);
        }
        for (key, _) in t2.those(|value| value == 20) {
            t2.delete(&key);
        }
        t1.commits();
        t2.conflicts();
        assert_eq!(now(one), found(&[("1", 20), ("2", 30)]), "what was 20 is now another one");
    });
}

pub(super) fn g5_p4_lost_update(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        assert_eq!((t1.get("1"), t2.get("1")), (Some(10), Some(10)));
        t1.set("1", 11);
        t2.set("1", 11);
        t1.commits();
        t2.conflicts();
    });
}

pub(super) fn g5_g_single_read_skew(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        assert_eq!(t1.get("1"), Some(10));
        assert_eq!((t2.get("1"), t2.get("2")), (Some(10), Some(20)));
        t2.set("1", 12);
        t2.set("2", 18);
        t2.commits();
        assert_eq!(t1.get("2"), Some(20));
        t1.commits();
    });
}

pub(super) fn g5_g_single_read_skew_of_predicates(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        assert_eq!(t1.those(|value| value % 5 == 0), found(&[("1", 10), ("2", 20)]));
        for (key, _) in t2.those(|value| value == 10) {
            t2.set(&key, 12);
        }
        t2.commits();
        assert_eq!(t1.those(|value| value % 3 == 0), []);
        t1.commits();
    });
}

pub(super) fn g5_g_single_read_skew_of_write_predicates(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        assert_eq!(t1.get("1"), Some(10));
        assert_eq!(t2.those(|_| true), found(&[("1", 10), ("2", 20)]));
        t2.set("1", 12);
        t2.set("2", 18);
        t2.commits();
        for (key, _) in t1.those(|value| value == 20) {
            t1.delete(&key);
        }
        t1.conflicts();
        assert_eq!(now(one), found(&[("1", 12), ("2", 18)]));
    });
}

pub(super) fn g5_g2_item_write_skew(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        for t in [&mut t1, &mut t2] {
            assert_eq!((t.get("1"), t.get("2")), (Some(10), Some(20)));
        }
        t1.set("1", 11);
        t2.set("2", 21);
        t1.commits();
        t2.conflicts();
    });
}

pub(super) fn g5_g2_anti_dependency_cycles(ground: &Ground) {
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        for t in [&mut t1, &mut t2] {
            assert_eq!(t.those(|value| value % 3 == 0), []);
        }
        t1.set("3", 30);
        t2.set("4", 42);
        t1.commits();
        t2.conflicts();
        assert_eq!(Work::begin(two).those(|value| value % 3 == 0), found(&[("3", 30)]));
    });
}

pub(super) fn g5_g2_anti_dependency_cycles_of_two_edges(ground: &Ground) {
    // Fekete, O'Neil and O'Neil, "A read-only transaction anomaly under snapshot isolation", 2004.
    told(ground, |one, two| {
        let (mut t1, mut t2) = (Work::begin(one), Work::begin(two));
        assert_eq!(t1.scan(""), found(&[("1", 10), ("2", 20)]));
        let second = t2.get("2").expect("it is there");
        t2.set("2", second + 5);
        t2.commits();
        let mut t3 = Work::begin(two);
        assert_eq!(t3.scan(""), found(&[("1", 10), ("2", 25)]));
        t3.commits();
        t1.set("1", 0);
        t1.conflicts();
    });
}
