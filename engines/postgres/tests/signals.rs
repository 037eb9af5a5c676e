//! Signals: a watch hears of commits of others although its clock stands still, and loses nothing when nobody signals.

mod place;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use futures_lite::future::block_on;
use larder_conformance::{Site as _, TestWorld};
use larder_core::{Batch, Engine, ErrorKind, Key, Result, Store};
use place::{Place, administer};

/// A store whose clock nobody moves, and what a watch of it is told.
fn watched(place: &Place) -> (TestWorld, Receiver<Batch>) {
    let world = TestWorld::new(1);
    let store = Store::new(block_on(place.open()).expect("opens"), Arc::new(world.clone()));
    let (sender, told) = channel();
    let mut watch = block_on(store.watch_all().start()).expect("begins");
    thread::spawn(move || {
        loop {
            match block_on(watch.next()) {
                Ok(batch) => {
                    if sender.send(batch).is_err() {
                        return;
                    }
                }
                // It is asked again when somebody listens again.
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                Err(_) => return,
            }
        }
    });
    (world, told)
}

fn is_told(told: &Receiver<Batch>, key: &str) {
    let batch = told.recv_timeout(Duration::from_secs(60)).expect("a watch is told of it");
    assert_eq!(batch.changes[0].address.key, Key::new(key).expect("valid"));
}

#[test]
fn a_watch_hears_of_commits_elsewhere_although_its_clock_stands_still() {
    let place = Place::fresh();
    let (_world, told) = watched(&place);
    let other = Store::new(block_on(place.open()).expect("opens"), Arc::new(TestWorld::new(2)));
    for round in 0..20 {
        let key = format!("key{round}");
        block_on(other.set(&key, "x").into_future()).expect("sets");
        is_told(&told, &key);
    }
}

/// The connection that listens is ended. Until there is another one the clock decides when somebody looks, and then signals
/// come again.
#[test]
fn a_watch_whose_line_for_signals_is_cut_loses_nothing() {
    let place = Place::fresh();
    let (world, told) = watched(&place);
    let other = Store::new(block_on(place.open()).expect("opens"), Arc::new(TestWorld::new(2)));
    block_on(other.set("first", "x").into_future()).expect("sets");
    is_told(&told, "first");
    for round in 0..5 {
        let listening = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND application_name";
        let end = format!("SELECT pg_terminate_backend(pid, 10000) {listening} = 'larder {}'", place.schema());
        assert_eq!(administer(&end).expect("it is ended"), [Some("t".to_owned())], "one listens");
        let (cut, late) = (format!("cut{round}"), format!("late{round}"));
        block_on(other.set(&cut, "x").into_future()).expect("sets");
        let moving = AtomicBool::new(true);
        thread::scope(|scope| {
            scope.spawn(|| {
                while moving.load(Ordering::Relaxed) {
                    world.step(Duration::from_millis(20));
                    thread::sleep(Duration::from_millis(1));
                }
            });
            is_told(&told, &cut);
            // Somebody listens again before the clock stands still.
            let again = format!("SELECT 1 {listening} = 'larder {}'", place.schema());
            while administer(&again).expect("the activity can be seen").is_empty() {}
            moving.store(false, Ordering::Relaxed);
        });
        block_on(other.set(&late, "x").into_future()).expect("sets");
        is_told(&told, &late);
    }
}

#[test]
fn signals_have_numbers_that_grow() {
    let place = Place::fresh();
    let engine = block_on(place.open()).expect("opens");
    let after = |engine: &Arc<dyn Engine>, heard| -> Result<u64> {
        block_on(engine.signals().expect("this engine has signals").after(heard))
    };
    // Whoever begins to listen may have missed something.
    let begun = after(&engine, 0).expect("listens");
    let store = Store::new(block_on(place.open()).expect("opens"), Arc::new(TestWorld::new(2)));
    let mut heard = begun;
    for _ in 0..3 {
        block_on(store.set("key", "x").into_future()).expect("sets");
        let next = after(&engine, heard).expect("is told");
        assert!(next > heard);
        heard = next;
    }
    assert_eq!(after(&engine, begun).expect("knows already"), heard);
    block_on(engine.close()).expect("closes");
    assert_eq!(after(&engine, heard).map_err(|error| error.kind()), Err(ErrorKind::Closed));
}
