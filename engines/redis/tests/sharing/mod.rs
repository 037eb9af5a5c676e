//! Several processes on one store of any server: this very program again, told by its environment where the store is.
//!
//! Where stores are, and how one is opened, says the `place` of whoever takes this in.

use std::{
    collections::BTreeSet,
    env,
    future::IntoFuture as _,
    process::{Command, Stdio},
    sync::Arc,
};

use futures_lite::future::block_on;
use larder_conformance::TestWorld;
use larder_core::{ErrorKind, Revision, Store};

use crate::place::{self, fresh_at, open};

const CHILDREN: u64 = 4;
const ADDS: i64 = 50;
const RACES: u64 = 50;

/// What a child is told: where the store is, and which child it is.
const STORE: &str = "LARDER_TEST_CHILD_STORE";
const NUMBER: &str = "LARDER_TEST_CHILD_NUMBER";

#[test]
#[ignore = "run by the others, as their child"]
fn child() {
    let number: u64 = env::var(NUMBER).expect("it is told who it is").parse().expect("a number");
    let engine = block_on(open(&env::var(STORE).expect("it is told where the store is"))).expect("opens");
    let store = Store::new(Arc::new(engine), Arc::new(TestWorld::new(100 + number)));
    let mut won = 0;
    for race in 0..RACES {
        match block_on(store.set(format!("race/{race}"), number.to_string()).if_absent().into_future()) {
            Ok(_) => won += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
        }
    }
    for _ in 0..ADDS {
        block_on(store.add("sum", 1, 0..=i64::MAX).into_future()).expect("adds");
    }
    println!("won {won}");
    block_on(store.close()).expect("closes");
}

/// Of those who create a key at the same time one wins; of many additions none is lost; and whoever watches from yet
/// another process is told of each of them once.
#[test]
fn processes_share_one_store() {
    let url = fresh_at(&place::server());
    let world = TestWorld::new(1);
    let store = Store::new(Arc::new(block_on(open(&url)).expect("opens")), Arc::new(world.clone()));
    let children: Vec<_> = (0..CHILDREN)
        .map(|number| {
            let mut command = Command::new(env::current_exe().expect("this program has a path"));
            command
                .args(["--exact", "sharing::child", "--ignored", "--nocapture"])
                .env(STORE, &url)
                .env(NUMBER, number.to_string());
            command.stdout(Stdio::piped()).spawn().expect("a child starts")
        })
        .collect();
    let mut won = 0;
    for child in children {
        let output = child.wait_with_output().expect("a child ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let said = String::from_utf8(output.stdout).expect("it prints text");
        let count: u64 = said
            .split_once("won ")
            .and_then(|(_, rest)| rest.lines().next()?.parse().ok())
            .expect("it says what it has won");
        won += count;
    }
    assert_eq!(won, RACES, "of those who create a key one wins");
    let sum = block_on(store.get("sum")).expect("reads").expect("is there");
    assert_eq!(sum.value.as_integer(), Some(ADDS * CHILDREN as i64));

    let status = block_on(store.status()).expect("answers");
    let mut watch = block_on(store.watch("").after(Revision::ZERO).start()).expect("starts");
    let (mut told, mut last) = (BTreeSet::new(), Revision::ZERO);
    while last < status.revision {
        let batch = block_on(watch.next()).expect("goes on");
        assert!(batch.revision > last, "in order, each once");
        last = batch.revision;
        told.extend(batch.changes.into_iter().map(|change| (change.revision, change.address)));
    }
    assert_eq!(told.len() as u64, RACES + CHILDREN * ADDS as u64);
}
