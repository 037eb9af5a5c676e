//! Access: by which way the entries are come upon that a filter may let through.

use super::{probe::Probe, sieve::Sieve};
use crate::{
    entry::Entry,
    error::Result,
    id::Revision,
    index::{self, Choice, Order},
    query::{Filter, Rank, Sort},
    store::{Scope, moment::Moment},
};

/// Up to how many rows of an index are counted to find out which one is the best.
const COUNTED_MAX: usize = 1024;

/// By which way entries are come upon.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Access {
    /// Along their keys.
    Keys,
    /// Along an index.
    Index(Choice),
}

impl Access {
    /// The way to what `filter` lets through, of which the first `wanted` in the order of `sort` are asked for.
    pub(super) async fn to(scope: &Scope, filter: &Filter, sort: &Sort, wanted: Option<usize>) -> Result<Self> {
        let indexes = scope.known_indexes().await?;
        if indexes.is_empty() || super::sieve::range(scope, filter).is_one_key() {
            return Ok(Self::Keys);
        }
        let mut choices = index::choices(&indexes, filter, sort);
        // To walk all of an index for its order alone pays when the walk ends early.
        choices.retain(|choice| choice.is_bound || wanted.is_some());
        if let Some(at) = choices.iter().position(Choice::is_one_entry) {
            return Ok(Self::Index(choices.swap_remove(at)));
        }
        if choices.len() < 2 {
            return Ok(choices.pop().map_or(Self::Keys, Self::Index));
        }
        let mut best = None;
        for choice in choices {
            let cost = cost(scope, &choice, wanted).await?;
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, choice));
            }
        }
        Ok(best.map_or(Self::Keys, |(_, choice)| Self::Index(choice)))
    }

    /// Whether entries come in the order of `sort`.
    pub(super) fn is_in_order(&self, sort: &Sort) -> bool {
        match self {
            Self::Keys => sort.is_by_key().is_some(),
            Self::Index(choice) => choice.order != Order::Other,
        }
    }
}

/// How many rows of an index will be looked at, as far as that can be told; between equals, what needs no sorting is better.
async fn cost(scope: &Scope, choice: &Choice, wanted: Option<usize>) -> Result<(usize, bool)> {
    let Some(indexes) = scope.engine().indexes() else { return Ok((usize::MAX, true)) };
    let rows = indexes.estimate(choice.id, choice.spans.clone(), COUNTED_MAX).await?;
    let sorted = choice.order != Order::Other;
    let rows = match wanted {
        // It ends with the page, if what the index says of an entry is most of what is asked.
        Some(wanted) if sorted && choice.is_bound => rows.min(wanted),
        // For its order alone: who knows how many are passed on the way.
        _ if !choice.is_bound => rows.max(COUNTED_MAX),
        _ => rows,
    };
    Ok((rows, !sorted))
}

/// Entries that a filter lets through, in the order of one way.
pub(super) enum Source<'a> {
    Keys(Box<Sieve<'a>>),
    Index(Box<Probe<'a>>),
}

impl<'a> Source<'a> {
    pub(super) fn new(scope: &'a Scope, moment: Moment, filter: &Filter, access: &Access) -> Result<Self> {
        Ok(match access {
            Access::Keys => Self::Keys(Box::new(Sieve::new(scope, moment, filter)?)),
            Access::Index(choice) => Self::Index(Box::new(Probe::new(scope, moment, filter, choice)?)),
        })
    }

    /// From the first of `sort` on, or from behind `start`, in that order, which is one in which entries can come.
    pub(super) fn go_in_order(&mut self, sort: &Sort, start: Option<&Rank>) {
        match self {
            Self::Keys(sieve) => {
                sieve.reverse = sort.is_by_key() == Some(true);
                start.into_iter().for_each(|start| sieve.skip_to(start));
            }
            Self::Index(probe) => probe.go_in_order(sort, start),
        }
    }

    /// What is let through of the next entries, which may be nothing; `None` at the end. More than `wanted` may not be
    /// needed.
    pub(super) async fn page(&mut self, wanted: usize) -> Result<Option<Vec<Entry>>> {
        match self {
            Self::Keys(sieve) => sieve.page(wanted).await,
            Self::Index(probe) => probe.page(wanted).await,
        }
    }

    /// By which way to go instead, where this one turned out to lead nowhere: what came of it is not the answer.
    pub(super) fn instead(self) -> Option<Access> {
        match self {
            Self::Keys(_) => None,
            Self::Index(probe) => probe.instead,
        }
    }

    /// The revision that everything was read at.
    pub(super) async fn settled(&self) -> Result<Revision> {
        match self {
            Self::Keys(sieve) => sieve.settled().await,
            Self::Index(probe) => probe.settled().await,
        }
    }

    pub(super) fn examined(&self) -> u64 {
        match self {
            Self::Keys(sieve) => sieve.examined,
            Self::Index(probe) => probe.examined,
        }
    }
}
