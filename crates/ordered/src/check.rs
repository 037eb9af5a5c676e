//! What every map has to pass: the contract of [`Map`](crate::Map), one sentence after the other.

use std::{sync::Arc, thread};

use bytes::Bytes;
use futures_lite::future::block_on;
use larder_core::engine::Durability;

use crate::map::{Applied, Batch, Map, Pair, Part, View};

/// Checks that what `open` opens is a map. Every call opens the same one, which is empty at first; the handles of a map that
/// only one may have open are closed before the next call.
///
/// # Panics
/// Where it is not, with what was expected.
pub fn check(open: impl Fn() -> Arc<dyn Map>) {
    let map = open();
    let map = &*map;
    assert_eq!(everything(map), [], "the map is empty at first");
    a_view_is_of_one_moment(map);
    the_guard_lets_one_through(map);
    bytes_are_in_order(map);
    a_batch_is_all_of_it(map);
    parts_are_what_they_say(map);
    large_things_fit(map);
    racing_writers_take_turns(map);
    let before = everything(map);
    block_on(map.size()).expect("the size is known, or known not to be");
    block_on(map.close()).expect("it closes");
    block_on(map.close()).expect("it closes twice");
    if map.capabilities().durability != Durability::Volatile {
        let again = open();
        let after = everything(&*again);
        assert_eq!(after.len(), before.len(), "what was acknowledged is there after opening again");
        assert!(after == before, "what was acknowledged is as it was after opening again");
        block_on(again.close()).expect("it closes");
    }
}

const GUARD: &[u8] = b"guard";

fn view(map: &dyn Map) -> Box<dyn View> {
    block_on(map.view()).expect("there is a view")
}

fn bytes(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref())
}

fn scan(view: &dyn View, part: Part) -> Vec<Pair> {
    let mut found = block_on(view.scan(vec![part])).expect("a part can be read");
    assert_eq!(found.len(), 1, "one part has one answer");
    found.pop().unwrap_or_default()
}

fn part(from: impl AsRef<[u8]>, to: impl AsRef<[u8]>, limit: usize) -> Part {
    Part { from: bytes(from), to: bytes(to), reverse: false, limit }
}

fn all(limit: usize) -> Part {
    part([0], [0xff; 16], limit)
}

fn everything(map: &dyn Map) -> Vec<Pair> {
    scan(&*view(map), all(100_000))
}

fn get(view: &dyn View, key: impl AsRef<[u8]>) -> Option<Bytes> {
    block_on(view.get(vec![bytes(key)])).expect("a key can be read").pop().flatten()
}

fn batch(guard: impl AsRef<[u8]>, puts: &[(&[u8], &[u8])], deletes: &[&[u8]]) -> Batch {
    Batch {
        guard: (bytes(GUARD), bytes(guard)),
        puts: puts.iter().map(|(key, value)| (bytes(key), bytes(value))).collect(),
        deletes: deletes.iter().map(bytes).collect(),
    }
}

fn apply(map: &dyn Map, view: &dyn View, batch: Batch) -> Applied {
    block_on(map.apply(view, batch)).expect("a batch is applied")
}

/// Applies `batch` on a view of now, which has to work.
fn done(map: &dyn Map, batch: Batch) {
    let applied = apply(map, &*view(map), batch);
    assert!(matches!(applied, Applied::Done), "nobody else writes, and yet it was {applied:?}");
}

fn a_view_is_of_one_moment(map: &dyn Map) {
    done(map, batch("1", &[(b"a", b"1"), (b"gone", b"1")], &[]));
    let before = view(map);
    assert_eq!(get(&*before, "a"), Some(bytes("1")), "a view tells what was written before it");
    done(map, batch("2", &[(b"a", b"2"), (b"b", b"2")], &[b"gone"]));
    let values = block_on(before.get(["a", "b", "gone", "a"].map(bytes).into())).expect("keys can be read");
    assert_eq!(values, [Some(bytes("1")), None, Some(bytes("1")), Some(bytes("1"))], "a view never changes");
    let keys: Vec<Bytes> = scan(&*before, all(100)).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a", "gone", "guard"].map(bytes), "a view never changes, scanned or read");
    let now = view(map);
    assert_eq!([get(&*now, "a"), get(&*now, "b"), get(&*now, "gone")], [Some(bytes("2")), Some(bytes("2")), None]);
}

fn the_guard_lets_one_through(map: &dyn Map) {
    let (first, second) = (view(map), view(map));
    // Read, or not read at all: a batch is decided on its view either way.
    assert_eq!(get(&*first, GUARD), get(&*second, GUARD));
    assert!(matches!(apply(map, &*first, batch("3", &[(b"a", b"first")], &[])), Applied::Done));
    for _ in 0..2 {
        let applied = apply(map, &*second, batch("4", &[(b"a", b"second"), (b"c", b"second")], &[b"b"]));
        assert!(matches!(applied, Applied::Raced), "the guard has changed, and yet it was {applied:?}");
    }
    let now = view(map);
    assert_eq!(get(&*now, "a"), Some(bytes("first")), "nothing of a batch that raced has happened");
    assert_eq!((get(&*now, "b"), get(&*now, "c"), get(&*now, GUARD)), (Some(bytes("2")), None, Some(bytes("3"))));
}

fn bytes_are_in_order(map: &dyn Map) {
    let odd: [&[u8]; 12] =
        [b"\0", b"\0\0", b"\0\x01", b"\x01", b"o", b"o\0", b"o\0\0", b"o\x01", b"o!", b"oo", b"\x7f\xff", b"\xfe\xff\xff"];
    let pairs: Vec<(&[u8], &[u8])> = odd.iter().map(|key| (*key, *key)).collect();
    done(map, batch("5", &pairs, &[b"a", b"b", b"c", b"never was"]));
    let (mut keys, guard) = (odd.map(Bytes::from_static).to_vec(), bytes(GUARD));
    keys.push(guard);
    keys.sort();
    let found: Vec<Bytes> = everything(map).into_iter().map(|(key, _)| key).collect();
    assert_eq!(found, keys, "keys are ordered bytewise");
    let read = block_on(view(map).get(odd.map(Bytes::from_static).into())).expect("keys can be read");
    assert_eq!(read, odd.map(|key| Some(Bytes::from_static(key))), "each has its own value");
}

fn a_batch_is_all_of_it(map: &dyn Map) {
    done(map, batch("6", &[(b"empty", b""), (b"o", b"again")], &[b"oo", b"oo never was"]));
    let now = view(map);
    assert_eq!(get(&*now, "empty"), Some(Bytes::new()), "a value of no bytes is there");
    assert_eq!((get(&*now, "o"), get(&*now, "oo")), (Some(bytes("again")), None));
    assert_eq!(get(&*now, GUARD), Some(bytes("6")), "the guard is written with the batch");
}

fn parts_are_what_they_say(map: &dyn Map) {
    let keys: Vec<String> = (0..2500).map(|number| format!("p{number:04}")).collect();
    for (round, some) in keys.chunks(500).enumerate() {
        let pairs: Vec<(&[u8], &[u8])> = some.iter().map(|key| (key.as_bytes(), key.as_bytes())).collect();
        done(map, batch(format!("7{round}"), &pairs, &[]));
    }
    let view = view(map);
    let names = |pairs: Vec<Pair>| -> Vec<String> {
        pairs.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
    };
    let asked = [
        (part("p0003", "p0006", 10), false, vec!["p0003", "p0004", "p0005"], "the first is in it, the end is not"),
        (part("p0003", "p0006", 2), false, vec!["p0003", "p0004"], "no more than its limit"),
        (part("p0003", "p0006", 2), true, vec!["p0005", "p0004"], "from the end when reversed"),
        (part("p0003", "p0003", 2), false, vec![], "where it begins it ends"),
        (part("p0003", "p0004", 0), false, vec![], "nothing when nothing is asked for"),
        (part("p0003\0", "p0005", 9), false, vec!["p0004"], "bounds need not be there"),
        (part("p2499", "q", 9), true, vec!["p2499"], "up to the end"),
    ];
    let parts = asked.iter().map(|(part, reverse, ..)| Part { reverse: *reverse, ..part.clone() }).collect();
    let found = block_on(view.scan(parts)).expect("parts can be read");
    assert_eq!(found.len(), asked.len(), "every part has its answer");
    for ((_, _, expected, why), found) in asked.into_iter().zip(found) {
        assert_eq!(names(found), expected, "{why}");
    }
    assert_eq!(names(scan(&*view, part("p", "q", 2000))), keys[..2000], "a map never stops before the limit");
    let last: Vec<_> = keys.iter().rev().take(1500).cloned().collect();
    assert_eq!(names(scan(&*view, Part { reverse: true, ..part("p", "q", 1500) })), last);
    let read = block_on(view.get(keys.iter().map(bytes).collect())).expect("many keys can be read");
    assert!(read.into_iter().zip(&keys).all(|(value, key)| value == Some(bytes(key))), "each of many has its own value");
    let parts = keys.iter().map(|key| part(key, format!("{key}\0"), 1)).collect();
    let found = block_on(view.scan(parts)).expect("many parts can be read");
    assert!(found.into_iter().flat_map(names).eq(keys.iter().cloned()), "each of many parts has its own pair");
}

fn large_things_fit(map: &dyn Map) {
    let most = map.most();
    let (long_key, large) = (vec![b'k'; 1400], vec![7; 1 << 20]);
    done(map, batch("8", &[(&long_key, b"long"), (b"large", &large)], &[]));
    let now = view(map);
    assert_eq!(get(&*now, &long_key), Some(bytes("long")), "a key is at least 1400 bytes");
    assert!(get(&*now, "large") == Some(bytes(&large)), "a value is at least one MiB");
    let keys: Vec<String> = (0..most.operations.min(5000) - 1).map(|number| format!("m{number}")).collect();
    let pairs: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (key.as_bytes(), &b"m"[..])).collect();
    done(map, batch("9", &pairs, &[]));
    assert_eq!(scan(&*view(map), part("m", "n", 10_000)).len(), keys.len(), "a batch takes as many operations as it says");
    let deletes: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    done(map, batch("10", &[], &deletes));
    // As many bytes, in values of one MiB and one of what is left; at most a few of them.
    let total = most.bytes.min(5 << 20) - 1024;
    let values: Vec<Vec<u8>> = (0..total).step_by(1 << 20).map(|at| vec![b'v'; (total - at).min(1 << 20)]).collect();
    let keys: Vec<String> = (0..values.len()).map(|number| format!("w{number}")).collect();
    let pairs: Vec<(&[u8], &[u8])> = keys.iter().zip(&values).map(|(key, value)| (key.as_bytes(), &**value)).collect();
    done(map, batch("11", &pairs, &[]));
    let found = scan(&*view(map), part("w", "x", 100));
    assert!(found.iter().map(|(_, value)| value).eq(values.iter()), "a batch takes as many bytes as it says");
}

fn racing_writers_take_turns(map: &dyn Map) {
    const WRITERS: usize = 4;
    const TURNS: usize = 10;
    done(map, batch("0", &[(b"count", b"0")], &[]));
    let number = |view: &dyn View, key: &[u8]| -> usize {
        let value = get(view, key).expect("it is there");
        String::from_utf8_lossy(&value).parse().expect("it is a number")
    };
    let turn = |writer: usize| {
        for _ in 0..TURNS {
            loop {
                let view = view(map);
                let (guard, count) = (number(&*view, GUARD), number(&*view, b"count"));
                assert_eq!(guard, count, "what is written together is seen together");
                let next = (guard + 1).to_string();
                let own = format!("own/{writer}");
                match apply(map, &*view, batch(&next, &[(b"count", next.as_bytes()), (own.as_bytes(), b"")], &[])) {
                    Applied::Done => break,
                    Applied::Raced => {}
                    Applied::Unknown(error) => panic!("nothing disturbs, and yet an answer was lost: {error}"),
                }
            }
        }
    };
    thread::scope(|scope| {
        (0..WRITERS).for_each(|writer| drop(scope.spawn(move || turn(writer))));
    });
    assert_eq!(number(&*view(map), b"count"), WRITERS * TURNS, "none of them was lost, and none happened twice");
}
