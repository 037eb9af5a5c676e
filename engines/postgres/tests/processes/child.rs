//! What a child does: it opens the store it is told and writes, and says after every commit what was acknowledged.
//!
//! The parent reads lines such as `ack 3 17`: the third commit was acknowledged with revision 17.

use std::{
    env,
    io::Write as _,
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_lite::future::block_on;
use larder_core::{
    Action, Address, Commit, CommitId, Durability, Engine, ErrorKind, Key, MetadataChange, Namespace, Outcome, StoreId,
    Timestamp, Value, Write,
};
use larder_postgres::{PostgresConfig, PostgresEngine};

/// The variable that makes this program a child, and says which.
pub(crate) const ROLE: &str = "LARDER_TEST_ROLE";
const STORE: &str = "LARDER_TEST_STORE";
const NAME: &str = "LARDER_TEST_NAME";
const COMMITS: &str = "LARDER_TEST_COMMITS";

/// A child to be started.
pub(crate) struct Spec<'a> {
    pub(crate) role: &'a str,
    pub(crate) url: &'a str,
    /// What sets its keys apart from those of other children.
    pub(crate) name: &'a str,
    pub(crate) commits: u64,
}

impl Spec<'_> {
    /// Starts it, its output piped.
    pub(crate) fn start(&self) -> Child {
        Command::new(env::current_exe().expect("a program finds itself"))
            .env(ROLE, self.role)
            .env(STORE, self.url)
            .env(NAME, self.name)
            .env(COMMITS, self.commits.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child can be started")
    }
}

pub(crate) fn connect(url: &str) -> larder_core::Result<PostgresEngine> {
    connect_with(url, false)
}

pub(crate) fn connect_with(url: &str, relaxed: bool) -> larder_core::Result<PostgresEngine> {
    let mut config = PostgresConfig::parse(url)?;
    // Whoever stands still is given up soon.
    config.patience = Duration::from_secs(2);
    if relaxed {
        config.durability = Durability::Relaxed;
    }
    block_on(PostgresEngine::open(config, StoreId::from_bytes([1; 16])))
}

/// A commit of one new key, which it also counts. Its id never repeats, in no process and no life of a process.
pub(crate) fn commit(name: &str, n: u64) -> Commit {
    let at = |key: String| Address::new(Namespace::default(), Key::new(key).expect("a good key"));
    let put = Action::Put { value: Value::integer(1), expires_at: None, metadata: MetadataChange::Keep };
    let count = Action::Add { delta: 1, floor: 0, ceiling: i64::MAX };
    let writes = vec![
        Write { address: at(format!("{name}/{n}")), action: put },
        Write { address: at("count".to_owned()), action: count },
    ];
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that was set");
    let now = Timestamp::from_millis_saturating(i64::try_from(since.as_millis()).expect("some centuries"));
    let random = (since.as_nanos() ^ (u128::from(std::process::id()) << 90) ^ u128::from(n)).rotate_left(32);
    Commit { id: CommitId::new(now, random), now, checks: vec![], writes }
}

pub(crate) fn run(role: &str) {
    assert_eq!(role, "write", "there is no other role");
    let variable = |name: &str| env::var(name).expect("a child is told everything");
    let (url, name) = (variable(STORE), variable(NAME));
    let engine = connect(&url).expect("the store opens");
    let commits: u64 = variable(COMMITS).parse().expect("a number");
    for n in 0..commits {
        let revision = insist(&engine, commit(&name, n));
        println!("ack {n} {revision}");
        std::io::stdout().flush().expect("the parent listens");
    }
}

/// Commits until it has happened: sent again under the same id it happens once, whether it was refused for the moment or
/// nobody knows.
fn insist(engine: &PostgresEngine, commit: Commit) -> u64 {
    loop {
        match block_on(engine.commit(vec![commit.clone()])).swap_remove(0) {
            Ok(Outcome::Committed(receipt)) => return receipt.revision.get(),
            Ok(Outcome::Conflicted(conflict)) => panic!("nothing to conflict with: {conflict}"),
            Err(error) if [ErrorKind::Unavailable, ErrorKind::OutcomeUnknown].contains(&error.kind()) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}
