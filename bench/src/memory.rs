//! Memory: what the contract costs over a map behind a lock.

use std::{collections::BTreeMap, sync::Mutex};

use larder::Store;
use tokio::runtime::Runtime;

use crate::{
    report::{Report, in_turns, scatter},
    sqlite::together,
};

const OPERATIONS: u32 = 200_000;

fn key(n: u32) -> String {
    format!("group-{:05}/{n:08}", n / 100)
}

pub(crate) fn measure(report: &mut Report, runtime: &Runtime, entries: u32) -> larder::Result<()> {
    let store = runtime.block_on(larder::open("memory:"))?;
    let map = Mutex::new(BTreeMap::new());
    runtime.block_on(async {
        let store = store.with_native_limits();
        for n in 0..entries {
            store.set(key(n), vec![7; 256]).await?;
            lock(&map).insert(key(n), vec![7; 256]);
        }
        Ok::<_, larder::Error>(())
    })?;
    let one = |work: fn(Store, u32) -> larder::BoxFuture<'static, larder::Result<()>>| {
        together(runtime, 1, |_| work(store.clone(), entries));
    };
    let [raw_get, get, raw_set, set] = in_turns(
        OPERATIONS,
        [
            &mut || {
                for n in 0..OPERATIONS {
                    assert!(lock(&map).get(&key(scatter(n, entries))).cloned().is_some());
                }
            },
            &mut || {
                one(|store, entries| {
                    Box::pin(async move {
                        for n in 0..OPERATIONS {
                            assert!(store.get(key(scatter(n, entries))).await?.is_some());
                        }
                        Ok(())
                    })
                });
            },
            &mut || {
                for n in 0..OPERATIONS {
                    lock(&map).insert(key(scatter(n, entries)), vec![8; 256]);
                }
            },
            &mut || {
                one(|store, entries| {
                    Box::pin(async move {
                        for n in 0..OPERATIONS {
                            store.set(key(scatter(n, entries)), vec![8; 256]).await?;
                        }
                        Ok(())
                    })
                });
            },
        ],
    );
    report.row(format!("memory get 256 B among {entries}"), get, raw_get, "a locked BTreeMap", 0.4);
    report.row("memory set 256 B", set, raw_set, "a locked BTreeMap", 0.25);
    Ok(())
}

fn lock(map: &Mutex<BTreeMap<String, Vec<u8>>>) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
    map.lock().expect("nobody panics while holding the lock")
}
