//! Sessions that are lost, and locks that are held: nothing happens twice, nothing is lost, nobody waits for ever.

mod place;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_lite::future::block_on;
use larder_conformance::{Site as _, TestWorld};
use larder_core::{
    Action, Address, ChangesQuery, Commit, Engine, ErrorKind, Key, Lineage, Namespace, Outcome, Revision, Store, StoreId,
    Timestamp, World as _, Write, engine::Resolution,
};
use larder_postgres::PostgresEngine;
use place::{Place, administer, fresh_name};

fn add(world: &TestWorld, key: &str) -> Commit {
    let address = Address::new(Namespace::default(), Key::new(key).expect("a good key"));
    let action = Action::Add { delta: 1, floor: i64::MIN, ceiling: i64::MAX };
    Commit { id: world.commit_id(), now: world.now(), checks: vec![], writes: vec![Write { address, action }] }
}

fn end_sessions(place: &Place) -> usize {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name";
    administer(&format!("{sql} = 'larder {}'", place.schema())).expect("the sessions are ended").len()
}

/// Sessions are ended by the server over and over while several handles add and read: what was answered has happened once.
#[test]
fn sessions_that_are_ended_lose_nothing_and_do_nothing_twice() {
    const WRITERS: usize = 4;
    const ADDS: u64 = 60;
    let place = Place::fresh();
    let (done, ended, unknown) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let engines = [(); WRITERS].map(|()| block_on(place.open()).expect("opens"));
    let happened: u64 = std::thread::scope(|scope| {
        let writers: Vec<_> = (0_u64..)
            .zip(&engines)
            .map(|(writer, engine)| {
                let unknown = &unknown;
                scope.spawn(move || {
                    let world = TestWorld::new(writer);
                    let mut happened = 0;
                    for _ in 0..ADDS {
                        let commit = add(&world, "n");
                        match block_on(engine.commit(vec![commit.clone()])).swap_remove(0) {
                            Ok(Outcome::Committed(_)) => happened += 1,
                            Ok(Outcome::Conflicted(conflict)) => panic!("nothing to conflict with: {conflict}"),
                            Err(error) if error.kind() == ErrorKind::Unavailable => {}
                            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
                                unknown.fetch_add(1, Ordering::Relaxed);
                                let resolved = (0..1000).find_map(|_| block_on(engine.resolve(commit.id)).ok());
                                let resolved = resolved.expect("some session lives long enough to resolve an id");
                                happened += u64::from(matches!(resolved, Resolution::Committed(_)));
                            }
                            Err(error) => panic!("{error:?}"),
                        }
                        match block_on(engine.get(vec![commit.writes[0].address.clone()], world.now())) {
                            Err(error) if error.kind() != ErrorKind::Unavailable => panic!("{error:?}"),
                            _ => {}
                        }
                    }
                    happened
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                ended.fetch_add(end_sessions(&place) as u64, Ordering::Relaxed);
            }
        });
        let happened = writers.into_iter().map(|writer| writer.join());
        let happened: Vec<_> = happened.collect();
        done.store(true, Ordering::Relaxed);
        happened.into_iter().map(|writer| writer.expect("no writer panics")).sum()
    });
    let ended = ended.load(Ordering::Relaxed);
    assert!(ended > 20, "sessions were ended");
    let engine = block_on(place.open()).expect("opens");
    let address = add(&TestWorld::new(9), "n").writes.swap_remove(0).address;
    let found = block_on(engine.get(vec![address], Timestamp::EPOCH)).expect("reads").value.swap_remove(0);
    let number = found.and_then(|entry| entry.value.as_integer());
    println!("{ended} sessions were ended; {happened} of {} adds happened, {unknown:?} were unknown", WRITERS as u64 * ADDS);
    assert_eq!(number.map(i64::cast_unsigned), Some(happened), "every answer is true");
    let log = block_on(engine.changes(ChangesQuery { gaps: true, ..ChangesQuery::after(Lineage::ZERO, Revision::ZERO) }));
    assert_eq!(log.expect("reads").changes.len() as u64, happened, "and the log says the same");
}

/// Somebody who holds the lock and does nothing does not stop everybody for ever.
#[test]
fn who_waits_for_the_lock_in_vain_has_written_nothing() {
    let place = Place::fresh();
    let mut config = place.config();
    config.patience = Duration::from_secs(1);
    let engine = block_on(PostgresEngine::open(config, StoreId::from_bytes([1; 16]))).expect("opens");
    let world = TestWorld::new(1);
    let commit = add(&world, "n");
    // Waited for once by all of them together; one after the other they would outlast whoever holds the lock.
    let group: Vec<Commit> = std::iter::once(commit.clone()).chain((0..99).map(|_| add(&world, "m"))).collect();
    std::thread::scope(|scope| {
        let held = scope
            .spawn(|| administer(&format!("BEGIN; SELECT 1 FROM {}.store FOR UPDATE; SELECT pg_sleep(8)", place.schema())));
        let locked = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(8)%' AND wait_event = 'PgSleep'";
        while administer(locked).expect("the activity can be seen").is_empty() {}
        let refused = block_on(engine.commit(group));
        let kinds: Vec<_> = refused.into_iter().map(|answer| answer.map_err(|error| error.kind())).collect();
        assert_eq!(kinds, vec![Err(ErrorKind::Unavailable); 100], "all waited in vain");
        // Readers wait for nobody.
        assert_eq!(block_on(engine.status(world.now())).map(|status| status.revision).ok(), Some(Revision::ZERO));
        held.join().expect("nobody panics").expect("holds");
    });
    let answer = block_on(engine.commit(vec![commit])).swap_remove(0);
    assert!(matches!(answer, Ok(Outcome::Committed(_))), "the same again, later: {answer:?}");
    assert_eq!(block_on(engine.status(world.now())).expect("answers").entries, 1, "and nothing of the others");
}

/// A process that stands still with the lock is given up by the server; what the process sends later is refused.
#[test]
fn the_server_is_told_to_give_up_on_who_stands_still() {
    let place = Place::fresh();
    let mut config = place.config();
    config.patience = Duration::from_millis(1234);
    let engine = block_on(PostgresEngine::open(config, StoreId::from_bytes([1; 16]))).expect("opens");
    block_on(engine.commit(vec![add(&TestWorld::new(1), "n")])).swap_remove(0).expect("commits");
    let name = fresh_name();
    // A setting of a session can be asked for only in it, so its tables ask.
    let trap = format!(
        "CREATE TABLE {0}.{name} (said TEXT); CREATE FUNCTION {0}.{name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO {0}.{name} SELECT current_setting('idle_in_transaction_session_timeout') || ' ' || \
         current_setting('lock_timeout') || ' ' || current_setting('tcp_user_timeout'); RETURN NEW; END $$; \
         CREATE TRIGGER {name} BEFORE UPDATE ON {0}.store FOR EACH ROW EXECUTE FUNCTION {0}.{name}()",
        place.schema()
    );
    administer(&trap).expect("sets a trap");
    block_on(engine.commit(vec![add(&TestWorld::new(2), "n")])).swap_remove(0).expect("commits");
    let said = administer(&format!("SELECT said FROM {}.{name}", place.schema())).expect("reads");
    assert_eq!(said, [Some("1234ms 1234ms 1234".to_owned())]);
}

/// A commit too many at the server's disk, or any other thing it refuses, takes no neighbour with it.
#[test]
fn what_the_server_refuses_of_one_commit_harms_no_neighbour() {
    let place = Place::fresh();
    let engine = block_on(place.open()).expect("opens");
    administer(&format!("ALTER TABLE {}.entries ADD CHECK (key <> 'bad')", place.schema())).expect("alters");
    let world = TestWorld::new(1);
    let group = ["a", "bad", "b", "a"].map(|key| add(&world, key)).to_vec();
    let answers = block_on(engine.commit(group.clone()));
    let kinds: Vec<_> = answers.into_iter().map(|answer| answer.map(|_| ()).map_err(|error| error.kind())).collect();
    assert_eq!(kinds, [Ok(()), Err(ErrorKind::Internal), Ok(()), Ok(())]);
    assert_eq!(block_on(engine.resolve(group[1].id)).ok(), Some(Resolution::Never));
    assert_eq!(block_on(engine.status(world.now())).expect("answers").revision, Revision::new(3));
}

/// A store is opened in one runtime and used in another, in none, and after the first has ended: nothing of it runs there.
#[test]
fn a_store_belongs_to_no_runtime() {
    let place = Place::fresh();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().expect("a runtime without any driver");
    let (first, second, world) = (runtime(), runtime(), TestWorld::new(1));
    let engine = first.block_on(place.open()).expect("opens");
    let commits = |engine: &Arc<dyn Engine>| {
        let (engine, commit) = (engine.clone(), add(&world, "n"));
        async move { engine.commit(vec![commit]).await.swap_remove(0).map(|_| ()) }
    };
    block_on(commits(&engine)).expect("commits outside of any");
    first.block_on(commits(&engine)).expect("commits inside of its own");
    drop(first);
    second.block_on(commits(&engine)).expect("commits inside of another");
    assert_eq!(second.block_on(engine.status(world.now())).expect("answers").revision, Revision::new(3));
}

/// The server knows another order than ours, and a session is not asked in it.
#[test]
fn order_is_bytewise_at_a_server_that_sorts_otherwise() {
    let place = Place::fresh();
    let store = Store::new(block_on(place.open()).expect("opens"), Arc::new(TestWorld::new(1)));
    let keys = ["B", "a", "a b", "ab", "b", "\u{e4}", "\u{ffff}", "\u{10000}"];
    for key in keys {
        block_on(store.set(key, "x").into_future()).expect("sets");
    }
    let found = block_on(store.list("").into_future()).expect("lists");
    let found: Vec<&str> = found.items.iter().map(|key| key.as_str()).collect();
    assert_eq!(found, keys);
}

/// A read that is begun and never looked at again, such as one that a watch keeps for later, connects all the same.
#[test]
fn who_never_looks_again_holds_nobody_up() {
    let place = Place::fresh();
    let engine = block_on(place.open()).expect("opens");
    // One for every session that reads share.
    let mut begun: Vec<_> = (0..4).map(|_| engine.get(vec![], Timestamp::EPOCH)).collect();
    let pending = begun.iter_mut().map(|read| block_on(futures_lite::future::poll_once(read)).is_none());
    assert!(pending.filter(|pending| *pending).count() > 0, "all of them were answered at once, so nobody connects");
    let (answered, answer) = std::sync::mpsc::channel();
    let other = engine.clone();
    std::thread::spawn(move || answered.send(block_on(other.get(vec![], Timestamp::EPOCH)).map(drop)));
    answer.recv_timeout(Duration::from_secs(30)).expect("somebody waits for one who never looks").expect("reads");
}
