//! Unique indexes: raced by tasks and processes at once, and no two entries ever have the same.
//!
//! The children are this very program, started again, so it brings its own main. What was true after every single commit is
//! read from the log. `LARDER_SOAK=1` makes the race 50 times as long.

use std::{
    collections::BTreeMap,
    env,
    process::{Command, ExitCode, Stdio},
    sync::atomic::{AtomicU64, Ordering},
};

use larder::{ErrorKind, Expected, Index, Result, Revision, Select, Store, Transaction, field};

const ROLE: &str = "LARDER_TEST_UNIQUE";
const URL: &str = "LARDER_TEST_URL";
const ROUNDS: &str = "LARDER_TEST_ROUNDS";

const PROCESSES: usize = 8;
const TASKS: usize = 64;
/// Fewer than there are racers, so that most of what is wanted is taken.
const NAMES: u64 = 48;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Ok(role) = env::var(ROLE) {
        let rounds = env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok()).expect("the parent says how many");
        let Tally { taken, refused } = runtime.block_on(child(&role, rounds)).expect("the racers work");
        println!("{taken} {refused}");
        return ExitCode::SUCCESS;
    }
    let rounds = if env::var_os("LARDER_SOAK").is_some() { 1_500 } else { 30 };
    for (engine, processes) in [("memory", 0), ("sqlite", PROCESSES)] {
        runtime.block_on(race(engine, processes, rounds));
    }
    runtime.block_on(a_transaction_is_told_at_once()).expect("the store works");
    println!("test a_transaction_is_told_at_once ... ok\n\ntest result: ok. 3 passed; 0 failed");
    ExitCode::SUCCESS
}

/// What came of the attempts to take a name.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    taken: u64,
    refused: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.taken += other.taken;
        self.refused += other.refused;
    }
}

async fn child(role: &str, rounds: u64) -> Result<Tally> {
    let store = larder::open(&env::var(URL).expect("the parent names the store")).await?;
    let tally = racers(&store, role, TASKS / PROCESSES, rounds).await;
    store.close().await?;
    Ok(tally)
}

/// Lets so many tasks race until each of them has had its rounds.
async fn racers(store: &Store, role: &str, tasks: usize, rounds: u64) -> Tally {
    let tasks: Vec<_> = (0..tasks).map(|n| tokio::spawn(work(store.clone(), format!("{role}/{n}"), rounds))).collect();
    let mut tally = Tally::default();
    for task in tasks {
        tally.add(task.await.expect("a racer does not panic").expect("a racer works"));
    }
    tally
}

/// Takes names by chance, in every way in which an entry can come to have one, and lets go of them again.
async fn work(store: Store, racer: String, rounds: u64) -> Result<Tally> {
    let mut tally = Tally::default();
    let (one, other) = (format!("{racer}/one"), format!("{racer}/other"));
    for _ in 0..rounds {
        let chance = store.world().random();
        let [a, b] =
            [64, 96].map(|shift| name(u64::try_from((chance >> shift) % u128::from(NAMES)).expect("a small number")));
        let answer = match chance % 6 {
            0 => store.delete(&one).await.map(|_| ()),
            1 => store.delete(&other).await.map(|_| ()),
            2 => store.set(&one, a).await.map(|_| ()),
            3 => store.set(&other, b).if_absent().await.map(|_| ()),
            // Two at once, and what one lets go of the other may take.
            4 => store.commit().set(&one, a).set(&other, b).await.map(|_| ()),
            _ => store.commit().delete(&other).set(&one, a).await.map(|_| ()),
        };
        match answer {
            Ok(()) => tally.taken += 1,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => {
                let expected = error.as_conflict().map(|conflict| &conflict.expected);
                assert!(matches!(expected, Some(Expected::Unique(index)) if index.to_string() == "unique name"), "{error}");
                tally.refused += 1;
            }
        }
    }
    Ok(tally)
}

fn name(number: u64) -> larder::Value {
    larder::Value::json(format!("{{\"name\":\"n{number}\"}}")).expect("JSON")
}

/// One race, and what the log tells of it.
async fn race(engine: &str, processes: usize, rounds: u64) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = match engine {
        "memory" => "memory:".to_owned(),
        _ => format!("sqlite:{}", directory.path().join("unique.db").display()),
    };
    let store = larder::open(&url).await.expect("opens");
    let index = Index::on("name").expect("an index").unique();
    store.create_index(index).await.expect("creates");
    let own = env::current_exe().expect("a program finds itself");
    let children: Vec<_> = (0..processes)
        .map(|n| {
            let mut command = Command::new(&own);
            command.env(ROLE, format!("process-{n}")).env(URL, &url).env(ROUNDS, rounds.to_string());
            command.stdout(Stdio::piped()).spawn().expect("starts")
        })
        .collect();
    let mut tally = racers(&store, "task", TASKS, rounds).await;
    for child in children {
        let output = child.wait_with_output().expect("ends");
        assert!(output.status.success(), "a process of racers ends well");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let (taken, refused) = told.trim().split_once(' ').expect("two numbers");
        tally.add(Tally { taken: taken.parse().expect("a number"), refused: refused.parse().expect("a number") });
    }
    assert!(tally.taken > 0 && tally.refused > 0, "there was a race: {tally:?}");

    let commits = never_twice(&store).await.expect("the log is there");
    same_with_and_without(&store).await.expect("the store answers");
    let Tally { taken, refused } = tally;
    println!(
        "test a_unique_index_on_{engine} ... ok ({processes} processes, {TASKS} tasks here, {commits} commits, {refused} \
         refused, {taken} not)"
    );
    store.close().await.expect("closes");
}

/// Tells the log again, and looks after every commit who has which name; answers how many commits there were.
async fn never_twice(store: &Store) -> Result<usize> {
    let mut left = store.status().await?.changes;
    let mut watch = store.watch("").after(Revision::ZERO).start().await?;
    let (mut held, mut commits): (BTreeMap<String, String>, usize) = (BTreeMap::new(), 0);
    while left > 0 {
        let batch = watch.next().await?;
        commits += 1;
        left -= batch.changes.len() as u64;
        let text = |entry: &larder::Entry| String::from_utf8_lossy(entry.value.bytes()).into_owned();
        for before in batch.changes.iter().filter_map(|change| change.before.as_ref()) {
            held.remove(&text(before));
        }
        for after in batch.changes.iter().filter_map(|change| change.after.as_ref()) {
            let (name, key) = (text(after), after.address.key.as_str().to_owned());
            let twice = held.insert(name.clone(), key.clone());
            assert_eq!(twice, None, "at revision {} {key:?} took {name}, which somebody had", batch.revision);
        }
    }
    Ok(commits)
}

/// In the end the index has what the entries have.
async fn same_with_and_without(store: &Store) -> Result<()> {
    let all = store.scan(Select::all()).await?.items;
    assert!(!all.is_empty(), "somebody has something");
    for number in 0..NAMES {
        let found = store.query(field("name").eq(format!("n{number}"))).await?;
        let has = |entry: &&larder::Entry| entry.value == name(number);
        assert_eq!(found.items, all.iter().filter(has).cloned().collect::<Vec<_>>(), "n{number}");
        assert!(found.examined <= 1, "it was found along the index");
    }
    Ok(())
}

/// What a unique index does not allow has nothing to do with what a transaction has read, so it is not run again for that.
async fn a_transaction_is_told_at_once() -> Result<()> {
    let store = larder::open("memory:").await?;
    store.create_index(Index::on("name")?.unique()).await?;
    store.set("somebody", name(1)).await?;
    let attempts = AtomicU64::new(0);
    let answer = store.transact(async |mut t: Transaction| {
        attempts.fetch_add(1, Ordering::Relaxed);
        t.get("other").await?;
        t.set("other", name(1))
    });
    assert_eq!(answer.await.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    assert_eq!(attempts.load(Ordering::Relaxed), 1, "it ran once");
    Ok(())
}
