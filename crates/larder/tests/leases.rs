//! The examples for leases, on every engine of this build, at a clock that the test sets.

#[path = "../examples/leader_election.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod leader_election;
#[path = "../examples/reservation.rs"]
#[expect(dead_code, reason = "its main is for people")]
mod reservation;

use std::{sync::Arc, time::Duration};

use larder::{Builder, ErrorKind, Store};
use larder_conformance::TestWorld;
use leader_election::{Candidate, LEASE};
use reservation::{CLAIM, Stock};
use tempfile::TempDir;

const MOMENT: Duration = Duration::from_millis(1);

/// A store on each engine in a world of its own, with the directory it lives in.
async fn stores() -> Vec<(Store, TestWorld, TempDir)> {
    let mut stores = Vec::new();
    for (seed, engine) in (1..).zip(["memory", "sqlite"]) {
        let place = tempfile::tempdir().expect("a temporary directory");
        let url = match engine {
            "memory" => "memory:".to_owned(),
            _ => format!("sqlite:{}", place.path().join("larder.db").display()),
        };
        let world = TestWorld::new(seed);
        let store = Builder::new(url).world(Arc::new(world.clone())).retention(None).open().await.expect("opens");
        stores.push((store, world, place));
    }
    stores
}

async fn leads(candidate: &mut Candidate) -> bool {
    candidate.campaign().await.expect("answers").is_some()
}

#[tokio::test]
async fn at_most_one_leads_and_a_silent_one_is_replaced() {
    for (store, world, _place) in stores().await {
        let (mut ann, mut bob) = (Candidate::new(&store, "ann"), Candidate::new(&store, "bob"));
        let first = ann.campaign().await.expect("answers").expect("nobody leads");
        assert!(!leads(&mut bob).await);
        // Ann renews, so her lead lasts longer than one lease.
        for _ in 0..3 {
            world.step(LEASE - MOMENT);
            assert!(leads(&mut ann).await);
            assert!(!leads(&mut bob).await);
        }
        ann.write("config", "ann's").await.expect("she leads");
        // She falls silent. Up to the last moment the lead is hers, and then it is not.
        world.step(LEASE - MOMENT);
        assert!(!leads(&mut bob).await);
        world.step(MOMENT);
        let second = bob.campaign().await.expect("answers").expect("nobody leads any more");
        assert!(first.term < second.term && second.until == store.world().now().after(LEASE));

        // She has not noticed; but what she writes does not come about.
        let late = ann.write("config", "ann's again").await.expect_err("she leads no more");
        assert_eq!(late.kind(), ErrorKind::Conflict);
        bob.write("config", "bob's").await.expect("he leads");
        assert!(!leads(&mut ann).await, "she renews nothing that is another's");
        ann.resign().await.expect("she has nothing to let go of");
        assert!(leads(&mut bob).await);
        assert_eq!(store.get("config").await.expect("reads").map(|entry| entry.version.get()), Some(2));

        bob.resign().await.expect("he lets go");
        assert!(leads(&mut ann).await, "without any time having passed");
    }
}

/// She was replaced by somebody of whom she knows nothing, and resigns: what is his stays.
#[tokio::test]
async fn who_resigns_takes_the_lead_from_nobody_else() {
    for (store, world, _place) in stores().await {
        let (mut ann, mut bob) = (Candidate::new(&store, "ann"), Candidate::new(&store, "bob"));
        assert!(leads(&mut ann).await);
        world.step(LEASE);
        assert!(leads(&mut bob).await);
        ann.resign().await.expect("it is fine");
        assert!(leads(&mut bob).await && !leads(&mut ann).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_candidates_one_is_elected() {
    for (store, _world, _place) in stores().await {
        let campaigns: Vec<_> = (0..16)
            .map(|number| {
                let mut candidate = Candidate::new(&store, number.to_string());
                tokio::spawn(async move { leads(&mut candidate).await })
            })
            .collect();
        let mut elected = 0;
        for campaign in campaigns {
            elected += u64::from(campaign.await.expect("it ends"));
        }
        assert_eq!(elected, 1);
    }
}

#[tokio::test]
async fn a_reservation_ends_by_itself_and_its_goods_come_back_once() {
    for (store, world, _place) in stores().await {
        let apples = Stock::of(&store, "apples");
        assert_eq!(apples.receive(5).await.ok(), Some(5));
        assert_eq!(apples.reserve("ann", 3).await.ok(), Some(true));
        assert_eq!(apples.reserve("ann", 1).await.ok(), Some(false), "one reservation each");
        assert_eq!(apples.reserve("bob", 3).await.ok(), Some(false), "there are two");
        world.step(CLAIM - MOMENT);
        assert_eq!(apples.reserve("bob", 3).await.ok(), Some(false), "ann may still buy");
        world.step(MOMENT);
        assert_eq!(apples.buy("ann").await.ok(), Some(false), "she may no more");
        assert_eq!(apples.reserve("bob", 3).await.ok(), Some(true));
        assert_eq!(apples.buy("bob").await.ok(), Some(true));
        assert_eq!(apples.buy("bob").await.ok(), Some(false), "once is enough");
        world.step(CLAIM);
        assert_eq!(apples.give_back().await.ok(), Some(0), "what is sold does not come back");
        assert_eq!(apples.receive(0).await.ok(), Some(2));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_come_at_once_nothing_is_promised_or_given_back_twice() {
    for (store, world, _place) in stores().await {
        let apples = Arc::new(Stock::of(&store, "apples"));
        apples.receive(5).await.expect("adds");
        for _ in 0..3 {
            // All reservations of the round before have ended, and everybody gives them back at once.
            let customers: Vec<_> = (0..16)
                .map(|number| {
                    let apples = apples.clone();
                    tokio::spawn(async move { apples.reserve(&number.to_string(), 2).await.expect("answers") })
                })
                .collect();
            let mut reserved = 0;
            for customer in customers {
                reserved += i64::from(customer.await.expect("it ends"));
            }
            assert_eq!(reserved, 2, "two times two of five");
            assert_eq!(apples.receive(0).await.ok(), Some(1));
            world.step(CLAIM);
        }
    }
}
