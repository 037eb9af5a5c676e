//! A store outlives the runtime in which it was opened, and works without one.

use futures_lite::future::block_on;
use larder::Store;
use tokio::runtime::{Builder, Runtime};

fn one_thread() -> Runtime {
    Builder::new_current_thread().build().expect("a runtime")
}

fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().expect("a runtime")
}

fn use_everywhere(store: &Store, inside: &Runtime) {
    block_on(store.set("outside", "x").into_future()).expect("sets without a runtime");
    inside.block_on(store.set("inside", "x").into_future()).expect("sets inside the runtime");
    one_thread().block_on(store.set("another", "x").into_future()).expect("sets inside another runtime");
    assert_eq!(block_on(store.count("")).ok(), Some(3));
}

/// A store opened inside a runtime of one thread is used outside of it: nobody polls that runtime's tasks meanwhile, so
/// they must not be what a commit waits for.
#[test]
fn a_store_works_outside_the_runtime_it_was_opened_in() {
    for runtime in [one_thread(), two_threads()] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite:{}", directory.path().join("larder.db").display());
        let store = runtime.block_on(larder::open(&url)).expect("opens");
        use_everywhere(&store, &runtime);
        block_on(store.close()).expect("closes");
    }
}

/// The runtime ends, the store does not.
#[test]
fn a_store_outlives_its_runtime() {
    for runtime in [one_thread(), two_threads()] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let url = format!("sqlite:{}", directory.path().join("larder.db").display());
        let store = runtime.block_on(larder::open(&url)).expect("opens");
        drop(runtime);
        use_everywhere(&store, &one_thread());
        block_on(store.close()).expect("closes");
    }
}
