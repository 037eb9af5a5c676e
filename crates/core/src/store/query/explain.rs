//! Explaining: how a query is answered, and what that took.

use std::fmt;

use super::{access::Access, find::find_and_say, sieve};
use crate::{
    address::{Edge, Range},
    error::Result,
    index::{Choice, Order},
    query::{Plan, Query},
    store::{Scope, moment::Moment},
};

/// How a query was answered, and what that took.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The engine, by the name in its URL.
    pub engine: &'static str,
    /// Where was looked: what the filter says of keys narrows it.
    pub range: Range,
    /// Which index was walked, if one was.
    pub index: Option<Choice>,
    /// In which others it was looked up what was found there, before the entry was.
    pub also: Vec<Choice>,
    /// What of the filter the engine answered by itself, and what was left to do. What comes out of an index is looked at
    /// with the whole filter.
    pub plan: Plan,
    /// How many entries were looked at.
    pub examined: u64,
    /// How many entries are in the answer.
    pub returned: u64,
}

impl Scope {
    /// Answers `query` and says how, and what it took.
    ///
    /// ```
    /// # use larder_core::{Result, Store, field};
    /// # async fn example(store: Store) -> Result<()> {
    /// let explained = store.explain(field("age").gte(18)).await?;
    /// println!("{explained}");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Scope::query`].
    pub async fn explain(&self, query: impl Into<Query>) -> Result<Explanation> {
        let query = query.into();
        query.filter.check()?;
        let (range, plan) = (sieve::range(self, &query.filter), sieve::plan(self, &query.filter));
        let filter = query.filter.clone();
        let (found, access) = find_and_say(self, Moment::present(self.world().now()), query, |_| ()).await?;
        let (engine, returned) = (self.engine().capabilities().engine, found.items.len() as u64);
        let (index, also, plan) = match access {
            Access::Keys => (None, Vec::new(), plan),
            Access::Index(choice, also) => (Some(choice), also, Plan::residual(&filter)),
        };
        Ok(Explanation { engine, range, index, also, plan, examined: found.examined, returned })
    }
}

impl Explanation {
    /// The keys that were looked at, in words: `all`, `none`, `from "a", before "b"`.
    pub fn keys(&self) -> String {
        Keys(&self.range).to_string()
    }
}

/// A line for each of it, as in `examined  1000`.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, index, also, plan, examined, returned, .. } = self;
        write!(f, "engine    {engine}\nkeys      {}\nindex     ", self.keys())?;
        match index {
            None => f.write_str("none")?,
            Some(choice) => write!(f, "{}", Used(choice))?,
        }
        for choice in also {
            write!(f, "\nand       {}", Used(choice))?;
        }
        write!(f, "\n{plan}\n")?;
        write!(f, "examined  {examined}\nreturned  {returned}")
    }
}

/// How an index was used, for people: `age: 1 range, in the order asked for`.
struct Used<'a>(&'a Choice);

impl fmt::Display for Used<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Choice { index, spans, order, .. } = self.0;
        let ranges = if spans.len() == 1 { "range" } else { "ranges" };
        write!(f, "{index}: {} {ranges}", spans.len())?;
        f.write_str(match order {
            Order::Other => "",
            Order::Forward | Order::Reverse => ", in the order asked for",
        })
    }
}

/// The keys of a range, for people.
struct Keys<'a>(&'a Range);

impl fmt::Display for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(range) = self;
        if range.is_empty() {
            return f.write_str("none");
        }
        let Edge { key: start, .. } = range.start();
        // Without an end in its namespace the range goes up to the end of that.
        match range.within_namespace() {
            Some(_) if range.is_one_key() => write!(f, "{start:?}"),
            Some((_, "", None)) | None => f.write_str("all"),
            Some((_, start, None)) => write!(f, "from {start:?}"),
            Some((_, "", Some(end))) => write!(f, "before {end:?}"),
            Some((_, start, Some(end))) => write!(f, "from {start:?}, before {end:?}"),
        }
    }
}
