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
/// From so many rows on it pays to look each of them up in another index before its entry is read.
const WORTH_CROSSING: usize = 32;

/// By which way entries are come upon.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store) enum Access {
    /// Along their keys.
    Keys,
    /// Along an index; of what is found there, what is in all the others, too.
    Index(Choice, Vec<Choice>),
}

impl Access {
    /// The way to what `filter` lets through, of which the first `wanted` in the order of `sort` are asked for.
    pub(in crate::store) async fn to(scope: &Scope, filter: &Filter, sort: &Sort, wanted: Option<usize>) -> Result<Self> {
        let indexes = scope.known_indexes().await?;
        if indexes.is_empty() || super::sieve::range(scope, filter).is_one_key() {
            return Ok(Self::Keys);
        }
        let choices = index::choices(&indexes, filter, sort);
        Self::by(scope, choices, filter, wanted).await
    }

    /// The best of `choices`, each of which leads to all that is wanted, or along the keys where there is none.
    pub(in crate::store) async fn by(
        scope: &Scope,
        mut choices: Vec<Choice>,
        filter: &Filter,
        wanted: Option<usize>,
    ) -> Result<Self> {
        // To walk all of an index for its order alone pays when the walk ends early.
        choices.retain(|choice| choice.is_bound || wanted.is_some());
        if let Some(at) = choices.iter().position(Choice::is_one_entry) {
            return Ok(Self::Index(choices.swap_remove(at), Vec::new()));
        }
        if choices.len() < 2 {
            return Ok(choices.pop().map_or(Self::Keys, |choice| Self::Index(choice, Vec::new())));
        }
        let mut costs = Vec::with_capacity(choices.len());
        for choice in choices {
            costs.push((cost(scope, &choice, filter, wanted).await?, choice));
        }
        costs.sort_by_key(|(cost, _)| *cost);
        let mut choices = costs.into_iter();
        let Some((Cost { rows, .. }, best)) = choices.next() else { return Ok(Self::Keys) };
        // What is one term takes one look.
        let crosses = |choice: &Choice| rows >= WORTH_CROSSING && choice.is_one_term();
        let also = choices.map(|(_, choice)| choice).filter(crosses).collect();
        Ok(Self::Index(best, also))
    }

    /// Whether entries come in the order of `sort`.
    pub(super) fn is_in_order(&self, sort: &Sort) -> bool {
        match self {
            Self::Keys => sort.is_by_key().is_some(),
            Self::Index(choice, _) => choice.order != Order::Other,
        }
    }
}

/// What it takes to walk an index, as far as that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    /// How many rows will be looked at.
    rows: usize,
    /// Between equals, what needs no sorting is better.
    sorts: bool,
}

async fn cost(scope: &Scope, choice: &Choice, filter: &Filter, wanted: Option<usize>) -> Result<Cost> {
    let sorts = choice.order == Order::Other;
    let Some(indexes) = scope.engine().indexes() else { return Ok(Cost { rows: usize::MAX, sorts }) };
    let counted = indexes.estimate(choice.id, choice.spans.clone(), COUNTED_MAX).await?;
    let rows = match wanted {
        // For its order alone: who knows how many are passed on the way.
        _ if !choice.is_bound => COUNTED_MAX,
        // It ends with the page, if what the index tells of an entry is all that is asked.
        Some(wanted) if !sorts && choice.tells_all_of(filter) => counted.min(wanted),
        _ => counted,
    };
    Ok(Cost { rows, sorts })
}

/// Entries that a filter lets through, in the order of one way.
pub(in crate::store) enum Source<'a> {
    Keys(Box<Sieve<'a>>),
    Index(Box<Probe<'a>>),
}

impl<'a> Source<'a> {
    pub(in crate::store) fn new(scope: &'a Scope, moment: Moment, filter: &Filter, access: &Access) -> Result<Self> {
        Ok(match access {
            Access::Keys => Self::Keys(Box::new(Sieve::new(scope, moment, filter)?)),
            Access::Index(choice, also) => Self::Index(Box::new(Probe::new(scope, moment, filter, choice, also)?)),
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
    pub(in crate::store) async fn page(&mut self, wanted: usize) -> Result<Option<Vec<Entry>>> {
        match self {
            Self::Keys(sieve) => sieve.page(wanted).await,
            Self::Index(probe) => probe.page(wanted).await,
        }
    }

    /// By which way to go instead, where this one turned out to lead nowhere: what came of it is not the answer.
    pub(in crate::store) fn instead(self) -> Option<Access> {
        match self {
            Self::Keys(_) => None,
            Self::Index(probe) => probe.instead,
        }
    }

    /// The revision that everything was read at.
    pub(in crate::store) async fn settled(&self) -> Result<Revision> {
        match self {
            Self::Keys(sieve) => sieve.settled().await,
            Self::Index(probe) => probe.settled().await,
        }
    }

    /// The moment that everything is as of.
    pub(in crate::store) fn moment(&self) -> Moment {
        match self {
            Self::Keys(sieve) => sieve.moment,
            Self::Index(probe) => probe.moment,
        }
    }

    pub(in crate::store) fn examined(&self) -> u64 {
        match self {
            Self::Keys(sieve) => sieve.examined,
            Self::Index(probe) => probe.examined,
        }
    }
}
