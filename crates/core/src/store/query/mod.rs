//! Asking: queries and aggregates over a scope, answered from an index where that helps, else by looking at every entry that
//! can be meant.
//!
//! As of one moment and in bounded memory: entries are looked at page by page, and of them no more is kept than the answer
//! needs.

mod access;
mod explain;
mod find;
mod probe;
mod sieve;

pub(super) use access::{Access, Source};
pub use explain::Explanation;
pub(super) use find::{Held, hold};
use find::{find, tally};

use super::{Scope, View, moment::Moment};
use crate::{
    entry::Entry,
    error::Result,
    id::Revision,
    query::{Aggregate, Aggregated, Cursor, Measure, Path, Query, Question, Row},
};

/// The answer to a [`Query`].
#[derive(Clone, Debug, PartialEq)]
pub struct Matched<T> {
    /// In the order asked for.
    pub items: Vec<T>,
    /// Where the next page goes on with [`Query::after`]; `None` when there was nothing more.
    pub next: Option<Cursor>,
    /// The revision of the moment that everything is as of.
    pub revision: Revision,
    /// How many entries were looked at.
    pub examined: u64,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To [`Question::Entries`].
    Entries(Matched<Entry>),
    /// To [`Question::Fields`].
    Fields(Matched<Row>),
    /// To [`Question::Aggregate`].
    Aggregate(Aggregated),
}

impl Scope {
    /// The entries that `query` asks for, as of one moment.
    ///
    /// What it says of keys narrows what is looked at. A limit bounds the memory, however many entries there are.
    ///
    /// ```
    /// # use larder_core::{Query, Result, Sort, Store, field};
    /// # async fn example(store: Store) -> Result<()> {
    /// let oldest = Query::new(field("age").gte(18)).sort(Sort::by_key().descending("age")?).limit(20);
    /// let page = store.query(oldest.clone()).await?;
    /// if let Some(next) = page.next {
    ///     let _second = store.query(oldest.after(next)).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for what is wrong with the query, its cursor included. `Limit` for a filter that is too large, and when
    /// more than 256 MiB of entries would have to be held: without a limit that is the whole answer, with one the entries
    /// up to the end of the page. Else what the engine meets.
    pub async fn query(&self, query: impl Into<Query>) -> Result<Matched<Entry>> {
        find(self, Moment::present(self.world().now()), query.into(), |entry| entry).await
    }

    /// As [`Scope::query`], but of each entry its key and what `fields` reach.
    ///
    /// # Errors
    /// As [`Scope::query`].
    pub async fn query_fields(&self, query: impl Into<Query>, fields: &[Path]) -> Result<Matched<Row>> {
        find(self, Moment::present(self.world().now()), query.into(), |entry| Row::of(&entry, fields)).await
    }

    /// One answer about all entries that a filter lets through, as of one moment.
    ///
    /// # Errors
    /// `Invalid` for what is wrong with the filter; `Limit` for one that is too large, and as [`Tally::add`] and
    /// [`Tally::finish`] say; else what the engine meets.
    pub async fn aggregate(&self, aggregate: &Aggregate) -> Result<Aggregated> {
        let now = self.world().now();
        if aggregate.measure == Measure::Count && aggregate.filter.is_everything() {
            return Ok(Aggregated::Count(self.engine().count(self.all(), now).await?.value));
        }
        tally(self, Moment::present(now), aggregate).await
    }

    /// What `question` asks for.
    ///
    /// # Errors
    /// As [`Scope::query`] and [`Scope::aggregate`].
    pub async fn ask(&self, question: Question) -> Result<Answer> {
        Ok(match question {
            Question::Entries(query) => Answer::Entries(self.query(query).await?),
            Question::Fields(query, fields) => Answer::Fields(self.query_fields(query, &fields).await?),
            Question::Aggregate(aggregate) => Answer::Aggregate(self.aggregate(&aggregate).await?),
        })
    }
}

impl View {
    /// The entries that `query` asks for, as of this moment.
    ///
    /// # Errors
    /// As [`Scope::query`]; `Trimmed` when the log no longer reaches back.
    pub async fn query(&self, query: impl Into<Query>) -> Result<Matched<Entry>> {
        find(self.scope(), self.moment(), query.into(), |entry| entry).await
    }

    /// As [`View::query`], but of each entry its key and what `fields` reach.
    ///
    /// # Errors
    /// As [`View::query`].
    pub async fn query_fields(&self, query: impl Into<Query>, fields: &[Path]) -> Result<Matched<Row>> {
        find(self.scope(), self.moment(), query.into(), |entry| Row::of(&entry, fields)).await
    }

    /// One answer about all entries that a filter lets through, as of this moment.
    ///
    /// # Errors
    /// As [`Scope::aggregate`]; `Trimmed` when the log no longer reaches back.
    pub async fn aggregate(&self, aggregate: &Aggregate) -> Result<Aggregated> {
        tally(self.scope(), self.moment(), aggregate).await
    }

    /// What `question` asks for.
    ///
    /// # Errors
    /// As [`View::query`] and [`View::aggregate`].
    pub async fn ask(&self, question: Question) -> Result<Answer> {
        Ok(match question {
            Question::Entries(query) => Answer::Entries(self.query(query).await?),
            Question::Fields(query, fields) => Answer::Fields(self.query_fields(query, &fields).await?),
            Question::Aggregate(aggregate) => Answer::Aggregate(self.aggregate(&aggregate).await?),
        })
    }
}
