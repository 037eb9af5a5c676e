//! Several processes on one file.

use std::process::Child;

use crate::sandbox::{Sandbox, answer};

const PROCESSES: usize = 8;
const ROUNDS: u64 = 200;

fn race(sandbox: &Sandbox, arguments: impl Fn(usize) -> Vec<String>) -> Vec<crate::sandbox::Answer> {
    let children: Vec<Child> =
        (0..PROCESSES).map(|racer| sandbox.command(arguments(racer)).spawn().expect("the program starts")).collect();
    children.into_iter().map(answer).collect()
}

/// Of racing compare-and-sets from one version exactly one wins, and every loser is told what it met.
#[test]
fn one_process_wins_each_round() {
    let sandbox = Sandbox::new();
    for version in 0..ROUNDS {
        let answers = race(&sandbox, |racer| {
            ["set", "k", &format!("racer {racer}"), "--if-version", &version.to_string()].map(str::to_owned).into()
        });
        let (winners, losers): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 0);
        assert_eq!(winners.len(), 1, "round {version}: {answers:?}");
        assert!(winners[0].text().starts_with(&format!("set k: version {}, ", version + 1)));
        for loser in losers {
            assert_eq!(loser.status, 4, "round {version}: {loser:?}");
            let met = format!("expected version {version}, found version {} (revision ", version + 1);
            assert!(loser.error.contains(&met), "round {version}: {loser:?}");
        }
    }
    let entry = sandbox.ok(["get", "k", "--json"]).json();
    assert_eq!((entry["version"].as_u64(), entry["revision"].as_u64()), (Some(ROUNDS), Some(ROUNDS)));
}

/// Unconditional sets get as many versions and revisions as there are sets.
#[test]
fn every_set_of_every_process_gets_its_own_version() {
    let sandbox = Sandbox::new();
    let mut stamps = Vec::new();
    for round in 0..10 {
        for answer in race(&sandbox, |racer| ["set", "k", &format!("{round}/{racer}"), "--json"].map(str::to_owned).into()) {
            assert_eq!(answer.status, 0, "{answer:?}");
            let stamp = answer.json();
            stamps.push((stamp["version"].as_u64(), stamp["revision"].as_u64()));
        }
    }
    stamps.sort_unstable();
    let expected: Vec<_> = (1..=stamps.len() as u64).map(|number| (Some(number), Some(number))).collect();
    assert_eq!(stamps, expected);
}

/// Imports that leave alone what is there share the work, and none of them writes over another.
#[test]
fn every_record_is_created_by_one_of_several_imports() {
    const RECORDS: u64 = 5_000;
    let sandbox = Sandbox::new();
    let lines: String = (0..RECORDS).map(|number| format!("{{\"id\":{number}}}\n")).collect();
    sandbox.write("records", lines);
    let answers =
        race(&sandbox, |_| ["import", "records", "--key", "id", "--if-absent", "--json"].map(str::to_owned).into());
    let mut created = 0;
    for answer in &answers {
        assert_eq!(answer.status, 0, "{answer:?}");
        let summary = answer.json();
        let one = summary["created"].as_u64().unwrap_or_default();
        assert_eq!(Some(RECORDS - one), summary["skipped_existing"].as_u64());
        created += one;
    }
    assert_eq!(created, RECORDS);
    let entries = sandbox.ok(["scan", "--json"]).json();
    let entries = entries.as_array().expect("an array");
    assert_eq!(entries.len() as u64, RECORDS);
    assert!(entries.iter().all(|entry| entry["version"] == 1));
}
