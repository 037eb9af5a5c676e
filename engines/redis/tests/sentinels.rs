//! Sentinels: whoever they call the master is the server, and where it becomes another one, that is another past.

mod place;
mod server;

use std::{
    env, fs,
    process::{Child, Command, Stdio},
    thread,
};

use futures_lite::future::block_on;
use larder_core::{
    Action, Address, ChangesQuery, Commit, CommitId, Engine as _, ErrorKind, Key, Namespace, Outcome, Timestamp, Write,
    engine::Resolution,
};
use larder_redis::RedisEngine;
use place::open;
use server::{DURABLE, PASSWORD, Server};

const NOW: Timestamp = Timestamp::EPOCH;

/// A sentinel that watches one master, and calls it dead after half a second of silence.
struct Sentinel {
    directory: tempfile::TempDir,
    port: u16,
    running: Child,
}

impl Sentinel {
    fn of(master: &Server) -> Self {
        let directory = tempfile::tempdir_in(env::temp_dir()).expect("a directory");
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr());
        let port = free.expect("a port").port();
        let watched = format!("larder 127.0.0.1 {} 1", master.port());
        let lines = [
            format!("port {port}\nbind 127.0.0.1\nrequirepass {PASSWORD}\nsentinel monitor {watched}"),
            format!("sentinel auth-pass larder {PASSWORD}\nsentinel down-after-milliseconds larder 2000"),
            format!("sentinel failover-timeout larder 3000\ndir {}\n", directory.path().display()),
        ];
        let file = directory.path().join("sentinel.conf");
        fs::write(&file, lines.join("\n")).expect("is written");
        let mut command = Command::new("setpriv");
        // Whatever ends us ends it.
        command.args(["--pdeathsig", "KILL", "bash", "-c", "exec -a redis-server \"$0\" \"$@\""]);
        command.arg(server::program().expect("Redis is installed")).arg(&file).arg("--sentinel");
        let running = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        Self { directory, port, running }
    }

    /// Whether its way to the master and one replica is open.
    fn sees_a_replica(&self) -> bool {
        let file = fs::read_to_string(self.directory.path().join("sentinel.conf")).unwrap_or_default();
        file.contains("sentinel known-replica larder")
    }

    fn url(&self, master: &str) -> String {
        format!("redis+sentinel://:{PASSWORD}@127.0.0.1:{}/{master}?prefix=a", self.port)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.running.kill();
        let _ = self.running.wait();
    }
}

fn add(id: u64) -> Commit {
    let address = Address::new(Namespace::default(), Key::new("k").expect("valid"));
    let action = Action::Add { delta: 1, floor: 0, ceiling: i64::MAX };
    let id = CommitId::from_bytes(u128::from(id).to_be_bytes());
    Commit { id, now: NOW, checks: Vec::new(), writes: vec![Write { address, action }] }
}

/// Whether the commit has happened in the end, whatever had to be done to learn it.
fn happened(engine: &RedisEngine, commit: Commit) -> bool {
    let id = commit.id;
    match block_on(engine.commit(vec![commit])).remove(0) {
        Ok(Outcome::Committed(_)) => true,
        Ok(Outcome::Conflicted(conflict)) => panic!("nothing speaks against it: {conflict}"),
        Err(error) if error.kind() == ErrorKind::Unavailable => false,
        Err(error) if error.kind() == ErrorKind::OutcomeUnknown => loop {
            match block_on(engine.resolve(id)) {
                Ok(Resolution::Committed(_)) => return true,
                Ok(_) => return false,
                Err(_) => thread::yield_now(),
            }
        },
        Err(error) => panic!("{error}"),
    }
}

fn open_patiently(url: &str) -> RedisEngine {
    loop {
        match block_on(open(url)) {
            Ok(engine) => return engine,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
    }
}

/// A replica may not have heard of everything when it takes over. Nobody who followed the log before is told otherwise.
#[test]
fn a_master_that_dies_is_followed_by_another_with_another_past() {
    let mut master = Server::start().expect("a server starts");
    let mut settings = DURABLE.to_vec();
    let of = format!("127.0.0.1 {}", master.port());
    settings.extend(["--replicaof", &of]);
    let replica = Server::with(&settings).expect("a server starts");
    while master.ask("WAIT 1 60000").expect("answers") != ":1" {}
    let sentinel = Sentinel::of(&master);
    let engine = open_patiently(&sentinel.url("larder"));
    assert!(happened(&engine, add(1)));
    let before = block_on(engine.status(NOW)).expect("answers");
    while master.ask("WAIT 1 60000").expect("answers") != ":1" || !sentinel.sees_a_replica() {
        thread::yield_now();
    }
    master.kill();
    // The handle that was open finds the way by itself.
    let mut tries = 2;
    while !happened(&engine, add(tries)) {
        tries += 1;
    }
    assert_eq!(replica.ask("GET x").expect("answers"), "$-1", "it is there");
    let fresh = open_patiently(&sentinel.url("larder"));
    for engine in [engine, fresh] {
        let after = block_on(engine.status(NOW)).expect("answers");
        assert_eq!(
            (after.store, after.revision.get(), after.entries),
            (before.store, 2, 1),
            "what the replica had heard of"
        );
        assert_ne!(after.lineage, before.lineage);
        let asked = block_on(engine.changes(ChangesQuery::after(before.lineage, before.revision)));
        let told = asked.map(|changes| changes.changes.len()).map_err(|error| error.kind());
        assert_eq!(told, Err(ErrorKind::Trimmed));
        assert_eq!(
            block_on(engine.resolve(add(1).id)).map(|found| matches!(found, Resolution::Committed(_))).ok(),
            Some(true)
        );
    }
}

#[test]
fn sentinels_that_are_of_no_help_are_told_apart() {
    let master = Server::start().expect("a server starts");
    let sentinel = Sentinel::of(&master);
    drop(open_patiently(&sentinel.url("larder")));
    let refused = |url: &str, kind: ErrorKind, words: &str| {
        let error = block_on(open(url)).map(drop).expect_err("it is refused");
        let told = format!("{error} {error:?}");
        assert_eq!(error.kind(), kind, "{told}");
        assert!(told.contains(words) && !told.contains(PASSWORD), "{told}");
    };
    refused(&sentinel.url("other"), ErrorKind::NotFound, "no master other");
    refused(&sentinel.url("larder").replace(PASSWORD, "wrong"), ErrorKind::Denied, "does not let us in");
    let itself = sentinel.url("larder").replace(&sentinel.port.to_string(), &master.port().to_string());
    refused(&itself, ErrorKind::Unsupported, "no sentinel");
    refused(&format!("redis://:{PASSWORD}@127.0.0.1:{}", sentinel.port), ErrorKind::Unsupported, "is a sentinel");
    // One of two that answers is enough.
    let gone = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).expect("a port").port();
    let two = sentinel.url("larder").replace("@", &format!("@127.0.0.1:{gone},"));
    block_on(open(&two)).expect("opens");
    let nobody = sentinel.url("larder").replace(&sentinel.port.to_string(), &gone.to_string());
    refused(&nobody, ErrorKind::Unavailable, "nobody says where the master is");
}
