//! Watches that are read slowly, killed and resumed, or left behind.

use std::{thread, time::Duration};

use serde_json::{Value, json};

use crate::{
    sandbox::{Sandbox, answer},
    script::{Script, Told, size},
    watching::{Watching, event, events, first, number, text},
};

/// Events with the revision they came with, as commits.
fn commits(events: &[Value]) -> Vec<(u64, Vec<Told>)> {
    let mut commits: Vec<(u64, Vec<Told>)> = Vec::new();
    for event in events {
        let (revision, told) = (number(event, "revision"), Told::by_line(event));
        match commits.last_mut() {
            Some((last, commit)) if *last == revision => commit.push(told),
            _ => commits.push((revision, vec![told])),
        }
    }
    commits
}

/// Numbers that look random and are the same every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// One process writes, another watches through a pipe that is read slowly, is killed wherever it is and goes on from the
/// last revision it has whole: together its lives have each change once, in order, and no commit is torn.
///
/// The writer is never done before the last life. With `LARDER_SOAK=1` there are 100,000 changes.
#[test]
fn a_slow_watch_that_is_killed_and_resumed_misses_nothing() {
    const REST: Duration = Duration::from_millis(5);
    const LINES_BETWEEN_RESTS: usize = 64;
    let script = Script::new(size(5_000, 100_000));
    let lives_about = size(10, 100);
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "begin", "1"]);
    let mut writer = Some(script.writer(&sandbox));
    let mut written = None;

    let mut numbers = Numbers(1);
    let mut seen: Vec<(u64, Vec<Told>)> = Vec::new();
    let (mut whole, mut lives, mut torn, mut raw) = (0, 0, 0, Vec::new());
    while whole < script.changes() {
        lives += 1;
        let through = seen.last().map_or(1, |(revision, _)| *revision);
        let watching = Watching::start(&sandbox, &["--all-namespaces", "--json", "--from", &through.to_string()]);
        let end = (whole + 1 + numbers.below(2 * script.changes() / lives_about)).min(script.changes());
        // Always far ahead of who reads: what comes waits in the pipe, and what the pipe does not hold in the log.
        let fed = end + script.changes() / 5;
        if fed < script.changes() {
            writer.as_mut().expect("it is not done").feed(fed);
        } else if let Some(writer) = writer.take() {
            written = Some(writer.finish());
        }
        let mut life = Vec::new();
        while whole + life.len() < end {
            life.push(watching.event());
            if life.len() % LINES_BETWEEN_RESTS == 0 {
                thread::sleep(REST);
            }
        }
        life.extend(watching.kill().iter().map(|line| event(line)));
        let mut commits = commits(&life);
        if whole + life.len() < script.changes() {
            // The last commit may have more to come, so it is read again.
            let (_, last) = commits.pop().expect("events came");
            let known = script.commits().get(seen.len() + commits.len()).expect("no more commits than were made");
            torn += usize::from(last.len() < known.len());
        }
        whole += commits.iter().map(|(_, commit)| commit.len()).sum::<usize>();
        seen.extend(commits);
        raw.extend(
            life.into_iter().filter(|event| {
                (through + 1..=seen.last().map_or(1, |(last, _)| *last)).contains(&number(event, "revision"))
            }),
        );
    }
    assert_eq!(answer(written.expect("everything was handed over")).status, 0);

    assert!(seen.is_sorted_by(|(one, _), (next, _)| one < next), "each commit once and in order");
    for (place, ((revision, commit), expected)) in seen.iter().zip(script.commits()).enumerate() {
        assert_eq!(commit, expected, "commit {place}, revision {revision}");
    }
    assert_eq!((seen.len(), whole), (script.commits().len(), script.changes()));
    // Nothing comes behind it.
    let last = seen.last().expect("there are commits").0.to_string();
    let then = sandbox.ok(["set", "end", "1", "--json"]).json();
    let next = first(&sandbox, 1, &["--all-namespaces", "--json", "--from", &last]);
    assert_eq!(number(&events(&next)[0], "revision"), number(&then, "revision"));
    assert!(lives > lives_about / 3 && torn > 0, "{lives} lives, {torn} of which ended inside a commit");
    println!("{whole} changes in {} commits, {lives} lives, {torn} ended inside a commit: 0 lost, 0 twice", seen.len());
    // Who reads it all in one go sees the same.
    let whole = first(&sandbox, whole, &["--all-namespaces", "--json", "--from", "1"]);
    assert!(events(&whole) == raw, "the same events, in all that is told of them");
}

/// Who reads more slowly than the log is kept gets whole commits as far as they go, and is told that there is a gap.
#[test]
fn a_reader_whom_the_log_has_left_behind_is_told() {
    let script = Script::new(5_000);
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "begin", "1"]);
    let watching = Watching::start(&sandbox, &["--all-namespaces", "--json", "--from", "0"]);
    assert_eq!(watching.event()["key"], "begin");
    // Nobody reads meanwhile, and a pipe does not hold all of it.
    assert_eq!(answer(script.writer(&sandbox).finish()).status, 0);
    let oldest = number(&sandbox.ok(["trim", "--bytes", "0", "--json"]).json(), "oldest");

    let seen = commits(&watching.rest().iter().map(|line| event(line)).collect::<Vec<_>>());
    assert!(seen.len() < script.commits().len(), "there is a gap");
    for ((revision, commit), expected) in seen.iter().zip(script.commits()) {
        assert_eq!(commit, expected, "revision {revision}");
    }
    let (status, error) = watching.unread();
    assert_eq!(status, 5, "{error}");
    let error = &event(&error)["error"];
    assert_eq!((&error["code"], number(error, "oldest")), (&json!("trimmed"), oldest));
    assert!(text(error, "next").contains(&format!("--from {oldest}")), "{error}");
}
