//! Work for a map in a directory, and what may be there afterwards.
//!
//! Every batch writes to several keys at once, entries and others, so that half a batch is seen.

#![allow(dead_code, reason = "each test uses another part of it")]

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures_lite::future::block_on;
use larder_core::{Durability, Error, ErrorKind};
use larder_file::{FileMap, Layout, Tuning};
use larder_ordered::{Applied, Batch, Map as _, Part, Shown, View};

use crate::simulated::Simulated;

/// What is in a map.
pub(crate) type Contents = BTreeMap<Bytes, Bytes>;

/// Entries are at `e` NAMESPACE NUL KEY, and are `h` VALUE, or `t` and where the value is.
pub(crate) const LAYOUT: Layout = Layout { address, value: content };

fn address(key: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(key.strip_prefix(b"e")?).ok()?.split_once('\0')
}

fn content(record: &[u8]) -> Option<Shown> {
    match record.split_first()? {
        (b'h', _) => Some(Shown::Here(1..record.len())),
        (_, key) => Some(Shown::There(Bytes::copy_from_slice(key))),
    }
}

/// Nothing happens by itself, so that every operation has its number; and little is short.
pub(crate) const TUNING: Tuning = Tuning { small_bytes: 100, journal_bytes: u64::MAX, gather_ms: None };

pub(crate) fn open(disk: &Simulated, durability: Durability) -> larder_core::Result<FileMap> {
    FileMap::open_on(Arc::new(disk.clone()), durability, TUNING, LAYOUT)
}

/// What is in `map`.
pub(crate) fn contents(map: &FileMap) -> Contents {
    let view = block_on(map.view()).expect("a view");
    all(&*view)
}

pub(crate) fn all(view: &dyn View) -> Contents {
    let part = Part { from: Bytes::from_static(b"\0"), to: Bytes::from_static(b"\xff"), reverse: false, limit: usize::MAX };
    let mut parts = block_on(view.scan(vec![part])).expect("what was written can be read");
    parts.remove(0).into_iter().collect()
}

/// A value of so many bytes that is like no other.
fn value(n: u64, bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|at| (n.wrapping_mul(31).wrapping_add(at) % 251) as u8).collect()
}

/// The `n`th batch on `before`.
pub(crate) fn batch(n: u64, before: &Contents) -> Batch {
    let guard = (Bytes::from_static(b"g"), Bytes::from(n.to_string()));
    let mut batch = Batch { guard, puts: Vec::new(), deletes: Vec::new() };
    for (place, name) in ["one\0a", "one\0B/c", "two\0a"].iter().enumerate() {
        let key = Bytes::from(format!("e{name}"));
        let pick = n.wrapping_mul(7).wrapping_add(place as u64 * 3);
        match pick % 5 {
            0 => batch.deletes.push(key),
            1 | 2 => batch.puts.push((key, [b"h", &*value(n, (pick % 60) as usize)].concat().into())),
            _ => {
                let body = format!("b{n}/{place}");
                batch.puts.push((body.clone().into(), value(n, 200 + (pick % 9 * 300) as usize).into()));
                batch.puts.push((key, format!("t{body}").into()));
            }
        }
    }
    batch.puts.push((format!("l{n:04}").into(), n.to_string().into()));
    // Old bodies and lines go in time, as a log does.
    if let Some(old) = n.checked_sub(6) {
        let goes = |key: &&Bytes| key.starts_with(format!("b{old}/").as_bytes()) || **key == format!("l{old:04}");
        let used = |key: &Bytes| {
            let asks =
                |(at, record): (&Bytes, &Bytes)| at.starts_with(b"e") && record[1..] == **key && record.starts_with(b"t");
            before.iter().any(asks)
        };
        batch.deletes.extend(before.keys().filter(goes).filter(|key| !used(key)).cloned());
    }
    batch
}

/// What `batch` makes of `before`.
pub(crate) fn after(before: &Contents, batch: &Batch) -> Contents {
    let mut after = before.clone();
    after.extend(std::iter::once(&batch.guard).chain(&batch.puts).cloned());
    batch.deletes.iter().for_each(|key| drop(after.remove(key)));
    after
}

/// What may be there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// What was acknowledged, and nothing else.
    pub(crate) acknowledged: Contents,
    /// The same with what nobody knows of.
    pub(crate) unknown: Option<Contents>,
    /// Every state that was acknowledged since the store was last known to be safe, the oldest first.
    pub(crate) unsafe_since: Vec<Contents>,
    pub(crate) next: u64,
    pub(crate) refusals: usize,
    pub(crate) unknowns: usize,
}

impl Known {
    /// Applies the next batch, and notes what that means. Answers why it was not acknowledged.
    pub(crate) fn step(&mut self, map: &FileMap) -> Option<Error> {
        self.next += 1;
        let batch = batch(self.next, &self.acknowledged);
        let after = after(&self.acknowledged, &batch);
        let applied = block_on(async {
            let view = map.view().await?;
            map.apply(&*view, batch).await
        });
        match applied {
            Ok(Applied::Done) => {
                let before = std::mem::replace(&mut self.acknowledged, after);
                self.unsafe_since.push(before);
                self.unknown = None;
                None
            }
            Ok(Applied::Raced) => panic!("nobody else writes"),
            Ok(Applied::Unknown(error)) => {
                self.unknowns += 1;
                self.unknown = Some(after);
                Some(error)
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                self.refusals += 1;
                Some(error)
            }
        }
    }

    /// What is there after a crash has to be what was acknowledged; it is what is known from then on.
    pub(crate) fn check(&mut self, map: &FileMap, told: &str) {
        let found = contents(map);
        let fits = found == self.acknowledged || self.unknown.as_ref() == Some(&found);
        assert!(fits, "{told}: {}", self.difference(&found));
        self.acknowledged = found;
        self.unknown = None;
        self.unsafe_since.clear();
    }

    /// As [`Known::check`], but the last acknowledged ones may be gone.
    pub(crate) fn check_relaxed(&mut self, map: &FileMap, told: &str) {
        let found = contents(map);
        if self.unsafe_since.contains(&found) {
            self.acknowledged = found;
        }
        self.check(map, told);
    }

    fn difference(&self, found: &Contents) -> String {
        let text = |contents: &Contents| {
            let pairs = contents.iter().map(|(key, value)| format!("{}={}", key.escape_ascii(), value.len()));
            format!(
                "{} {}",
                contents.get(&b"g"[..]).map_or("-".into(), |g| g.escape_ascii().to_string()),
                pairs.collect::<Vec<_>>().join(" ")
            )
        };
        format!(
            "found {}\nacknowledged {}\nunknown {:?}",
            text(found),
            text(&self.acknowledged),
            self.unknown.as_ref().map(text)
        )
    }
}

/// The files of entries hold exactly the entries.
pub(crate) fn check_files(disk: &Simulated, contents: &Contents, told: &str) {
    let mut expected = BTreeMap::new();
    for (key, record) in contents {
        let Some((namespace, name)) = address(key) else { continue };
        let value = match content(record) {
            Some(Shown::Here(range)) => record.slice(range),
            Some(Shown::There(body)) => contents[&body].clone(),
            None => panic!("every record here has a value"),
        };
        // The names of this work, as the documentation says them.
        let name = name.replace("B/c", "^b%2fc");
        expected.insert(format!("entries/{namespace}/{name}"), value.to_vec());
    }
    let found: BTreeMap<String, Vec<u8>> =
        disk.files("entries").into_iter().map(|name| (name.clone(), disk.read(&name).expect("it is listed"))).collect();
    assert!(found == expected, "{told}: {:?} instead of {:?}", found.keys(), expected.keys());
}
