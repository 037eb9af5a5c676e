//! Surveys: judging what is there by a schema that is to come, page by page and as of one moment.

use std::{error, fmt};

use larder_core::{Entry, Key, Result, Revision};

use super::{Schema, Violations};

/// How many documents are told with what is wrong with them; beyond that they are counted.
const FOUND_MAX: usize = 100;

/// A document that violates a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violator {
    /// Which document.
    pub id: Key,
    /// At which revision it was written last.
    pub revision: Revision,
    /// What is wrong with it.
    pub violations: Violations,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// How many documents were looked at.
    pub looked_at: u64,
    /// How many of them violate the schema.
    pub violating: u64,
    /// The first hundred of these.
    pub found: Vec<Violator>,
    /// The moment that all of this is as of.
    pub revision: Revision,
}

/// How far a survey has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many documents were looked at.
    pub looked_at: u64,
    /// How many of them violate the schema.
    pub violating: u64,
    /// How many there were when it began.
    pub of: u64,
}

impl Survey {
    /// Judges `entries`, of which none is kept but what is told.
    pub(super) fn judge<'e>(&mut self, schema: &Schema, entries: impl IntoIterator<Item = &'e Entry>) -> Result<()> {
        for entry in entries {
            self.looked_at += 1;
            let Some(violations) = schema.violations(&entry.value)? else { continue };
            self.violating += 1;
            if self.found.len() < FOUND_MAX {
                self.found.push(Violator { id: entry.address.key.clone(), revision: entry.revision, violations });
            }
        }
        Ok(())
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} documents violate it", self.violating, self.looked_at)?;
        match self.found.first() {
            Some(Violator { id, violations, .. }) => write!(f, ", such as {id:?}: {violations}"),
            None => Ok(()),
        }
    }
}

impl error::Error for Survey {}
