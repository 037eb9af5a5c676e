//! The map, on a real cluster.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use futures_lite::future::{block_on, zip};
use larder_conformance::proxy::{Cut, Proxy, Words};
use larder_core::{ErrorKind, Result};
use larder_ordered::{Applied, Batch, Map, Pair, Part, View};

use crate::{client::Client, config::EtcdConfig, map::EtcdMap};

#[path = "../tests/server/mod.rs"]
mod server;

const GUARD: &str = "guard";

/// A batch that may be cut says so in a value. Its answer ends with a frame of headers which is the last of its stream; what
/// a member says of windows and settings before that is no answer.
const WORDS: Words = Words { commit: b"cut here", answer: &[0x01, 0x05, 0, 0, 0] };

fn map_at(url: &str) -> EtcdMap {
    let config = EtcdConfig::parse(url).expect("a good URL");
    let client = block_on(Client::new(&config)).expect("there is a way");
    EtcdMap::new(Arc::new(client), &config).expect("there are threads")
}

/// A prefix of the cluster that `cargo xtask` has started, which nobody else has.
fn fresh() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let server = std::env::var("LARDER_TEST_ETCD");
    let server = server.expect("LARDER_TEST_ETCD names an etcd cluster; `cargo xtask engine etcd` starts one");
    format!("{server}?prefix=map-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn map() -> EtcdMap {
    map_at(&fresh())
}

fn bytes(text: impl AsRef<[u8]>) -> Bytes {
    Bytes::copy_from_slice(text.as_ref())
}

fn batch(guard: &str, puts: &[(&str, &str)], deletes: &[&str]) -> Batch {
    let puts = puts.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
    Batch { guard: (bytes(GUARD), bytes(guard)), puts, deletes: deletes.iter().map(bytes).collect() }
}

fn view(map: &EtcdMap) -> Box<dyn View> {
    block_on(map.view()).expect("there is a view")
}

fn get(view: &dyn View, keys: &[&str]) -> Vec<Option<String>> {
    let found = block_on(view.get(keys.iter().map(bytes).collect())).expect("reads");
    found.into_iter().map(|value| value.map(|value| String::from_utf8(value.to_vec()).expect("text"))).collect()
}

fn apply(map: &EtcdMap, view: &dyn View, batch: Batch) -> Result<Applied> {
    block_on(map.apply(view, batch))
}

/// Puts these whatever was there.
fn put(map: &EtcdMap, guard: &str, puts: &[(&str, &str)]) {
    let view = view(map);
    assert_eq!(get(&*view, &[GUARD]).len(), 1);
    assert!(matches!(apply(map, &*view, batch(guard, puts, &[])), Ok(Applied::Done)), "nobody else writes");
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn it_is_a_map() {
    let url = fresh();
    larder_ordered::check(|| Arc::new(map_at(&url)));
}

#[test]
fn a_view_is_of_one_moment_whatever_is_written_in_the_meantime() {
    let map = map();
    put(&map, "1", &[("a", "1"), ("b", "1"), ("d", "1")]);
    let early = view(&map);
    assert_eq!(get(&*early, &["a"]), [some("1")]);
    let late = view(&map);
    assert!(matches!(apply(&map, &*early, batch("2", &[("a", "2"), ("c", "2")], &["b"])), Ok(Applied::Done)));
    assert_eq!(get(&*early, &["c", "b", "a", "x"]), [None, some("1"), some("1"), None]);
    let keys = |view: &dyn View| {
        let part = Part { from: bytes("a"), to: bytes("e"), reverse: false, limit: 10 };
        let found = block_on(view.scan(vec![part])).expect("reads").remove(0);
        found.into_iter().map(|(key, value)| format!("{}{}", key.escape_ascii(), value.escape_ascii())).collect::<Vec<_>>()
    };
    assert_eq!(keys(&*early), ["a1", "b1", "d1"]);
    // Nobody had looked through it yet, so its moment is now.
    assert_eq!(keys(&*late), ["a2", "c2", "d1"]);
    let views = (view(&map), view(&map));
    let both = block_on(zip(views.0.get(vec![bytes("a")]), views.0.get(vec![bytes("c")])));
    assert_eq!((both.0.ok(), both.1.ok()), (Some(vec![Some(bytes("2"))]), Some(vec![Some(bytes("2"))])));
}

#[test]
fn of_those_who_have_seen_the_same_guard_one_writes() {
    let map = map();
    for round in 0..3 {
        let views = [view(&map), view(&map), view(&map)];
        // One has read the guard by its key, one in a part, and one has not even looked.
        assert_eq!(get(&*views[0], &[GUARD, "a"]).len(), 2);
        let part = Part { from: bytes(GUARD), to: bytes(format!("{GUARD}\0")), reverse: false, limit: 1 };
        assert_eq!(block_on(views[1].scan(vec![part])).expect("reads")[0].len(), usize::from(round > 0));
        assert_eq!(get(&*views[2], &["a"]).len(), 1);
        let first = round % 3;
        let order = [first, (first + 1) % 3, (first + 2) % 3];
        let done = order.map(|number| apply(&map, &*views[number], batch("same", &[("a", &format!("{number}"))], &[])));
        assert!(matches!(&done, [Ok(Applied::Done), Ok(Applied::Raced), Ok(Applied::Raced)]), "{done:?}");
        assert_eq!(get(&*view(&map), &["a", GUARD]), [some(&first.to_string()), some("same")]);
    }
}

/// Whoever empties a cluster under its users does not make a guard look as it was.
#[test]
fn a_guard_that_is_gone_has_changed() {
    let server = server::Server::start().expect("a server starts");
    let map = map_at(&server.url());
    put(&map, "1", &[("a", "1")]);
    let before = view(&map);
    assert_eq!(get(&*before, &[GUARD]), [some("1")]);
    // Everything from the first byte on.
    let emptied = server.ask("kv/deleterange", r#"{"key": "AA==", "range_end": "AA=="}"#).expect("answers");
    assert_eq!(server::field(&emptied, "deleted").as_deref(), Some("2"), "{emptied}");
    assert!(matches!(apply(&map, &*before, batch("2", &[("b", "2")], &[])), Ok(Applied::Raced)));
    assert_eq!(get(&*view(&map), &["a", "b", GUARD]), [None, None, None]);
}

#[test]
fn parts_are_in_the_order_of_bytes_with_as_many_as_were_asked_for() {
    let map = map();
    let odd: [&[u8]; 8] = [b"\0", b"\0\0", b"%", b"*", b"a", b"a\0", b"a\xff", b"\xff\xff"];
    let puts: Vec<Pair> = odd.iter().map(|key| (bytes(key), bytes(key))).collect();
    let first = view(&map);
    let done = apply(&map, &*first, Batch { puts, ..batch("1", &[], &[]) });
    assert!(matches!(done, Ok(Applied::Done)), "{done:?}");
    // What stands beside it in the cluster is not in it.
    let name = fresh();
    let (one, two) = (map_at(&name), map_at(&format!("{name}2")));
    put(&one, "1", &[("2a", "1")]);
    put(&two, "1", &[("a", "2")]);
    assert_eq!((get(&*view(&one), &["2a"]), get(&*view(&two), &["a"])), (vec![some("1")], vec![some("2")]));

    let view = view(&map);
    let all = |reverse, limit| Part { from: bytes(b"\0"), to: bytes(b"\xff\xff\xff"), reverse, limit };
    let parts = vec![
        all(false, usize::MAX),
        all(true, usize::MAX),
        all(false, 3),
        all(true, 3),
        all(false, 0),
        Part { from: bytes("a"), to: bytes("a\0"), reverse: false, limit: 9 },
        Part { from: bytes("b"), to: bytes("b"), reverse: false, limit: 9 },
        Part { from: bytes("a\0"), to: bytes(b"a\xff\0"), reverse: true, limit: 1 },
    ];
    let found = block_on(view.scan(parts)).expect("reads");
    let keys: Vec<Vec<&[u8]>> = found.iter().map(|pairs| pairs.iter().map(|(key, _)| &key[..]).collect()).collect();
    let mut with_guard: Vec<&[u8]> = odd.iter().copied().chain([GUARD.as_bytes()]).collect();
    with_guard.sort_unstable();
    let backwards: Vec<&[u8]> = with_guard.iter().rev().copied().collect();
    assert_eq!(keys[0], with_guard);
    assert_eq!(keys[1], backwards);
    assert_eq!((&keys[2][..], &keys[3][..]), (&with_guard[..3], &backwards[..3]));
    assert!(keys[4].is_empty() && keys[6].is_empty());
    assert_eq!((&keys[5][..], &keys[7][..]), (&[&b"a"[..]][..], &[&b"a\xff"[..]][..]));
    assert!(found[0].iter().all(|(key, value)| key == GUARD.as_bytes() || key == value));
}

/// Also where a range holds much more than is asked for, and whatever its keys have in common.
#[test]
fn the_last_keys_of_a_large_part_are_the_last() {
    let map = map();
    let long = "long/".repeat(12);
    let group = |prefix: &str| (0..1500).map(|number| bytes(format!("{prefix}{number:05}"))).collect::<Vec<_>>();
    let mut keys: Vec<Bytes> = ["a", &long, "r\0\0\u{1}", "z/"].into_iter().flat_map(group).collect();
    keys.extend((0..1500_u128).map(|number| bytes([b"y".as_slice(), &(number * number * number).to_be_bytes()].concat())));
    keys.extend((0..600).map(|length| bytes("x".repeat(length + 1))));
    keys.sort_unstable();
    let puts: Vec<Pair> = keys.iter().map(|key| (key.clone(), bytes("v"))).collect();
    let seen = view(&map);
    assert!(matches!(apply(&map, &*seen, Batch { puts, ..batch("1", &[], &[]) }), Ok(Applied::Done)));
    let after = view(&map);
    let ends = ["a", "a01400", "long/m", "r", "x", "xy", "y\0", "z/00700", "\u{7f}"];
    for from in ends {
        for to in ends.into_iter().filter(|to| *to > from) {
            for limit in [1, 400] {
                let part = Part { from: bytes(from), to: bytes(to), reverse: true, limit };
                let found = block_on(after.scan(vec![part])).expect("reads").remove(0);
                let found: Vec<&[u8]> =
                    found.iter().map(|(key, _)| &key[..]).filter(|key| *key != GUARD.as_bytes()).collect();
                let within = keys.iter().rev().filter(|key| **key >= from.as_bytes() && **key < to.as_bytes());
                let expected: Vec<&[u8]> = within.take(limit).map(|key| &key[..]).collect();
                let count = found.len();
                assert!(
                    expected[..count.min(expected.len())] == found && count + 1 >= expected.len(),
                    "{from:?} {to:?} {limit}"
                );
            }
        }
    }
}

/// As many operations and as many bytes as the map says that it takes happen as one, though no request takes as much.
#[test]
fn the_largest_batch_is_written_as_one() {
    let map = map();
    let most = map.most();
    let key = |number: usize| bytes(format!("{number:06}"));
    let keys: Vec<Bytes> = (0..most.operations - 1).map(key).collect();
    let all = |text: &'static str| keys.iter().map(|key| (key.clone(), bytes(text))).collect::<Vec<Pair>>();
    let early = view(&map);
    assert_eq!(get(&*early, &[GUARD, "000000"]), [None, None]);
    let done = apply(&map, &*early, Batch { puts: all("v"), ..batch("1", &[], &[]) });
    assert!(matches!(done, Ok(Applied::Done)), "{done:?}");
    assert_eq!(get(&*early, &["000000"]), [None]);
    let raced = apply(&map, &*early, Batch { puts: all("w"), ..batch("2", &[], &[]) });
    assert!(matches!(raced, Ok(Applied::Raced)), "{raced:?}");
    let after = view(&map);
    let found = block_on(after.get(keys.clone())).expect("reads");
    assert!(found.len() == keys.len() && found.iter().all(|value| value.as_deref() == Some(b"v")));

    let (large, removed) = keys.split_at(8);
    let each = (most.bytes - 6 * keys.len()) / large.len();
    let puts: Vec<Pair> = large.iter().map(|key| (key.clone(), vec![7; each].into())).collect();
    assert_eq!(get(&*after, &[GUARD]), [some("1")]);
    let done = apply(&map, &*after, Batch { puts: puts.clone(), deletes: removed.to_vec(), ..batch("2", &[], &[]) });
    assert!(matches!(done, Ok(Applied::Done)), "{done:?}");
    let part = Part { from: bytes("0"), to: bytes("1"), reverse: false, limit: 100 };
    assert_eq!(block_on(view(&map).scan(vec![part])).expect("reads").remove(0), puts);
}

#[test]
fn what_is_too_large_is_refused_and_leaves_nothing() {
    let map = map();
    let puts: Vec<Pair> = vec![(bytes("a"), bytes("1")), (bytes("b"), vec![7; 2 << 20].into())];
    let first = view(&map);
    let error = apply(&map, &*first, Batch { puts, ..batch("1", &[], &[]) }).map(drop).expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert_eq!(get(&*view(&map), &["a", "b", GUARD]), [None, None, None]);
}

#[test]
fn a_map_that_is_closed_says_so() {
    let map = map();
    let open = view(&map);
    block_on(map.close()).expect("closes");
    block_on(map.close()).expect("closes twice");
    let kinds = [
        block_on(map.view()).map(drop).map_err(|error| error.kind()),
        apply(&map, &*open, batch("1", &[], &[])).map(drop).map_err(|error| error.kind()),
    ];
    assert_eq!(kinds, [Err(ErrorKind::Closed), Err(ErrorKind::Closed)]);
}

/// A way to a server of its own that can be cut, and one that goes there directly.
fn cut_off() -> (server::Server, Proxy, EtcdMap, EtcdMap) {
    let server = server::Server::start().expect("a server starts");
    let proxy = Proxy::before(server.port(), WORDS);
    let cut = map_at(&format!("etcd://127.0.0.1:{}", proxy.port()));
    let direct = map_at(&server.url());
    put(&direct, "0", &[("a", "0")]);
    (server, proxy, cut, direct)
}

/// Whoever does not hear the answer does not know; and is not told that nothing has happened.
#[test]
fn a_batch_whose_answer_was_lost_may_have_happened() {
    for cut in [Cut::Before, Cut::After] {
        let (_server, proxy, map, direct) = cut_off();
        let seen = view(&map);
        assert_eq!(get(&*seen, &[GUARD]), [some("0")]);
        proxy.cut(cut, false);
        let applied = apply(&map, &*seen, batch("1", &[("a", "cut here")], &[]));
        assert!(proxy.has_cut() && matches!(applied, Ok(Applied::Unknown(_))), "{cut:?}: {applied:?}");
        let value = if cut == Cut::After { "cut here" } else { "0" };
        assert_eq!(get(&*view(&direct), &["a"]), [some(value)], "{cut:?}");
        assert_eq!(get(&*view(&map), &["a"]), [some(value)], "there is another way at once");
    }
}

#[test]
fn a_batch_that_cannot_be_sent_has_not_happened() {
    let (server, _proxy, map, _direct) = cut_off();
    let seen = view(&map);
    assert_eq!(get(&*seen, &[GUARD]), [some("0")]);
    let proxied = map_at(&server.url());
    drop(server);
    let error = apply(&proxied, &*seen, batch("1", &[], &[])).map(drop).expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

/// A line that was cut may still hold what was sent. When that arrives, others have written since.
#[test]
fn a_batch_that_arrives_late_does_nothing() {
    let (_server, proxy, map, direct) = cut_off();
    let seen = view(&map);
    assert_eq!(get(&*seen, &[GUARD]), [some("0")]);
    proxy.cut(Cut::Hold, false);
    let applied = apply(&map, &*seen, batch("1", &[("a", "cut here")], &[]));
    assert!(matches!(applied, Ok(Applied::Unknown(_))), "{applied:?}");
    put(&direct, "1", &[("b", "1")]);
    proxy.let_go();
    assert_eq!(get(&*view(&direct), &["a", "b", GUARD]), [some("0"), some("1"), some("1")]);
}

/// Whoever wrote a large batch down and decided it may be cut off before any of it is done. Then others do it, whole, before
/// they look; and when it arrives once more, much later, nothing happens.
#[test]
fn a_large_batch_that_was_decided_is_done_by_whoever_looks_next() {
    let (_server, proxy, map, direct) = cut_off();
    let seen = view(&map);
    assert_eq!(get(&*seen, &[GUARD]), [some("0")]);
    let large = |number: usize| (bytes(format!("large/{number}")), Bytes::from(vec![7; 1 << 20]));
    let puts: Vec<Pair> = (0..4).map(large).chain([(bytes("a"), bytes("2"))]).collect();
    // The guard is in no page, so the line is cut where it is decided.
    proxy.cut(Cut::After, true);
    let applied = apply(&map, &*seen, Batch { puts: puts.clone(), ..batch("cut here", &[], &[]) });
    assert!(proxy.has_cut() && matches!(applied, Ok(Applied::Unknown(_))), "{applied:?}");
    let after = view(&direct);
    let part = |from: &str, to: &str| Part { from: bytes(from), to: bytes(to), reverse: false, limit: 10 };
    let found = block_on(after.scan(vec![part("a", "b"), part("large/", "large0")])).expect("reads");
    assert_eq!((&found[0][..], &found[1][..]), (&puts[4..], &puts[..4]));
    assert_eq!(get(&*after, &[GUARD]), [some("cut here")]);
    put(&direct, "3", &[("a", "3")]);
    proxy.mend();
    assert_eq!(get(&*view(&map), &["a", GUARD]), [some("3"), some("3")]);
}

/// Two who write down large batches at the same time write to the same pages; each batch happens whole or not at all.
#[test]
fn large_batches_do_not_mix() {
    let (one, two) = {
        let url = fresh();
        (map_at(&url), map_at(&url))
    };
    put(&one, "0", &[]);
    let puts = |text: &str| (0..9000).map(|number| (bytes(format!("{number}")), bytes(text))).collect::<Vec<Pair>>();
    for round in 0..4 {
        let views = [view(&one), view(&two)];
        views.iter().for_each(|view| assert_eq!(get(&**view, &[GUARD]).len(), 1));
        let texts = [format!("one {round}"), format!("two {round}")];
        let done = std::thread::scope(|scope| {
            let begin = |map, number: usize| {
                let (view, text) = (&*views[number], &texts[number]);
                let batch = Batch { puts: puts(text), ..batch(text, &[], &[]) };
                scope.spawn(move || apply(map, view, batch).expect("there is a cluster"))
            };
            let both = [begin(&one, 0), begin(&two, 1)];
            both.map(|thread| matches!(thread.join().expect("no panic"), Applied::Done))
        });
        assert_ne!(done, [true, true]);
        let after = view(&one);
        let guard = get(&*after, &[GUARD]).remove(0).expect("is there");
        let keys: Vec<Bytes> = puts("").into_iter().map(|(key, _)| key).collect();
        let found = block_on(after.get(keys)).expect("reads");
        if let Some(winner) = done.iter().position(|done| *done) {
            assert_eq!(guard, texts[winner]);
        }
        let expected = (guard != "0").then_some(guard);
        assert!(found.iter().all(|value| value.as_deref() == expected.as_deref().map(str::as_bytes)), "round {round}");
    }
}
