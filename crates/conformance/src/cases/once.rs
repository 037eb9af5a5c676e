//! G14 as callers have it who do not want to ask themselves: a commit that is known to have happened once.

use std::{future::IntoFuture as _, sync::Arc};

use larder_core::{Revision, Store, Transaction};

use crate::{
    fault::nth::{Failure, Nth},
    ground::{Ground, namespace},
    watching::wait,
};

/// Far more calls than the work makes.
const CALLS_MAX: usize = 100;

pub(super) fn g14_once_is_once_wherever_the_line_is_cut(ground: &Ground) {
    let seam = ground.open();
    for failure in [Failure::Refused, Failure::AnswerLost, Failure::Lost] {
        let mut calls = 0;
        loop {
            let engine = Nth::new(calls, failure, seam.engine.clone());
            let space = namespace(&format!("{failure:?}{calls}"));
            let store = Store::new(engine.clone(), Arc::new(ground.world.clone()));
            let store = store.in_namespace(&space).expect("a user's namespace");

            let added = wait(&ground.world, Box::pin(store.commit().add("n", 1, 0..=9).once())).expect("adds");
            assert_eq!(added.writes[0].number, Some(1));
            // Sent again under another id, it would find what it had created itself.
            let created = wait(&ground.world, Box::pin(store.set("k", "v").if_absent().once())).expect("creates");
            assert_eq!((created.version.get(), created.existed), (1, false));
            let add = async |mut t: Transaction| t.add("n", 1, 0..=9).await;
            let sum = wait(&ground.world, Box::pin(store.transact(add))).expect("adds once more");
            assert_eq!(sum, 2);

            let log = seam.changes_after(Revision::ZERO);
            let changes = log.iter().filter(|change| change.address.namespace == space).count();
            assert_eq!(changes, 3, "call {calls} {failure:?}: each happened once");
            let late = wait(&ground.world, store.set("k", "v").if_absent().into_future());
            assert!(late.is_err(), "what is there is still told");
            if !engine.has_failed() {
                break;
            }
            calls += 1;
            assert!(calls < CALLS_MAX, "the work ends");
        }
        assert!(calls >= 5, "each of several calls has failed once");
    }
}
