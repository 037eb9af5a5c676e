//! The cases, by what they are about; their stories stand in the catalogue.

mod allowance;
mod anomalies;
mod atomic;
mod attempts;
mod batches;
mod counting;
mod crash;
mod deletion;
mod durable;
mod exact;
mod expiry;
mod faults;
mod group;
mod guest;
mod indexes;
mod interleaving;
mod keeping;
mod log;
mod model;
mod namespaces;
mod once;
mod order;
mod outcome;
mod query;
mod race;
mod records;
mod refused;
mod retaining;
mod revision;
mod search;
mod transact;
mod transaction;
mod trimming;
mod undoing;
mod unique;
mod view;
pub(crate) mod watches;
mod writes;

use crate::Case;

/// Every case, in the order of the catalogue.
pub fn cases() -> &'static [Case] {
    const ALL: &[Case] = crate::__catalogue!(__list);
    ALL
}
