//! Watches: what one process commits, another prints; each event once, in order, commits whole.
//!
//! A watch is known to run when it has printed something, so each follows from a revision and is read line by line;
//! nothing here waits for a time to pass.

use serde_json::json;

use crate::{
    sandbox::Sandbox,
    watching::{Watching, event, events, first, number, text},
};

#[test]
fn what_other_processes_commit_is_printed_at_once() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "first", "1"]);
    let watching = Watching::start(&sandbox, &["--from", "0"]);
    assert_eq!(watching.line(), "1 created first\t1");
    for round in 2..12 {
        sandbox.ok(["set", "key with spaces", &format!("\"{round}\n\"")]);
        let kind = if round == 2 { "created" } else { "updated" };
        assert_eq!(watching.line(), format!("{round} {kind} key with spaces\t\"{round}\\n\""));
    }
    sandbox.ok(["delete", "first"]);
    assert_eq!(watching.line(), "12 deleted first");
    sandbox.feed([0xff; 3], ["set", "binary", "-"]);
    assert_eq!(watching.line(), "13 created binary\t<3 bytes of binary>");
    sandbox.ok(["set", "long", &"ü".repeat(100)]);
    assert_eq!(watching.line(), format!("14 created long\t{}…", "ü".repeat(80)));
}

/// Without `--from` the past stays out. When it has begun cannot be seen, so commits are made until one is printed.
#[test]
fn without_from_it_begins_now() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "past", "1"]);
    let mut watching = Watching::start(&sandbox, &["--json", "--count", "1"]);
    let mut commits = 1;
    while watching.child.try_wait().expect("a child can be asked").is_none() {
        assert!(commits < 20_000, "none of {commits} commits was printed");
        sandbox.ok(["set", "now", "1", "--durability", "relaxed"]);
        commits += 1;
    }
    let event = watching.event();
    assert_eq!(event["key"], "now");
    assert!((2..=commits).contains(&number(&event, "revision")), "{event}");
    assert_eq!(watching.unread(), (0, String::new()));
}

#[test]
fn kinds_and_both_sides_are_told() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "k", "{\"a\":  1.0}", "--meta", "owner=web"]);
    sandbox.feed("[1,\n2]", ["set", "k", "-"]);
    sandbox.ok(["delete", "k"]);
    sandbox.ok(["set", "brief", "1", "--ttl", "1ms"]);
    while sandbox.run(["exists", "brief"]).status == 0 {}
    sandbox.ok(["set", "brief", "2"]);

    let answer = first(&sandbox, 6, &["--from", "0", "--json"]);
    let found = events(&answer);
    let told: Vec<_> =
        found.iter().map(|event| (number(event, "revision"), text(event, "kind"), text(event, "key"))).collect();
    let expected = [
        (1, "created", "k"),
        (2, "updated", "k"),
        (3, "deleted", "k"),
        (4, "created", "brief"),
        (5, "expired", "brief"),
        (5, "created", "brief"),
    ];
    assert_eq!(told, expected);
    for (event, (entry, previous)) in found.iter().zip([
        (Some(1), None),
        (Some(2), Some(1)),
        (None, Some(2)),
        (Some(1), None),
        (None, Some(1)),
        (Some(1), None),
    ]) {
        let version = |side: &str| event.get(side).map(|entry| number(entry, "version"));
        assert_eq!((version("entry"), version("previous")), (entry, previous), "{event}");
        assert_eq!(event["namespace"], "default");
        for side in ["entry", "previous"].into_iter().filter_map(|side| event.get(side)) {
            assert_eq!((&side["key"], &side["namespace"]), (&event["key"], &event["namespace"]));
        }
    }
    assert_eq!(found[0]["at"], found[0]["entry"]["updated_at"]);
    assert_eq!(found[1]["at"], found[1]["entry"]["updated_at"]);
    // What stands after a change is what stood before the next one.
    assert_eq!(found[0]["entry"], found[1]["previous"]);
    assert_eq!(found[1]["entry"], found[2]["previous"]);
    assert_eq!(found[3]["entry"], found[4]["previous"]);
    assert_eq!(found[0]["entry"]["metadata"], json!({"owner": "web"}));
    assert!(answer.lines()[0].contains("\"value\":{\"a\":  1.0}"), "as it was written");
    assert_eq!((&found[1]["entry"]["text"], &found[1]["entry"]["kind"]), (&json!("[1,\n2]"), &json!("json")));
    assert_eq!(found[5]["entry"]["value"], 2);
}

#[test]
fn from_a_revision_everything_later_comes_once_in_order() {
    let sandbox = Sandbox::new();
    let line = |round: u64| format!("{round} {} k{}\t{round}", if round <= 7 { "created" } else { "updated" }, round % 7);
    for round in 1..=20 {
        sandbox.ok(["set", &format!("k{}", round % 7), &round.to_string()]);
    }
    for from in [0, 1, 7, 19] {
        let count = 20 - from;
        let answer = first(&sandbox, usize::try_from(count).expect("small"), &["--from", &from.to_string()]);
        assert_eq!(answer.lines(), (from + 1..=20).map(line).collect::<Vec<_>>(), "from {from}");
    }
    // From the head there is nothing but what comes.
    let watching = Watching::start(&sandbox, &["--from", "20"]);
    sandbox.ok(["set", "k0", "21"]);
    assert_eq!(watching.line(), line(21));
}

#[test]
fn only_the_keys_that_were_asked_for() {
    let keys = ["a", "a%", "a%b", "a_", "a_b", "a*", "a*b", "ab", "aXb", "b", "ä", "A"];
    let original = Sandbox::new();
    for key in keys {
        original.ok(["set", key, "1"]);
    }
    for (arguments, expected) in [
        (&["a%"][..], &["a%", "a%b"][..]),
        (&["--prefix", "a%"], &["a%", "a%b"]),
        (&["a_"], &["a_", "a_b"]),
        (&["--prefix", "a*"], &["a*", "a*b"]),
        (&["ä"], &["ä"]),
        (&["--key", "a"], &["a"]),
        (&["--key", "a*"], &["a*"]),
        (&["--key", "a_b"], &["a_b"]),
        (&["--glob", "a*b"], &["a%b", "a_b", "a*b", "ab", "aXb"]),
        (&["--glob", "a%*"], &["a%", "a%b"]),
        (&["--glob", "a_b"], &["a_b"]),
        (&["--glob", "*_*"], &["a_", "a_b"]),
        (&["--glob", "*"], &keys),
        (&[""], &keys),
    ] {
        let sandbox = Sandbox::new();
        std::fs::copy(original.path("larder.db"), sandbox.path("larder.db")).expect("files can be copied");
        let watching = Watching::start(&sandbox, &[arguments, &["--from", "0", "--json"]].concat());
        for key in expected {
            assert_eq!(text(&watching.event(), "key"), *key, "{arguments:?}");
        }
        // Nothing comes behind them: the next event is of a commit that is made now.
        let revision = number(&sandbox.ok(["set", expected[0], "2", "--json"]).json(), "revision");
        assert_eq!(number(&watching.event(), "revision"), revision, "{arguments:?}");
    }
}

#[test]
fn namespaces_are_apart_unless_all_are_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "k", "1"]);
    sandbox.ok(["ns", "create", "a b"]);
    sandbox.ok(["set", "k", "2", "-n", "a b"]);
    sandbox.ok(["set", "k l", "3", "-n", "wasm:x"]);
    sandbox.ok(["set", "k", "4"]);
    let revision = |arguments: &[&str]| number(&sandbox.ok(arguments).json(), "revision");
    let (mine, other) =
        (revision(&["get", "k", "-n", "a b", "--json"]), revision(&["get", "k l", "-n", "wasm:x", "--json"]));
    let head = revision(&["get", "k", "--json"]);
    assert_eq!(first(&sandbox, 2, &["--from", "0"]).lines(), ["1 created k\t1".to_owned(), format!("{head} updated k\t4")]);
    assert_eq!(first(&sandbox, 1, &["--from", "0", "-n", "a b"]).lines(), [format!("{mine} created k\t2")]);
    // What the store keeps about itself, such as that a namespace was created, is no event.
    let all = [
        "1 created default\tk\t1".to_owned(),
        format!("{mine} created a b\tk\t2"),
        format!("{other} created wasm:x\tk l\t3"),
        format!("{head} updated default\tk\t4"),
    ];
    assert_eq!(first(&sandbox, 4, &["--from", "0", "--all-namespaces"]).lines(), all);
    let found = events(&first(&sandbox, 4, &["--from", "0", "--all-namespaces", "--json"]));
    let namespaces: Vec<_> = found.iter().map(|event| text(event, "namespace")).collect();
    assert_eq!(namespaces, ["default", "a b", "wasm:x", "default"]);
}

#[test]
fn a_commit_stays_whole() {
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "begin", "1"]);
    let watching = Watching::start(&sandbox, &["--from", "0"]);
    assert_eq!(watching.line(), "1 created begin\t1");
    let document = r#"{"writes":[{"set":"z","value":1},{"set":"a","value":2},{"delete":"begin"},{"set":"z","value":3}]}"#;
    assert_eq!(sandbox.feed(document, ["commit", "-"]).status, 0);
    // Two writes of one key in a commit make one change.
    let whole = ["2 created z\t3", "2 created a\t2", "2 deleted begin"];
    assert_eq!([(); 3].map(|()| watching.line()), whole);
    sandbox.ok(["set", "a", "4"]);
    assert_eq!(watching.line(), "3 updated a\t4");
    // A count that is reached in the middle of a commit ends behind it, and what is not watched does not count.
    for (count, arguments, lines) in [
        (1, &["--from", "1"][..], &whole[..]),
        (2, &["--from", "1"], &whole),
        (3, &["--from", "1"], &whole),
        (4, &["--from", "1"], &[&whole[..], &["3 updated a\t4"]].concat()),
        (2, &["a", "--from", "1"], &["2 created a\t2", "3 updated a\t4"]),
    ] {
        assert_eq!(first(&sandbox, count, arguments).lines(), lines, "{count} {arguments:?}");
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    for arguments in [&["--from", "0"][..], &["--from", "0", "--json"]] {
        let sandbox = Sandbox::new();
        sandbox.ok(["set", "k", "1"]);
        let mut watching = Watching::start(&sandbox, arguments);
        watching.line();
        watching.close();
        sandbox.ok(["set", "k", "2"]);
        assert_eq!(watching.unread(), (0, String::new()));
    }
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let sandbox = Sandbox::new();
    let missing = sandbox.run(["watch"]);
    assert_eq!(missing.status, 3, "{missing:?}");
    assert!(!sandbox.path("larder.db").exists(), "looking creates nothing");
    sandbox.ok(["set", "k", "1"]);
    for (arguments, status, part) in [
        (&["--from", "2"][..], 5, "revision 2 has not come yet"),
        (&["--from", "2"], 5, "--from 0"),
        (&["--from", "18446744073709551615"], 5, "has not come yet"),
        (&["--from", "-1"], 2, "-1"),
        (&["--from", "soon"], 2, "invalid"),
        (&["--count", "0"], 2, "0"),
        (&["k", "--key", "k"], 2, "cannot be used with"),
        (&["k", "--prefix", "k"], 2, "cannot be used with"),
        (&["--glob", "k", "--key", "k"], 2, "cannot be used with"),
        (&["--glob", "k", "--all-namespaces"], 2, "cannot be used with"),
        (&["--all-namespaces", "-n", "x"], 2, "cannot be used with"),
        (&["--key", ""], 5, "empty"),
        (&["-n", "larder:namespaces"], 6, "larder:"),
    ] {
        let answer = sandbox.run(["watch"].iter().chain(arguments));
        assert_eq!(answer.status, status, "{arguments:?}: {answer:?}");
        assert!(answer.error.contains(part), "{arguments:?}: {}", answer.error);
        assert_eq!(answer.text(), "", "{arguments:?}");
    }
    let answer = sandbox.run(["watch", "--from", "2", "--json"]);
    let error = &event(&answer.error)["error"];
    assert_eq!((answer.status, &error["code"], &error["oldest"]), (5, &json!("trimmed"), &json!(0)));
}
