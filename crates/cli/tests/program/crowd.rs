//! Many watchers of one file at the same time, in this process and in others.

use std::{collections::BTreeMap, thread, time::Duration};

use larder::{Namespace, Store};
use tokio::time::timeout;

use crate::{
    pipes::PATIENCE,
    sandbox::{Sandbox, answer},
    script::{NAMESPACES, PREFIXES, Script, Told, size},
    watching::{Watching, number},
};

/// How many of the watchers are processes of their own; the others share this one.
const PROCESSES: usize = 8;

/// What a watcher was told: with each change the revision it came with.
type Heard = Vec<(u64, Told)>;

/// Everything that begins with `prefix`, with the number of the commit it belongs to.
fn expected(script: &Script, namespace: &str, prefix: &str) -> Vec<(usize, Told)> {
    let numbered = script.commits().iter().enumerate();
    let changes = numbered.flat_map(|(commit, changes)| changes.iter().map(move |told| (commit, told.clone())));
    changes.filter(|(_, told)| told.namespace == namespace && told.key.starts_with(prefix)).collect()
}

/// Reads `count` changes and one more.
fn by_lines(watching: &Watching, count: usize) -> Heard {
    let event = || watching.event();
    (0..=count).map(|_| event()).map(|event| (number(&event, "revision"), Told::by_line(&event))).collect()
}

/// Reads `count` changes and one more, and rests after every commit if that is asked for.
async fn by_batches(store: Store, prefix: String, rest: Option<Duration>, count: usize) -> Heard {
    let mut watch = store.watch(&prefix).after(larder::Revision::new(1)).start().await.expect("starts");
    let mut heard = Heard::new();
    while heard.len() <= count {
        let batch = timeout(PATIENCE, watch.next()).await.expect("the next change comes").expect("goes on");
        assert!(heard.last().is_none_or(|(last, _)| *last < batch.revision.get()), "a commit comes whole");
        heard.extend(batch.changes.iter().map(|change| (change.revision.get(), Told::by_change(change))));
        if let Some(rest) = rest {
            tokio::time::sleep(rest).await;
        }
    }
    heard
}

/// While one process writes, 64 watchers of as many prefixes watch, some of them slowly: each is told all of its own and
/// nothing else, and what is one commit has one revision for all of them.
///
/// With `LARDER_SOAK=1` there are 100,000 changes.
#[test]
fn each_of_64_watchers_gets_the_whole_of_its_prefix() {
    const REST: Duration = Duration::from_millis(1);
    let script = Script::new(size(4_000, 100_000));
    let sandbox = Sandbox::new();
    sandbox.ok(["set", "begin", "1"]);
    let prefixes: Vec<(&str, String)> =
        NAMESPACES.iter().flat_map(|namespace| (0..PREFIXES).map(move |n| (*namespace, format!("p{n:02}/")))).collect();
    assert_eq!(prefixes.len(), 64);
    let expected: Vec<_> = prefixes.iter().map(|(namespace, prefix)| expected(&script, namespace, prefix)).collect();

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime");
    let url = format!("sqlite:{}", sandbox.path("larder.db").display());
    let store = runtime.block_on(larder::open(&url)).expect("opens");
    let watchers: Vec<_> = prefixes.iter().zip(&expected).enumerate().collect();
    let heard: Vec<Heard> = thread::scope(|scope| {
        let (outside, inside) = watchers.split_at(PROCESSES);
        let outside: Vec<_> = outside
            .iter()
            .map(|(_, ((namespace, prefix), expected))| {
                let watching = Watching::start(&sandbox, &["-n", namespace, "--prefix", prefix, "--from", "1", "--json"]);
                scope.spawn(move || by_lines(&watching, expected.len()))
            })
            .collect();
        let inside: Vec<_> = inside
            .iter()
            .map(|(number, ((namespace, prefix), expected))| {
                let namespace = Namespace::new(*namespace).expect("a good name");
                let store = store.in_namespace(&namespace).expect("a user's namespace");
                let rest = number.is_multiple_of(4).then_some(REST);
                runtime.spawn(by_batches(store, prefix.clone(), rest, expected.len()))
            })
            .collect();
        assert_eq!(answer(script.writer(&sandbox).finish()).status, 0);
        // The one more: it shows that nothing came behind what was expected.
        for namespace in NAMESPACES {
            let writes: Vec<String> = (0..PREFIXES).map(|n| format!("{{\"set\":\"p{n:02}/end\",\"value\":0}}")).collect();
            let document = format!("{{\"writes\":[{}]}}", writes.join(","));
            assert_eq!(sandbox.feed(document, ["commit", "-", "-n", namespace]).status, 0);
        }
        let outside = outside.into_iter().map(|watcher| watcher.join().expect("a watcher does not panic"));
        let inside = inside.into_iter().map(|watcher| runtime.block_on(watcher).expect("a watcher does not panic"));
        outside.chain(inside).collect()
    });
    runtime.block_on(store.close()).expect("closes");

    let mut revisions: BTreeMap<usize, u64> = BTreeMap::new();
    for ((heard, expected), (namespace, prefix)) in heard.iter().zip(&expected).zip(&prefixes) {
        let (end, heard) = heard.split_last().expect("there is an end");
        assert_eq!(end.1.key, format!("{prefix}end"), "{namespace} {prefix}: it comes last");
        assert!(!expected.is_empty() && heard.is_sorted_by_key(|(revision, _)| *revision), "{namespace} {prefix}: in order");
        for (place, ((revision, told), (commit, expected))) in heard.iter().zip(expected).enumerate() {
            assert_eq!(told, expected, "{namespace} {prefix}: change {place}, revision {revision}");
            assert_eq!(revisions.entry(*commit).or_insert(*revision), revision, "commit {commit} has one revision");
        }
        assert_eq!(heard.len(), expected.len());
    }
    assert_eq!(revisions.len(), script.commits().len());
    assert!(revisions.values().is_sorted_by(|one, next| one < next), "each commit has a revision of its own, in order");
    println!("{} changes in {} commits, 64 watchers: 0 lost, 0 twice", script.changes(), script.commits().len());
}
