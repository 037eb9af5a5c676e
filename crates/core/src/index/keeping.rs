//! Keeping: what a commit does to the indexes of the namespaces that it writes to.

use std::collections::{BTreeMap, BTreeSet};

use super::{Index, IndexId, IndexState, IndexStatus, Term, term};
use crate::{
    address::Address,
    commit::{Commit, Conflict, Expected, Found, Part},
    entry::Entry,
    error::{Error, ErrorKind, Result},
    key::Key,
    time::Timestamp,
};

/// What a commit does to indexes: collected write by write while it is decided, and applied with it.
#[derive(Debug)]
pub struct Keeping<'a> {
    commit: &'a Commit,
    works: Vec<Work<'a>>,
    /// What entries will have that this commit writes, in unique indexes.
    claims: Vec<Claim<'a>>,
}

/// What a write does to an index.
#[derive(Debug)]
pub struct Work<'a> {
    /// Which index.
    pub index: IndexId,
    /// Whose terms.
    pub address: &'a Address,
    /// What the entry no longer has; removing what is not there is fine, while the index is being built.
    pub removed: Vec<Term>,
    /// What it has now and had not before; adding what is there already is fine, too.
    pub added: Vec<Term>,
}

#[derive(Debug)]
struct Claim<'a> {
    status: &'a IndexStatus,
    write: usize,
    term: Term,
    /// Whether it had that before.
    held: bool,
}

/// Who has a term in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The entry.
    pub key: Key,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
}

impl<'a> Keeping<'a> {
    /// Nothing so far.
    pub fn new(commit: &'a Commit) -> Self {
        Self { commit, works: Vec::new(), claims: Vec::new() }
    }

    /// The write with this number makes `after` of what is stored `before`, expired or not, in a namespace that has `indexes`.
    ///
    /// # Errors
    /// As [`Index::terms`] says of what is there after; `Limit` when that is to be unique and too long.
    pub fn write(
        &mut self,
        write: usize,
        indexes: &'a [IndexStatus],
        before: Option<&Entry>,
        after: Option<&Entry>,
    ) -> Result<()> {
        let address = &self.commit.writes[write].address;
        for status in indexes.iter().filter(|status| status.state != IndexState::Dropped) {
            // What could not be taken into the index while it was built is not in it.
            let had = before.map_or_else(Vec::new, |entry| status.index.terms(entry).unwrap_or_default());
            let has = after.map(|entry| status.index.terms(entry)).transpose()?.unwrap_or_default();
            let live = |entry: &Entry| !entry.is_expired(self.commit.now);
            if status.index.is_unique()
                && let Some(entry) = after.filter(|entry| live(entry))
            {
                term::are_whole(&status.index, entry, &has)?;
                // What has expired holds nothing: somebody else may have taken it since.
                let held = |term: &Term| before.is_some_and(live) && had.binary_search(term).is_ok();
                let whole = has.iter().filter(|term| !term::is_partial(&status.index, term));
                let claims = whole.map(|term| Claim { status, write, held: held(term), term: term.clone() });
                self.claims.extend(claims);
            }
            let without = |these: &[Term], others: &[Term]| -> Vec<Term> {
                these.iter().filter(|term| others.binary_search(term).is_err()).cloned().collect()
            };
            let (removed, added) = (without(&had, &has), without(&has, &had));
            if !removed.is_empty() || !added.is_empty() {
                self.works.push(Work { index: status.id, address, removed, added });
            }
        }
        Ok(())
    }

    /// Which unique index would hold a term twice, if there is one. `holders` tells who has a term in the index before the
    /// commit; it is asked only about what the commit claims.
    ///
    /// # Errors
    /// Those of `holders`.
    pub fn conflict(&self, mut holders: impl FnMut(&IndexStatus, &Term) -> Result<Vec<Holder>>) -> Result<Option<Conflict>> {
        if self.claims.is_empty() {
            return Ok(None);
        }
        // What this commit writes has after it what it claims, and nothing else.
        let written: BTreeSet<&Address> = self.commit.writes.iter().map(|write| &write.address).collect();
        let mut claimed = BTreeMap::new();
        for claim in &self.claims {
            if claimed.insert((claim.status.id, &claim.term), claim.write).is_some() {
                return Ok(Some(self.broken(claim)));
            }
        }
        for claim in self.claims.iter().filter(|claim| !claim.held) {
            let others = holders(claim.status, &claim.term)?;
            let stays = |holder: &Holder| {
                let live = holder.expires_at.is_none_or(|at| at > self.commit.now);
                live && !written.contains(&Address::new(claim.status.namespace.clone(), holder.key.clone()))
            };
            if others.iter().any(stays) {
                return Ok(Some(self.broken(claim)));
            }
        }
        Ok(None)
    }

    /// What is to be done to indexes when the commit is applied.
    pub fn works(&self) -> &[Work<'a>] {
        &self.works
    }

    fn broken(&self, claim: &Claim<'_>) -> Conflict {
        Conflict {
            part: Part::Write(claim.write),
            address: Some(self.commit.writes[claim.write].address.clone()),
            expected: Expected::Unique(claim.status.index.clone()),
            found: Found::Taken,
        }
    }
}

/// The terms of a stored `entry` that comes into an index while it is being built; `holders` tells who has a term in it already.
///
/// # Errors
/// As [`Index::terms`]; `InvalidState` when another entry has what has to be unique; those of `holders`.
pub fn build(
    index: &Index,
    entry: &Entry,
    now: Timestamp,
    mut holders: impl FnMut(&Term) -> Result<Vec<Holder>>,
) -> Result<Vec<Term>> {
    let terms = index.terms(entry)?;
    // What has expired is found by who looks with an earlier clock, and stands in nobody's way.
    if index.is_unique() && !entry.is_expired(now) {
        term::are_whole(index, entry, &terms)?;
        for term in terms.iter().filter(|term| !term::is_partial(index, term)) {
            let other = |holder: &Holder| holder.key != entry.address.key && holder.expires_at.is_none_or(|at| at > now);
            if let Some(other) = holders(term)?.into_iter().find(other) {
                let key = &entry.address;
                let message = format!("the keys {:?} and {key} have the same in the {index:#}", &*other.key);
                return Err(Error::new(ErrorKind::InvalidState, message));
            }
        }
    }
    Ok(terms)
}

/// That of `indexes`, which are those of a namespace, which is the same as `index`, if there is one.
///
/// # Errors
/// `Invalid` for an index of words that is to be unique; `AlreadyExists` when there is one on the same paths, of which one is unique and the other is not; `Limit` when there are too
/// many to create one more.
pub fn existing<'a>(indexes: &'a [IndexStatus], index: &Index) -> Result<Option<&'a IndexStatus>> {
    if index.is_words() && index.is_unique() {
        return Err(Error::invalid("an index of words cannot be unique: entries have words in common"));
    }
    let mut kept = indexes.iter().filter(|status| status.state != IndexState::Dropped);
    if let Some(there) = kept.clone().find(|status| status.index.is_like(index)) {
        if there.index == *index {
            return Ok(Some(there));
        }
        let message = format!("the {:#} is there already: drop it first", there.index);
        return Err(Error::new(ErrorKind::AlreadyExists, message));
    }
    if kept.by_ref().count() >= Index::PER_NAMESPACE {
        return Err(Error::limit(format!("a namespace has at most {} indexes", Index::PER_NAMESPACE)));
    }
    Ok(None)
}
