//! What is stored: everything of a store as of one moment, for whoever moves or verifies it.
//!
//! A clock decides what has expired, and a copy has none of its own: it takes along what expired and was not swept up, and what
//! the store keeps about itself. Else a commit that was made with a clock behind would find in the copy what it does not find
//! in the store.

use super::{
    Position, Store,
    moment::{Moment, PAGE_ITEMS},
};
use crate::{address::Range, entry::Entry, error::Result, time::Timestamp};

/// Everything that was stored in a range at one moment, page by page, expired or not, reserved namespaces included.
#[derive(Debug)]
pub struct Stored {
    store: Store,
    moment: Moment,
    /// What is still to come.
    rest: Option<Range>,
}

impl Store {
    /// Everything that is stored in `range`, as of the moment of `position`.
    pub fn stored(&self, position: Position, range: Range) -> Stored {
        // To the earliest clock there is nothing has expired.
        let moment = Moment::past(position.lineage, position.revision, Timestamp::EPOCH);
        Stored { store: self.clone(), moment, rest: Some(range).filter(|range| !range.is_empty()) }
    }
}

impl Stored {
    /// The next entries, at least one, in bytewise order of addresses; `None` when there are none left.
    ///
    /// # Errors
    /// `Trimmed` when the log no longer reaches back to the moment; else what the engine meets. Asking again reads the same
    /// page again.
    pub async fn next(&mut self) -> Result<Option<Vec<Entry>>> {
        while let Some(range) = &self.rest {
            let (page, rest) = self.moment.page::<Entry>(&self.store, range, false, PAGE_ITEMS).await?;
            self.rest = rest;
            if !page.is_empty() {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }
}
