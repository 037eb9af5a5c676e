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
use larder_core::{Found, Index, Namespace, Store, StoreId, Value, index::IndexState};
use larder_sqlite::{SqliteConfig, SqliteEngine};

/// The variable that makes this program a child, and says which.
pub(crate) const ROLE: &str = "LARDER_TEST_ROLE";
const STORE: &str = "LARDER_TEST_STORE";
const NAME: &str = "LARDER_TEST_NAME";
const COMMITS: &str = "LARDER_TEST_COMMITS";

/// How often a child tries again after it was refused.
const TRIES: u32 = 5;

/// A child to be started.
pub(crate) struct Spec<'a> {
    pub(crate) role: &'a str,
    pub(crate) store: &'a Path,
    /// What sets its keys apart from those of other children.
    pub(crate) name: &'a str,
    pub(crate) commits: u32,
}

impl Spec<'_> {
    /// The command, its output piped, run by `runner` if one is given.
    pub(crate) fn start(&self, runner: &[&str]) -> Child {
        let own = env::current_exe().expect("a program finds itself");
        let mut command = match runner {
            [] => Command::new(own),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(own);
                command
            }
        };
        command
            .env(ROLE, self.role)
            .env(STORE, self.store)
            .env(NAME, self.name)
            .env(COMMITS, self.commits.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{runner:?} cannot be started: {error}"))
    }
}

/// Opens the store at `path`. The clock of its world stands still, which changes nothing here; but commit ids must
/// never repeat, in no process and no life of a process, so the seed is the system's time and the process.
pub(crate) fn open(path: &Path) -> larder_core::Result<Store> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that was set");
    let seed = u64::try_from(since.as_nanos()).expect("some centuries") ^ (u64::from(std::process::id()) << 40);
    let world = Arc::new(TestWorld::new(seed));
    let engine = block_on(SqliteEngine::open(SqliteConfig::new(path), StoreId::from_bytes([1; 16])))?;
    Ok(Store::new(Arc::new(engine), world))
}

/// The latest revision.
pub(crate) fn head(store: &Store) -> u64 {
    block_on(store.engine().status(store.world().now())).expect("a store tells its status").revision.get()
}

pub(crate) fn run(role: &str) {
    let variable = |name| env::var(name).unwrap_or_else(|_| panic!("{name} is set"));
    let path = PathBuf::from(variable(STORE));
    let name = variable(NAME);
    let commits: u32 = variable(COMMITS).parse().expect("a number of commits");
    let store = match open(&path) {
        Ok(store) => store,
        Err(error) => return say(&format!("err 0 {} {error}", error.kind().code())),
    };
    match role {
        "pairs" => pairs(&store, &name, commits),
        "sets" => sets(&store, commits),
        "racer" => racer(&store, &name),
        "crowd" => crowd(&store, commits),
        "builder" => builder(&store, &name),
        "claimer" => claimer(&store, &name, commits),
        "keeper" => keeper(&store),
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
fn pairs(store: &Store, name: &str, commits: u32) {
    let last = format!("{name}/last");
    let begin: i64 = block_on(store.get_json(&last)).expect("the last number reads").unwrap_or(0);
    for n in begin + 1..=begin + i64::from(commits) {
        let commit = store
            .commit()
            .set(format!("{name}/a/{n}"), vec![b'a'; 300])
            .set(format!("{name}/b/{n}"), vec![b'b'; 300])
            .add(&last, 1, 0..=i64::MAX);
        match block_on(commit.into_future()) {
            Ok(receipt) => say(&format!("ack {n} {}", receipt.revision)),
            Err(error) => {
                say(&format!("err {n} {} {error}", error.kind().code()));
                // A careful caller looks before going on: what was refused must not be half done.
                let goes_on = (1..=TRIES).any(|_| block_on(store.set(format!("{name}/retry"), "x").into_future()).is_ok());
                if goes_on {
                    pairs(store, name, commits - u32::try_from(n - begin).unwrap_or(commits));
                }
                return;
            }
        }
    }
}

/// Sets one key again and again without conditions.
fn sets(store: &Store, commits: u32) {
    for _ in 0..commits {
        let stamp = block_on(store.set("shared", "x").into_future()).expect("an unconditional set succeeds");
        say(&format!("set {} {}", stamp.version, stamp.revision));
    }
}

/// Waits for a version on every line of its input and tries to be the one that replaces it.
fn racer(store: &Store, name: &str) {
    for line in std::io::stdin().lock().lines() {
        let version: u64 = line.expect("the parent speaks text").parse().expect("a version");
        match block_on(store.set("race", name).if_version(version).into_future()) {
            Ok(stamp) => say(&format!("won {}", stamp.version)),
            Err(error) => {
                let found = error.as_conflict().unwrap_or_else(|| panic!("a loser meets a conflict: {error}")).found;
                say(&format!("lost {found}"));
            }
        }
    }
}

/// Builds an index and removes it, again and again, while another thread writes to what is in it.
fn builder(store: &Store, name: &str) {
    let indexes = store.engine().indexes().expect("it keeps indexes");
    let advance = |id| block_on(indexes.advance(id, 16, store.world().now())).expect("goes on");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0_u32.. {
                let key = format!("e/{:03}", n.wrapping_mul(7919) % 400);
                let write = store.set(&key, json(&format!("{name} {n}"), n % 50));
                block_on(write.into_future()).expect("an unconditional set succeeds");
            }
        });
        loop {
            let index = Index::on("n").expect("an index");
            let created = block_on(indexes.create(Namespace::default(), index)).expect("creates");
            say(&format!("created {}", created.id.0));
            while let Some(IndexState::Building { entries, .. }) = advance(created.id).map(|status| status.state) {
                say(&format!("built {entries}"));
            }
            say("ready");
            block_on(indexes.drop(created.id)).expect("drops");
            while advance(created.id).is_some() {
                say("removed");
            }
        }
    });
}

/// Several threads want to be the ones that have a number; others want the same ones.
fn claimer(store: &Store, name: &str, claims: u32) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for n in 0..claims {
                    match block_on(store.set(format!("{name}/{thread}/{n}"), json(name, n)).into_future()) {
                        Ok(_) => say(&format!("won {n}")),
                        Err(error) => {
                            let met = error.as_conflict().unwrap_or_else(|| panic!("a loser meets a conflict: {error}"));
                            assert_eq!(met.found, Found::Taken);
                            say(&format!("lost {n}"));
                        }
                    }
                }
            });
        }
    });
}

/// Writes whenever it is told to, and has the file open all the time.
fn keeper(store: &Store) {
    for line in std::io::stdin().lock().lines() {
        let n: u32 = line.expect("the parent speaks text").parse().expect("a number");
        let told = block_on(store.set(format!("k/{n}"), json("keeper", n)).into_future());
        say(&told.map_or_else(|error| format!("err {}", error.kind().code()), |stamp| format!("ack {}", stamp.revision)));
    }
}

/// A document with a number.
pub(crate) fn json(name: &str, n: u32) -> Value {
    Value::json(format!(r#"{{"name":"{name}","n":{n}}}"#)).expect("JSON")
}

/// Many threads set keys of their own at the same time, so that commits travel in groups.
fn crowd(store: &Store, commits: u32) {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for n in 0..commits {
                    let key = format!("{thread}/{n}");
                    match block_on(store.set(&key, "x").into_future()) {
                        Ok(stamp) => say(&format!("ack {key} {}", stamp.revision)),
                        Err(error) => say(&format!("err {key} {}", error.kind().code())),
                    }
                }
            });
        }
    });
}
