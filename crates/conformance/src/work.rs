//! Transactions in short sentences, so that interleavings read in the order in which they happen.

use futures_lite::future::block_on;
use larder_core::{ErrorKind, Isolation, Receipt, Revision, Scope, Select, Transaction};

use crate::ground::fails;

/// A transaction over numbers, which waits for every answer.
pub(crate) struct Work(pub(crate) Transaction);

/// Keys with their numbers.
pub(crate) type Found = Vec<(String, i64)>;

impl Work {
    pub(crate) fn begin(scope: &Scope) -> Self {
        Self(scope.begin(Isolation::Serializable))
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<i64> {
        block_on(self.0.get_json(key)).expect("a transaction reads")
    }

    pub(crate) fn set(&mut self, key: &str, number: i64) {
        self.0.set_json(key, &number).expect("a transaction writes");
    }

    pub(crate) fn delete(&mut self, key: &str) {
        self.0.delete(key).expect("a transaction deletes");
    }

    pub(crate) fn scan(&mut self, select: impl Into<Select>) -> Found {
        let found = block_on(self.0.scan(select)).expect("a transaction scans");
        let number = |entry: &larder_core::Entry| entry.value.as_integer().expect("all of them are numbers");
        found.items.iter().map(|entry| (entry.address.key.as_str().to_owned(), number(entry))).collect()
    }

    /// Those of all numbers for which `wanted` holds.
    pub(crate) fn those(&mut self, wanted: impl Fn(i64) -> bool) -> Found {
        self.scan("").into_iter().filter(|(_, number)| wanted(*number)).collect()
    }

    /// The revision that everything was read at so far.
    pub(crate) fn revision(&self) -> Option<Revision> {
        self.0.revision()
    }

    /// Commits, which has to succeed.
    pub(crate) fn commits(self) -> Receipt {
        block_on(self.0.commit()).expect("nothing stands in the way of this transaction")
    }

    /// Commits, which has to fail because of what others did.
    pub(crate) fn conflicts(self) {
        fails(block_on(self.0.commit()), ErrorKind::Conflict);
    }
}

/// `found` in the words of an assertion.
pub(crate) fn found(pairs: &[(&str, i64)]) -> Found {
    pairs.iter().map(|(key, number)| ((*key).to_owned(), *number)).collect()
}
