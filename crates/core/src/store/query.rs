//! Asking: queries and aggregates over a scope, answered by looking at every entry that can be meant.
//!
//! As of one moment and in bounded memory: entries are looked at page by page, and of them no more is kept than the answer
//! needs.

use std::collections::BinaryHeap;

use super::{
    Scope, View,
    moment::{Moment, PAGE_ITEMS},
    sieve::Sieve,
};
use crate::{
    entry::Entry,
    error::{Error, Result},
    id::Revision,
    query::{Aggregate, Aggregated, Cursor, Measure, Path, Query, Question, Rank, Row, Tally},
};

/// How many bytes of entries an answer, or a sort on the way to it, may hold.
const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

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
        find(self, Moment::present(self.world().now()), query.into(), Clone::clone).await
    }

    /// As [`Scope::query`], but of each entry its key and what `fields` reach.
    ///
    /// # Errors
    /// As [`Scope::query`].
    pub async fn query_fields(&self, query: impl Into<Query>, fields: &[Path]) -> Result<Matched<Row>> {
        find(self, Moment::present(self.world().now()), query.into(), |entry| Row::of(entry, fields)).await
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
        find(self.scope(), self.moment(), query.into(), Clone::clone).await
    }

    /// As [`View::query`], but of each entry its key and what `fields` reach.
    ///
    /// # Errors
    /// As [`View::query`].
    pub async fn query_fields(&self, query: impl Into<Query>, fields: &[Path]) -> Result<Matched<Row>> {
        find(self.scope(), self.moment(), query.into(), |entry| Row::of(entry, fields)).await
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

/// What an answer is made of, to be counted.
pub(super) trait Held {
    fn held(&self) -> usize;
}

impl Held for Entry {
    fn held(&self) -> usize {
        size_of::<Self>() + usize::try_from(self.bytes()).unwrap_or(usize::MAX)
    }
}

/// For who only counts.
impl Held for () {
    fn held(&self) -> usize {
        0
    }
}

impl Held for Row {
    fn held(&self) -> usize {
        self.bytes()
    }
}

async fn tally(scope: &Scope, moment: Moment, aggregate: &Aggregate) -> Result<Aggregated> {
    let mut sieve = Sieve::new(scope, moment, &aggregate.filter)?;
    let mut tally = Tally::new(aggregate);
    while let Some(entries) = sieve.page(PAGE_ITEMS).await? {
        entries.iter().try_for_each(|entry| tally.add(entry))?;
    }
    tally.finish()
}

pub(super) async fn find<T: Held>(
    scope: &Scope,
    moment: Moment,
    query: Query,
    make: impl Fn(&Entry) -> T,
) -> Result<Matched<T>> {
    let start = query.start()?;
    let sieve = Sieve::new(scope, moment, &query.filter)?;
    match query.sort.is_by_key() {
        Some(reverse) => walk(sieve, &query, start.as_ref(), reverse, make).await,
        None => sort(sieve, &query, start.as_ref(), make).await,
    }
}

/// In the order of keys: nothing has to be sorted, and the walk ends with the page.
async fn walk<T: Held>(
    mut sieve: Sieve<'_>,
    query: &Query,
    start: Option<&Rank>,
    reverse: bool,
    make: impl Fn(&Entry) -> T,
) -> Result<Matched<T>> {
    sieve.reverse = reverse;
    start.into_iter().for_each(|start| sieve.skip_to(start));
    let limit = query.limit.unwrap_or(usize::MAX);
    if limit == 0 {
        sieve.range = None;
    }
    let (mut items, mut bytes, mut last, mut more) = (Vec::new(), 0, None, false);
    let mut offset = query.offset;
    'pages: loop {
        // One more than is wanted tells whether there is a next page.
        let wanted = offset.saturating_add(limit - items.len()).saturating_add(1);
        let Some(entries) = sieve.page(wanted).await? else { break };
        for entry in &entries {
            if offset > 0 {
                offset -= 1;
            } else if items.len() == limit {
                more = true;
                break 'pages;
            } else {
                let item = make(entry);
                hold(&mut bytes, item.held())?;
                items.push(item);
                if items.len() == limit {
                    last = Some(query.sort.rank(entry));
                }
            }
        }
    }
    let next = last.filter(|_| more).map(|last| Cursor::new(&query.sort, &last));
    Ok(Matched { items, next, revision: sieve.settled().await?, examined: sieve.examined })
}

/// In another order: the best so far are kept, as many as the page needs.
async fn sort<T: Held>(
    mut sieve: Sieve<'_>,
    query: &Query,
    start: Option<&Rank>,
    make: impl Fn(&Entry) -> T,
) -> Result<Matched<T>> {
    let limit = query.limit.unwrap_or(usize::MAX);
    let wanted = query.offset.saturating_add(limit);
    let (mut best, mut bytes, mut more) = (BinaryHeap::new(), 0_usize, false);
    while limit > 0
        && let Some(entries) = sieve.page(PAGE_ITEMS).await?
    {
        for entry in &entries {
            let rank = query.sort.rank(entry);
            if start.is_some_and(|start| rank <= *start) {
                continue;
            }
            let full = best.len() == wanted;
            more |= full;
            if full && best.peek().is_some_and(|worst: &Placed<T>| worst.rank <= rank) {
                continue;
            }
            // The worst goes first, so that no more is held than the page needs.
            if full && let Some(worst) = best.pop() {
                bytes -= worst.item.held() + worst.rank.bytes();
            }
            let item = make(entry);
            hold(&mut bytes, item.held() + rank.bytes())?;
            best.push(Placed { rank, item });
        }
    }
    let mut sorted = best.into_sorted_vec();
    let next = sorted.last().filter(|_| more).map(|last| Cursor::new(&query.sort, &last.rank));
    let items = sorted.drain(query.offset.min(sorted.len())..).map(|placed| placed.item).collect();
    Ok(Matched { items, next, revision: sieve.settled().await?, examined: sieve.examined })
}

fn hold(bytes: &mut usize, more: usize) -> Result<()> {
    *bytes = bytes.saturating_add(more);
    if *bytes > ANSWER_BYTES_MAX {
        let message = format!("the answer would hold more than {ANSWER_BYTES_MAX} bytes at once: give it a limit");
        return Err(Error::limit(message));
    }
    Ok(())
}

/// An item that knows its place; only the place is compared.
struct Placed<T> {
    rank: Rank,
    item: T,
}

impl<T> Ord for Placed<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl<T> PartialOrd for Placed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Placed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl<T> Eq for Placed<T> {}
