//! What becomes of a store when its server is gone for good and a standby takes its place.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, TryRecvError, channel},
    },
    thread,
    time::Duration,
};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{
    Batch, ChangesQuery, Commit, Engine, ErrorKind, Lineage, Outcome, Result, Revision, Store, Timestamp, engine::Resolution,
};

use super::{
    Acknowledged,
    child::{self, Spec},
    lineage,
    place::administer_at,
    server,
    server::{PASSWORD, Server},
    verify,
};

/// A server, a standby of it, and a store that knows both.
struct Pair {
    primary: Server,
    standby: Server,
    url: String,
}

impl Pair {
    /// The name of the standby.
    const HEIR: &str = "heir";

    fn make(schema: &str) -> Self {
        let primary = server();
        let standby = primary.standby(Self::HEIR).unwrap_or_else(|why| panic!("a standby: {why}"));
        let hosts = format!("127.0.0.1:{},127.0.0.1:{}", primary.port(), standby.port());
        let url = format!("postgres://larder:{PASSWORD}@{hosts}/postgres?schema={schema}");
        Self { primary, standby, url }
    }

    /// The primary waits for the standby from here on.
    fn wait_for_standby(&self) {
        self.set("synchronous_standby_names", Self::HEIR);
        self.until("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'");
    }

    fn set(&self, setting: &str, value: &str) {
        set(&self.primary, setting, value);
        self.until(&format!("SELECT 1 WHERE current_setting('{setting}') = '{value}'"));
    }

    /// Waits until the primary answers something to `sql`.
    fn until(&self, sql: &str) {
        until(|| !ask(&self.primary, sql).is_empty());
    }

    /// Nothing reaches the standby from here on, although it has not ended.
    fn part(&self) {
        set(&self.standby, "primary_conninfo", &format!("host=127.0.0.1 port=1 application_name={}", Self::HEIR));
        self.until("SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM pg_stat_replication)");
    }

    fn join(&self) {
        let port = self.primary.port();
        let place = format!("host=127.0.0.1 port={port} user=larder password={PASSWORD} application_name={}", Self::HEIR);
        set(&self.standby, "primary_conninfo", &place);
    }

    fn fail_over(&mut self) {
        self.primary.kill();
        self.standby.promote().unwrap_or_else(|why| panic!("it is promoted: {why}"));
    }

    /// The address of the standby alone.
    fn heir(&self) -> String {
        let schema = self.url.rsplit_once('=').expect("a URL with a schema").1;
        format!("{}?schema={schema}", self.standby.url())
    }
}

fn ask(server: &Server, sql: &str) -> Vec<Option<String>> {
    administer_at(&server.url(), sql).expect("the server answers")
}

fn set(server: &Server, setting: &str, value: &str) {
    ask(server, &format!("ALTER SYSTEM SET {setting} = '{value}'"));
    ask(server, "SELECT pg_reload_conf()");
}

/// Asks until it is so; servers do what they are told when they come to it.
fn until(is_so: impl Fn() -> bool) {
    assert!(
        (0..3000).any(|_| {
            let so = is_so();
            if !so {
                thread::sleep(Duration::from_millis(20));
            }
            so
        }),
        "what was waited for never came"
    );
}

/// Processes that write, and what they were answered.
struct Crew {
    children: Vec<Child>,
    told: Receiver<(String, String)>,
    heard: BTreeMap<String, Acknowledged>,
}

impl Crew {
    fn begin(url: &str, names: &[&str]) -> Self {
        let (sender, told) = channel();
        let one = |name: &&str| {
            let mut child = Spec { role: "write", url, name, commits: u64::MAX }.start();
            let (output, sender, name) = (child.stdout.take().expect("it is piped"), sender.clone(), (*name).to_owned());
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send((name.clone(), line)).is_err() {
                        break;
                    }
                }
            });
            child
        };
        let children = names.iter().map(one).collect();
        Self { children, told, heard: BTreeMap::new() }
    }

    fn hear(&mut self, count: usize) {
        for _ in 0..count {
            let (name, line) = self.told.recv_timeout(Duration::from_secs(120)).expect("the writers go on");
            self.heard.entry(name).or_default().hear(&line);
        }
    }

    /// Ends them all; what they were answered.
    fn end(mut self) -> BTreeMap<String, Acknowledged> {
        for child in &mut self.children {
            child.kill().expect("it is killed");
            child.wait().expect("it has ended");
        }
        for (name, line) in &self.told {
            self.heard.entry(name).or_default().hear(&line);
        }
        self.heard
    }
}

/// A watch of everything in `store`, from the beginning to the commit of the key `end/0`.
fn watch(url: &str) -> thread::JoinHandle<Vec<Batch>> {
    let world = TestWorld::new(1);
    let store = Store::new(Arc::new(child::connect(url).expect("opens")), Arc::new(world.clone()));
    let mut watch = block_on(store.watch_all().after(Revision::ZERO).start()).expect("begins");
    let done = Arc::new(AtomicBool::new(false));
    let is_done = done.clone();
    // Its clock goes on while it watches, or it would never look.
    thread::spawn(move || {
        while !is_done.load(Ordering::Relaxed) {
            world.step(Duration::from_millis(20));
            thread::sleep(Duration::from_millis(2));
        }
    });
    thread::spawn(move || {
        let mut seen: Vec<Batch> = Vec::new();
        while !seen.last().is_some_and(|batch| batch.changes.iter().any(|change| *change.address.key == *"end/0")) {
            match block_on(watch.next()) {
                Ok(batch) => seen.push(batch),
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        done.store(true, Ordering::Relaxed);
        seen
    })
}

fn commit(engine: &dyn Engine, commit: Commit) -> u64 {
    match block_on(engine.commit(vec![commit])).swap_remove(0) {
        Ok(Outcome::Committed(receipt)) => receipt.revision.get(),
        other => panic!("{other:?}"),
    }
}

/// Commits until it has happened; what nobody knows is resolved by its id.
fn insist(engine: &dyn Engine, commit: &Commit) -> u64 {
    loop {
        match block_on(engine.commit(vec![commit.clone()])).swap_remove(0) {
            Ok(Outcome::Committed(receipt)) => return receipt.revision.get(),
            Err(error) if error.kind() == ErrorKind::Unavailable => {}
            Err(error) if error.kind() == ErrorKind::OutcomeUnknown => match block_on(engine.resolve(commit.id)) {
                Ok(Resolution::Committed(receipt)) => return receipt.revision.get(),
                Ok(other) => assert_eq!(other, Resolution::Never),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

/// A standby that the server waited for has everything, so the past is the same: the crew goes on, nothing that was
/// acknowledged is lost, and watches are told every commit once.
pub(crate) fn a_synchronous_standby_takes_over_with_the_same_past() {
    let mut pair = Pair::make("heir");
    let engine = child::connect(&pair.url).expect("opens");
    pair.wait_for_standby();
    let watched = watch(&pair.url);
    let mut crew = Crew::begin(&pair.url, &["a", "b", "c", "d"]);
    crew.hear(120);
    pair.fail_over();
    // So many that some were begun after the promotion.
    crew.hear(300);
    let heard = crew.end();
    insist(&engine, &child::commit("end", 0));
    verify(&pair.heir(), &heard);
    assert_eq!(lineage(&engine), Lineage::ZERO, "the past is the same");
    let log = block_on(engine.changes(ChangesQuery::after(Lineage::ZERO, Revision::ZERO))).expect("the log reads");
    assert_eq!(log.through, log.head, "the log is in one page");
    let mut told: Vec<_> = log.changes.iter().map(|change| change.revision).collect();
    told.dedup();
    let seen: Vec<_> = watched.join().expect("the watch goes on").iter().map(|batch| batch.revision).collect();
    assert_eq!(seen, told, "every commit is told once, in order");

    // The old server comes back and takes writes, as if nothing had happened. Whoever has lived through it does not ask it,
    // although it is the first that the URL names.
    pair.primary.again().expect("it starts again");
    ask(&pair.standby, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'larder heir'");
    let late = child::commit("late", 0);
    let revision = insist(&engine, &late);
    let count = "SELECT count(*) FROM heir.entries WHERE key = 'late/0'";
    assert_eq!(ask(&pair.standby, count), [Some("1".to_owned())], "revision {revision}");
    pair.standby.kill();
    let refused = block_on(engine.get(vec![late.writes[0].address.clone()], Timestamp::EPOCH)).expect_err("nobody is there");
    assert!(refused.kind() == ErrorKind::Unavailable && refused.to_string().contains("was replaced"), "{refused}");
}

/// A standby that nobody waited for may lack what was acknowledged. Nobody can say what, so tokens of the time before are
/// worth nothing, once and for all who ask.
pub(crate) fn an_asynchronous_standby_takes_over_with_another_past() {
    let mut pair = Pair::make("other");
    let (engine, beside) = (child::connect(&pair.url).expect("opens"), child::connect(&pair.url).expect("opens"));
    let through = commit(&engine, child::commit("x", 0));
    pair.part();
    // Whoever made this one does not live to miss it.
    commit(&child::connect(&pair.url).expect("opens"), child::commit("x", 1));
    pair.fail_over();
    insist(&engine, &child::commit("x", 2));
    let drawn = lineage(&engine);
    assert_ne!(drawn, Lineage::ZERO, "something may be lost");
    insist(&beside, &child::commit("x", 3));
    assert_eq!(lineage(&beside), drawn, "one promotion is one lineage");
    for after in [Revision::ZERO, Revision::new(through), Revision::new(through + 1)] {
        let told = block_on(beside.changes(ChangesQuery::after(Lineage::ZERO, after))).expect_err("of another past");
        assert_eq!(told.kind(), ErrorKind::Trimmed, "{told}");
    }
    let log = block_on(beside.changes(ChangesQuery::after(drawn, Revision::ZERO))).expect("the log reads");
    let keys: Vec<_> = log.changes.iter().map(|change| change.address.key.as_str().to_owned()).collect();
    assert_eq!(keys, ["x/0", "count", "x/2", "count", "x/3", "count"], "and it was lost indeed");
}

/// By everything that the servers tell the standby has everything, but it was left behind before the end. Whoever was
/// acknowledged what is missing notices.
pub(crate) fn a_lost_commit_is_missed_by_who_made_it() {
    let mut pair = Pair::make("missed");
    let engine = child::connect(&pair.url).expect("opens");
    pair.wait_for_standby();
    commit(&engine, child::commit("x", 0));
    pair.set("synchronous_standby_names", "");
    pair.part();
    commit(&engine, child::commit("x", 1));
    pair.fail_over();
    insist(&engine, &child::commit("x", 2));
    assert_ne!(lineage(&engine), Lineage::ZERO, "what was acknowledged is not there");
}

/// A commit that was cut off while it waited for the standby is there for everybody to see. Nobody is told that it happened
/// before the standby has it: it could still be lost.
pub(crate) fn what_a_standby_does_not_have_is_not_acknowledged() {
    let pair = Pair::make("waits");
    let mut config = larder_postgres::PostgresConfig::parse(&pair.url).expect("a good URL");
    config.patience = Duration::from_secs(30);
    let open = larder_postgres::PostgresEngine::open(config, larder_core::StoreId::from_bytes([1; 16]));
    let engine = block_on(open).expect("opens");
    pair.wait_for_standby();
    commit(&engine, child::commit("x", 0));
    pair.part();
    let waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'larder waits'";
    let (answered, answer) = channel();
    thread::spawn(move || answered.send(commit(&engine, child::commit("x", 1))));
    pair.until(waiting);
    let first = ask(&pair.primary, waiting);
    ask(&pair.primary, &format!("SELECT pg_terminate_backend(pid) FROM ({waiting}) AS waiting"));
    until(|| {
        assert_eq!(answer.try_recv(), Err(TryRecvError::Empty), "this was acknowledged too early");
        let now = ask(&pair.primary, waiting);
        !now.is_empty() && now != first
    });
    pair.join();
    answer.recv_timeout(Duration::from_secs(60)).expect("it is answered once the standby has it");
}

/// A standby by itself takes no writes, so it keeps no store, and says so.
pub(crate) fn a_standby_alone_is_refused() {
    let mut pair = Pair::make("alone");
    drop(child::connect(&pair.url).expect("opens"));
    let refused = |url: &str| child::connect(url).expect_err("nobody takes writes");
    let told = refused(&pair.heir());
    assert_eq!(told.kind(), ErrorKind::Unavailable);
    assert!(told.to_string().contains(&format!("127.0.0.1:{} is a standby", pair.standby.port())), "{told}");
    pair.primary.kill();
    let told = refused(&pair.url);
    let port = pair.primary.port();
    assert_eq!(told.kind(), ErrorKind::Unavailable);
    assert!(told.to_string().contains(&format!("127.0.0.1:{port} cannot be reached")), "{told}");
    assert!(told.to_string().contains("is a standby"), "{told}");
}
