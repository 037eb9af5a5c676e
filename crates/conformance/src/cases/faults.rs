//! G14 under faults: every call of a piece of work fails once, and nobody is told anything that is not so.
//!
//! The work is done again and again through an engine of which the first call fails, then the second, and so on, until
//! it is done without meeting the one that fails.

use std::{future::IntoFuture as _, ops::ControlFlow, sync::Arc};

use futures_lite::future::block_on;
use larder_core::{
    Address, Batch, ChangeKind, CommitId, ErrorKind, Index, Namespace, Query, Receipt, Result, Retention, Revision, Select,
    Store, Value, engine::Resolution, field,
};

use crate::{
    fault::nth::{Failure, Nth},
    ground::{Ground, Seam, namespace, seconds},
    watching::{batches, told, wait},
};

/// Far more calls than the work makes.
const CALLS_MAX: usize = 1_000;

pub(super) fn g14_a_call_that_is_refused_left_nothing_and_may_be_made_again(ground: &Ground) {
    every_call_fails_once(ground, Failure::Refused);
}

pub(super) fn g14_an_answer_that_is_lost_can_be_had_again(ground: &Ground) {
    every_call_fails_once(ground, Failure::AnswerLost);
}

pub(super) fn g7_a_look_that_fails_is_not_taken_for_a_look(ground: &Ground) {
    let (seam, busy) = (ground.open(), ground.store());
    for calls in 0..24 {
        let engine = Nth::new(calls, Failure::Refused, seam.engine.clone());
        let store = Store::new(engine.clone(), Arc::new(ground.world.clone()));
        let start = || block_on(store.watch("").start());
        let mut watch = start().or_else(|_| start()).expect("what failed once does not fail twice");
        for n in 0..12 {
            // One at a time, so that nothing else makes anybody look again.
            let revision = block_on(busy.set("k", n.to_string()).into_future()).expect("sets").revision;
            let found = loop {
                match wait(&ground.world, watch.next()) {
                    Ok(batch) => break batch,
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
                }
            };
            assert_eq!(found.revision, revision, "told of the next one, although a call had failed");
        }
        assert!(engine.has_failed(), "there were that many calls");
    }
}

fn every_call_fails_once(ground: &Ground, failure: Failure) {
    let seam = ground.open();
    for calls in 0..CALLS_MAX {
        let engine = Nth::new(calls, failure, seam.engine.clone());
        let space = namespace(&format!("run{calls}"));
        let store = Store::new(engine.clone(), Arc::new(ground.world.clone()));
        let work = Work { seam: &seam, store: store.in_namespace(&space).expect("a user's namespace"), space };
        work.all();
        if !engine.has_failed() {
            assert!(calls > 40, "the work makes a good many calls, and each of them has failed once");
            return;
        }
    }
    panic!("the work never ends without a call that fails");
}

struct Work<'a> {
    /// The engine itself, of which nothing fails.
    seam: &'a Seam,
    store: Store,
    space: Namespace,
}

impl Work<'_> {
    fn all(&self) {
        let begun = self.seam.head();
        let mut watch = self.patient(async || self.store.watch("").start().await);
        let receipts: Vec<Receipt> = (0..6).map(|n| self.commit(n)).collect();
        self.read(&receipts);
        self.ask();
        self.keep(begun);
        let end = self.commit(6).revision;

        let mut found: Vec<Batch> = Vec::new();
        while found.last().is_none_or(|batch| batch.revision < end) {
            // A watch that could not read is asked again.
            match wait(&self.seam.world, watch.next()) {
                Ok(batch) => found.push(batch),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            }
        }
        let log = self.seam.changes_after(begun);
        let own = |address: &Address| address.namespace == self.space;
        told("a watch of which a call failed", &found, &batches(&log, own));
        self.delete();
    }

    /// Does something that can be done again, until it is done.
    fn patient<T>(&self, mut attempt: impl AsyncFnMut() -> Result<T>) -> T {
        let tried = (0..3).try_for_each(|_| match block_on(attempt()) {
            Ok(done) => ControlFlow::Break(done),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::OutcomeUnknown), "{error}");
                ControlFlow::Continue(())
            }
        });
        tried.break_value().expect("what failed once does not fail twice more")
    }

    /// A commit that creates, updates, adds and deletes; whatever it is answered at first, it happens once.
    fn commit(&self, n: i64) -> Receipt {
        let send = |id: CommitId| {
            let commit = self.store.commit().id(id).set(format!("k{n}"), "x").set("last", n.to_string()).add("n", 1, 0..=9);
            let commit = if n > 0 { commit.delete(format!("k{}", n - 1)) } else { commit };
            block_on(commit.into_future())
        };
        let there = || self.seam.at(Address::new(self.space.clone(), crate::ground::key(&format!("k{n}")))).is_some();
        let id = self.store.world().commit_id();
        let receipt = match send(id) {
            Ok(receipt) => receipt,
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
                assert_eq!(error.unknown_commit(), Some(id), "the error names the commit to ask about");
                match self.patient(async || self.store.resolve(id).await) {
                    Resolution::Committed(receipt) => {
                        assert!(there(), "it is said to have happened");
                        assert_eq!(send(id).ok().as_ref(), Some(&receipt), "sent again it answers the same");
                        receipt
                    }
                    other => {
                        assert!(!there(), "it is said never to happen: {other:?}");
                        send(self.store.world().commit_id()).expect("another one happens")
                    }
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(!there(), "what was refused left nothing");
                send(id).expect("sent again it happens")
            }
        };
        assert!(there(), "what was acknowledged is there");
        assert_eq!(receipt.writes[2].number, Some(n + 1), "every commit so far has happened once");
        receipt
    }

    fn read(&self, receipts: &[Receipt]) {
        let (store, last) = (&self.store, receipts.last().expect("there are some"));
        let entry = self.patient(async || store.get("last").await).expect("is there");
        assert_eq!((entry.version.get(), entry.revision), (6, last.revision));
        let many = self.patient(async || store.get_many(["k5", "k4", "n"]).await).value;
        assert_eq!(many.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
        let keys = self.patient(async || store.list(Select::all()).await).items;
        assert_eq!(keys.iter().map(|key| key.as_str()).collect::<Vec<_>>(), ["k5", "last", "n"]);
        assert_eq!(self.patient(async || store.scan(Select::all().reverse()).await).items.len(), 3);
        assert_eq!(self.patient(async || store.count("").await), 3);
        let history = self.patient(async || store.history("k1", 9, None).await).changes;
        let kinds: Vec<ChangeKind> = history.iter().map(|change| change.kind).collect();
        assert_eq!(kinds, [ChangeKind::Deleted, ChangeKind::Created]);
        assert!(self.patient(async || store.status().await).revision >= last.revision);
    }

    /// Creates indexes, asks with them and without, and drops one: all of that can be begun again.
    fn ask(&self) {
        let store = &self.store;
        let value = Index::on("$value").expect("a path").unique();
        self.patient(async || store.set("one", Value::json("1").expect("JSON")).await);
        let filter = field("$value").gte(1);
        let ask = || self.patient(async || store.query(Query::new(filter.clone()).limit(9)).await).items.len();
        let without = ask();
        self.patient(async || match store.create_index(value.clone()).await {
            // Six of them became 6 with the last addition, and "one" is another number.
            Err(error) if error.kind() == ErrorKind::NotFound => panic!("nobody has dropped it: {error}"),
            other => other,
        });
        assert_eq!(self.patient(async || store.indexes().await).len(), 1);
        assert_eq!(ask(), without, "the same with an index");
        self.patient(async || match store.set("two", Value::json("1").expect("JSON")).await {
            Err(error) if error.as_conflict().is_some() => Ok(()),
            Err(error) => Err(error),
            Ok(_) => panic!("two have the same, however often it was tried"),
        });
        let mut dropped = false;
        self.patient(async || {
            let there = store.drop_index(&value).await;
            dropped |= *there.as_ref().unwrap_or(&true);
            there
        });
        assert!(dropped && self.patient(async || store.indexes().await).is_empty());
    }

    /// Sweeps up what has expired and forgets what is old: both can be begun again.
    fn keep(&self, begun: Revision) {
        let set = async || self.store.set("brief", "x").ttl(seconds(1)).await;
        self.patient(set);
        self.seam.world.step(seconds(2));
        self.patient(async || self.store.keep(Retention::default()).await);
        let brief = Address::new(self.space.clone(), crate::ground::key("brief"));
        let log = self.seam.changes_after(begun);
        let kinds: Vec<ChangeKind> = log.iter().filter(|change| change.address == brief).map(|change| change.kind).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == ChangeKind::Expired).count(), 1, "swept up once: {kinds:?}");
    }

    fn delete(&self) {
        let set = self.store.set_many((0..5).map(|n| (format!("t/{n}"), "x")));
        for answer in block_on(set) {
            // Some of them may be there and some not; they are cleared all the same.
            drop(answer);
        }
        self.patient(async || self.store.clear("t/").await);
        assert_eq!(self.patient(async || self.store.count("t/").await), 0);
        let mut unknown = false;
        self.patient(async || match self.store.delete_namespace(&self.space, true).await {
            // It was gone at the first attempt, of which nobody was told.
            Err(error) if error.kind() == ErrorKind::NotFound && unknown => Ok(0),
            other => {
                unknown |= other.as_ref().is_err_and(|error| error.kind() == ErrorKind::OutcomeUnknown);
                other
            }
        });
        let left = self.patient(async || self.store.list_namespaces().await);
        assert!(left.iter().all(|info| info.namespace != self.space), "a namespace that was deleted is gone");
    }
}
