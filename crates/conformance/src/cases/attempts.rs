//! What a guest may try to learn of its neighbours: attempts, as data.
//!
//! Each answers what the guest has seen, as text. Where neighbours are busy it has to be the same as where there are none.

use std::fmt::Write as _;

use futures_lite::future::block_on;
use larder_core::{Condition, Glob, Isolation, Key, Result, Revision, Scope, Search, Select, Value, WatchBuilder};

use crate::ground::{key, metadata, seconds};

/// A guest, and whoever else is there.
pub(super) struct Guest<'a> {
    pub(super) scope: &'a Scope,
    /// The guest's first revision.
    pub(super) first: Revision,
    /// Lets the neighbours do something, where there are any.
    pub(super) disturb: &'a dyn Fn(),
}

/// An attempt, and what the guest has seen.
pub(super) type Attempt = (&'static str, fn(&Guest<'_>) -> String);

/// Keys that are the guest's, its neighbours', both or nobody's.
const NAMES: [&str; 7] = ["a", "a/1", "hidden", "hidden/1", "nobody", "\u{10ffff}", "b-hidden:a"];

fn selects() -> Vec<Select> {
    let glob = |text: &str| Select::glob(Glob::new(text).expect("a glob"));
    let mut all: Vec<Select> =
        ["", "a", "hidden", "\u{10ffff}", "\u{10ffff}\u{10ffff}", "\0", "b-hidden"].map(Select::prefix).into();
    all.extend(["*", "**", "*hidden*", "*1", "a*", "\u{10ffff}*"].map(glob));
    for name in NAMES {
        all.push(Select::all().after(key(name)));
        all.push(glob("*").after(key(name)));
    }
    let backwards: Vec<Select> = all.iter().cloned().map(Select::reverse).collect();
    all.extend(backwards);
    let beyond: Vec<Select> = all.iter().map(|select| select.clone().offset(2).limit(50)).collect();
    all.extend(beyond);
    all
}

/// Everything that `$handle` finds, however it is asked: a scope, a view or a transaction.
macro_rules! everything {
    ($guest:expr, $handle:expr) => {{
        let mut seen = String::new();
        block_on(async {
            for select in selects() {
                ($guest.disturb)();
                let scan = $handle.scan(select.clone()).await.map(|found| (found.items, found.next));
                let list = $handle.list(select.clone()).await.map(|found| (found.items, found.next));
                tell(&mut seen, &(scan, list, $handle.count(select).await));
            }
            for name in NAMES {
                tell(&mut seen, &($handle.get(name).await, $handle.exists(name).await));
            }
            for one in $handle.get_many(NAMES).await.into_iter() {
                tell(&mut seen, &one);
            }
        });
        seen
    }};
}

fn tell(seen: &mut String, answer: &dyn std::fmt::Debug) {
    writeln!(seen, "{answer:?}").expect("a text takes what is written to it");
}

fn told<T: std::fmt::Debug>(answer: Result<T>) -> String {
    format!("{answer:?}")
}

/// What a watch tells that begins where the store began, up to something that the guest writes itself.
fn watched(guest: &Guest<'_>, watch: WatchBuilder<'_>) -> String {
    let mut seen = String::new();
    block_on(async {
        let mut watch = watch.after(Revision::ZERO).start().await.expect("the log reaches back");
        (guest.disturb)();
        guest.scope.set("hidden/1", "the last one").await.expect("sets");
        guest.scope.set("a/1", "the last one").await.expect("sets");
        guest.scope.set("\u{10ffff}", "the last one").await.expect("sets");
        (guest.disturb)();
        for name in ["hidden/1", "\u{10ffff}", "a/1"] {
            guest.scope.delete(name).await.expect("deletes");
        }
        loop {
            let batch = watch.next().await.expect("the log reaches back");
            tell(&mut seen, &(batch.at, &batch.changes));
            if batch.changes.iter().any(|change| change.after.is_none() && change.address.key.as_str() != "a/2") {
                return;
            }
        }
    });
    seen
}

/// All of them; those that write leave the same behind everywhere.
pub(super) const ATTEMPTS: &[Attempt] = &[
    ("to read", |guest| everything!(guest, guest.scope)),
    ("to read page by page", |guest| {
        let mut seen = String::new();
        for select in selects() {
            let mut pages = guest.scope.pages(select);
            while let Some(page) = block_on(pages.next()).expect("the log reaches back") {
                tell(&mut seen, &page);
                (guest.disturb)();
            }
        }
        seen
    }),
    ("to read in a view", |guest| {
        let view = block_on(guest.scope.view()).expect("the present");
        everything!(guest, view)
    }),
    ("to read as of its first revision", |guest| {
        let view = block_on(guest.scope.view_at(guest.first)).expect("the log reaches back");
        everything!(guest, view)
    }),
    ("to read as of the beginning", |guest| {
        let view = block_on(guest.scope.view_at(Revision::ZERO)).expect("the log reaches back");
        everything!(guest, view)
    }),
    ("to read in a transaction", |guest| {
        let mut t = guest.scope.begin(Isolation::default());
        let seen = everything!(guest, t);
        seen + &told(block_on(t.commit()).map(|receipt| receipt.writes))
    }),
    ("to read what it has written", |guest| {
        let mut t = guest.scope.begin(Isolation::default());
        t.set("hidden/own", "own").expect("writes");
        t.delete("a").expect("deletes");
        let seen = everything!(guest, t);
        t.rollback();
        seen
    }),
    ("to search", |guest| {
        let mut seen = String::new();
        for text in ["hidden", "old new 1", "hid* +1 2", "1 -hidden"] {
            (guest.disturb)();
            let found = block_on(guest.scope.search(&Search::words(text).expect("words").limit(100)));
            tell(&mut seen, &found.map(|found| (found.hits, found.total, found.examined)));
        }
        seen
    }),
    ("to learn what a key was", |guest| {
        let mut seen = String::new();
        for name in NAMES {
            let history = block_on(guest.scope.history(name, 100, None)).map(|history| history.changes);
            tell(&mut seen, &history);
        }
        seen
    }),
    ("to watch everything", |guest| watched(guest, guest.scope.watch(""))),
    ("to watch the end of everything", |guest| watched(guest, guest.scope.watch("\u{10ffff}"))),
    ("to watch a neighbour's keys", |guest| watched(guest, guest.scope.watch("hidden"))),
    ("to watch a neighbour's key", |guest| watched(guest, guest.scope.watch_key("hidden/1"))),
    ("to watch by a glob", |guest| watched(guest, guest.scope.watch_glob(Glob::new("*").expect("a glob")))),
    ("to watch by a narrow glob", |guest| watched(guest, guest.scope.watch_glob(Glob::new("*hidden*").expect("a glob")))),
    ("to take a difference", |guest| {
        let earlier = block_on(guest.scope.view_at(guest.first)).expect("the log reaches back");
        let later = block_on(guest.scope.view()).expect("the present");
        let mut seen = String::new();
        for prefix in ["", "hidden", "\u{10ffff}"] {
            let mut diff = guest.scope.diff(prefix, &earlier, &later).expect("two views");
            while let Some(some) = block_on(diff.next()).expect("the log reaches back") {
                tell(&mut seen, &some);
            }
        }
        seen
    }),
    ("to find a range changed", |guest| {
        let view = block_on(guest.scope.view()).expect("the present");
        (guest.disturb)();
        let mut commit = guest.scope.commit().set("out", "1");
        for prefix in ["", "hidden", "\u{10ffff}", "\0"] {
            commit = commit.check_unchanged(prefix, view.revision(), view.time());
        }
        told(block_on(commit.into_future()).map(|receipt| receipt.writes))
    }),
    ("to be disturbed in a transaction over everything", |guest| {
        told(block_on(guest.scope.transact(async |mut t| {
            let count = t.count("").await?;
            let last = t.list(Select::all().reverse().limit(1)).await?.items;
            let many: Vec<Key> = (0..70).map(|n| key(&format!("hidden/{n}"))).collect();
            t.get_many(many).await?;
            (guest.disturb)();
            t.set("out", Value::integer(count as i64))?;
            (guest.disturb)();
            t.get("a").await?;
            Ok((count, last))
        })))
    }),
    ("to see how much there is", |guest| told(block_on(guest.scope.usage()))),
    ("to learn from a quota", |guest| {
        let usage = block_on(guest.scope.usage()).expect("counted");
        let quota = larder_core::Quota { entries: Some(usage.entries), ..Default::default() };
        (guest.disturb)();
        let full = guest.scope.with_quota(quota);
        told(block_on(full.set("one more", "1").into_future()))
            + &told(block_on(full.set("a", "the same").into_future()).map(drop))
    }),
    ("to be told something by an error", |guest| {
        let mut seen = String::new();
        block_on(async {
            for name in NAMES {
                tell(&mut seen, &guest.scope.set(name, "1").if_version(99).await.map(drop));
                tell(&mut seen, &guest.scope.touch(name, Some(seconds(1))).await.map(drop));
                tell(&mut seen, &guest.scope.compare_and_set(name, Condition::Exists, "2").await.map(drop));
                tell(&mut seen, &guest.scope.get_json::<i64>(name).await);
                tell(&mut seen, &guest.scope.add(name, 1, 0..=0).await);
                tell(&mut seen, &guest.scope.set_metadata(name, metadata("{}")).await.map(drop));
            }
            tell(&mut seen, &guest.scope.get("").await);
            tell(&mut seen, &guest.scope.get("\u{0}hidden").await.map_err(|error| error.kind()));
            tell(&mut seen, &guest.scope.narrowed("a/").and_then(|narrow| narrow.narrowed("b").map(drop)));
        });
        seen
    }),
    ("to write like a neighbour", |guest| {
        let mut seen = String::new();
        block_on(async {
            for name in NAMES {
                tell(&mut seen, &guest.scope.set(name, "mine").await.map(|stamp| (stamp.version, stamp.existed)));
                tell(&mut seen, &guest.scope.delete(name).await);
            }
            let many = guest.scope.set_many(NAMES.map(|name| (name, "mine"))).await;
            tell(&mut seen, &many.into_iter().map(|stamp| stamp.map(|stamp| stamp.version)).collect::<Vec<_>>());
        });
        seen
    }),
    ("to clear everything", |guest| {
        (guest.disturb)();
        let gone = told(block_on(guest.scope.clear("").into_future()));
        gone + &told(block_on(guest.scope.list("")).map(|found| found.items))
    }),
    ("to be told its own name", |guest| {
        format!("{:?} {:?} {:?}", guest.scope, guest.scope.namespace(), guest.scope.limits())
    }),
];
