//! Many keys at once: each by itself, in order; and lists by the piece.

use futures_lite::future::block_on;
use larder_core::{ErrorKind, Key, Select, Store, Version};

use crate::ground::{Ground, fails, key, metadata, seconds};

pub(super) fn batches_answer_each_key_by_itself(ground: &Ground) {
    let store = ground.store();
    block_on(async {
        let large = "x".repeat((1 << 20) + 1);
        let entries = [("a", "1"), ("", "bad key"), ("b", "2"), ("c", &large), ("a", "3")];
        let mut stamps = store.set_many(entries).await.into_iter();
        let mut next = || stamps.next().expect("every entry has an answer");
        assert_eq!(next().expect("sets").version.get(), 1);
        fails(next(), ErrorKind::Invalid);
        assert_eq!(next().expect("sets").version.get(), 1);
        fails(next(), ErrorKind::Limit);
        assert_eq!(next().expect("sets").version.get(), 2, "the same key twice is written twice, in order");
        assert_eq!(keys(&store, Select::all()), ["a", "b"], "a bad entry harms nobody, and is not there");

        let mut deleted = store.delete_many(["a", "none", "a", "\n", "b"]).await.into_iter();
        let mut next = || deleted.next().expect("every key has an answer");
        for existed in [true, false, false] {
            assert_eq!(next().ok(), Some(existed));
        }
        fails(next(), ErrorKind::Invalid);
        assert_eq!(next().ok(), Some(true));
        assert_eq!(store.count(Select::all()).await.ok(), Some(0));
        assert!(store.set_many::<&str, &str>([]).await.is_empty(), "of nothing there is no answer");
    });
}

pub(super) fn batches_read_in_the_order_asked(ground: &Ground) {
    let store = ground.store();
    block_on(async {
        assert!(store.set_many(["a", "b", "c"].map(|key| (key, key))).await.iter().all(Result::is_ok));
        let asked = ["c", "none", "a", "c", "c", "b", "A"];
        let read = store.get_many(asked).await.expect("reads");
        let found: Vec<Option<&[u8]>> =
            read.value.iter().map(|entry| entry.as_ref().map(|entry| entry.value.bytes().as_ref())).collect();
        assert_eq!(found, [Some(&b"c"[..]), None, Some(b"a"), Some(b"c"), Some(b"c"), Some(b"b"), None]);
        assert_eq!(read.revision, store.status().await.expect("is known").revision);
        assert!(store.get_many::<&str>([]).await.expect("reads").value.is_empty());
        let many = store.get_many((0..500).map(|n| if n % 2 == 0 { "a" } else { "none" })).await.expect("reads").value;
        assert!(many.iter().enumerate().all(|(n, entry)| entry.is_some() == (n % 2 == 0)), "many keys at once");
    });
}

fn keys(store: &Store, select: Select) -> Vec<String> {
    let listing = block_on(store.list(select.clone())).expect("lists");
    let keys: Vec<String> = listing.items.iter().map(|key| key.as_str().to_owned()).collect();
    let scanned = block_on(store.scan(select.clone())).expect("scans").items;
    assert!(scanned.iter().map(|entry| entry.address.key.as_str()).eq(&keys), "scan and list differ on {select:?}");
    assert_eq!(block_on(store.count(select.clone())).ok(), Some(keys.len() as u64), "count and list differ on {select:?}");
    keys
}

pub(super) fn batches_are_listed_by_offset_and_limit(ground: &Ground) {
    let store = ground.store();
    let all: Vec<String> = (0..20).map(|n| format!("k{n:02}")).collect();
    let stamps = block_on(store.set_many(all.iter().map(|key| (key, "v"))));
    assert!(stamps.iter().all(Result::is_ok));
    for reverse in [false, true] {
        let mut expected = all.clone();
        let mut base = Select::prefix("k");
        if reverse {
            expected.reverse();
            base = base.reverse();
        }
        for offset in [0, 1, 7, 19, 20, 21, usize::MAX] {
            for limit in [None, Some(0), Some(1), Some(5), Some(20), Some(usize::MAX)] {
                let from = &expected[offset.min(20)..];
                let wanted = &from[..limit.unwrap_or(usize::MAX).min(from.len())];
                let select = limit.map_or(base.clone(), |limit| base.clone().limit(limit)).offset(offset);
                assert_eq!(keys(&store, select), wanted, "offset {offset}, limit {limit:?}, reverse {reverse}");
            }
        }
        let third: Key = key(&expected[2]);
        let select = base.clone().after(third).offset(1).limit(2);
        assert_eq!(keys(&store, select), expected[4..6], "an offset counts from where the listing begins");
    }
    let more = block_on(store.list(Select::all().limit(20))).expect("lists");
    assert_eq!((more.items.len(), more.next), (20, Some(key("k19"))), "the limit has ended it, and it says where");
    let end = block_on(store.list(Select::all().limit(21))).expect("lists");
    assert_eq!((end.items.len(), end.next), (20, None));
}

pub(super) fn stores_answer_absence_and_presence(ground: &Ground) {
    let store = ground.store();
    block_on(async {
        assert!(store.get("k").await.is_ok_and(|entry| entry.is_none()));
        assert_eq!((store.exists("k").await.ok(), store.version("k").await.ok()), (Some(false), Some(Version::ZERO)));
        assert_eq!(store.delete("k").await.ok(), Some(false), "deleting nothing is fine, and says so");
        fails(store.set_metadata("k", metadata("{}")).await, ErrorKind::NotFound);
        fails(store.merge_metadata("k", metadata("{}")).await, ErrorKind::NotFound);
        fails(store.touch("k", Some(seconds(1))).await, ErrorKind::NotFound);
        let stamp = store.set_json("k", &[1, 2]).await.expect("sets");
        assert_eq!((stamp.version.get(), stamp.existed), (1, false));
        assert_eq!(store.get_json::<Vec<u8>>("k").await.ok(), Some(Some(vec![1, 2])));
        fails(store.get_json::<String>("k").await, ErrorKind::Invalid);
        fails(store.create("k", "v").await, ErrorKind::AlreadyExists);
        let late = fails(store.set("k", "v").if_version(7).await, ErrorKind::Conflict);
        assert!(late.as_conflict().is_some() && !late.is_retryable(), "a conflict says what was met");
        let stamp = store.set("k", "v").if_revision(stamp.revision).await.expect("still the same");
        assert_eq!((stamp.version.get(), stamp.existed), (2, true));
        fails(store.get_json::<String>("k").await, ErrorKind::InvalidState);
        store.set("k", "w").if_value("v").await.expect("still the same bytes");
        store.set("k", "x").if_version(3).metadata(metadata(r#"{"a":1}"#)).await.expect("still the same version");
        store.set_metadata("k", metadata(r#"{"b":1}"#)).await.expect("is there");
        assert_eq!(store.metadata("k").await.ok().flatten(), Some(metadata(r#"{"b":1}"#)));
        assert_eq!((store.delete("k").await.ok(), store.delete("k").await.ok()), (Some(true), Some(false)));
        store.create("k", "v").await.expect("what was deleted can be created");
    });
}
