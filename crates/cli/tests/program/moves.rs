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
fn measure() -> (u32, usize) {
    if std::env::var("LARDER_SOAK").is_ok_and(|soak| soak == "1") { (1_000_000, 16) } else { (40_000, 4) }
}

/// How much of it is moved to places for smaller stores.
const SMALL: u32 = 40_000;

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

/// A store on its way from one place to the next.
struct Journey<'a> {
    sandbox: &'a Sandbox,
    stops: &'a [&'a str],
    /// The counters that many add to, each of them one.
    names: Vec<String>,
    /// Whether the last stop was reached.
    done: AtomicBool,
}

/// Tells the writers that it is over.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Journey<'_> {
    /// Adds to a counter, each time with a process of its own, wherever the store is by then; how often that was acknowledged.
    fn write(&self, name: &str) -> u64 {
        let (mut acknowledged, mut stop) = (1, 0);
        while !self.done.load(Ordering::SeqCst) {
            let answer = self.sandbox.run(["--store", self.stops[stop], "add", name, "1", "-n", "users"]);
            match answer.status {
                0 => acknowledged += 1,
                // Paused, or everybody is at it.
                7 => {}
                5 if answer.error.contains("has moved to") => stop += 1,
                _ => panic!("{answer:?}"),
            }
        }
        acknowledged
    }

    /// What a counter is, or was as of a revision.
    fn count(&self, stop: usize, name: &str, as_of: Option<&str>) -> u64 {
        let then = as_of.map_or(vec![], |revision| vec!["--as-of", revision]);
        let get = [&["--store", self.stops[stop], "get", name, "-n", "users"], &then[..]].concat();
        self.sandbox.ok(get).text().trim().parse().expect("a number")
    }

    /// Moves the store to the next stop while others write and some watch; the migration is killed three times, each time a
    /// little later. The watches are told every number, once and in order.
    fn move_on_from(&self, stop: usize, pace: u64) -> serde_json::Value {
        let (here, next) = (self.stops[stop], self.stops[stop + 1]);
        let from = self.sandbox.ok(["--store", here, "status", "--json"]).json()["revision"].to_string();
        let seen: [Mutex<Seen>; 4] = Default::default();
        std::thread::scope(|scope| {
            let mut watches: Vec<(Child, &Mutex<Seen>)> = Vec::new();
            for seen in &seen {
                let watch = ["--store", here, "watch", "--glob", "*", "-n", "users", "--from", &from, "--json"];
                let mut child = self.sandbox.command(watch).spawn().expect("the program starts");
                let output = child.stdout.take().expect("it is piped");
                scope.spawn(move || take_down(output, seen));
                watches.push((child, seen));
            }
            let migrate = ["migrate", here, next, "--live", "--json"];
            // Long before it would be done. Where the last of them comes too late all the same, nobody is left to kill.
            let mut kills = 0;
            let done = [40, 80, 120].into_iter().find_map(|milliseconds| {
                let mut child = self.sandbox.command(migrate).spawn().expect("the program starts");
                std::thread::sleep(Duration::from_millis(milliseconds * pace));
                let is_done = child.try_wait().expect("a child can be asked").is_some();
                child.kill().expect("it can be killed");
                child.wait().expect("it ends");
                kills += u32::from(!is_done);
                is_done.then(|| answer(child))
            });
            assert!(kills == 3 || (kills > 0 && pace == 1), "it was killed {kills} times at work");
            let moved = done.unwrap_or_else(|| self.sandbox.run(migrate));
            assert_eq!(moved.status, 0, "{moved:?}");
            let told = |name: &String| {
                let (first, end) = (self.count(stop, name, Some(&from)) + 1, self.count(stop, name, None));
                (name.clone(), (first..=end).collect::<Vec<u64>>())
            };
            let all: BTreeMap<String, Vec<u64>> = self.names.iter().map(told).filter(|(_, all)| !all.is_empty()).collect();
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
            println!("killed {kills} times: {}", moved.text());
            moved.json()
        })
    }
}

/// A store goes from stop to stop while many write to it, each write a process of its own, and some watch. Each write that was
/// acknowledged is there, once. All but the first move is of a part of it.
fn moved_under_writers(stops: &[&str]) {
    let sandbox = Sandbox::new();
    let (entries, writers) = measure();
    let lines = |ids: std::ops::Range<u32>| {
        ids.map(|id| format!("{{\"id\":\"{id:07}\",\"n\":{}}}\n", u64::from(id) * 7)).collect::<String>()
    };
    sandbox.feed(lines(0..SMALL), ["import", "--key", "id", "-"]);
    if entries > SMALL {
        sandbox.feed(lines(SMALL..entries), ["import", "--key", "id", "-", "-n", "bulk"]);
    }
    let names: Vec<String> = (0..writers).map(|n| format!("w{n}")).collect();
    for name in &names {
        sandbox.ok(["add", name, "1", "-n", "users"]);
    }
    let journey = Journey { sandbox: &sandbox, stops, names, done: AtomicBool::new(false) };
    std::thread::scope(|scope| {
        let journey = &journey;
        // However it ends, nobody is waited for who goes on.
        let _done = Done(&journey.done);
        let writers: Vec<_> = journey.names.iter().map(|name| (name, scope.spawn(move || journey.write(name)))).collect();
        for stop in 0..stops.len() - 1 {
            let (entries, pace) = if stop == 0 { (entries, u64::from(entries / SMALL)) } else { (SMALL, 1) };
            let row = journey.move_on_from(stop, pace);
            assert!(row["entries"].as_u64() >= Some(u64::from(entries)), "{row}");
            assert!(row["paused_ms"].as_u64().is_some(), "{row}");
            if entries > SMALL {
                sandbox.ok(["--store", stops[stop + 1], "ns", "delete", "bulk", "--recursive"]);
            }
        }
        journey.done.store(true, Ordering::SeqCst);
        for (name, writer) in writers {
            let acknowledged = writer.join().expect("a writer ends");
            assert_eq!(journey.count(stops.len() - 1, name, None), acknowledged, "{name}");
            assert!(acknowledged > 5, "{name} wrote {acknowledged} times");
        }
    });
    let late = sandbox.run(["set", "k", "1"]);
    assert!(late.status == 5 && late.error.contains("has moved to"), "{late:?}");
    assert!(stops.iter().all(|stop| !late.error.contains(stop) || !stop.contains('@')), "no password: {late:?}");
}

#[test]
fn a_migration_that_is_killed_loses_nothing() {
    moved_under_writers(&["sqlite:larder.db", "sqlite:other.db"]);
}

#[test]
fn a_migration_to_redis_that_is_killed_loses_nothing() {
    let Some(place) = at_server("redis", "migrates") else { return };
    moved_under_writers(&["sqlite:larder.db", &place.url]);
}

/// A cluster of etcd is for smaller stores than PostgreSQL.
#[test]
fn a_store_that_goes_to_postgresql_and_etcd_and_back_loses_nothing() {
    let (Some(large), Some(small)) = (at_server("postgres", "migrates"), at_server("etcd", "migrates")) else { return };
    moved_under_writers(&["sqlite:larder.db", &large.url, &small.url, "sqlite:back.db"]);
}
