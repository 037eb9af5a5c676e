//! Holds and retention: how long the log is kept, for whom, and for how much of the store.

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// A store with five revisions of one key.
fn five() -> Sandbox {
    let sandbox = Sandbox::new();
    for n in 1..=5 {
        sandbox.ok(["set", "k", &n.to_string()]);
    }
    sandbox
}

fn oldest(sandbox: &Sandbox) -> Value {
    sandbox.ok(["trim", "--bytes", "0", "--json"]).json()["oldest"].clone()
}

fn head(sandbox: &Sandbox) -> Value {
    sandbox.ok(["status", "--json"]).json()["revision"].clone()
}

#[test]
fn what_is_held_is_not_trimmed_until_it_is_released() {
    let sandbox = five();
    let set = sandbox.ok(["hold", "set", "nightly", "--from", "2", "--json"]).json();
    assert_eq!((&set["name"], &set["revision"]), (&json!("nightly"), &json!(2)));
    sandbox.ok(["hold", "set", "later one"]);
    assert_eq!(oldest(&sandbox), 2);
    assert_eq!(sandbox.ok(["get", "k", "--as-of", "2"]).text(), "2");
    assert_eq!(sandbox.run(["get", "k", "--as-of", "1"]).status, 5);

    let list = sandbox.ok(["hold", "list"]);
    assert_eq!(list.lines().len(), 2);
    assert!(list.lines()[0].starts_with("later one  after revision 6  set "), "{}", list.text());
    assert!(list.lines()[1].starts_with("nightly    after revision 2  set "), "{}", list.text());
    assert!(list.lines()[1].contains(" ago  59m "), "an hour, unless said otherwise: {}", list.text());

    // The same name moves it.
    sandbox.ok(["hold", "set", "nightly", "--from", "3", "--ttl", "2d"]);
    assert_eq!(oldest(&sandbox), 3);
    assert_eq!(sandbox.ok(["hold", "release", "nightly", "--json"]).json(), json!({"released": "nightly"}));
    assert_eq!(oldest(&sandbox), 6);
    sandbox.ok(["hold", "release", "later one"]);
    let end = head(&sandbox);
    assert_eq!(oldest(&sandbox), end);
    assert_eq!(sandbox.ok(["hold", "list"]).text(), "");
}

#[test]
fn a_hold_ends_by_itself() {
    let sandbox = five();
    let set = sandbox.ok(["hold", "set", "brief", "--from", "2", "--ttl", "1ms", "--json"]).json();
    assert!(set["left_ms"].as_u64() <= Some(1), "{set}");
    while sandbox.ok(["hold", "list", "--json"]).json() != json!([]) {}
    assert!(oldest(&sandbox).as_u64() > Some(5), "what nobody renews holds nothing");
}

#[test]
fn a_hold_on_what_is_not_there_is_refused() {
    let sandbox = five();
    assert_eq!(oldest(&sandbox), 5);
    for (arguments, status, parts) in [
        (&["hold", "set", "late", "--from", "3"][..], 5, &["what came after revision 5", "--from 5"][..]),
        (&["hold", "set", "late", "--from", "1000d"], 5, &["what came after revision 5"]),
        (&["hold", "set", "early", "--from", "9999"], 5, &["has not come to revision 9999", "without --from"]),
        (&["hold", "set", "early", "--from", "9999-01-01T00:00:00Z"], 5, &["yet to come"]),
        (&["hold", "set", "x", "--ttl", "0s"], 2, &["longer than zero"]),
        (&["hold", "set", "x", "--from", "then"], 2, &["no moment"]),
        (&["hold", "release", "x"], 3, &["no hold \"x\"", "larder hold list"]),
        (&["hold"], 2, &["Usage"]),
    ] {
        let answer = sandbox.run(arguments);
        assert_eq!(answer.status, status, "{arguments:?}: {answer:?}");
        for part in parts {
            assert!(answer.error.contains(part), "{arguments:?}: {part:?} is not in {:?}", answer.error);
        }
    }
    assert_eq!(sandbox.ok(["hold", "list"]).text(), "", "nothing of it stays");
}

/// A namespace that keeps less than the store does is trimmed alone.
#[test]
fn a_namespace_bounds_its_own_log_and_no_other() {
    let sandbox = Sandbox::new();
    for n in 1..=3 {
        sandbox.ok(["set", "k", &format!("kept {n}")]);
        sandbox.ok(["set", "k", &format!("noise {n}"), "-n", "noisy"]);
    }
    let shown = |arguments: &[&str]| sandbox.ok([&["ns", "retention", "noisy", "--json"], arguments].concat()).json();
    assert_eq!(shown(&[]), json!({"name": "noisy", "age_ms": null, "bytes": null}));
    assert_eq!(shown(&["--age", "1h"]), json!({"name": "noisy", "age_ms": 3_600_000, "bytes": null}));
    assert_eq!(shown(&["--bytes", "10MiB"]), json!({"name": "noisy", "age_ms": 3_600_000, "bytes": 10 << 20}));
    assert_eq!(shown(&["--bytes", "0"])["bytes"], 0);
    let text = sandbox.ok(["ns", "retention", "noisy"]);
    assert_eq!(text.text(), "namespace noisy: changes are kept for 1h, 0 bytes at most\n");

    let usage = |name: &str| sandbox.ok(["ns", "usage", name, "--json"]).json()[0].clone();
    let before = usage("noisy");
    assert_eq!((&before["entries"], &before["bytes"]), (&json!(1), &json!(8)));
    assert!(before["log_bytes"].as_u64() > Some(0), "{before}");
    let quiet = usage("default");
    sandbox.ok(["trim"]);
    assert_eq!(usage("noisy"), json!({"name": "noisy", "entries": 1, "bytes": 8, "log_bytes": 0}));
    assert_eq!(usage("default"), quiet);
    assert!(sandbox.ok(["history", "k", "-n", "noisy"]).lines().is_empty());
    assert_eq!(sandbox.ok(["history", "k"]).lines().len(), 3);
    assert_eq!(sandbox.ok(["get", "k", "--as-of", "1"]).text(), "kept 1");
    let trimmed = sandbox.run(["get", "k", "--as-of", "2", "-n", "noisy"]);
    assert_eq!(trimmed.status, 5, "{trimmed:?}");
    assert_eq!(sandbox.run(["export", "--all-namespaces", "--as-of", "2"]).status, 5, "not without what was forgotten");
    assert_eq!(sandbox.ok(["get", "k", "-n", "noisy"]).text(), "noise 3");

    assert_eq!(shown(&["--off"]), json!({"name": "noisy", "age_ms": null, "bytes": null}));
    sandbox.ok(["set", "k", "again", "-n", "noisy"]);
    sandbox.ok(["trim"]);
    assert_eq!(sandbox.ok(["history", "k", "-n", "noisy"]).lines().len(), 1);
    let all = sandbox.ok(["ns", "usage", "--json"]).json();
    let names: Vec<_> = all.as_array().expect("an array").iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["default", "noisy"]);
    assert_eq!(sandbox.ok(["ns", "usage"]).lines().len(), 2);
    for (arguments, status) in [
        (&["ns", "retention", "noisy", "--bytes", "many"][..], 2),
        (&["ns", "retention", "noisy", "--off", "--age", "1h"], 2),
        (&["ns", "retention", "larder:holds", "--age", "1h"], 6),
        (&["ns", "usage", "larder:holds"], 6),
    ] {
        assert_eq!(sandbox.run(arguments).status, status, "{arguments:?}");
    }
}
