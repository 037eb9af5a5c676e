//! Indexes that another handle creates: kept from the next commit on, by whoever commits.

mod place;

use std::sync::Arc;

use futures_lite::future::block_on;
use larder_conformance::{Site as _, TestWorld};
use larder_core::{Index, Namespace, Store, Timestamp, Value, index::Span};
use place::Place;

#[test]
fn the_first_commit_that_meets_a_new_index_takes_out_what_was_there() {
    let place = Place::fresh();
    let [here, there] = [(); 2].map(|()| block_on(place.open()).expect("opens"));
    let store = Store::new(here.clone(), Arc::new(TestWorld::new(1)));
    block_on(store.set("k", Value::detect(r#"{"a":1}"#)).into_future()).expect("sets");
    let indexes = there.indexes().expect("it keeps indexes");
    let by_a = Index::on("a").expect("a good path");
    let id = block_on(indexes.create(Namespace::default(), by_a)).expect("creates").id;
    block_on(indexes.advance(id, 10, Timestamp::EPOCH)).expect("builds");
    block_on(store.set("k", Value::detect(r#"{"a":2}"#)).into_future()).expect("sets");
    assert_eq!(block_on(indexes.estimate(id, vec![Span::all()], 10)).expect("counts"), 1);
}
