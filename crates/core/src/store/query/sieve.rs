//! Sieves: entries in the order of their keys, of which a filter lets some through.
//!
//! What the engine can sort out by itself it does; the rest is done here. Whoever asks does not notice which was which.

use crate::{
    address::{Address, Range},
    engine::Pushdown,
    entry::Entry,
    error::Result,
    id::Revision,
    query::{self, Filter, Matcher, Plan, Rank},
    store::{
        Scope,
        moment::{Laid, Moment, PAGE_ITEMS},
    },
};

/// So many items at least are asked of an engine that may let through some that are then sorted out.
const LOOSE_ITEMS_MIN: usize = 64;

/// Entries in the order of their keys, of which a filter lets some through.
pub(in crate::store) struct Sieve<'a> {
    scope: &'a Scope,
    pub(super) moment: Moment,
    /// The whole filter.
    matcher: Matcher,
    filter: Filter,
    native: Option<Native<'a>>,
    /// What is still to come; `None` when that is nothing.
    pub(super) range: Option<Range>,
    pub(super) reverse: bool,
    pub(super) examined: u64,
}

/// The part of a filter that the engine answers by itself.
struct Native<'a> {
    pushdown: &'a dyn Pushdown,
    filter: Filter,
    /// What is left to do, if anything is.
    residual: Option<Matcher>,
}

/// How `filter` is divided between the engine and us.
pub(super) fn plan(scope: &Scope, filter: &Filter) -> Plan {
    let pushdown = scope.engine().pushdown();
    pushdown.map_or_else(|| Plan::residual(filter), |pushdown| Plan::of(filter, &|condition| pushdown.fit(condition)))
}

/// Where everything is that `filter` can let through.
pub(super) fn range(scope: &Scope, filter: &Filter) -> Range {
    match query::range(filter, scope.namespace()) {
        Some(range) => range.intersect(&scope.all()),
        None => scope.all(),
    }
}

impl<'a> Sieve<'a> {
    pub(super) fn new(scope: &'a Scope, moment: Moment, filter: &Filter) -> Result<Self> {
        let matcher = Matcher::new(filter)?;
        let (range, plan) = (range(scope, filter), plan(scope, filter));
        let native = match scope.engine().pushdown() {
            Some(pushdown) if !plan.native.is_everything() => {
                let residual = Some(&plan.residual).filter(|residual| !residual.is_everything());
                let residual = residual.map(Matcher::new).transpose()?;
                Some(Native { pushdown, filter: plan.native, residual })
            }
            _ => None,
        };
        let filter = filter.clone();
        Ok(Self { scope, moment, matcher, filter, native, range: Some(range), reverse: false, examined: 0 })
    }

    /// Goes on behind `start`.
    pub(super) fn skip_to(&mut self, start: &Rank) {
        let start = Address::new(self.scope.namespace().clone(), start.key().clone());
        let rest = |range: Range| if self.reverse { range.before(&start) } else { range.after(&start) };
        self.range = self.range.take().map(rest);
    }

    /// What is let through of the next entries, which may be nothing; `None` at the end. More than `wanted` may not be
    /// needed.
    pub(super) async fn page(&mut self, wanted: usize) -> Result<Option<Vec<Entry>>> {
        let Some(range) = self.range.as_ref().filter(|range| !range.is_empty()) else { return Ok(None) };
        let Some(native) = &self.native else {
            let limit = if self.filter.is_everything() { wanted } else { PAGE_ITEMS };
            let (mut entries, rest) = self.moment.page::<Entry>(self.scope, range, self.reverse, limit).await?;
            self.examined += entries.len() as u64;
            entries.retain(|entry| self.matcher.matches(entry));
            self.range = rest;
            return Ok(Some(entries));
        };
        let limit = if native.residual.is_some() { wanted.max(LOOSE_ITEMS_MIN) } else { wanted };
        let ask = (self.scope, native.pushdown, &native.filter);
        let (Laid { mut items, rest, undone }, examined) = self.moment.filtered(ask, range, self.reverse, limit).await?;
        self.examined += examined;
        // What was undone never passed the engine's part.
        let left = if undone { Some(&self.matcher) } else { native.residual.as_ref() };
        if let Some(matcher) = left {
            items.retain(|entry| matcher.matches(entry));
        }
        self.range = rest;
        Ok(Some(items))
    }

    /// The revision that everything was read at.
    pub(super) async fn settled(&self) -> Result<Revision> {
        self.moment.settled(self.scope).await
    }
}
