//! Waiting for a store blocks the thread that waits, and nothing that the answer needs.

use larder::blocking::{self, Store, Wait};
use tokio::runtime::{Builder, Runtime};

fn open() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let url = format!("sqlite:{}", directory.path().join("larder.db").display());
    let store = blocking::open(&url).expect("opens");
    (directory, store)
}

/// Writes from several threads at once, so that commits wait for each other, and watches what comes of it.
fn work(store: &Store) {
    let mut watch = store.watch("n/").start().wait().expect("starts");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for n in 0..8 {
                    store.set(format!("n/{thread}/{n}"), "x").wait().expect("sets");
                    let add = async |mut t: larder::Transaction| t.add("sum", 1, 0..=i64::MAX).await;
                    store.transact(add).wait().expect("adds");
                }
            });
        }
    });
    let mut seen = 0;
    while seen < 32 {
        seen += watch.next().wait().expect("goes on").changes.len();
    }
    assert_eq!(store.get_json::<i64>("sum").wait().ok().flatten(), Some(32));
}

fn inside(runtime: &Runtime) {
    let (_directory, store) = open();
    // The only worker of the runtime waits here; were anything of the store on it, this would never end.
    runtime.block_on(async { tokio::spawn(async move { work(&store) }).await.expect("works") });
}

#[test]
fn a_program_without_a_runtime_waits() {
    let (_directory, store) = open();
    work(&store);
    store.close().wait().expect("closes");
}

#[test]
fn waiting_inside_of_a_runtime_whose_only_thread_waits_does_not_deadlock() {
    inside(&Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"));
    inside(&Builder::new_current_thread().enable_all().build().expect("a runtime"));
}

/// Building takes many steps, each of which is waited for.
#[test]
fn an_index_is_built_used_and_dropped_by_who_waits() {
    let (_directory, store) = open();
    for n in 0..40_u32 {
        let value = larder::Value::json(format!("{{\"n\":{n}}}")).expect("JSON");
        let sets = (0..32_u32).map(|m| (format!("{n}/{m}"), value.clone()));
        for answer in store.set_many(sets).wait() {
            answer.expect("sets");
        }
    }
    let (index, mut told) = (larder::Index::on("n").expect("an index"), Vec::new());
    store.create_index(index.clone()).progress(|entries| told.push(entries)).wait().expect("builds");
    assert!(told.len() > 1 && told.is_sorted(), "{told:?}");
    let indexes = store.indexes().wait().expect("lists");
    assert_eq!(indexes, [larder::IndexInfo { index: index.clone(), building: None }]);
    let explained = store.explain(larder::field("n").eq(7)).wait().expect("answers");
    assert_eq!(
        (explained.returned, explained.examined, explained.index.map(|choice| choice.index)),
        (32, 32, Some(index.clone()))
    );
    assert!(store.drop_index(&index).wait().expect("drops"));
    assert!(!store.drop_index(&index).wait().expect("answers"));
    store.close().wait().expect("closes");
}

/// Opened on that very thread, too.
#[test]
fn opening_inside_of_a_runtime_does_not_deadlock_either() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let opened = tokio::spawn(async {
            let (_directory, store) = open();
            work(&store);
        });
        opened.await.expect("works");
    });
}
