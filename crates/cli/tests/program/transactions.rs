//! Transactions from the standard input: scripts, and two of them that meet.

use std::{
    io::Write as _,
    process::{Child, ChildStdin, Stdio},
};

use serde_json::{Value, json};

use crate::{
    pipes::Lines,
    sandbox::{Answer, Sandbox, answer},
};

fn script(sandbox: &Sandbox, lines: &[&str]) -> Answer {
    sandbox.feed(lines.join("\n"), ["txn"])
}

/// A transaction that is in the middle of it; it is ended when the test is.
struct Talk {
    child: Child,
    input: Option<ChildStdin>,
    answers: Lines,
}

impl Talk {
    fn begin(sandbox: &Sandbox) -> Self {
        let mut child = sandbox.command(["txn"]).stdin(Stdio::piped()).spawn().expect("the program starts");
        let answers = Lines::new(child.stdout.take().expect("a pipe"));
        Self { input: child.stdin.take(), child, answers }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().expect("it is not at its end"), "{line}").expect("it reads");
    }

    /// The next line of an answer.
    fn next(&self) -> String {
        String::from_utf8(self.answers.next()).expect("answers are text").trim_end().to_owned()
    }

    /// Says a line, and waits for the answer, or the first line of it.
    fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.next()
    }

    /// Says the last line; gives the exit status and what was complained about.
    fn end(mut self, line: &str) -> (i32, String) {
        self.say(line);
        self.input = None;
        let Answer { status, error, .. } = answer(&mut self.child);
        (status, error)
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It may have ended by itself; a test that fails must leave nothing behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_script_sees_what_it_has_written_and_commits_it_all() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "stock", "5"]);
    sandbox.ok(["set", "old", "x"]);
    let lines = [
        "# moves two of them",
        "",
        "get stock",
        "add stock -2",
        "set 'a key' '{\"n\": 1.0}'   # kept as it is",
        "get 'a key'",
        "delete old",
        "get old",
        "list",
        "scan a",
        "count",
        "commit",
        "set beyond 1",
    ];
    let answer = script(&sandbox, &lines);
    assert_eq!(answer.status, 0, "{answer:?}");
    let expected = [
        "stock\t5",
        "stock\t3",
        "set a key",
        "a key\t{\"n\": 1.0}",
        "deleted old",
        "old is absent",
        "a key",
        "stock",
        "2 keys",
        "a key\t{\"n\": 1.0}",
        "1 key",
        "2",
        "committed 3 writes: revision 3",
    ];
    assert_eq!(answer.lines(), expected);
    assert_eq!(sandbox.ok(["scan"]).lines(), ["a key\t{\"n\": 1.0}", "stock\t3"], "one commit, and nothing after it");
    assert_eq!(sandbox.ok(["history", "stock", "--limit", "1"]).lines(), ["3 updated stock\t3"]);

    let quiet = sandbox.feed("get stock\nset stock 4\ncommit\n", ["txn", "--quiet"]);
    assert_eq!((quiet.status, quiet.text()), (0, "stock\t3\n"));
}

#[test]
fn with_json_every_answer_is_a_line() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "k", "{\"a\":  1.0}", "-n", "other"]);
    let lines = "get k\nget none\nset n 1\nadd n 2\ndelete none\nlist\nscan n\ncount k\ncommit\n";
    let answer = sandbox.feed(lines, ["txn", "--json", "-n", "other"]);
    assert_eq!(answer.status, 0, "{answer:?}");
    assert!(answer.lines()[0].contains("\"value\":{\"a\":  1.0}"), "{}", answer.text());
    let rows: Vec<Value> = answer.lines().iter().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    assert_eq!((&rows[0]["command"], &rows[0]["entry"]["version"]), (&json!("get"), &json!(1)));
    assert_eq!(rows[1], json!({"command": "get", "key": "none", "entry": null}));
    assert_eq!(rows[2], json!({"command": "set", "key": "n"}));
    assert_eq!(rows[3], json!({"command": "add", "key": "n", "sum": 3}));
    assert_eq!(rows[4], json!({"command": "delete", "key": "none"}));
    assert_eq!(rows[5], json!({"command": "list", "keys": ["k", "n"]}));
    assert_eq!((&rows[6]["entries"][0]["value"], &rows[6]["entries"][0]["revision"]), (&json!(3), &json!(0)));
    assert_eq!(rows[7], json!({"command": "count", "count": 1}));
    assert_eq!(rows[8], json!({"command": "commit", "revision": 2, "writes": 2}));
}

/// Without a commit nothing happens, however it ends.
#[test]
fn what_is_not_committed_leaves_no_trace() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "text", "words"]);
    for (lines, status, parts) in [
        (&["set k v", "rollback", "nonsense"][..], 0, &[][..]),
        (&["set k v"], 5, &["ended after line 1 without commit or rollback", "nothing was written"]),
        (&[], 5, &["ended after line 0"]),
        (&["set k v", "# here", "put k v", "commit"], 5, &["line 3: there is no command \"put\"", "nothing was written"]),
        (&["set k v", "set k", "commit"], 5, &["line 2: expected \"set KEY VALUE\""]),
        (&["set k 'v", "commit"], 5, &["line 1: a quote is not closed"]),
        (&["set k v", "add text 1", "commit"], 5, &["line 2: ", "cannot be added to", "nothing was written"]),
        (&["set k v", "add n 9223372036854775807", "add n 1", "commit"], 4, &["line 3: ", "nothing was written"]),
        (&["set k v", "set '' v", "commit"], 5, &["line 2: "]),
    ] {
        let answer = script(&sandbox, lines);
        assert_eq!(answer.status, status, "{lines:?}: {answer:?}");
        for part in parts {
            assert!(answer.error.contains(part), "{lines:?}: {part:?} is not in {:?}", answer.error);
        }
    }
    let odd = sandbox.feed(b"set k v\nset k \xe9\ncommit\n", ["txn", "--json"]);
    assert_eq!(odd.status, 5);
    let error: Value = serde_json::from_str(&odd.error).expect("the error is JSON");
    assert_eq!(error["error"]["message"], "line 2: it is not UTF-8; nothing was written");
    let large = script(&sandbox, &["set k v", &format!("set k {}", "x".repeat((1 << 20) + 1)), "commit"]);
    assert_eq!(large.status, 5, "{}", large.error);
    let endless = sandbox.feed(vec![b'x'; 4 << 20], ["txn"]);
    assert!(endless.status == 5 && endless.error.contains("line 1: it is longer"), "{endless:?}");
    assert_eq!(sandbox.ok(["scan"]).lines(), ["text\twords"]);
    assert_eq!(sandbox.ok(["status", "--json"]).json()["revision"], 1);
}

/// Each of two doctors on call leaves because the other one is still there: one of them has to stay.
#[test]
fn write_skew_between_two_processes_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "oncall/ann", "1"]);
    sandbox.ok(["set", "oncall/bob", "1"]);
    let (mut ann, mut bob) = (Talk::begin(&sandbox), Talk::begin(&sandbox));
    for talk in [&mut ann, &mut bob] {
        assert_eq!(talk.ask("get oncall/ann"), "oncall/ann\t1");
        assert_eq!(talk.ask("get oncall/bob"), "oncall/bob\t1");
    }
    assert_eq!(ann.ask("delete oncall/ann"), "deleted oncall/ann");
    assert_eq!(bob.ask("delete oncall/bob"), "deleted oncall/bob");
    assert_eq!(ann.ask("commit"), "committed 1 write: revision 3");
    let (status, error) = bob.end("commit");
    assert_eq!(status, 4, "{error}");
    for part in
        ["line 4: ", "line 1 read \"oncall/ann\", which was deleted at revision 3", "nothing was written", "run it again"]
    {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
    assert!(!error.contains("oncall/bob"), "what has not changed is not blamed: {error:?}");
    assert_eq!(sandbox.ok(["list"]).lines(), ["oncall/bob"]);
}

/// What was counted is not so any more: somebody else has put one more there.
#[test]
fn a_phantom_is_refused() {
    let sandbox = Sandbox::new();
    for (read, answer) in [("count seats/", "1"), ("list seats/", "seats/1"), ("get seats/2", "seats/2 is absent")] {
        sandbox.ok(["set", "seats/1", "ann"]);
        let mut talk = Talk::begin(&sandbox);
        assert_eq!(talk.ask(read), answer);
        if read.starts_with("list") {
            assert_eq!(talk.next(), "1 key");
        }
        sandbox.ok(["set", "seats/2", "eve"]);
        assert_eq!(talk.ask("set seats/3 bob"), "set seats/3");
        let (status, error) = talk.end("commit");
        assert_eq!(status, 4, "{read}: {error}");
        assert!(error.contains("line 1 read ") && error.contains("\"seats/2\""), "{read}: {error}");
        assert_eq!(sandbox.ok(["list"]).lines(), ["seats/1", "seats/2"], "{read}");
        sandbox.ok(["clear", "--all"]);
    }
}

/// What others do elsewhere is in nobody's way, and who only reads sees one moment and never conflicts.
#[test]
fn only_what_was_read_stands_in_the_way() {
    let sandbox = Sandbox::new();
    for key in ["a", "b", "c"] {
        sandbox.ok(["set", key, "1"]);
    }
    let (mut writes, mut reads) = (Talk::begin(&sandbox), Talk::begin(&sandbox));
    assert_eq!(writes.ask("get a"), "a\t1");
    assert_eq!(reads.ask("get b"), "b\t1");
    sandbox.ok(["set", "b", "2"]);
    sandbox.ok(["set", "c", "2"]);
    assert_eq!(reads.ask("get c"), "c\t1", "as of the moment of what was read first");
    assert_eq!(writes.ask("set a 2"), "set a");
    assert_eq!(writes.ask("commit"), "committed 1 write: revision 6");
    let (status, error) = reads.end("commit");
    assert_eq!((status, error.as_str()), (0, ""));
}
