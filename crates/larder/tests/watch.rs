//! Watching, on every engine of this build, with real tasks and real time.

use std::collections::BTreeMap;

use larder::{
    Address, Change, ChangeKind, ChangesQuery, ErrorKind, Glob, Key, Namespace, Position, Revision, Store, Timestamp, Trim,
    Watch,
};
use tempfile::TempDir;

/// After this time a change is taken for lost; it has nothing to do with how soon one is told.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A store on each engine, with the directory it lives in.
async fn stores() -> Vec<(Store, String, TempDir)> {
    let directory = || tempfile::tempdir().expect("a temporary directory");
    let mut stores = Vec::new();
    for engine in ["memory", "sqlite"] {
        let place = directory();
        let url = match engine {
            "memory" => "memory:".to_owned(),
            _ => format!("sqlite:{}", place.path().join("larder.db").display()),
        };
        stores.push((larder::open(&url).await.expect("opens"), url, place));
    }
    stores
}

/// The same, and one on each of the other engines; but for those that somebody has said this run has to do without.
async fn stores_everywhere() -> Vec<(Store, String, TempDir)> {
    let mut all = stores().await;
    let own = format!("watch_{}", std::process::id());
    for (engine, place) in [("file", ""), ("surrealkv", ""), ("postgres", "schema"), ("redis", "prefix"), ("etcd", "prefix")]
    {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let is_skipped = |list: String| list.split(',').any(|name| name.trim() == engine);
        let url = match place {
            "" => format!("{engine}:{}", directory.path().display()),
            _ if std::env::var("LARDER_SKIP").is_ok_and(is_skipped) => continue,
            place => {
                let server = std::env::var(format!("LARDER_TEST_{}", engine.to_uppercase()));
                let server = server.unwrap_or_else(|_| {
                    panic!("{engine} needs a server: `cargo xtask test` starts one, LARDER_SKIP={engine} does without")
                });
                format!("{server}?{place}={own}")
            }
        };
        all.push((larder::open(&url).await.expect("opens"), url, directory));
    }
    all
}

async fn set(store: &Store, key: &str, value: &str) -> Revision {
    store.set(key, value).await.expect("sets").revision
}

/// Everything the log holds, as an engine tells it, page by page.
async fn log(store: &Store) -> Vec<Change> {
    let lineage = store.status().await.expect("answers").lineage;
    let mut changes: Vec<Change> = Vec::new();
    loop {
        let last = changes.last().map_or(Revision::ZERO, |last| last.revision);
        let page = store.engine().changes(ChangesQuery::after(lineage, last)).await.expect("reads").changes;
        if page.is_empty() {
            return changes;
        }
        changes.extend(page);
    }
}

/// The next `count` changes, which have to come in whole commits, in order.
async fn read(watch: &mut Watch, count: usize) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    while changes.len() < count {
        // A change that was lost would be waited for without end; this says so instead.
        let next = tokio::time::timeout(PATIENCE, watch.next()).await.expect("the next change comes");
        let batch = next.expect("goes on");
        assert!(!batch.changes.is_empty() && batch.changes.iter().all(|change| change.revision == batch.revision));
        assert!(changes.last().is_none_or(|last| last.revision < batch.revision), "in order, and each commit once");
        changes.extend(batch.changes);
    }
    changes
}

/// Whether a watch has anything to tell at this moment.
async fn is_quiet(watch: &mut Watch) -> bool {
    tokio::time::timeout(std::time::Duration::from_millis(50), watch.next()).await.is_err()
}

/// Eight tasks write, and every kind of watcher gets what the log holds of its range, once, in order, commits whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_watcher_gets_the_whole_of_its_range() {
    for (store, _, _place) in stores().await {
        let glob = Glob::new("*/3").expect("a good glob");
        let mut watches = [
            store.watch("").start().await.expect("starts"),
            store.watch("b/").start().await.expect("starts"),
            store.watch_glob(glob.clone()).start().await.expect("starts"),
            store.watch_key("c/7").start().await.expect("starts"),
            store.watch_all().start().await.expect("starts"),
        ];
        let writers: Vec<_> = ["a", "b", "c", "d", "e", "f", "g", "h"]
            .map(|name| {
                let store = store.clone();
                tokio::spawn(async move {
                    for n in 0..100 {
                        let commit =
                            store.commit().set(format!("{name}/{}", n % 10), "x").delete(format!("{name}/{}", (n + 5) % 10));
                        commit.await.expect("commits");
                    }
                })
            })
            .into();
        for writer in writers {
            writer.await.expect("no writer panics");
        }
        let all = log(&store).await;
        let wanted: [&dyn Fn(&str) -> bool; 5] =
            [&|_| true, &|key| key.starts_with("b/"), &|key| glob.matches(key), &|key| key == "c/7", &|_| true];
        for (watch, wanted) in watches.iter_mut().zip(wanted) {
            let expected: Vec<Change> = all.iter().filter(|change| wanted(&change.address.key)).cloned().collect();
            assert!(!expected.is_empty());
            assert_eq!(read(watch, expected.len()).await, expected);
            assert!(is_quiet(watch).await, "nothing comes twice");
        }
    }
}

/// A watcher that does not read for a long time misses nothing, and gets both sides of every change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_watcher_loses_nothing() {
    for (store, _, _place) in stores().await {
        let mut watch = store.watch("k").start().await.expect("starts");
        for n in 0..3000 {
            set(&store, "k", &n.to_string()).await;
        }
        for (n, change) in read(&mut watch, 3000).await.into_iter().enumerate() {
            let side = |side: &Option<larder::Entry>| side.as_ref().map(|entry| entry.value.bytes().clone());
            assert_eq!(side(&change.after), Some(n.to_string().into()));
            assert_eq!(side(&change.before), n.checked_sub(1).map(|before| before.to_string().into()));
            assert_eq!(change.kind, if n == 0 { ChangeKind::Created } else { ChangeKind::Updated });
        }
    }
}

/// A watcher sleeps after what it reads, while others write faster than it does: none of 3,000 events is lost.
///
/// It sleeps after every 16th commit, and after each one where `LARDER_SOAK` is 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_that_sleeps_loses_none_of_3000_events() {
    const EVENTS: usize = 3000;
    const NAP: std::time::Duration = std::time::Duration::from_millis(5);
    let naps_every = if std::env::var("LARDER_SOAK").is_ok_and(|soak| soak == "1") { 1 } else { 16 };
    for (store, url, _place) in stores_everywhere().await {
        let mut watch = store.watch("k/").start().await.expect("starts");
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    // Commits of one, two and three keys, and others in between that are none of the watcher's business.
                    let mut written = 0;
                    while written < EVENTS / 4 {
                        let keys = (1 + written % 3).min(EVENTS / 4 - written);
                        let commit = (0..keys).fold(store.commit().set(format!("other/{writer}"), "x"), |commit, key| {
                            commit.set(format!("k/{writer}/{key}"), (written + key).to_string())
                        });
                        commit.await.expect("commits");
                        written += keys;
                    }
                })
            })
            .collect();
        let mut told = Vec::new();
        for commit in 1.. {
            if told.len() >= EVENTS {
                break;
            }
            told.extend(read(&mut watch, 1).await);
            if commit % naps_every == 0 {
                tokio::time::sleep(NAP).await;
            }
        }
        for writer in writers {
            writer.await.expect("no writer panics");
        }
        let mut expected = log(&store).await;
        expected.retain(|change| change.address.key.starts_with("k/"));
        assert_eq!(expected.len(), EVENTS, "the log has them all");
        assert_eq!(told, expected, "each once, in order, whole commits, both sides");
        assert!(is_quiet(&mut watch).await, "nothing comes twice");
        println!("{}: {EVENTS} events to a watcher that sleeps, 0 lost", url.split(':').next().unwrap_or_default());
    }
}

/// Wherever a watcher stops, going on from its position tells the rest once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_is_resumed_where_it_was() {
    for (store, _, _place) in stores().await {
        let mut told = Vec::new();
        let mut position = store.watch("").start().await.expect("starts").position();
        for n in 0..300 {
            store.commit().set(format!("{n}/a"), "x").set(format!("{n}/b"), "x").await.expect("commits");
        }
        while told.len() < 600 {
            let mut watch = store.watch("").resume(position).start().await.expect("resumes");
            for _ in 0..=told.len() % 7 {
                if told.len() < 600 {
                    told.extend(watch.next().await.expect("goes on").changes);
                }
            }
            position = watch.position();
        }
        assert_eq!(told, log(&store).await);
    }
}

/// A watcher that is behind reads ahead. What is on its way was not handed out: it is still to come for whoever goes on
/// from where the watch stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_ahead_is_still_to_come() {
    for (store, _, _place) in stores().await {
        for n in 0..600 {
            set(&store, "k", &n.to_string()).await;
        }
        let all = log(&store).await;
        // Before, at and after the end of the first page.
        for stop in [1, 127, 128, 129, 300] {
            let mut watch = store.watch("").after(Revision::ZERO).start().await.expect("starts");
            let mut told = read(&mut watch, stop).await;
            let mut rest = store.watch("").resume(watch.position()).start().await.expect("resumes");
            told.extend(read(&mut rest, all.len() - stop).await);
            assert_eq!(told, all, "stopped after {stop}");
            assert!(is_quiet(&mut rest).await, "nothing comes twice");
        }
    }
}

/// Who was away for too long is told how far the log reaches, at the start or in the middle, and not given the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_too_late_is_told() {
    for (store, _, _place) in stores().await {
        let mut slow = store.watch("").start().await.expect("starts");
        for n in 0..600 {
            set(&store, "k", &n.to_string()).await;
        }
        let head = store.status().await.expect("answers").revision;
        store.engine().trim(Trim::new(head, Timestamp::EPOCH)).await.expect("trims");
        let error = loop {
            match slow.next().await {
                // What it had read before may still come.
                Ok(batch) => assert!(batch.revision < head),
                Err(error) => break error,
            }
        };
        assert_eq!((error.kind(), error.oldest()), (ErrorKind::Trimmed, Some(head)), "{error}");
        assert_eq!(slow.next().await.map_err(|error| error.kind()), Err(ErrorKind::Trimmed), "it stays so");

        for after in [Revision::ZERO, Revision::new(head.get() - 1), Revision::new(head.get() + 1)] {
            let late = store.watch("").after(after).start().await.map(|_| ());
            assert_eq!(late.map_err(|error| error.kind()), Err(ErrorKind::Trimmed), "after {after}");
        }
        let elsewhere = Position { lineage: larder::Lineage::new(77), revision: head };
        let other = store.watch("").resume(elsewhere).start().await.map(|_| ());
        assert_eq!(other.map_err(|error| error.kind()), Err(ErrorKind::Trimmed), "another past");
        let mut anew = store.watch("").after(head).start().await.expect("starts over");
        let next = set(&store, "k", "x").await;
        assert_eq!(read(&mut anew, 1).await[0].revision, next);
    }
}

/// A watcher in a quiet corner knows how far it has seen, so that it can be resumed after the log was trimmed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_watcher_moves_on() {
    for (store, _, _place) in stores().await {
        let mut quiet = store.watch("quiet/").start().await.expect("starts");
        let mut head = Revision::ZERO;
        for n in 0..50 {
            head = set(&store, &format!("busy/{n}"), "x").await;
        }
        while quiet.position().revision < head {
            assert!(is_quiet(&mut quiet).await);
        }
        let position = quiet.position();
        drop(quiet);
        store.engine().trim(Trim::new(head, Timestamp::EPOCH)).await.expect("trims");
        let mut quiet = store.watch("quiet/").resume(position).start().await.expect("resumes");
        let next = set(&store, "quiet/now", "x").await;
        assert_eq!(read(&mut quiet, 1).await[0].revision, next);
    }
}

/// What another handle on the same file commits is seen, and whoever is waiting wakes for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_handles_are_watched_too() {
    let (store, url, _place) = stores().await.pop().expect("there is one with a file");
    let other = larder::open(&url).await.expect("opens");
    let mut watch = store.watch("k/").start().await.expect("starts");
    for n in 0..50 {
        let key = format!("k/{n}");
        let revision = set(&other, &key, "x").await;
        set(&other, "elsewhere", "x").await;
        let change = read(&mut watch, 1).await.remove(0);
        assert_eq!((change.revision, &*change.address.key), (revision, &*key));
    }
}

/// Handles see their own namespace; a watch of the store sees all of them, and nothing that the store keeps for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_do_not_hear_each_other() {
    for (store, _, _place) in stores().await {
        let namespace = Namespace::new("wasm:guest").expect("a good name");
        let guest = store.in_namespace(&namespace).expect("a user's namespace");
        let mut hears = [store.watch("").start().await, guest.watch("").start().await, store.watch_all().start().await]
            .map(|watch| watch.expect("starts"));
        store.create_namespace(&namespace, larder::Metadata::default()).await.expect("creates");
        set(&guest, "theirs", "x").await;
        set(&store, "ours", "x").await;
        let heard = |changes: Vec<Change>| changes.into_iter().map(|change| change.address).collect::<Vec<_>>();
        let at = |namespace: &Namespace, key: &str| Address::new(namespace.clone(), Key::new(key).expect("a good key"));
        let (ours, theirs) = (at(&Namespace::default(), "ours"), at(&namespace, "theirs"));
        assert_eq!(heard(read(&mut hears[0], 1).await), std::slice::from_ref(&ours));
        assert_eq!(heard(read(&mut hears[1], 1).await), std::slice::from_ref(&theirs));
        assert_eq!(heard(read(&mut hears[2], 2).await), [theirs, ours]);
        for watch in &mut hears {
            assert!(is_quiet(watch).await);
        }
    }
}

/// A thousand watchers of as many prefixes: each gets its own, and nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_watchers_each_get_their_own() {
    for (store, _, _place) in stores().await {
        let mut watches = BTreeMap::new();
        for n in 0..1000 {
            let prefix = format!("p{n:04}/");
            let watch = store.watch(&prefix).start().await.expect("starts");
            watches.insert(prefix, watch);
        }
        for round in 0..3 {
            let keys = watches.keys().map(|prefix| (format!("{prefix}k"), format!("{round}")));
            assert!(store.set_many(keys).await.iter().all(Result::is_ok));
        }
        for (prefix, watch) in &mut watches {
            let changes = read(watch, 3).await;
            assert!(changes.iter().all(|change| change.address.key.starts_with(prefix)), "{prefix}");
        }
    }
}

/// A watch ends with the store, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_a_watch() {
    for (store, _, _place) in stores().await {
        let mut watch = store.watch("").start().await.expect("starts");
        let waiting = tokio::spawn(async move { watch.next().await.map_err(|error| error.kind()) });
        tokio::task::yield_now().await;
        store.close().await.expect("closes");
        assert_eq!(waiting.await.expect("no panic"), Err(ErrorKind::Closed));
    }
}

/// Dropping a future that waits loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_can_be_given_up() {
    for (store, _, _place) in stores().await {
        let mut watch = store.watch("").start().await.expect("starts");
        let mut told = 0_i32;
        let writer = tokio::spawn({
            let store = store.clone();
            async move {
                for n in 0..500 {
                    set(&store, "k", &n.to_string()).await;
                }
            }
        });
        while told < 500 {
            // Given up again and again, before anything was there and while it was being read.
            let wait = std::time::Duration::from_micros(u64::from(told.unsigned_abs() % 7) * 100);
            if let Ok(batch) = tokio::time::timeout(wait, watch.next()).await {
                let change = batch.expect("goes on").changes.remove(0);
                assert_eq!(change.after.map(|entry| entry.value.bytes().clone()), Some(told.to_string().into()));
                told += 1;
            }
        }
        writer.await.expect("no writer panics");
    }
}
