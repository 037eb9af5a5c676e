//! What several processes, killed processes, a process that stands still, a killed server and a standby in its place do to one
//! store.
//!
//! The cases start this program again as their children: real processes, really killed. The server is one of its own, so
//! that it can be killed, too. A program without arguments runs every case; any argument is a filter.

mod child;
mod failover;
#[path = "../place/mod.rs"]
mod place;
#[path = "../server/mod.rs"]
mod server;

use std::{
    collections::BTreeMap,
    env,
    io::{BufRead as _, BufReader},
    panic,
    process::{Child, Command, ExitCode},
    sync::mpsc,
    thread,
    time::Duration,
};

use child::Spec;
use futures_lite::future::block_on;
use larder_core::{Engine, Lineage, Revision, Timestamp};
use server::Server;

/// Every case by name.
const CASES: &[(&str, fn())] = &[
    ("killed_processes_lose_nothing_acknowledged", killed_processes_lose_nothing_acknowledged),
    ("a_process_that_stands_still_stops_nobody_for_long", a_process_that_stands_still_stops_nobody_for_long),
    ("a_killed_server_loses_nothing_acknowledged", a_killed_server_loses_nothing_acknowledged),
    ("a_server_that_stands_still_holds_nobody_for_ever", a_server_that_stands_still_holds_nobody_for_ever),
    ("a_lost_past_is_another_lineage", a_lost_past_is_another_lineage),
    ("a_synchronous_standby_takes_over_with_the_same_past", failover::a_synchronous_standby_takes_over_with_the_same_past),
    ("an_asynchronous_standby_takes_over_with_another_past", failover::an_asynchronous_standby_takes_over_with_another_past),
    ("a_lost_commit_is_missed_by_who_made_it", failover::a_lost_commit_is_missed_by_who_made_it),
    ("what_a_standby_does_not_have_is_not_acknowledged", failover::what_a_standby_does_not_have_is_not_acknowledged),
    ("a_standby_alone_is_refused", failover::a_standby_alone_is_refused),
];

fn main() -> ExitCode {
    if let Some(role) = env::var_os(child::ROLE) {
        child::run(&role.to_string_lossy());
        return ExitCode::SUCCESS;
    }
    let filters: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let chosen =
        CASES.iter().filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())));
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in chosen {
        if panic::catch_unwind(case).is_ok() {
            println!("test {name} ... ok");
            passed += 1;
        } else {
            println!("test {name} ... FAILED");
            failed += 1;
        }
    }
    println!("\ntest result: {}. {passed} passed; {failed} failed", if failed == 0 { "ok" } else { "FAILED" });
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn server() -> Server {
    Server::start().unwrap_or_else(|why| panic!("a server of its own: {why}"))
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "a signal can be sent");
}

/// What a child was answered: commit by commit, the revision.
#[derive(Debug, Default)]
struct Acknowledged(BTreeMap<u64, u64>);

impl Acknowledged {
    fn hear(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        if words.next() == Some("ack") {
            let mut number = || words.next().and_then(|word| word.parse().ok()).expect("two numbers");
            self.0.insert(number(), number());
        }
    }
}

/// That everything in `heard`, by the name of the child, is in the store, in the log once, and nothing is there twice.
fn verify(url: &str, heard: &BTreeMap<String, Acknowledged>) {
    let engine = child::connect(url).expect("the store opens");
    let log = block_on(engine.changes(larder_core::ChangesQuery::after(lineage(&engine), Revision::ZERO)));
    let (mut log, mut all) = (log.expect("the log reads"), Vec::new());
    loop {
        all.append(&mut log.changes);
        if log.through == log.head {
            break;
        }
        let query = larder_core::ChangesQuery::after(lineage(&engine), log.through);
        log = block_on(engine.changes(query)).expect("the log reads");
    }
    for (name, acknowledged) in heard {
        for (n, revision) in &acknowledged.0 {
            let key = format!("{name}/{n}");
            let found: Vec<u64> =
                all.iter().filter(|change| *change.address.key == *key).map(|change| change.revision.get()).collect();
            assert_eq!(found, [*revision], "{key} was acknowledged");
        }
    }
    // Every commit also counts: as many as the log tells, each once.
    let commits = all.iter().filter(|change| change.address.key.contains('/')).count() as i64;
    let counted = all.iter().rev().find(|change| *change.address.key == *"count");
    let counted = counted.and_then(|change| change.after.as_ref()?.value.as_integer());
    assert_eq!(counted.unwrap_or(0), commits, "each commit is there whole, and once");
}

fn lineage(engine: &larder_postgres::PostgresEngine) -> Lineage {
    block_on(engine.status(Timestamp::EPOCH)).expect("answers").lineage
}

/// Children are killed in the middle of their work, one after the other, while others go on.
fn killed_processes_lose_nothing_acknowledged() {
    const KILLS: u64 = 12;
    let server = server();
    let url = format!("{}?schema=kills", server.url());
    let mut heard = BTreeMap::new();
    let steady = Spec { role: "write", url: &url, name: "steady", commits: 400 }.start();
    for round in 0..KILLS {
        let name = format!("killed{round}");
        let mut child = Spec { role: "write", url: &url, name: &name, commits: u64::MAX }.start();
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let acknowledged: &mut Acknowledged = heard.entry(name).or_default();
        // Another moment each time.
        for line in lines.by_ref().take(1 + round as usize * 3) {
            acknowledged.hear(&line.expect("a line"));
        }
        child.kill().expect("it is killed");
        lines.map_while(Result::ok).for_each(|line| acknowledged.hear(&line));
        child.wait().expect("it has ended");
        assert!(!acknowledged.0.is_empty(), "something was acknowledged before the end");
    }
    let output = steady.wait_with_output().expect("it ends");
    let acknowledged: &mut Acknowledged = heard.entry("steady".to_owned()).or_default();
    String::from_utf8_lossy(&output.stdout).lines().for_each(|line| acknowledged.hear(line));
    assert_eq!(acknowledged.0.len(), 400, "nobody was stopped by the end of another");
    verify(&url, &heard);
}

/// A process that holds the lock is stopped. The server gives up on it, the others go on, and when it goes on itself it
/// finds out what became of its commit.
fn a_process_that_stands_still_stops_nobody_for_long() {
    let server = server();
    let url = format!("{}?schema=frozen", server.url());
    let mut heard = BTreeMap::new();
    for round in 0..3_u64 {
        let name = format!("frozen{round}");
        let mut frozen = Spec { role: "write", url: &url, name: &name, commits: 3000 }.start();
        let mut lines = BufReader::new(frozen.stdout.take().expect("it is piped")).lines();
        let acknowledged: &mut Acknowledged = heard.entry(name).or_default();
        for line in lines.by_ref().take(10 + 7 * round as usize) {
            acknowledged.hear(&line.expect("a line"));
        }
        signal(&frozen, "STOP");
        let name = format!("other{round}");
        let other = Spec { role: "write", url: &url, name: &name, commits: 50 }.start().wait_with_output().expect("it ends");
        let others: &mut Acknowledged = heard.entry(name).or_default();
        String::from_utf8_lossy(&other.stdout).lines().for_each(|line| others.hear(line));
        assert_eq!(others.0.len(), 50, "the others go on while one stands still");
        signal(&frozen, "CONT");
        let acknowledged: &mut Acknowledged = heard.entry(format!("frozen{round}")).or_default();
        for line in lines.by_ref().take(20) {
            acknowledged.hear(&line.expect("it goes on"));
        }
        frozen.kill().expect("it is killed");
        lines.map_while(Result::ok).for_each(|line| acknowledged.hear(&line));
        frozen.wait().expect("it has ended");
    }
    verify(&url, &heard);
}

/// The server is killed under writers, again and again, and started anew: what it has acknowledged is there, what it has not
/// is there at most once, and the writers go on by themselves.
fn a_killed_server_loses_nothing_acknowledged() {
    const KILLS: usize = 5;
    let mut server = server();
    let url = format!("{}?schema=restarts", server.url());
    let names = ["a", "b", "c"].map(str::to_owned);
    let mut children: Vec<Child> =
        names.iter().map(|name| Spec { role: "write", url: &url, name, commits: u64::MAX }.start()).collect();
    let (sender, told) = mpsc::channel();
    for (name, child) in names.iter().zip(&mut children) {
        let (output, sender, name) = (child.stdout.take().expect("it is piped"), sender.clone(), name.clone());
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send((name.clone(), line)).is_err() {
                    break;
                }
            }
        });
    }
    drop(sender);
    let mut heard: BTreeMap<String, Acknowledged> = BTreeMap::new();
    let hear = |count: usize, heard: &mut BTreeMap<String, Acknowledged>| {
        for _ in 0..count {
            let (name, line) = told.recv_timeout(Duration::from_secs(120)).expect("the writers go on");
            heard.entry(name).or_default().hear(&line);
        }
    };
    for round in 0..KILLS {
        hear(40 + 11 * round, &mut heard);
        server.kill();
        server.again().expect("it starts again");
    }
    // What is heard from here on was sent after the last start, or had been on its way.
    hear(150, &mut heard);
    for child in &mut children {
        child.kill().expect("it is killed");
        child.wait().expect("it has ended");
    }
    for (name, line) in told.iter() {
        heard.entry(name).or_default().hear(&line);
    }
    verify(&url, &heard);
    let engine = child::connect(&url).expect("opens");
    assert_eq!(lineage(&engine), Lineage::ZERO, "what is synced is not lost, so the past is the same");
}

/// A server that stands still keeps its connections and answers nothing. Whoever reads is told so, a commit is not known, and
/// when the server goes on so does everybody.
fn a_server_that_stands_still_holds_nobody_for_ever() {
    let server = server();
    let url = format!("{}?schema=still&connect_timeout=1", server.url());
    let mut config = larder_postgres::PostgresConfig::parse(&url).expect("a good URL");
    config.patience = Duration::from_secs(2);
    let engine = block_on(larder_postgres::PostgresEngine::open(config, larder_core::StoreId::from_bytes([1; 16])));
    let engine = engine.expect("opens");
    let first = child::commit("x", 1);
    let at = first.writes[0].address.clone();
    let range = larder_core::Range::all();
    let reads = || {
        [
            block_on(engine.get(vec![at.clone()], Timestamp::EPOCH)).map(drop),
            block_on(engine.count(range.clone(), Timestamp::EPOCH)).map(drop),
            block_on(engine.changes(larder_core::ChangesQuery::after(Lineage::ZERO, Revision::ZERO))).map(drop),
            block_on(engine.status(Timestamp::EPOCH)).map(drop),
        ]
        .map(|answer| answer.map_err(|error| error.kind()))
    };
    block_on(engine.commit(vec![first])).swap_remove(0).expect("commits");
    assert_eq!(reads(), [Ok(()); 4]);
    server.freeze().expect("it stands still");
    for _ in 0..2 {
        assert_eq!(reads(), [Err(larder_core::ErrorKind::Unavailable); 4], "whoever reads is told");
    }
    let refused = child::connect(&url).expect_err("nobody answers");
    assert!(refused.to_string().contains("does not answer"), "{refused}");
    server.thaw().expect("it goes on");
    assert_eq!(reads(), [Ok(()); 4], "and all is well again");
    block_on(engine.commit(vec![child::commit("x", 2)])).swap_remove(0).expect("commits");
}

/// A server that was killed may have lost what it did not sync: tokens of the time before are worth nothing after it.
fn a_lost_past_is_another_lineage() {
    let mut server = server();
    let url = format!("{}?schema=relaxed", server.url());
    let open = |relaxed: bool| child::connect_with(&url, relaxed).expect("opens");
    let (engine, beside) = (open(true), open(true));
    block_on(engine.commit(vec![child::commit("x", 1)])).swap_remove(0).expect("commits");
    assert_eq!(lineage(&engine), Lineage::ZERO);
    server.kill();
    server.again().expect("it starts again");
    // A handle that was open all the time notices it when it commits, before anything is committed.
    block_on(engine.commit(vec![child::commit("x", 2)])).swap_remove(0).expect("goes on");
    let drawn = lineage(&engine);
    assert_ne!(drawn, Lineage::ZERO, "what was not synced may be lost");
    assert_eq!(lineage(&beside), drawn);
    block_on(beside.commit(vec![child::commit("x", 3)])).swap_remove(0).expect("goes on");
    assert_eq!(lineage(&open(true)), drawn, "one loss is one lineage");
    // A commit that is synced takes everything before it along.
    block_on(open(false).commit(vec![child::commit("x", 4)])).swap_remove(0).expect("commits");
    server.kill();
    server.again().expect("it starts again");
    assert_eq!(lineage(&open(true)), drawn, "and then nothing is lost");
}
