//! A transaction's own writes: folded as they come, and laid over what it reads.

use super::Transaction;
use crate::{
    address::{Address, Range},
    commit::{Action, Commit, MetadataChange, Write},
    decide::{self, Store},
    engine::Snapshot,
    entry::Entry,
    error::{Error, Result},
    id::Revision,
    key::Key,
    limits::Limits,
    store::{
        fold,
        moment::Item,
        read::{self, Walk, collect},
        select::{Listing, Select},
    },
};

impl Transaction {
    /// The selected keys, in bytewise order, with what this transaction has written.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub async fn list(&mut self, select: impl Into<Select>) -> Result<Listing<Key>> {
        let Listing { items, next, revision } = self.select::<Address>(select.into()).await?;
        Ok(Listing { items: items.into_iter().map(|address| address.key).collect(), next, revision })
    }

    /// The selected entries, in bytewise order of their keys, with what this transaction has written.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub async fn scan(&mut self, select: impl Into<Select>) -> Result<Listing<Entry>> {
        self.select::<Entry>(select.into()).await
    }

    /// How many entries are selected.
    ///
    /// # Errors
    /// As [`Transaction::get`].
    pub async fn count(&mut self, select: impl Into<Select>) -> Result<u64> {
        let select = select.into();
        let range = select.range(&self.within);
        if !select.is_range() || self.wrote_in(&range) {
            return Ok(self.select::<Address>(select).await?.items.len() as u64);
        }
        self.open()?;
        self.move_on().await?;
        self.reads.add_range(range.clone());
        let Snapshot { revision, value } = self.scope.engine().count(range, self.moment.now).await?;
        if *self.moment.revision.get_or_insert(revision) == revision {
            return Ok(value);
        }
        read::count(&self.within, self.moment, select).await
    }

    /// Remembers a write; with an earlier one of the same key it becomes one.
    pub(super) fn write(&mut self, write: Write) -> Result<()> {
        let earlier = self.writes.iter().position(|earlier| earlier.address == write.address);
        let settled = earlier.map(|at| self.settled(&self.writes[at])).transpose()?;
        let both = settled.into_iter().chain([write]).collect();
        let folded = fold::fold(both)?;
        let mut writes = self.writes.clone();
        for write in folded.writes {
            match earlier {
                Some(at) => writes[at] = write,
                None => writes.push(write),
            }
        }
        verify(&self.scope.limits(), &writes)?;
        self.writes = writes;
        self.checks.extend(folded.checks);
        Ok(())
    }

    /// What an earlier write has come to, in the form that goes with whatever comes after it.
    ///
    /// The key of what adds or annotates was read, and the commit checks what was read; so the result may stand here. Not
    /// before something comes after it: the result brings its value along, which may be large.
    fn settled(&self, earlier: &Write) -> Result<Write> {
        if !matches!(earlier.action, Action::Add { .. } | Action::Annotate { .. }) {
            return Ok(earlier.clone());
        }
        let Some(entry) = self.seen(&earlier.address)? else { return Ok(earlier.clone()) };
        let Entry { address, value, expires_at, metadata, .. } = entry;
        Ok(Write { address, action: Action::Put { value, expires_at, metadata: MetadataChange::Replace(metadata) } })
    }

    /// What is at `address`, which was read, with this transaction's own writes.
    pub(super) fn seen(&self, address: &Address) -> Result<Option<Entry>> {
        let read = self.reads.get(address);
        match self.writes.iter().find(|write| write.address == *address) {
            Some(write) => self.effect(write.clone(), read),
            None => Ok(read.cloned()),
        }
    }

    /// What `write` makes of what is there `before`.
    pub(super) fn effect(&self, write: Write, before: Option<&Entry>) -> Result<Option<Entry>> {
        let (id, now) = (self.id, self.moment.now);
        let commit = Commit { id, now, checks: Vec::new(), writes: vec![write] };
        let effect = decide::write(&commit, 0, before, Revision::ZERO)?.map_err(Error::conflict)?;
        Ok(match effect.store {
            Store::Keep => before.cloned(),
            Store::Put(entry) => Some(*entry),
            Store::Remove => None,
        })
    }

    fn wrote_in(&self, range: &Range) -> bool {
        self.writes.iter().any(|write| range.contains(&write.address))
    }

    async fn select<T: Item>(&mut self, select: Select) -> Result<Listing<T>> {
        self.open()?;
        self.move_on().await?;
        let range = select.range(&self.within);
        let listing = if self.wrote_in(&range) {
            self.merged(&select, &range).await?
        } else {
            collect(&self.within, self.moment, select.clone(), |item: T| item).await?
        };
        self.moment.revision = Some(listing.revision);
        if select.limit == Some(0) {
            return Ok(listing);
        }
        // Where the limit ended it, what comes behind the last one was not looked at.
        self.reads.add_range(match listing.items.last().filter(|_| listing.next.is_some()) {
            Some(last) if select.reverse => range.from(last.address()),
            Some(last) => range.through(last.address()),
            None => range,
        });
        Ok(listing)
    }

    /// As [`collect`], with this transaction's own writes of `range`.
    async fn merged<T: Item>(&mut self, select: &Select, range: &Range) -> Result<Listing<T>> {
        let mut own: Vec<Address> = self.writes.iter().map(|write| write.address.clone()).collect();
        own.retain(|address| range.contains(address));
        own.sort_unstable();
        self.read(&own).await?;
        if select.reverse {
            own.reverse();
        }
        let mut written = Vec::with_capacity(own.len());
        for address in own {
            written.push((self.seen(&address)?.map(T::of), address));
        }
        let mut written = written.into_iter().peekable();

        let mut walk = Walk::new(&self.within, self.moment, select.clone().unbounded());
        let (mut items, mut passed, mut done) = (Vec::new(), 0, false);
        let wanted = select.limit.unwrap_or(usize::MAX);
        while !done {
            let page = walk.page::<T>().await?;
            done = page.is_none();
            let mut merged: Vec<T> = Vec::new();
            for item in page.into_iter().flatten() {
                let earlier = |(_, at): &(_, Address)| {
                    if select.reverse { at > item.address() } else { at < item.address() }
                };
                while let Some((written, _)) = written.next_if(|own| earlier(own)) {
                    merged.extend(written);
                }
                match written.next_if(|(_, at)| at == item.address()) {
                    Some((written, _)) => merged.extend(written),
                    None => merged.push(item),
                }
            }
            if done {
                merged.extend(written.by_ref().filter_map(|(written, _)| written));
            }
            for item in merged.into_iter().filter(|item| select.matches(&item.address().key)) {
                passed += 1;
                if passed > select.offset && items.len() < wanted {
                    items.push(item);
                }
            }
            done |= items.len() == wanted;
        }
        let revision = walk.settled().await?;
        let next = items.last().filter(|_| items.len() == wanted).map(|last: &T| last.address().key.clone());
        Ok(Listing { items, next, revision })
    }
}

/// Whether one commit takes `writes`.
fn verify(limits: &Limits, writes: &[Write]) -> Result<()> {
    let commit = Commit {
        id: crate::id::CommitId::from_bytes([0; 16]),
        now: crate::time::Timestamp::EPOCH,
        checks: Vec::new(),
        writes: writes.to_vec(),
    };
    limits.verify(&commit)
}
