//! Lies about moments: what a range was, when something was read, and where it ends.

use std::{sync::Arc, thread, time::Duration};

use larder_core::{
    Address, Change, ChangesQuery, Check, Commit, Entry, Outcome, Range, Result, Revision, Snapshot, Timestamp,
    engine::{Page, Scan},
};

use super::{Honest, Lie, Make};

pub(super) fn all() -> Vec<Make> {
    vec![
        || Arc::new(IsBlindTo("phantoms", |change| change.before.is_none())),
        || Arc::new(IsBlindTo("deletions", |change| change.after.is_none())),
        || Arc::new(IsBlindTo("updates", |change| change.before.is_some() && change.after.is_some())),
        || Arc::new(ChecksRanges("from a revision too late", |_, since| *since = since.next())),
        || Arc::new(ChecksRanges("from a revision too early", |_, since| *since = Revision::new(since.get().max(1) - 1))),
        || Arc::new(ChecksRanges("of the whole store", |range, _| *range = Range::all())),
        || Arc::new(ChecksRanges("of the whole namespace", whole_namespace)),
        || Arc::new(ChecksTheFirst(1)),
        || Arc::new(ChecksTheFirst(32)),
        || Arc::new(NamesAnotherMoment("a scan", -1)),
        || Arc::new(NamesAnotherMoment("a scan", 1)),
        || Arc::new(NamesAnotherMoment("a get", -1)),
        || Arc::new(NamesAnotherMoment("a get", 1)),
        || Arc::new(DriftsWhileItScans),
        || Arc::new(GoesOnIntoTheNextNamespace),
    ]
}

/// Looks for changes of a range, and does not take all of them for changes.
#[derive(Debug)]
struct IsBlindTo(&'static str, fn(&Change) -> bool);
impl Lie for IsBlindTo {
    fn name(&self) -> String {
        format!("IsBlindTo: {}", self.0)
    }

    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        let lineage = honest.status().lineage;
        for check in &mut commit.checks {
            let Check::Unchanged { range, since, .. } = check else { continue };
            let query = ChangesQuery { ranges: vec![range.clone()], ..ChangesQuery::after(lineage, *since) };
            let Ok(found) = honest.changes(query) else { continue };
            if let Some(last) = found.changes.last().filter(|_| found.changes.iter().all(self.1)) {
                *since = last.revision;
            }
        }
        honest.commit(commit)
    }
}

/// Checks ranges otherwise than it was told to.
#[derive(Debug)]
struct ChecksRanges(&'static str, fn(&mut Range, &mut Revision));
impl Lie for ChecksRanges {
    fn name(&self) -> String {
        format!("ChecksRanges: {}", self.0)
    }

    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        let head = honest.status().revision;
        for check in &mut commit.checks {
            if let Check::Unchanged { range, since, .. } = check
                && *since < head
            {
                self.1(range, since);
            }
        }
        honest.commit(commit)
    }
}

fn whole_namespace(range: &mut Range, _: &mut Revision) {
    if let Some((name, _, _)) = range.within_namespace() {
        let namespace = larder_core::Namespace::new(name).expect("a range within a namespace names it");
        *range = Range::namespace(&namespace);
    }
}

/// Has room for so many checks, and does not say so.
#[derive(Debug)]
struct ChecksTheFirst(usize);
impl Lie for ChecksTheFirst {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn commit(&self, honest: &Honest, mut commit: Commit) -> Result<Outcome> {
        commit.checks.truncate(self.0);
        honest.commit(commit)
    }
}

/// Answers from one moment and names another one.
#[derive(Debug)]
struct NamesAnotherMoment(&'static str, i64);
impl NamesAnotherMoment {
    fn renamed<T>(&self, what: &str, mut answer: Snapshot<T>, head: Revision) -> Snapshot<T> {
        if what == self.0 {
            answer.revision = Revision::new(answer.revision.get().saturating_add_signed(self.1).min(head.get().max(1) + 1));
        }
        answer
    }
}
impl Lie for NamesAnotherMoment {
    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn get(&self, honest: &Honest, addresses: Vec<Address>, now: Timestamp) -> Result<Snapshot<Vec<Option<Entry>>>> {
        let head = honest.status().revision;
        honest.get(addresses, now).map(|answer| self.renamed("a get", answer, head))
    }

    fn scan(&self, honest: &Honest, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
        let head = honest.status().revision;
        honest.scan(scan).map(|answer| self.renamed("a scan", answer, head))
    }
}

/// Notes the revision, then reads: a scan of a later state with an earlier revision.
#[derive(Debug)]
struct DriftsWhileItScans;
impl Lie for DriftsWhileItScans {
    fn scan(&self, honest: &Honest, scan: Scan) -> Result<Snapshot<Page<Entry>>> {
        let revision = honest.status().revision;
        thread::sleep(Duration::from_micros(100));
        Ok(Snapshot { revision, ..honest.scan(scan)? })
    }
}

/// Reads from the start of a range on, and forgets that a namespace has an end.
#[derive(Debug)]
struct GoesOnIntoTheNextNamespace;
impl Lie for GoesOnIntoTheNextNamespace {
    fn scan(&self, honest: &Honest, mut scan: Scan) -> Result<Snapshot<Page<Entry>>> {
        if let Some((name, _, None)) = scan.range.within_namespace() {
            let namespace = larder_core::Namespace::new(name).expect("a range within a namespace names it");
            scan.range = scan.range.clone().cover(&Range::after_namespace(&namespace));
        }
        honest.scan(scan)
    }
}
