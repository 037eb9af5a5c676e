//! What a key was, and how much of that is kept.

use crate::sandbox::Sandbox;

#[test]
fn a_history_is_newest_first_and_of_one_key() {
    let sandbox = Sandbox::new();
    for n in 1..=120 {
        sandbox.ok(["set", "k", &n.to_string(), "--durability", "relaxed"]);
    }
    sandbox.ok(["set", "k2", "x"]);
    sandbox.ok(["delete", "k"]);
    let all = sandbox.ok(["history", "k"]);
    let lines = all.lines();
    assert_eq!((lines.len(), lines[0], lines[1]), (121, "122 deleted k", "120 updated k\t120"));
    assert_eq!(lines[120], "1 created k\t1");
    assert_eq!(sandbox.ok(["history", "k", "--limit", "2"]).lines(), lines[..2]);
    assert_eq!(sandbox.ok(["history", "k", "--before", "4", "--limit", "2"]).lines(), ["3 updated k\t3", "2 updated k\t2"]);
    assert!(sandbox.ok(["history", "none"]).lines().is_empty());
    let last: serde_json::Value =
        serde_json::from_str(sandbox.ok(["history", "k", "--limit", "1", "--json"]).lines()[0]).expect("a line is JSON");
    assert_eq!((&last["kind"], &last["previous"]["value"], last.get("entry")), (&"deleted".into(), &120.into(), None));
}

#[test]
fn a_trim_forgets_and_says_how_far_back_the_log_reaches() {
    let sandbox = Sandbox::new();
    for n in 0..5 {
        sandbox.ok(["set", "k", &n.to_string()]);
    }
    let kept = sandbox.ok(["trim", "--json"]).json();
    assert_eq!((&kept["changes"], &kept["expired"], &kept["oldest"]), (&0.into(), &0.into(), &0.into()));
    let trimmed = sandbox.ok(["trim", "--bytes", "0"]);
    assert!(trimmed.text().contains("forgot 5 changes") && trimmed.text().contains("revision 5"), "{trimmed:?}");
    assert!(sandbox.ok(["history", "k"]).lines().is_empty());
    assert_eq!(sandbox.ok(["get", "k"]).text(), "4");
    let late = sandbox.run(["watch", "--from", "3", "--count", "1"]);
    assert_eq!(late.status, 5, "{late:?}");
    assert!(late.error.contains("revision 5") && late.error.contains("--from 5"), "{late:?}");
    assert_eq!(sandbox.run(["trim", "--age", "soon"]).status, 2);
}
