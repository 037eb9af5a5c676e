//! A store that may have lost something says so with a new lineage, and no other does.

mod place;

use futures_lite::future::block_on;
use larder_core::{Engine as _, Timestamp};
use larder_ordered::{TestMap, UNKNOWN_LIFE};

/// Opens the store in this life of the machine and tells its lineage; ends it cleanly or not.
fn live(map: &TestMap, life: Option<&str>, ends_cleanly: bool) -> u64 {
    let map = map.in_life(life.map(str::to_owned));
    let engine = block_on(place::open(&map)).expect("it opens");
    let lineage = block_on(engine.status(Timestamp::EPOCH)).expect("a store tells its status").lineage.get();
    if ends_cleanly {
        block_on(engine.close()).expect("closes");
    } else {
        // As if the machine had ended: nothing is written any more.
        map.trouble([larder_ordered::Trouble::Failed]);
        drop(engine);
        map.calm();
    }
    lineage
}

#[test]
fn only_another_life_after_an_end_that_was_not_clean_is_another_lineage() {
    let map = TestMap::new();
    let told = [
        (Some("a"), false, 0, "a new store"),
        (Some("a"), false, 0, "the same life: the system has it still"),
        (Some("b"), true, 1, "another life"),
        (Some("c"), false, 1, "another life after a clean end"),
        (Some("d"), false, 2, "another life again"),
        (None, true, 3, "it syncs from now on, and did not then"),
        (Some("e"), true, 3, "nothing was lost since"),
        (Some(UNKNOWN_LIFE), false, 3, "after a clean end"),
        (Some(UNKNOWN_LIFE), false, 4, "nobody knows whether it is the same"),
    ];
    for (life, ends_cleanly, lineage, why) in told {
        assert_eq!(live(&map, life, ends_cleanly), lineage, "{why}");
    }
}
