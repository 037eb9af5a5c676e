//! G9: order is bytewise, and odd characters in keys mean themselves. Namespaces do not touch.

use futures_lite::future::block_on;
use larder_core::{Address, Condition, Glob, Key, Namespace, Range, Select};

use crate::ground::{Ground, Seam, at, key, namespace, prefix, put, put_value};

/// Keys that have fooled a store before: wildcards of SQL and of Redis, case, separators, composed and decomposed
/// letters, white space that looks empty, both sides of the surrogates, and characters whose UTF-16 sorts otherwise.
const NASTY: [&str; 44] = [
    "%",
    "%%",
    "_",
    "__",
    "*",
    "**",
    "?",
    "[a]",
    "\\",
    "\\%",
    "'",
    "\"",
    "a",
    "A",
    "aa",
    "aA",
    "Aa",
    "a b",
    "a/b",
    "a:b",
    "a_b",
    "a%b",
    "a*b",
    "axb",
    "a\u{e9}",
    "ae\u{301}",
    "\u{e9}",
    "e\u{301}",
    "E\u{301}",
    "z",
    "Z",
    " ",
    "  ",
    "\u{80}",
    "\u{a0}",
    "\u{200b}",
    "\u{d7ff}",
    "\u{d7ff}z",
    "\u{e000}",
    "\u{ffff}",
    "\u{10000}",
    "\u{1f980}",
    "\u{10ffff}",
    "\u{10ffff}\u{10ffff}",
];

/// A store with all the nasty keys, and the keys in the order in which they must come.
fn furnish(ground: &Ground) -> (Seam, Vec<Key>) {
    let seam = ground.open();
    let mut keys: Vec<Key> = NASTY.iter().map(|text| key(text)).collect();
    keys.push(key(&"k".repeat(1024)));
    keys.push(key(&format!("{}\u{10ffff}", "k".repeat(1020))));
    for chunk in keys.chunks(16) {
        let named = |key: &Key| put(&format!("value of {key}"));
        let draft = chunk.iter().fold(seam.draft(), |draft, key| draft.act(key, named(key)));
        draft.done();
    }
    // The model: the order of a sorted list of bytes.
    keys.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    (seam, keys)
}

pub(super) fn g9_keys_come_in_bytewise_order(ground: &Ground) {
    let (seam, keys) = furnish(ground);
    let addresses: Vec<Address> = keys.iter().map(|key| at(key)).collect();
    assert_eq!(seam.addresses(prefix("")), addresses, "list");
    let entries = seam.entries(prefix(""));
    assert_eq!(entries.iter().map(|entry| entry.address.clone()).collect::<Vec<_>>(), addresses, "scan");
    assert!(entries.iter().all(|entry| entry.value.bytes() == format!("value of {}", entry.address.key).as_bytes()));
    assert!(seam.backwards(prefix("")).iter().rev().eq(&addresses), "in reverse");
    assert_eq!(seam.count(prefix("")), keys.len() as u64);
}

pub(super) fn g9_a_key_is_itself_and_no_other(ground: &Ground) {
    let (seam, keys) = furnish(ground);
    for key in &keys {
        assert_eq!(seam.text(key), Some(format!("value of {key}")), "{key:?}");
    }
    for other in ["b", "AA", "ax", "a_", "e", "\u{c9}", "k", "\u{fffd}"] {
        assert_eq!(seam.get(other), None, "{other:?}");
        seam.draft().check(other, Condition::Absent).done();
    }
    for gone in ["_", "*", "%", "e\u{301}", "A"] {
        seam.draft().delete(gone).done();
        assert_eq!(seam.get(gone), None);
    }
    assert_eq!(seam.keys().len(), keys.len() - 5, "deleting a key deletes that key");
}

pub(super) fn g9_prefixes_are_literal(ground: &Ground) {
    let (seam, keys) = furnish(ground);
    for text in NASTY.into_iter().chain(["", "ab", "k", "kkk", "\u{d7fe}", "\u{fffe}", "\u{10fffe}"]) {
        let expected: Vec<Address> = keys.iter().filter(|key| key.starts_with(text)).map(|key| at(key)).collect();
        assert_eq!(seam.addresses(prefix(text)), expected, "prefix {text:?}");
        assert_eq!(seam.count(prefix(text)), expected.len() as u64, "count of prefix {text:?}");
        assert!(seam.backwards(prefix(text)).iter().rev().eq(&expected), "prefix {text:?} in reverse");
    }
}

pub(super) fn g9_paging_neither_loses_nor_doubles(ground: &Ground) {
    let (seam, keys) = furnish(ground);
    let store = seam.store();
    for size in [1, 2, 3, 7, 45, 46, 47] {
        for reverse in [false, true] {
            let mut found = Vec::new();
            let mut select = Select::all().limit(size);
            if reverse {
                select = select.reverse();
            }
            let mut after = None;
            loop {
                let from = after.map_or(select.clone(), |key| select.clone().after(key));
                let listing = block_on(store.list(from)).expect("lists");
                assert!(listing.items.len() <= size);
                found.extend(listing.items);
                match listing.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            if reverse {
                found.reverse();
            }
            assert_eq!(found, keys, "pages of {size}, reverse {reverse}");
        }
    }
    let pages = block_on(async {
        let mut pages = store.pages(Select::prefix("a").limit(7));
        let mut all = Vec::new();
        while let Some(page) = pages.next().await.expect("reads") {
            all.extend(page);
        }
        all
    });
    let expected: Vec<&Key> = keys.iter().filter(|key| key.starts_with('a')).take(7).collect();
    assert_eq!(pages.iter().map(|entry| &entry.address.key).collect::<Vec<_>>(), expected);
}

pub(super) fn g9_after_and_before_cut_where_they_say(ground: &Ground) {
    let (seam, keys) = furnish(ground);
    for cut in keys.iter().chain(&[key("0"), key("zz"), key("\u{e001}")]) {
        let after: Vec<Address> = keys.iter().filter(|key| *key > cut).map(|key| at(key)).collect();
        let before: Vec<Address> = keys.iter().filter(|key| *key < cut).map(|key| at(key)).collect();
        assert_eq!(seam.addresses(prefix("").after(&at(cut))), after, "after {cut:?}");
        assert_eq!(seam.addresses(prefix("").before(&at(cut))), before, "before {cut:?}");
        assert_eq!(seam.count(prefix("").before(&at(cut))), before.len() as u64);
    }
    let empty = prefix("").after(&at("z")).before(&at("a"));
    assert_eq!((seam.addresses(empty.clone()), seam.count(empty)), (vec![], 0), "a range that ends before it begins");
}

pub(super) fn g9_pages_say_whether_there_is_more(ground: &Ground) {
    let seam = ground.open();
    seam.draft().put("a", "1").put("b", "1").put("c", "1").done();
    for reverse in [false, true] {
        let none = seam.page(prefix(""), reverse, 0).value;
        assert_eq!((none.items.len(), none.more), (0, false), "a page of nothing has nothing behind it");
        let one = seam.page(prefix(""), reverse, 1).value;
        assert_eq!((one.items.len(), one.more), (1, true), "there is more behind the first of three");
        assert_eq!(one.items[0].address, at(if reverse { "c" } else { "a" }));
    }
}

pub(super) fn g9_only_the_star_is_special_in_a_glob(ground: &Ground) {
    let (seam, keys) = furnish(ground);
    let store = seam.store();
    for pattern in ["*", "a*", "*b", "a*b", "_", "a_b", "%", "a%*", "?", "[a]", "*\u{301}", "A*", "**", "k*k", "", "\\*"] {
        let glob = Glob::new(pattern).expect("short");
        let expected: Vec<Key> = keys.iter().filter(|key| glob.matches(key)).cloned().collect();
        let (list, count, scan) = block_on(async {
            let list = store.list(Select::glob(glob.clone())).await.expect("lists").items;
            let scan = store.scan(Select::glob(glob.clone())).await.expect("scans").items;
            (list, store.count(Select::glob(glob)).await.expect("counts"), scan)
        });
        assert_eq!(list, expected, "{pattern:?}");
        assert_eq!(count, expected.len() as u64, "{pattern:?}");
        assert!(scan.iter().map(|entry| &entry.address.key).eq(&expected), "{pattern:?}");
    }
}

pub(super) fn g9_namespaces_never_touch(ground: &Ground) {
    let seam = ground.open();
    let pairs: Vec<Address> = [
        ("a", "b:c"),
        ("a:b", "c"),
        ("a", "b/c"),
        ("default", "a"),
        ("defaul", "ta"),
        ("default2", "a"),
        ("Default", "a"),
        ("principal://k", "namespace/n"),
        ("principal://k/namespace/n", "x"),
        ("a%", "a"),
        ("a_", "a"),
        ("aa", "a"),
        ("\u{e9}", "a"),
        ("e\u{301}", "a"),
        ("ab", "c"),
        ("a", "bc"),
    ]
    .into_iter()
    .map(|(space, name)| Address::new(namespace(space), key(name)))
    .collect();
    for address in &pairs {
        seam.draft().write(address.clone(), put(&format!("{address:?}"))).done();
    }
    for address in &pairs {
        let entry = seam.at(address.clone()).expect("was put");
        assert_eq!(entry.value.bytes(), format!("{address:?}").as_bytes(), "two places are one");
        assert_eq!((&entry.address, entry.version.get()), (address, 1));
        let space = &address.namespace;
        let expected: Vec<Address> = {
            let mut same: Vec<_> = pairs.iter().filter(|other| other.namespace == *space).cloned().collect();
            same.sort();
            same
        };
        assert_eq!(seam.addresses(Range::namespace(space)), expected, "in {space:?}");
        assert_eq!(seam.count(Range::namespace(space)), expected.len() as u64);
    }
    let mut all = pairs;
    all.sort();
    assert_eq!(seam.addresses(Range::all()), all, "ordered by namespace, then key");
    let later: Vec<Address> = all.iter().filter(|address| address.namespace > namespace("a")).cloned().collect();
    assert_eq!(seam.addresses(Range::after_namespace(&namespace("a"))), later);
}

pub(super) fn g9_the_longest_names_fit(ground: &Ground) {
    let seam = ground.open();
    let space = namespace(&"n".repeat(Namespace::MAX_BYTES));
    let names = ["k".repeat(Key::MAX_BYTES), format!("{}m", "k".repeat(Key::MAX_BYTES - 1)), "\u{1f980}".repeat(256)];
    for name in &names {
        seam.draft().write(Address::new(space.clone(), key(name)), put_value(name.as_str().into())).done();
    }
    let found = seam.entries(Range::namespace(&space));
    assert!(found.iter().map(|entry| entry.address.key.as_str()).eq(&names), "long keys are cut or lost");
    let after = Range::namespace(&space).after(&found[0].address);
    assert_eq!(seam.addresses(after).len(), 2, "going on after the longest key");
}
