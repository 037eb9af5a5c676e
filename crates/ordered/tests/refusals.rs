//! What is not a store is told, and left as it is.

mod place;

use std::sync::Arc;

use futures_lite::future::block_on;
use larder_core::{ErrorKind, Result, StoreId};
use larder_ordered::{Opening, OrderedEngine, TestMap};

fn open(map: &TestMap, create: bool) -> Result<OrderedEngine> {
    let opening = Opening { create, ..Opening::default() };
    block_on(OrderedEngine::open(Arc::new(map.clone()), StoreId::from_bytes([7; 16]), opening))
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    for (key, value, kind) in [
        ("somebody", "else's", ErrorKind::Invalid),
        ("h", "ello", ErrorKind::Invalid),
        ("h", "larder\0\u{7f}", ErrorKind::Unsupported),
        ("h", "larder\0\u{1}", ErrorKind::Corrupt),
    ] {
        let map = TestMap::new();
        map.put(key, value);
        let before = map.pairs();
        for create in [true, false] {
            let refused = open(&map, create).map(|_| ()).map_err(|error| (error.kind(), error.to_string()));
            let (found, message) = refused.expect_err("it is refused");
            assert_eq!(found, kind, "{key} {value:?}: {message}");
            assert!(message.starts_with("test: "), "the engine is named: {message}");
            assert_eq!(map.pairs(), before, "{key} {value:?} was touched");
        }
    }
}

#[test]
fn nothing_is_created_unless_it_is_asked_for() {
    let map = TestMap::new();
    assert_eq!(open(&map, false).map(|_| ()).map_err(|error| error.kind()), Err(ErrorKind::NotFound));
    assert_eq!(map.pairs(), []);
    drop(open(&map, true).expect("it is created"));
    drop(open(&map, false).expect("it is there"));
    assert_eq!(map.pairs().len(), 1, "an empty store is its head");
}
