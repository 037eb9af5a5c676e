//! Searching: by words and by vectors, over a scope or a view, as of one moment and in bounded memory.
//!
//! Words take two looks: the first one counts, for what is rare is known only at the end, and the second one scores. Where
//! what was seen fits into little memory, it is remembered, and not looked at again.

use super::{
    Scope, View,
    moment::{Moment, PAGE_ITEMS},
    query::{Access, Held, Source, hold},
};
use crate::{
    address::Address,
    entry::Entry,
    error::{Error, Result},
    id::Revision,
    index::{self, Index},
    key::Key,
    query::{Filter, Path, Row, Sort},
    search::{Best, Corpus, Finder, Highlight, Marker, Near, Scored, Search, Seen, Words, fused},
};

/// How many bytes of what was seen are remembered between the two looks.
const REMEMBERED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How many entries are fetched at once: they may be large.
const FETCHED: usize = 64;

/// The answer to a [`Search`].
#[derive(Clone, Debug, PartialEq)]
pub struct Hits<T> {
    /// The best first; what is equally good in the order of its keys.
    pub hits: Vec<Hit<T>>,
    /// How many entries hold the words; how many have a vector to compare, if no words were asked for.
    pub total: u64,
    /// The revision of the moment that everything is as of.
    pub revision: Revision,
    /// How many entries were looked at.
    pub examined: u64,
    /// Which index the words were found along, if one helped.
    pub index: Option<Index>,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit<T> {
    /// The entry, or what was asked for of it.
    pub item: T,
    /// How well it fits, as [`search`](crate::search) says: comparable within this answer alone.
    pub score: f64,
    /// Where the words are, in at most three texts; nothing where there are none.
    pub highlights: Vec<Highlight>,
}

impl Scope {
    /// The entries that fit best what `search` looks for, as of one moment.
    ///
    /// What the filter does not let through, and what this handle does not see, is not found, and changes no score.
    ///
    /// ```
    /// # use larder_core::{Result, Search, Store, field};
    /// # async fn example(store: Store) -> Result<()> {
    /// let search = Search::words("rust +async \"green thr\"*")?.within(["title", "body"])?;
    /// for hit in store.search(&search.filter(field("lang").eq("en"))).await?.hits {
    ///     println!("{:.3} {}", hit.score, hit.item.address.key);
    ///     hit.highlights.iter().for_each(|found| println!("  {}: {}", found.path, found.marked("[", "]")));
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for what is wrong with the filter, and when there is nothing to look for; `Limit` for a filter that is too
    /// large, and when the answer would hold more than 256 MiB; else what the engine meets.
    pub async fn search(&self, search: &Search) -> Result<Hits<Entry>> {
        find(self, Moment::present(self.world().now()), search, REMEMBERED_BYTES_MAX, |entry| entry).await
    }

    /// As [`Scope::search`], but of each entry its key and what `fields` reach.
    ///
    /// # Errors
    /// As [`Scope::search`].
    pub async fn search_fields(&self, search: &Search, fields: &[Path]) -> Result<Hits<Row>> {
        let moment = Moment::present(self.world().now());
        find(self, moment, search, REMEMBERED_BYTES_MAX, |entry| Row::of(&entry, fields)).await
    }
}

impl View {
    /// The entries that fit best what `search` looks for, as of this moment.
    ///
    /// # Errors
    /// As [`Scope::search`]; `Trimmed` when the log no longer reaches back.
    pub async fn search(&self, search: &Search) -> Result<Hits<Entry>> {
        find(self.scope(), self.moment(), search, REMEMBERED_BYTES_MAX, |entry| entry).await
    }

    /// As [`View::search`], but of each entry its key and what `fields` reach.
    ///
    /// # Errors
    /// As [`View::search`].
    pub async fn search_fields(&self, search: &Search, fields: &[Path]) -> Result<Hits<Row>> {
        find(self.scope(), self.moment(), search, REMEMBERED_BYTES_MAX, |entry| Row::of(&entry, fields)).await
    }
}

/// A search on the way: everything in it is as of one moment.
struct Looking<'a> {
    scope: &'a Scope,
    moment: Moment,
    filter: &'a Filter,
    examined: u64,
    index: Option<Index>,
}

/// What the first look at words came to.
struct Gathered {
    corpus: Corpus,
    /// What was seen, by key; `None` where that was too much to be remembered.
    seen: Option<Vec<(Key, Seen)>>,
    bytes: usize,
}

async fn find<T: Held>(
    scope: &Scope,
    moment: Moment,
    search: &Search,
    remembered: usize,
    make: impl Fn(Entry) -> T,
) -> Result<Hits<T>> {
    let Search { filter, words, near, limit } = search;
    filter.check()?;
    let mut looking = Looking { scope, moment, filter, examined: 0, index: None };
    let deep = (*limit).max(Search::FUSED);
    let (best, total) = match (words, near) {
        (None, None) => return Err(Error::invalid("a search is for words, for a vector, or for both: here is neither")),
        (Some(words), None) => looking.words(words, *limit, remembered).await?,
        (None, Some(near)) => looking.near(near, *limit).await?,
        (Some(words), Some(near)) => {
            let (held, total) = looking.words(words, deep, remembered).await?;
            let (close, _) = looking.near(near, deep).await?;
            (both(held, close, *limit)?, total)
        }
    };
    let mut marker = words.as_ref().map(|words| Marker::new(Finder::new(words)));
    let hits = looking.fetch(best, &mut marker, make).await?;
    let Looking { moment, examined, index, .. } = looking;
    Ok(Hits { hits, total, revision: moment.settled(scope).await?, examined, index })
}

/// Makes one list of two.
fn both(held: Vec<Scored>, close: Vec<Scored>, limit: usize) -> Result<Vec<Scored>> {
    let mut parts: Vec<Scored> = Vec::with_capacity(held.len() + close.len());
    for list in [held, close] {
        parts.extend(list.into_iter().enumerate().map(|(place, Scored { key, .. })| Scored { key, score: fused(place) }));
    }
    // Each key is there twice at most, and of two it does not matter which is added to which.
    parts.sort_by(|a, b| a.key.cmp(&b.key));
    let mut best = Best::new(limit);
    for same in parts.chunk_by(|a, b| a.key == b.key) {
        best.add(&same[0].key, same.iter().map(|part| part.score).sum())?;
    }
    Ok(best.into_sorted())
}

impl Looking<'_> {
    /// The best by words, and how many hold them.
    async fn words(&mut self, words: &Words, limit: usize, remembered: usize) -> Result<(Vec<Scored>, u64)> {
        let mut finder = Finder::new(words);
        let mut access = self.access(words).await?;
        let Gathered { corpus, seen, .. } = loop {
            let mut gathered = Gathered { corpus: Corpus::default(), seen: Some(Vec::new()), bytes: 0 };
            let instead = self.each(&access, |entry| {
                if let Some(seen) = finder.look(entry) {
                    gathered.add(&entry.address.key, seen, remembered);
                }
                Ok(())
            });
            match instead.await? {
                Some(instead) => access = instead,
                None => break gathered,
            }
        };
        let best = loop {
            let mut best = Best::new(limit);
            let Some(seen) = &seen else {
                let instead = self.each(&access, |entry| match finder.look(entry) {
                    Some(seen) => best.add(&entry.address.key, corpus.score(&seen)),
                    None => Ok(()),
                });
                match instead.await? {
                    Some(instead) => access = instead,
                    None => break best,
                }
                continue;
            };
            seen.iter().try_for_each(|(key, seen)| best.add(key, corpus.score(seen)))?;
            break best;
        };
        self.index = match access {
            Access::Keys => None,
            Access::Index(choice, _) => Some(choice.index),
        };
        Ok((best.into_sorted(), corpus.entries()))
    }

    /// The way to what holds `words`: along an index of words, or one that helps with the filter.
    async fn access(&self, words: &Words) -> Result<Access> {
        let indexes = self.scope.known_indexes().await?;
        let choices = index::finding(&indexes, words);
        if choices.is_empty() {
            return Access::to(self.scope, self.filter, &Sort::default(), None).await;
        }
        let helping = index::choices(&indexes, self.filter, &Sort::default()).into_iter().filter(|choice| choice.is_bound);
        Access::by(self.scope, choices.into_iter().chain(helping).collect(), self.filter, None).await
    }

    /// The nearest, and how many there are to compare with.
    async fn near(&mut self, near: &Near, limit: usize) -> Result<(Vec<Scored>, u64)> {
        let mut access = Access::to(self.scope, self.filter, &Sort::default(), None).await?;
        let mut space = Vec::new();
        loop {
            let (mut best, mut total) = (Best::new(limit), 0);
            let instead = self.each(&access, |entry| match near.nearness(entry, &mut space) {
                Some(nearness) => {
                    total += 1;
                    best.add(&entry.address.key, nearness)
                }
                None => Ok(()),
            });
            match instead.await? {
                Some(instead) => access = instead,
                None => return Ok((best.into_sorted(), total)),
            }
        }
    }

    /// Shows `visit` every entry that the filter lets through. By which way to do it instead, where this one led nowhere: what
    /// came of it is to be forgotten.
    async fn each(&mut self, access: &Access, mut visit: impl FnMut(&Entry) -> Result<()>) -> Result<Option<Access>> {
        let mut source = Source::new(self.scope, self.moment, self.filter, access)?;
        while let Some(entries) = source.page(PAGE_ITEMS).await? {
            entries.iter().try_for_each(&mut visit)?;
        }
        self.examined += source.examined();
        self.moment = source.moment();
        Ok(source.instead())
    }

    /// The entries of `best`, a few at a time.
    async fn fetch<T: Held>(
        &mut self,
        best: Vec<Scored>,
        marker: &mut Option<Marker>,
        make: impl Fn(Entry) -> T,
    ) -> Result<Vec<Hit<T>>> {
        let (mut hits, mut bytes) = (Vec::with_capacity(best.len()), 0);
        for some in best.chunks(FETCHED) {
            let address = |scored: &Scored| Address::new(self.scope.namespace().clone(), scored.key.clone());
            let entries = self.moment.get_many(self.scope, some.iter().map(address).collect()).await?;
            for (scored, entry) in some.iter().zip(entries) {
                // It was there at this moment, so it is.
                let Some(entry) = entry else { continue };
                let highlights = marker.as_mut().map_or_else(Vec::new, |marker| marker.mark(&entry));
                let item = make(entry);
                hold(&mut bytes, item.held() + highlights.iter().map(Highlight::bytes).sum::<usize>())?;
                hits.push(Hit { item, score: scored.score, highlights });
            }
        }
        Ok(hits)
    }
}

impl Gathered {
    fn add(&mut self, key: &Key, seen: Seen, remembered: usize) {
        self.corpus.add(&seen);
        if let Some(list) = &mut self.seen {
            self.bytes += size_of::<(Key, Seen)>() + key.len() + size_of_val(&*seen.counts);
            list.push((key.clone(), seen));
        }
        if self.bytes > remembered {
            self.seen = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_lite::future::block_on;

    use super::*;
    use crate::{Store, StoreId, Timestamp, Value, memory::MemoryEngine, world::still::Still};

    /// An answer must not depend on how much of the first look was remembered.
    #[test]
    fn what_was_forgotten_is_looked_at_again() {
        let store = Store::new(Arc::new(MemoryEngine::new(StoreId::from_bytes([1; 16]))), Arc::new(Still));
        block_on(async {
            let text =
                |n: usize| Value::json(format!("\"{} {}\"", "rust ".repeat(n % 7), "async ".repeat(n % 5))).expect("JSON");
            (0..40).fold(store.commit(), |commit, n| commit.set(format!("k{n:02}"), text(n))).await.expect("commits");
            let search = Search::words("rust async").expect("words");
            let found = async |remembered: usize| {
                let moment = Moment::present(store.world().now());
                find(&store, moment, &search, remembered, |entry| entry).await.expect("an answer")
            };
            let (all, none, some) = (found(REMEMBERED_BYTES_MAX).await, found(0).await, found(1000).await);
            assert_eq!((all.hits.len(), all.total), (10, 38));
            assert_eq!((all.examined, none.examined, some.examined), (40, 80, 80), "it is looked at again");
            assert_eq!((&all.hits, all.total), (&none.hits, none.total));
            assert_eq!((&all.hits, all.total), (&some.hits, some.total));
        });
    }

    /// What is fetched is of the moment in which it was found, whatever was written since.
    #[test]
    fn what_was_found_is_fetched_as_it_was() {
        let store = Store::new(Arc::new(MemoryEngine::new(StoreId::from_bytes([1; 16]))), Arc::new(Still));
        block_on(async {
            let value = |text: &str| Value::json(format!("\"{text}\"")).expect("JSON");
            store.commit().set("a", value("rust")).set("b", value("rust")).await.expect("commits");
            let (search, filter) = (Search::words("rust").expect("words"), Filter::everything());
            let moment = Moment::present(store.world().now());
            let mut looking = Looking { scope: &store, moment, filter: &filter, examined: 0, index: None };
            let words = search.words.as_ref().expect("words");
            let (best, _) = looking.words(words, 10, REMEMBERED_BYTES_MAX).await.expect("found");
            let id = crate::CommitId::new(Timestamp::EPOCH, 1 << 64);
            store.commit().id(id).set("a", value("else")).delete("b").await.expect("commits");
            let hits = looking.fetch(best, &mut None, |entry| entry).await.expect("fetched");
            assert_eq!(hits.iter().map(|hit| &hit.item.value).collect::<Vec<_>>(), [&value("rust"), &value("rust")]);
        });
    }

    /// Futures of searches go from thread to thread.
    #[test]
    fn a_search_can_be_sent() {
        fn sent<T: Send>(_: T) {}
        let store = Store::new(Arc::new(MemoryEngine::new(StoreId::from_bytes([1; 16]))), Arc::new(Still));
        let search = Search::words("rust").expect("words");
        sent(store.search(&search));
    }
}
