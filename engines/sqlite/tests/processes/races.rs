//! Several processes and tasks on one file at the same time.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    thread,
};

use futures_lite::future::block_on;

use crate::child::{Spec, open};

const PROCESSES: usize = 8;

/// Eight processes see version N and all replace it: one does, seven are told that they met N + 1.
///
/// An engine that reads, compares and writes in separate transactions lets several win.
pub(crate) fn one_of_eight_processes_wins_each_compare_and_set() {
    const ROUNDS: u64 = 200;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("race.db");
    drop(open(&path).expect("the store opens"));
    let mut racers: Vec<_> = (0..PROCESSES)
        .map(|n| {
            let name = format!("racer-{n}");
            let mut child = Spec { role: "racer", store: &path, name: &name, commits: 0 }.start(&[]);
            let input = child.stdin.take().expect("its input is piped");
            let output = BufReader::new(child.stdout.take().expect("its output is piped")).lines();
            (child, input, output)
        })
        .collect();
    for round in 0..ROUNDS {
        for (_, input, _) in &mut racers {
            writeln!(input, "{round}").expect("the racer listens");
        }
        let answers: Vec<String> =
            racers.iter_mut().map(|(_, _, output)| output.next().expect("the racer answers").expect("in text")).collect();
        let winners = answers.iter().filter(|answer| answer.starts_with("won")).count();
        assert_eq!(winners, 1, "round {round}: {answers:?}");
        let met = format!("lost version {} ", round + 1);
        assert!(
            answers.iter().all(|answer| answer.starts_with("won") || answer.starts_with(&met)),
            "round {round}: {answers:?}"
        );
    }
    for (mut child, input, _) in racers {
        drop(input);
        assert!(child.wait().expect("the racer ends").success());
    }
}

/// 64 tasks here and eight processes set one key without conditions: as many versions and revisions as sets.
pub(crate) fn sets_by_tasks_and_processes_are_all_distinct() {
    const EACH: u32 = 50;
    const TASKS: u32 = 64;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("sets.db");
    let store = open(&path).expect("the store opens");
    let children: Vec<_> =
        (0..PROCESSES).map(|_| Spec { role: "sets", store: &path, name: "", commits: EACH }.start(&[])).collect();
    let mut stamps: Vec<(u64, u64)> = thread::scope(|scope| {
        let tasks: Vec<_> = (0..TASKS)
            .map(|_| {
                scope.spawn(|| {
                    let set = || block_on(store.set("shared", "y").into_future()).expect("an unconditional set succeeds");
                    (0..EACH).map(|_| set()).map(|stamp| (stamp.version.get(), stamp.revision.get())).collect::<Vec<_>>()
                })
            })
            .collect();
        tasks.into_iter().flat_map(|task| task.join().expect("no task panics")).collect()
    });
    for child in children {
        let output = child.wait_with_output().expect("the child ends");
        assert!(output.status.success());
        for line in String::from_utf8(output.stdout).expect("text").lines() {
            let numbers: Vec<u64> = line.split(' ').skip(1).map(|number| number.parse().expect("a number")).collect();
            stamps.push((numbers[0], numbers[1]));
        }
    }
    let sets = u64::from(EACH * TASKS) + u64::from(EACH) * PROCESSES as u64;
    let versions: BTreeSet<u64> = stamps.iter().map(|(version, _)| *version).collect();
    let revisions: BTreeSet<u64> = stamps.iter().map(|(_, revision)| *revision).collect();
    assert_eq!((stamps.len() as u64, versions.len() as u64, revisions.len() as u64), (sets, sets, sets));
    stamps.sort_unstable();
    assert!(stamps.is_sorted_by_key(|(_, revision)| *revision), "a later version has a later revision");
    assert_eq!(versions.last().copied(), Some(sets));
}
