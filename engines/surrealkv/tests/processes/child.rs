//! What a child does: it opens the store it is told and writes, and says after every commit what was acknowledged.
//!
//! The parent reads lines such as `ack 3 17`: the third commit was acknowledged with revision 17.

use std::{
    env,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{Durability, Store, StoreId};
use larder_surrealkv::{SurrealKvConfig, SurrealKvEngine};

/// The variable that makes this program a child, and says which.
pub(crate) const ROLE: &str = "LARDER_TEST_ROLE";
const STORE: &str = "LARDER_TEST_STORE";

/// How many threads write at the same time, so that commits travel in groups.
pub(crate) const WRITERS: usize = 3;

/// A child that writes until it is killed.
pub(crate) fn start(store: &Path, durability: Durability) -> Child {
    Command::new(env::current_exe().expect("a program finds itself"))
        .env(ROLE, durability.as_str())
        .env(STORE, store)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child can be started")
}

/// Opens the store at `path`. The clock of its world stands still, which changes nothing here; but commit ids must
/// never repeat, in no process and no life of a process, so the seed is the system's time and the process.
pub(crate) fn open(path: &Path, durability: Durability) -> larder_core::Result<Store> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that was set");
    let seed = u64::try_from(since.as_nanos()).expect("some centuries") ^ (u64::from(std::process::id()) << 40);
    let config = SurrealKvConfig { durability, ..SurrealKvConfig::new(path) };
    let engine = block_on(SurrealKvEngine::open(config, StoreId::from_bytes([1; 16])))?;
    Ok(Store::new(Arc::new(engine), Arc::new(TestWorld::new(seed))))
}

pub(crate) fn run(role: &str) {
    let path = PathBuf::from(env::var(STORE).expect("the store is named"));
    let durability = if role == Durability::Relaxed.as_str() { Durability::Relaxed } else { Durability::Full };
    let store = match open(&path, durability) {
        Ok(store) => store,
        Err(error) => return say(&format!("err {}", error.kind().code())),
    };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || pairs(store, &format!("w{writer}")));
        }
    });
}

/// Says something in one write, so that the parent gets it whole even when we are killed right after.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).expect("the parent listens");
}

/// Commits pairs of keys that must never be seen alone, going on after the last pair that is there.
fn pairs(store: &Store, name: &str) {
    let last = format!("{name}/last");
    let begin: i64 = block_on(store.get_json(&last)).expect("the last number reads").unwrap_or(0);
    for n in begin + 1.. {
        let commit = store
            .commit()
            .set(format!("{name}/a/{n}"), vec![b'a'; 300])
            .set(format!("{name}/b/{n}"), vec![b'b'; 3000])
            .add(&last, 1, 0..=i64::MAX);
        let receipt = block_on(commit.into_future()).expect("nothing disturbs a commit");
        say(&format!("ack {name} {n} {}", receipt.revision));
    }
}
