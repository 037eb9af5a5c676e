//! The map that the tests of this crate stand on is a map.

use std::sync::Arc;

use larder_ordered::{TestMap, check};

#[test]
fn the_map_in_memory_is_a_map() {
    let map = TestMap::new();
    check(|| Arc::new(map.clone()));
}
