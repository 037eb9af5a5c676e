//! What a child does: it opens the store it is told and writes, and says after every commit what was acknowledged.
//!
//! The parent reads lines such as `ack 3 17`: the third commit was acknowledged with revision 17.

use std::{
    env,
    io::{BufRead as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{Durability, Result, Store, StoreId};
use larder_file::{FileConfig, Tuning};

/// The variable that makes this program a child, and says which.
pub(crate) const ROLE: &str = "LARDER_TEST_ROLE";
const STORE: &str = "LARDER_TEST_STORE";

/// Starts a child that does what `role` says with the store at `path`.
pub(crate) fn start(role: &str, path: &Path) -> Child {
    let own = env::current_exe().expect("a program finds itself");
    let mut command = Command::new(own);
    command.env(ROLE, role).env(STORE, path).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("a child can be started")
}

/// Opens the store at `path`, where everything moves all the time. Commit ids must never repeat, in no process and no life of
/// a process, so the seed is the system's time and the process.
pub(crate) fn open(path: &Path, durability: Durability) -> Result<Store> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that was set");
    let seed = u64::try_from(since.as_nanos()).expect("some centuries") ^ (u64::from(std::process::id()) << 40);
    let mut config = FileConfig::new(path);
    config.durability = durability;
    config.tuning = Tuning { journal_bytes: 32 << 10, gather_ms: Some(1), ..Tuning::default() };
    let engine = block_on(larder_file::open(config, StoreId::from_bytes([1; 16])))?;
    Ok(Store::new(Arc::new(engine), Arc::new(TestWorld::new(seed))))
}

pub(crate) fn run(role: &str) {
    let path = PathBuf::from(env::var_os(STORE).expect("the store is named"));
    let durability = if role == "relaxed" { Durability::Relaxed } else { Durability::Full };
    let store = match open(&path, durability) {
        Ok(store) => store,
        Err(error) => return say(&format!("err {} {error}", error.kind().code())),
    };
    match role {
        "full" | "relaxed" => pairs(&store),
        "holder" => {
            say("open");
            // Until the parent closes the pipe, or kills.
            let _ = std::io::stdin().lock().read_line(&mut String::new());
        }
        other => panic!("there is no role {other}"),
    }
    block_on(store.close()).expect("the store closes");
}

/// Says something in one write, so that the parent gets it whole even when we are killed right after.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()).expect("the parent listens");
}

/// Commits pairs of keys that must never be seen alone, going on after the last pair that is there.
fn pairs(store: &Store) {
    let begin: i64 = block_on(store.get_json("last")).expect("the last number reads").unwrap_or(0);
    for n in begin + 1.. {
        // Short ones and long ones, new ones and such that are written over.
        let bytes = usize::try_from(n % 7 * 400).expect("some thousands");
        let commit = store
            .commit()
            .set(format!("a/{}", n % 50), format!("{n} {}", "a".repeat(bytes)))
            .set(format!("b/{}", n % 50), format!("{n} {}", "b".repeat(bytes)))
            .add("last", 1, 0..=i64::MAX);
        match block_on(commit.into_future()) {
            Ok(receipt) => say(&format!("ack {n} {}", receipt.revision)),
            Err(error) => return say(&format!("err {} {error}", error.kind().code())),
        }
    }
}
