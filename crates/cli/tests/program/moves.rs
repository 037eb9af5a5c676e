//! Stores that are moved, compared and verified with the program.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    engines::at_server,
    pipes::PATIENCE,
    sandbox::{Sandbox, answer},
};

/// A store with something of everything, and a log.
fn varied(sandbox: &Sandbox) {
    sandbox.ok(["ns", "create", "users", "--meta", "owner=ann"]);
    sandbox.ok(["set", "greeting", r#"{"hello": "world"}"#]);
    sandbox.ok(["set", "greeting", r#"{"hello": "you"}"#, "--meta", "n=1"]);
    sandbox.feed(b"\x00\xff", ["set", "bytes", "-", "--ttl", "2h"]);
    sandbox.ok(["set", "ann", r#"{"age": 7}"#, "-n", "users"]);
    sandbox.ok(["index", "create", "age", "-n", "users"]);
    sandbox.ok(["set", "gone", "1"]);
    sandbox.ok(["delete", "gone"]);
}

/// Copies to `to` and back again, and everything is the same.
fn there_and_back(to: &str) {
    let sandbox = Sandbox::new();
    varied(&sandbox);
    let copied = sandbox.ok(["copy", "sqlite:larder.db", to, "--json"]).json();
    assert_eq!((copied["entries"].as_u64(), copied["indexes"].as_u64()), (Some(4), Some(1)), "{copied}");
    sandbox.ok(["copy", to, "sqlite:back.db"]);
    for store in [to, "sqlite:back.db"] {
        let same = sandbox.ok(["verify", "sqlite:larder.db", store]);
        assert!(same.text().contains("hold the same"), "{same:?}");
        assert_eq!(sandbox.ok(["diff", "sqlite:larder.db", store]).text(), "");
        assert_eq!(sandbox.ok(["verify", store, "--json"]).json()["faults"], serde_json::json!([]));
        let export = |store| sandbox.ok(["--store", store, "export", "--all-namespaces"]).bytes;
        assert_eq!(export("sqlite:larder.db"), export(store));
    }
    sandbox.ok(["--store", "sqlite:back.db", "set", "greeting", "3"]);
    sandbox.ok(["--store", "sqlite:back.db", "set", "new", "4", "-n", "users"]);
    let differ = sandbox.run(["diff", "sqlite:larder.db", "sqlite:back.db"]);
    assert_eq!(differ.status, 4);
    assert_eq!(differ.lines(), ["~ greeting\tv2 -> v3\t3", "+ new\tv1\t4\t(users)"]);
    assert_eq!(sandbox.run(["diff", "sqlite:larder.db", "sqlite:back.db", "-n", "users"]).lines(), ["+ new\tv1\t4"]);
    let differ = sandbox.run(["verify", "sqlite:larder.db", "sqlite:back.db"]);
    assert!(differ.status == 4 && differ.text().contains("do not hold the same"), "{differ:?}");
}

#[test]
fn a_copy_there_and_back_is_the_same() {
    there_and_back("sqlite:other.db");
}

#[test]
fn a_copy_to_postgresql_and_back_is_the_same() {
    let Some(place) = at_server("postgres", "moves") else { return };
    there_and_back(&place.url);
}

#[test]
fn a_copy_to_redis_and_back_is_the_same() {
    let Some(place) = at_server("redis", "moves") else { return };
    there_and_back(&place.url);
}

#[test]
fn a_copy_to_etcd_and_back_is_the_same() {
    let Some(place) = at_server("etcd", "moves") else { return };
    there_and_back(&place.url);
}

#[test]
fn a_copy_to_directories_and_back_is_the_same() {
    for directory in ["file:./other", "surrealkv:./other"] {
        there_and_back(directory);
    }
}

#[test]
fn a_copy_with_its_log_tells_the_same_history() {
    let sandbox = Sandbox::new();
    varied(&sandbox);
    sandbox.ok(["copy", "--history", "sqlite:larder.db", "sqlite:other.db"]);
    let log = |store| {
        let found = sandbox.ok(["--store", store, "history", "greeting", "--json"]);
        let row = |line: &str| {
            let mut row: serde_json::Value = serde_json::from_str(line).expect("a line of history");
            for side in ["", "/entry", "/previous"] {
                if let Some(side) = row.pointer_mut(side).and_then(serde_json::Value::as_object_mut) {
                    side.remove("revision");
                }
            }
            row
        };
        found.text().lines().map(row).collect::<Vec<_>>()
    };
    assert_eq!(log("sqlite:larder.db"), log("sqlite:other.db"));
    assert_eq!(log("sqlite:other.db").len(), 2);
}

/// Killed wherever it is and begun again, a copy comes to the same, and a finished one says so.
#[test]
fn a_copy_that_is_killed_is_gone_on_with() {
    let sandbox = Sandbox::new();
    let lines: String = (0..30_000).map(|id| format!("{{\"id\":\"{id:05}\",\"n\":{}}}\n", id * 7)).collect();
    sandbox.feed(lines, ["import", "--key", "id", "-"]);
    sandbox.ok(["index", "create", "n"]);
    let copy = ["copy", "sqlite:larder.db", "sqlite:other.db"];
    let (mut kills, mut bytes) = (0, 400_000);
    loop {
        let mut child = sandbox.command(copy).spawn().expect("the program starts");
        // Killed as soon as the target has grown, or when it has ended before that.
        let grown = || {
            ["other.db", "other.db-wal"]
                .iter()
                .filter_map(|name| sandbox.path(name).metadata().ok())
                .map(|file| file.len())
                .sum::<u64>()
        };
        while child.try_wait().expect("a child can be asked").is_none() && grown() < bytes {
            std::thread::yield_now();
        }
        bytes = grown() + 400_000;
        let ended = child.try_wait().expect("a child can be asked").is_some();
        if ended {
            // It may have been done already when it was killed.
            let answer = answer(child);
            assert!(answer.status == 0 || answer.error.contains("finished copy already"), "{answer:?}");
            break;
        }
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        kills += 1;
    }
    assert!(kills >= 3, "killed {kills} times");
    sandbox.ok(["verify", "sqlite:larder.db", "sqlite:other.db"]);
    assert_eq!(sandbox.ok(["verify", "sqlite:other.db", "--json"]).json()["faults"], serde_json::json!([]));
    let again = sandbox.run(copy);
    assert!(
        again.status == 4 && again.error.contains("finished copy already") && again.error.contains("--again"),
        "{again:?}"
    );
    sandbox.ok(["set", "more", "1"]);
    sandbox.ok(["copy", "--again", "sqlite:larder.db", "sqlite:other.db"]);
    sandbox.ok(["verify", "sqlite:larder.db", "sqlite:other.db"]);
}

#[test]
fn what_cannot_be_moved_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "k", "1"]);
    sandbox.ok(["--store", "sqlite:full.db", "set", "k", "1"]);
    for (arguments, status, part) in [
        (&["copy", "sqlite:larder.db"][..], 2, "Usage"),
        (&["copy", "sqlite:none.db", "sqlite:new.db"], 3, "none.db"),
        (&["copy", "sqlite:larder.db", "sqlite:full.db"], 4, "not empty"),
        (&["copy", "sqlite:larder.db", "sqlite:larder.db"], 5, "same store"),
        (&["copy", "sqlite:larder.db", "sqlite:new.db", "-n", "users"], 2, "--namespace"),
        (&["diff", "sqlite:larder.db"], 2, "two URLs"),
        (&["diff", "1", "sqlite:larder.db"], 2, "two URLs"),
        (&["diff", "sqlite:larder.db", "sqlite:none.db"], 3, "none.db"),
        (&["verify", "sqlite:none.db"], 3, "none.db"),
    ] {
        let answer = sandbox.run(arguments);
        assert_eq!(answer.status, status, "{arguments:?}: {answer:?}");
        assert!(answer.error.contains(part), "{arguments:?}: {answer:?}");
    }
    assert!(!sandbox.path("none.db").exists());
}

#[test]
fn a_backup_is_restored_and_a_damaged_one_is_not() {
    let sandbox = Sandbox::new();
    varied(&sandbox);
    let full = sandbox.ok(["backup", "full.larder", "--json"]).json();
    let through = full["revision"].as_u64().expect("a revision").to_string();
    sandbox.ok(["set", "greeting", "3"]);
    sandbox.ok(["backup", "more.larder", "--since", &through]);
    assert!(sandbox.ok(["restore", "--check", "full.larder", "more.larder"]).text().contains("what came after revision"));

    sandbox.ok(["--store", "sqlite:both.db", "restore", "full.larder", "more.larder"]);
    sandbox.ok(["verify", "sqlite:larder.db", "sqlite:both.db"]);
    sandbox.ok(["--store", "sqlite:then.db", "restore", "full.larder", "more.larder", "--to", &through]);
    let then = |store: &[&str]| sandbox.ok([store, &["get", "greeting"]].concat()).bytes;
    assert_eq!(then(&["--store", "sqlite:then.db"]), br#"{"hello": "you"}"#);
    assert_eq!(then(&["--store", "sqlite:both.db"]), b"3");
    assert_eq!(sandbox.ok(["--store", "sqlite:both.db", "history", "greeting"]).lines().len(), 3);

    let whole = std::fs::read(sandbox.path("full.larder")).expect("it can be read");
    sandbox.write("cut.larder", &whole[..whole.len() - 1]);
    sandbox.ok(["backup", "store.db"]);
    for (arguments, status, part) in [
        (&["restore", "cut.larder"][..], 8, "was cut off"),
        (&["restore", "more.larder"], 5, "goes on top of one"),
        (&["restore", "store.db"], 5, "it is a store: use it with --store sqlite:store.db"),
        (&["restore", "none.larder"], 3, "none.larder"),
        (&["restore", "full.larder", "--to", "9999"], 5, "is not in the backup"),
        (&["restore"], 2, "Usage"),
    ] {
        let answer = sandbox.run([&["--store", "sqlite:new.db"], arguments].concat());
        assert_eq!(answer.status, status, "{arguments:?}: {answer:?}");
        assert!(answer.error.contains(part), "{arguments:?}: {answer:?}");
    }
    assert_eq!(sandbox.run(["restore", "full.larder"]).status, 4, "there is something in the store");
    assert_eq!(sandbox.run(["backup", "full.larder"]).status, 4, "never written over");
    assert_eq!(std::fs::read(sandbox.path("full.larder")).expect("it can be read"), whole);
    assert_eq!(sandbox.run(["backup", "x.db", "--since", "1"]).status, 2);
}

/// How much is moved, and by how many it is written to meanwhile; the whole of it where `LARDER_SOAK` is 1.
fn measure() -> (u32, usize, u64) {
    if std::env::var("LARDER_SOAK").is_ok_and(|soak| soak == "1") { (1_000_000, 16, 20) } else { (40_000, 4, 1) }
}

/// What a watch of the counters has seen: of each, all numbers that it has been.
type Seen = BTreeMap<String, Vec<u64>>;

/// Takes down what a watch of counters tells, until it ends.
fn take_down(output: ChildStdout, seen: &Mutex<Seen>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        let key = event["key"].as_str().expect("a key").to_owned();
        let number = event["entry"]["value"].as_u64().unwrap_or_else(|| panic!("a number: {line}"));
        seen.lock().expect("nobody panics with it").entry(key).or_default().push(number);
    }
}

/// Many write, each write a process of its own, and some watch; the migration is killed three times. Each write that was
/// acknowledged is there, once, and the watches are told each.
fn moved_under_writers(to: &str) {
    let sandbox = Sandbox::new();
    let (entries, writers, pace) = measure();
    let lines: String = (0..entries).map(|id| format!("{{\"id\":\"{id:07}\",\"n\":{}}}\n", u64::from(id) * 7)).collect();
    sandbox.feed(lines, ["import", "--key", "id", "-"]);
    let names: Vec<String> = (0..writers).map(|n| format!("w{n}")).collect();
    for name in &names {
        sandbox.ok(["add", name, "1", "-n", "users"]);
    }
    let from = sandbox.ok(["status", "--json"]).json()["revision"].to_string();
    let seen: [Mutex<Seen>; 4] = Default::default();
    let done = AtomicBool::new(false);
    let writer = |name: &str| {
        let (mut acknowledged, mut store) = (1_u64, "sqlite:larder.db");
        while !done.load(Ordering::SeqCst) {
            let answer = sandbox.run(["--store", store, "add", name, "1", "-n", "users"]);
            match answer.status {
                0 => acknowledged += 1,
                // Paused, or everybody is at it.
                7 => {}
                5 if answer.error.contains("has moved to") => store = to,
                _ => panic!("{answer:?}"),
            }
        }
        acknowledged
    };
    let moved = std::thread::scope(|scope| {
        let writer = &writer;
        let writers: Vec<_> = names.iter().map(|name| (name, scope.spawn(move || writer(name)))).collect();
        let mut watches: Vec<(Child, &Mutex<Seen>)> = Vec::new();
        for seen in &seen {
            let watch = ["watch", "--glob", "*", "-n", "users", "--from", &from, "--json"];
            let mut child = sandbox.command(watch).spawn().expect("the program starts");
            let output = child.stdout.take().expect("it is piped");
            scope.spawn(move || take_down(output, seen));
            watches.push((child, seen));
        }
        let migrate = ["migrate", "sqlite:larder.db", to, "--live", "--json"];
        // Wherever it is then; a little later each time, as it goes on where it was.
        for milliseconds in [60, 150, 240].map(|milliseconds| milliseconds * pace) {
            let mut child = sandbox.command(migrate).spawn().expect("the program starts");
            std::thread::sleep(Duration::from_millis(milliseconds));
            assert!(child.try_wait().expect("a child can be asked").is_none(), "it is still at it");
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
        let moved = sandbox.run(migrate);
        done.store(true, Ordering::SeqCst);
        let count = |store: &str, name: &str| -> u64 {
            let found = sandbox.ok(["--store", store, "get", name, "-n", "users"]);
            found.text().trim().parse().expect("a number")
        };
        for (name, writer) in writers {
            let acknowledged = writer.join().expect("a writer ends");
            assert_eq!(count(to, name), acknowledged, "{name}");
            assert!(acknowledged > 5, "{name} wrote {acknowledged} times");
        }
        let here: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), count("sqlite:larder.db", name))).collect();
        let all: BTreeMap<_, Vec<u64>> = here.into_iter().map(|(name, end)| (name, (2..=end).collect())).collect();
        for (mut child, seen) in watches {
            let told = || seen.lock().expect("nobody panics with it").clone();
            let begun = Instant::now();
            while told().values().map(Vec::len).sum::<usize>() < all.values().map(Vec::len).sum()
                && begun.elapsed() < PATIENCE
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
            assert_eq!(told(), all, "each once, in order");
        }
        moved
    });
    assert_eq!(moved.status, 0, "{moved:?}");
    println!("{}", moved.text());
    let row = moved.json();
    assert!(row["entries"].as_u64() >= Some(u64::from(entries)), "{row}");
    assert!(row["paused_ms"].as_u64().is_some(), "{row}");
    let late = sandbox.run(["set", "k", "1"]);
    assert!(late.status == 5 && late.error.contains("has moved to"), "{late:?}");
    assert!(!late.error.contains(to) || !to.contains('@'), "where it is, and not the password: {late:?}");
}

#[test]
fn a_migration_that_is_killed_loses_nothing() {
    moved_under_writers("sqlite:other.db");
}

#[test]
fn a_migration_to_postgresql_that_is_killed_loses_nothing() {
    let Some(place) = at_server("postgres", "migrates") else { return };
    moved_under_writers(&place.url);
}

#[test]
fn a_migration_to_redis_that_is_killed_loses_nothing() {
    let Some(place) = at_server("redis", "migrates") else { return };
    moved_under_writers(&place.url);
}

#[test]
fn a_migration_to_etcd_that_is_killed_loses_nothing() {
    let Some(place) = at_server("etcd", "migrates") else { return };
    // A cluster is for smaller stores than that.
    if measure().0 <= 40_000 {
        moved_under_writers(&place.url);
    }
}
