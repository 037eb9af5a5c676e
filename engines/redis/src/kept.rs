//! What the indexes are: a record of each, by its number.
//!
//! A record is its state in one letter, then three parts with a NUL behind each, and its definition in JSON: the namespace, and
//! while it is being built the last key that was looked at and how many were. The functions at the server read its beginning.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use larder_core::{
    Index, Key, Namespace, Result,
    index::{IndexId, IndexState, IndexStatus},
};

use crate::{error::corrupt, session::Answers};

const BUILDING: char = 'b';
const READY: char = 'r';
const DROPPED: char = 'd';

/// The number of an index as it stands in names.
pub(crate) fn number(id: IndexId) -> String {
    id.0.to_string()
}

/// The numbers of the indexes of a namespace.
pub(crate) fn numbers(text: &[u8]) -> Vec<IndexId> {
    String::from_utf8_lossy(text).split(' ').filter_map(|id| id.parse().ok()).map(IndexId).collect()
}

/// The indexes that namespaces have, and in which order their records are asked for.
pub(crate) type Beside = BTreeMap<Namespace, Vec<IndexId>>;

/// Which indexes namespaces had when a group of commits last looked.
///
/// A guess, and nothing hangs on it: with it, their records are asked for in the same trip as whether it is right.
#[derive(Debug, Default)]
pub(crate) struct Guess(Mutex<Beside>);

impl Guess {
    /// What is thought of those of `namespaces` that have some.
    pub(crate) fn of(&self, namespaces: &[&Namespace]) -> Beside {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |namespace: &&Namespace| known.get_key_value(*namespace).map(|(name, ids)| (name.clone(), ids.clone()));
        if known.is_empty() { Beside::new() } else { namespaces.iter().filter_map(of).collect() }
    }

    /// What was found of `namespaces`.
    pub(crate) fn learn(&self, namespaces: &[&Namespace], found: &Beside) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        namespaces.iter().for_each(|namespace| drop(known.remove(*namespace)));
        known.extend(found.iter().map(|(namespace, ids)| (namespace.clone(), ids.clone())));
    }
}

/// The record of an index.
pub(crate) fn write(status: &IndexStatus) -> Vec<u8> {
    let definition = serde_json::to_string(&status.index).expect("a definition is plain JSON");
    let (letter, through, entries) = match &status.state {
        IndexState::Building { through, entries } => (BUILDING, through.as_ref().map_or("", |key| key.as_str()), *entries),
        IndexState::Ready => (READY, "", 0),
        IndexState::Dropped => (DROPPED, "", 0),
    };
    format!("{letter}{}\0{through}\0{entries}\0{definition}", status.namespace.as_str()).into()
}

/// The index with this number, of which `record` is the record.
pub(crate) fn read(id: IndexId, record: &[u8]) -> Result<IndexStatus> {
    parse(id, record).ok_or_else(|| corrupt("an index cannot be read"))
}

fn parse(id: IndexId, record: &[u8]) -> Option<IndexStatus> {
    let text = std::str::from_utf8(record).ok()?;
    let letter = text.chars().next()?;
    let mut parts = text.get(1..)?.splitn(4, '\0');
    let (namespace, through) = (Namespace::new(parts.next()?).ok()?, parts.next()?);
    let (entries, definition) = (parts.next()?.parse().ok()?, parts.next()?);
    let state = match letter {
        BUILDING if through.is_empty() => IndexState::Building { through: None, entries },
        BUILDING => IndexState::Building { through: Some(Key::new(through).ok()?), entries },
        READY => IndexState::Ready,
        DROPPED => IndexState::Dropped,
        _ => return None,
    };
    let index: Index = serde_json::from_str(definition).ok()?;
    Some(IndexStatus { id, namespace, index, state })
}

/// Records, each behind its number, in the order of these.
pub(crate) fn read_all(mut answers: Answers) -> Result<Vec<IndexStatus>> {
    let mut all = Vec::with_capacity(answers.len() / 2);
    while answers.len() > 0 {
        let (id, record) = (answers.number()?, answers.some_bytes()?);
        all.push(read(IndexId(id), &record)?);
    }
    all.sort_unstable_by_key(|status| status.id);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_its_form_stays() {
        let status = |state| IndexStatus {
            id: IndexId(7),
            namespace: Namespace::new("a:b").expect("valid"),
            index: Index::on("age").map(Index::unique).expect("valid"),
            state,
        };
        let key = Key::new("k/1").expect("valid");
        for (state, beginning) in [
            (IndexState::Building { through: None, entries: 0 }, "ba:b\0\x000\0"),
            (IndexState::Building { through: Some(key), entries: 12 }, "ba:b\0k/1\x0012\0"),
            (IndexState::Ready, "ra:b\0\x000\0"),
            (IndexState::Dropped, "da:b\0\x000\0"),
        ] {
            let status = status(state);
            let record = write(&status);
            assert_eq!(record, format!("{beginning}{{\"paths\":[\"age\"],\"unique\":true}}").into_bytes());
            assert_eq!(read(status.id, &record).ok(), Some(status));
        }
        assert!(read(IndexId(7), b"").is_err());
        assert!(read(IndexId(7), b"ra:b\0\0").is_err());
    }
}
