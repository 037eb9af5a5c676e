//! Lies about names: two of them are one.

use std::sync::Arc;

use larder_core::{Address, Commit, Entry, Key, Namespace, Outcome, Result, Snapshot, Timestamp};

use super::{Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(TakesForTheSame("what joins to the same with a colon", joined)),
        || Arc::new(TakesForTheSame("keys that differ in case", |address| renamed(address, address.key.to_lowercase()))),
        || {
            Arc::new(TakesForTheSame("letters composed and decomposed", |address| {
                renamed(address, address.key.replace("e\u{301}", "\u{e9}"))
            }))
        },
        || {
            Arc::new(TakesForTheSame("keys that begin with the same 255 bytes", |address| {
                let cut = address.key.char_indices().map(|(at, _)| at).find(|at| *at >= 255);
                renamed(address, address.key[..cut.unwrap_or(address.key.len())].to_owned())
            }))
        },
        || {
            Arc::new(TakesForTheSame("keys that differ in blanks at the end", |address| {
                let cut = address.key.trim_end_matches(' ');
                renamed(address, if cut.is_empty() { " " } else { cut }.to_owned())
            }))
        },
    ]
}

fn renamed(address: &Address, key: String) -> Address {
    Address::new(address.namespace.clone(), Key::new(key).expect("what is left of a key is one"))
}

/// The shortest namespace and the longest key that join to the same text.
fn joined(address: &Address) -> Address {
    match address.namespace.as_str().split_once(':') {
        Some((kind, id)) if !id.starts_with('/') && !address.namespace.is_reserved() => Address::new(
            Namespace::new(kind).expect("the kind of a scoped name is a plain one"),
            Key::new(format!("{id}:{}", address.key)).expect("cases join short names"),
        ),
        _ => address.clone(),
    }
}

/// Finds and writes one key where another one was meant.
#[derive(Debug)]
struct TakesForTheSame(&'static str, fn(&Address) -> Address);
impl Lie for TakesForTheSame {
    fn name(&self) -> String {
        format!("TakesForTheSame: {}", self.0)
    }

    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        commit.writes.iter_mut().for_each(|write| write.address = self.1(&write.address));
        honest.commit(commit)
    }

    fn get(&self, honest: &Honest, addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
        let mut read = honest.get(addresses.iter().map(self.1).collect(), now)?;
        for (entry, address) in read.value.iter_mut().zip(addresses) {
            entry.iter_mut().for_each(|entry| entry.address = address.clone());
        }
        Ok(read)
    }
}
