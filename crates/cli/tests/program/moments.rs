//! Moments: what was there then, in a list, an export or a difference, whatever has happened since.

use std::{
    process::Child,
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{TryRecvError, channel},
    },
    thread,
};

use serde_json::{Value, json};

use crate::{
    pipes::Lines,
    sandbox::{Sandbox, answer},
};

/// Sets `key` at a time of its own, later than `earlier`, and gives revision and time.
fn set_later(sandbox: &Sandbox, key: &str, value: &str, earlier: &str) -> (String, String) {
    loop {
        sandbox.ok(["set", key, value]);
        let entry = sandbox.ok(["get", key, "--json"]).json();
        let at = entry["updated_at"].as_str().expect("a time").to_owned();
        if *at > *earlier {
            return (entry["revision"].to_string(), at);
        }
    }
}

/// Every command that reads answers the same as it did then, by revision and by time.
#[test]
fn the_past_answers_as_it_did_then() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "gone", "x", "--meta", "by=ann"]);
    let (first, first_at) = set_later(&sandbox, "k", "1", "");
    let reads: [&[&str]; 12] = [
        &["get", "k"],
        &["get", "k", "--json"],
        &["get", "gone"],
        &["exists", "new"],
        &["meta", "get", "gone"],
        &["list"],
        &["list", "--reverse", "--limit", "1"],
        &["list", "--glob", "*o*", "--json"],
        &["scan"],
        &["scan", "--json", "--after", "gone"],
        &["count", "g"],
        &["export", "--all-namespaces"],
    ];
    let answers = |moment: &[&str]| {
        reads.map(|read| {
            let answer = sandbox.run([read, moment].concat());
            (answer.status, answer.text().to_owned())
        })
    };
    let then = answers(&[]);
    let (_, later_at) = set_later(&sandbox, "k", "2", &first_at);
    sandbox.ok(["delete", "gone"]);
    sandbox.ok(["set", "new", "y"]);
    sandbox.ok(["ns", "create", "made", "--meta", "a=1"]);
    sandbox.ok(["set", "k", "other", "-n", "used"]);
    let now = answers(&[]);
    assert!(then.iter().zip(&now).all(|(then, now)| then != now), "{then:?}\n{now:?}");

    assert_eq!(answers(&["--as-of", &first]), then);
    assert_eq!(answers(&["--as-of", &first_at]), then);
    assert_eq!(sandbox.ok(["get", "k", "--as-of", &later_at]).text(), "2");
    assert_eq!(answers(&["--as-of", "0s"]), now);
    assert_eq!(sandbox.ok(["list", "--as-of", "1000d ago"]).text(), "");
    assert_eq!(sandbox.ok(["count", "--as-of", "0"]).text(), "0\n");
    let absent = sandbox.run(["get", "new", "--as-of", &first]);
    assert_eq!(absent.status, 3);
    assert!(absent.error.contains("there was no key \"new\"") && absent.error.contains(&format!("list --as-of {first}")));
    assert_eq!(sandbox.run(["get", "k", "--as-of", &first, "-n", "used"]).status, 3);
}

/// What has expired since was there then, also when it has been swept up meanwhile; what had expired was not.
#[test]
fn expired_is_judged_by_the_clock_of_then() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "brief", "x", "--ttl", "500ms"]);
    let (_, then) = set_later(&sandbox, "k", "1", "");
    while sandbox.run(["exists", "brief"]).status == 0 {}
    let (after, after_at) = set_later(&sandbox, "k", "2", &then);
    for swept in [false, true] {
        assert_eq!(sandbox.ok(["get", "brief", "--as-of", "1"]).text(), "x", "swept: {swept}");
        assert_eq!(sandbox.ok(["list", "--as-of", "1"]).text(), "brief\n", "swept: {swept}");
        assert_eq!(sandbox.ok(["count", "--as-of", &after]).text(), "1\n", "swept: {swept}");
        assert_eq!(sandbox.ok(["list", "--as-of", &after_at]).text(), "k\n", "swept: {swept}");
        // Also where no line of the log tells of it.
        let gone: Vec<_> = sandbox.ok(["diff", "1", &after]).lines().iter().map(|line| line[..3].to_owned()).collect();
        assert_eq!(gone, ["- b", "+ k"], "swept: {swept}");
        sandbox.ok(["trim"]);
    }
}

#[test]
fn a_moment_that_cannot_be_seen_is_refused() {
    let sandbox = Sandbox::new();
    for n in 1..=5 {
        sandbox.ok(["set", "k", &n.to_string()]);
    }
    sandbox.ok(["trim", "--bytes", "0"]);
    sandbox.ok(["set", "k", "6"]);
    for read in [&["get", "k"][..], &["list"], &["scan"], &["count"], &["export"], &["exists", "k"], &["diff"]] {
        let ask = |moment: &str| match read {
            ["diff"] => sandbox.run(["diff", moment]),
            _ => sandbox.run([read, &["--as-of", moment]].concat()),
        };
        for (moment, status, parts) in [
            ("4", 5, &["what came after revision 5", "the furthest back that can be seen is revision 5, or 2"][..]),
            ("1000d", 5, &["what came after revision 5"]),
            ("7", 5, &["has not come to revision 7: it is at 6"]),
            ("9999-01-01T00:00:00Z", 5, &["yet to come"]),
            ("yesterday", 2, &["\"yesterday\" is no moment", "2h ago"]),
        ] {
            let answer = ask(moment);
            assert_eq!((answer.status, answer.text()), (status, ""), "{read:?} {moment}: {answer:?}");
            for part in parts {
                assert!(answer.error.contains(part), "{read:?} {moment}: {part:?} is not in {:?}", answer.error);
            }
        }
        assert_eq!(ask("5").status, 0, "{read:?}");
    }
    assert_eq!(sandbox.ok(["get", "k", "--as-of", "5"]).text(), "5");
    let error = sandbox.run(["get", "k", "--as-of", "4", "--json"]).error;
    let error: Value = serde_json::from_str(&error).expect("the error is JSON");
    assert_eq!((&error["error"]["code"], &error["error"]["oldest"]), (&json!("trimmed"), &json!(5)));
}

/// A command that prints more than a pipe holds, in the middle of it: it waits for its reader.
struct Begun {
    child: Child,
    out: Lines,
    text: Vec<u8>,
}

impl Begun {
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut child = sandbox.command(arguments).spawn().expect("the program starts");
        let out = Lines::new(child.stdout.take().expect("a pipe"));
        let text = out.next();
        assert!(!text.is_empty(), "it ended before it began");
        Self { child, out, text }
    }

    /// Everything that it prints to its end, which is a good one.
    fn rest(mut self) -> String {
        loop {
            let line = self.out.next();
            if line.is_empty() {
                break;
            }
            self.text.extend(line);
        }
        assert_eq!(answer(self.child).status, 0);
        String::from_utf8(self.text).expect("text")
    }

    /// Its exit status when nobody reads the rest.
    fn unread(self) -> i32 {
        self.out.close();
        answer(self.child).status
    }
}

/// More entries than two pages, and more bytes than are on the way between two processes.
fn filled(sandbox: &Sandbox, namespace: &str) {
    let filler = "x".repeat(500);
    let lines: String = (0..2_500).map(|number| format!("{{\"id\":\"{number:05}\",\"filler\":\"{filler}\"}}\n")).collect();
    assert_eq!(sandbox.feed(lines, ["import", "--key", "id", "-", "-n", namespace]).status, 0);
}

/// A reader that is slow sees one moment, from the first page to the last.
#[test]
fn a_list_of_many_pages_is_of_one_moment() {
    let sandbox = Sandbox::new();
    let lines: String = (0..4_000).map(|number| format!("{{\"id\":\"{}{number:05}\"}}\n", "k".repeat(100))).collect();
    assert_eq!(sandbox.feed(lines, ["import", "--key", "id", "-"]).status, 0);
    for command in ["list", "scan"] {
        let before = sandbox.ok([command]);
        let last = sandbox.ok(["list", "--reverse", "--limit", "1"]).text().trim().to_owned();
        let begun = Begun::start(&sandbox, &[command]);
        sandbox.ok(["delete", &last]);
        sandbox.ok(["set", "z", "new"]);
        let text = begun.rest();
        assert!(text == before.text(), "{command}: another moment shows at the end: {:?}", text.lines().last());
        sandbox.ok(["delete", "z"]);
    }
}

/// An export is of one moment over all namespaces, and nobody takes the log away under it.
#[test]
fn a_slow_export_is_of_one_moment_and_holds_the_log() {
    let sandbox = Sandbox::new();
    filled(&sandbox, "a");
    sandbox.ok(["set", "marker", "1", "-n", "b"]);
    sandbox.ok(["ns", "create", "registered", "--meta", "n=1"]);
    let before = sandbox.ok(["export", "--all-namespaces"]);
    let begun = Begun::start(&sandbox, &["export", "--all-namespaces"]);
    let held = sandbox.ok(["hold", "list", "--json"]).json();
    let held = held.as_array().expect("an array");
    assert_eq!(held.len(), 1, "{held:?}");
    assert!(held[0]["name"].as_str().is_some_and(|name| name.starts_with("export-")), "{held:?}");
    assert!(held[0]["left_ms"].as_u64().is_some_and(|left| left <= 600_000), "a dead one would be gone soon: {held:?}");
    sandbox.ok(["set", "marker", "2", "-n", "b"]);
    sandbox.ok(["clear", "02", "-n", "a"]);
    sandbox.ok(["set", "k", "v", "-n", "c"]);
    sandbox.ok(["ns", "delete", "registered"]);
    sandbox.ok(["ns", "retention", "b", "--bytes", "0"]);
    sandbox.ok(["trim", "--bytes", "0"]);
    let text = begun.rest();
    assert!(text == before.text(), "the export is of another moment: {:?}", text.lines().rev().take(4).collect::<Vec<_>>());
    assert_eq!(sandbox.ok(["hold", "list", "--json"]).json(), json!([]), "it lets go at the end");

    // So it does when nobody reads it any more.
    assert_eq!(Begun::start(&sandbox, &["export", "--all-namespaces"]).unread(), 0);
    assert_eq!(sandbox.ok(["hold", "list", "--json"]).json(), json!([]), "it lets go when it is cut off");
    // A short one holds nothing and writes nothing.
    let revision = sandbox.ok(["status", "--json"]).json()["revision"].clone();
    sandbox.ok(["export", "-n", "b"]);
    assert_eq!(sandbox.ok(["status", "--json"]).json()["revision"], revision);
}

/// Two markers that are always written together are never exported apart.
#[test]
fn what_was_committed_together_is_exported_together() {
    const EXPORTS: u64 = 8;
    let sandbox = Sandbox::new();
    filled(&sandbox, "a");
    let pair = |number: u64| {
        let set = |namespace| json!({"set": "marker", "value": number, "namespace": namespace});
        json!({"writes": [set("a"), set("b")]}).to_string()
    };
    assert_eq!(sandbox.feed(pair(0), ["commit", "-"]).status, 0);
    let (done, is_done) = channel::<()>();
    let (mut exports, written) = (0, AtomicU64::new(0));
    let (sandbox, pair, written) = (&sandbox, &pair, &written);
    thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let mut number = 0;
            while is_done.try_recv() == Err(TryRecvError::Empty) {
                number += 1;
                assert_eq!(sandbox.feed(pair(number), ["commit", "-"]).status, 0);
                written.store(number, Ordering::SeqCst);
            }
        });
        // As many as there are writes meanwhile, whichever of them is faster.
        while exports < EXPORTS || written.load(Ordering::SeqCst) < EXPORTS {
            exports += 1;
            assert!(!writer.is_finished(), "the writer goes on");
            let export = sandbox.ok(["export", "--all-namespaces"]);
            let markers = export.lines().into_iter().filter(|line| line.contains("\"key\":\"marker\""));
            let values: Vec<Value> =
                markers.map(|line| serde_json::from_str::<Value>(line).expect("a line is JSON")["value"].clone()).collect();
            assert_eq!((values.len(), &values[0]), (2, &values[1]));
        }
        drop(done);
        writer.join().expect("the writer ends well");
    });
}

#[test]
fn a_difference_is_between_two_moments() {
    let sandbox = Sandbox::new();
    for (key, value) in [("same", "1"), ("gone", "old\tvalue"), ("w/changed", "1"), ("back", "1")] {
        sandbox.ok(["set", key, value]);
    }
    for (key, value) in [("w/changed", "2"), ("back", "2"), ("back", "1"), ("new", "{\"a\": 1.0}"), ("passing", "1")] {
        sandbox.ok(["set", key, value]);
    }
    sandbox.ok(["set", "elsewhere", "1", "-n", "other"]);
    sandbox.ok(["delete", "gone"]);
    sandbox.ok(["delete", "passing"]);
    sandbox.ok(["meta", "set", "w/changed", "a=1"]);
    sandbox.ok(["set", "last", "1"]);

    let diff = |arguments: &[&str]| {
        let answer = sandbox.ok([&["diff"], arguments].concat());
        answer.lines().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let all = ["~ back\tv1 -> v3\t1", "- gone\tv1\told\\tvalue", "+ new\tv1\t{\"a\": 1.0}", "~ w/changed\tv1 -> v3\t2"];
    assert_eq!(diff(&["4", "13"]), all);
    assert_eq!(diff(&["4", "12", "--prefix", "w/"]), ["~ w/changed\tv1 -> v2\t2"]);
    assert_eq!(diff(&["13"]), ["+ last\tv1\t1"]);
    assert_eq!(diff(&["13", "13"]), [""; 0]);
    assert_eq!(diff(&["0", "-n", "other"]), ["+ elsewhere\tv1\t1"]);
    assert_eq!(diff(&["0", "1"]), ["+ same\tv1\t1"]);
    assert_eq!(diff(&["9", "--prefix", "passing"]), ["- passing\tv1\t1"]);

    let rows: Vec<Value> =
        diff(&["4", "13", "--json"]).iter().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row["key"].as_str(), row["kind"].as_str(), &row["before"]["version"], &row["after"]["version"]))
        .collect();
    let (one, three, null) = (json!(1), json!(3), Value::Null);
    let expected = [
        (Some("back"), Some("changed"), &one, &three),
        (Some("gone"), Some("removed"), &one, &null),
        (Some("new"), Some("added"), &null, &one),
        (Some("w/changed"), Some("changed"), &one, &three),
    ];
    assert_eq!(told, expected);
    assert_eq!((&rows[1]["namespace"], &rows[1]["before"]["text"]), (&json!("default"), &json!("old\tvalue")));
    assert!(diff(&["4", "13", "--json"])[2].contains("\"value\":{\"a\": 1.0}"), "values stay as they were written");
    let backwards = sandbox.run(["diff", "5", "4"]);
    assert_eq!(backwards.status, 5);
    assert!(backwards.error.contains("from an earlier view"), "{}", backwards.error);
}
