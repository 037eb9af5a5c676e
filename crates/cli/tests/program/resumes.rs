//! Watches that are killed, resumed, and left behind.

use std::{collections::BTreeMap, io::Write as _};

use serde_json::{Value, json};

use crate::{
    sandbox::{Sandbox, answer},
    watching::{Watching, event, events, first, number, text},
};

/// An export of `entries` entries. Neighbours share a namespace in groups of one to five, and each group is a commit when
/// it is imported, because another namespace begins.
fn grouped_export(entries: usize) -> (String, Vec<String>) {
    let (mut export, mut keys) = (String::from("{\"larder\":\"export\",\"format\":1}\n"), Vec::new());
    let (mut group, mut left) = (0, 1);
    for number in 0..entries {
        if left == 0 {
            group += 1;
            left = 1 + group * 7 % 5;
        }
        left -= 1;
        let key = format!("g{group}/{number}");
        let at = "2020-01-01T00:00:00Z";
        export.push_str(&format!(
            "{{\"namespace\":\"n{}\",\"key\":\"{key}\",\"version\":1,\"created_at\":\"{at}\",\"updated_at\":\"{at}\",\
             \"metadata\":{{}},\"value\":{number}}}\n",
            group % 2
        ));
        keys.push(key);
    }
    export.push_str(&format!("{{\"larder\":\"end\",\"entries\":{entries}}}\n"));
    (export, keys)
}

/// One process writes, another watches, is killed three times and goes on from the last revision it has whole: together
/// they have each event once, in order, and no commit is torn.
#[test]
fn a_watch_that_is_killed_and_resumed_misses_nothing() {
    const ENTRIES: usize = 2_000;
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "begin", "1"]);
    let (export, keys) = grouped_export(ENTRIES);
    let mut writer = sandbox
        .command(["import", "-", "--durability", "relaxed"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = writer.stdin.take().expect("the input is a pipe");
    // Handed over in pieces, so that each life of the watch meets a writer that is not done.
    let pieces: Vec<String> =
        export.lines().collect::<Vec<_>>().chunks(ENTRIES / 4).map(|lines| lines.join("\n") + "\n").collect();

    let mut seen: Vec<Value> = Vec::new();
    let mut through = 1;
    for (life, piece) in pieces.iter().enumerate() {
        let arguments = ["--all-namespaces", "--json", "--from", &through.to_string()];
        let watching = Watching::start(&sandbox, &arguments);
        input.write_all(piece.as_bytes()).expect("the writer reads");
        if life + 1 == pieces.len() {
            drop(input);
            while seen.len() < ENTRIES {
                seen.push(watching.event());
            }
            break;
        }
        // Some of what the piece holds; the rest is on its way when death comes.
        for _ in 0..ENTRIES / 8 + life {
            seen.push(watching.event());
        }
        seen.extend(watching.kill().iter().map(|line| event(line)));
        // The last commit may not be whole, so it is read again.
        let last = number(seen.last().expect("events came"), "revision");
        seen.retain(|event| number(event, "revision") < last);
        through = number(seen.last().expect("more than one commit came"), "revision");
    }
    assert_eq!(answer(writer).status, 0);

    assert_eq!(seen.iter().map(|event| text(event, "key")).collect::<Vec<_>>(), keys);
    assert!(seen.iter().all(|event| event["kind"] == "created" && event["entry"]["key"] == event["key"]));
    let mut groups: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for event in &seen {
        let group = text(event, "key").split('/').next().expect("a key begins with its group");
        groups.entry(number(event, "revision")).or_default().push(group);
    }
    assert!(groups.len() > ENTRIES / 5, "many commits: {}", groups.len());
    assert!(groups.values().all(|names| names.iter().all(|name| *name == names[0])), "a commit is one group");
    assert!(seen.is_sorted_by_key(|event| number(event, "revision")));
    // Who reads it all in one go sees the same, byte for byte.
    let whole = first(&sandbox, ENTRIES, &["--all-namespaces", "--json", "--from", "1"]);
    assert_eq!(events(&whole), seen);
}

/// Who reads more slowly than the log is kept gets whole commits as far as they go, and is told that there is a gap.
#[test]
fn a_reader_whom_the_log_has_left_behind_is_told() {
    const ENTRIES: usize = 4_000;
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "begin", "1"]);
    let watching = Watching::start(&sandbox, &["--all-namespaces", "--json", "--from", "0"]);
    assert_eq!(watching.event()["key"], "begin");
    let (export, keys) = grouped_export(ENTRIES);
    // Nobody reads meanwhile, and a pipe does not hold all of it.
    assert_eq!(sandbox.feed(export, ["import", "-", "--durability", "relaxed"]).status, 0);
    let oldest = number(&sandbox.ok(["trim", "--bytes", "0", "--json"]).json(), "oldest");

    let seen: Vec<Value> = watching.rest().iter().map(|line| event(line)).collect();
    assert!(seen.len() < ENTRIES, "there is a gap");
    assert_eq!(seen.iter().map(|event| text(event, "key")).collect::<Vec<_>>(), keys[..seen.len()]);
    let group = |key: &str| key.split('/').next().map(str::to_owned);
    let last = seen.last().and_then(|event| group(text(event, "key")));
    assert_ne!(last, group(&keys[seen.len()]), "the last commit is whole");
    let (status, error) = watching.unread();
    assert_eq!(status, 5, "{error}");
    let error = &event(&error)["error"];
    assert_eq!((&error["code"], number(error, "oldest")), (&json!("trimmed"), oldest));
    assert!(text(error, "next").contains(&format!("--from {oldest}")), "{error}");
}
