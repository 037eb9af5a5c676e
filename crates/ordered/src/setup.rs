//! What seldom changes: the indexes, and how far back the log of namespaces reaches.
//!
//! The head says when it last did, so it is read once and kept.

use std::collections::HashMap;

use larder_core::{Namespace, Range, Result, Revision, index::IndexStatus};

use crate::{
    error::corrupt,
    kept,
    layout::{self, FLOOR, INDEX, all},
    map::{Pair, Part, View},
};

/// How many pairs one question asks for where all are wanted.
pub(crate) const PAGE_ROWS: usize = 1000;

#[derive(Debug, Default)]
pub(crate) struct Setup {
    floors: Vec<(Namespace, Revision)>,
    /// In the order of their numbers.
    indexes: HashMap<Namespace, Vec<IndexStatus>>,
}

impl Setup {
    pub(crate) async fn read(view: &dyn View) -> Result<Self> {
        let parts = vec![layout::part(all(FLOOR), PAGE_ROWS), layout::part(all(INDEX), PAGE_ROWS)];
        let mut found = Vec::with_capacity(2);
        for (part, mut pairs) in parts.iter().zip(view.scan(parts.clone()).await?) {
            rest(view, part, &mut pairs).await?;
            found.push(pairs);
        }
        let (indexes, floors) = (found.pop().unwrap_or_default(), found.pop().unwrap_or_default());
        let mut setup = Self::default();
        for (key, floor) in floors {
            let name = std::str::from_utf8(&key[1..]).ok().and_then(|name| Namespace::new(name).ok());
            let oldest = floor.first_chunk().map(|oldest| Revision::new(u64::from_be_bytes(*oldest)));
            let odd = || corrupt("how far a log reaches back cannot be read");
            setup.floors.push(name.zip(oldest).ok_or_else(odd)?);
        }
        for (key, record) in indexes {
            let status = kept::read(layout::read_index(&key)?, &record)?;
            setup.indexes.entry(status.namespace.clone()).or_default().push(status);
        }
        Ok(setup)
    }

    /// From which revision on the log tells everything about `ranges`, of which none means all; `store` is from where on it
    /// tells everything about namespaces that were not trimmed by themselves.
    pub(crate) fn oldest_of(&self, store: Revision, ranges: &[Range]) -> Revision {
        let asked = |namespace| ranges.is_empty() || ranges.iter().any(|range| range.meets(namespace));
        let floors = self.floors.iter().filter(|(namespace, oldest)| *oldest > store && asked(namespace));
        floors.map(|(_, oldest)| *oldest).fold(store, Revision::max)
    }

    /// How far the log of `namespace` reaches back, where it was trimmed by itself.
    pub(crate) fn floor(&self, namespace: &Namespace) -> Option<Revision> {
        self.floors.iter().find(|(other, _)| other == namespace).map(|(_, oldest)| *oldest)
    }

    /// The namespaces that were trimmed no further than all.
    pub(crate) fn floors_through(&self, store: Revision) -> impl Iterator<Item = &Namespace> {
        self.floors.iter().filter(move |(_, oldest)| *oldest <= store).map(|(namespace, _)| namespace)
    }

    pub(crate) fn indexes_of(&self, namespace: &Namespace) -> &[IndexStatus] {
        self.indexes.get(namespace).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn indexes(&self) -> impl Iterator<Item = &IndexStatus> {
        self.indexes.values().flatten()
    }
}

/// Puts behind `pairs`, which are the first of `part`, those that are left.
pub(crate) async fn rest(view: &dyn View, part: &Part, pairs: &mut Vec<Pair>) -> Result<()> {
    let mut asked = pairs.len() >= part.limit;
    while let Some((last, _)) = pairs.last().filter(|_| asked) {
        let part = Part { from: layout::next(last), ..part.clone() };
        let more = view.scan(vec![part]).await?.pop().unwrap_or_default();
        asked = !more.is_empty();
        pairs.extend(more);
    }
    Ok(())
}
