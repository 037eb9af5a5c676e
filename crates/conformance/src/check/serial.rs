//! Strict serializability: the commits happened one after the other, in the order of their revisions and in no
//! contradiction to the order in which callers saw them happen.
//!
//! Finding an order is hard in general (Papadimitriou, "The serializability of concurrent database updates", 1979).
//! Here there is nothing to find: the revisions claim an order. The commits are replayed in it, and it has to explain
//! every read, ranges included.

use std::{collections::BTreeMap, fmt};

/// Keys and what they hold.
pub type State = BTreeMap<String, u64>;

/// A transaction: what it read, what it wrote, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Before it did anything.
    pub called: u64,
    /// After it was answered; `None` when nobody knows what became of it.
    pub answered: Option<u64>,
    /// Single keys, with what was found.
    pub reads: Vec<(String, Option<u64>)>,
    /// Every key that begins with a text, with everything that was found.
    pub ranges: Vec<(String, State)>,
    /// What it wrote; `None` deletes.
    pub writes: Vec<(String, Option<u64>)>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// It did not happen; what it read is nobody's business.
    #[default]
    Aborted,
    /// It wrote, as the commit with this revision.
    Wrote(u64),
    /// It only read, as of this revision.
    Read(u64),
}

/// What is wrong with a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSerial {
    /// Two commits claim the same revision.
    Twice(Box<[Transaction; 2]>),
    /// A transaction has read something else than what was there when it happened.
    Unexplained {
        /// Which one.
        transaction: Box<Transaction>,
        /// What it read, and what was there.
        why: String,
    },
    /// The second transaction began when the first one had been answered, and yet happened before it.
    BackInTime(Box<[Transaction; 2]>),
}

impl fmt::Display for NotSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(both) => write!(f, "two commits under one revision:\n  {:?}\n  {:?}", both[0], both[1]),
            Self::Unexplained { transaction, why } => write!(f, "{why}:\n  {transaction:?}"),
            Self::BackInTime(both) => {
                write!(f, "the second began when the first had ended:\n  {:?}\n  {:?}", both[0], both[1])
            }
        }
    }
}

impl Transaction {
    /// Its place in the claimed order: readers stand behind the commit that they saw last.
    fn place(&self) -> Option<(u64, bool)> {
        match self.fate {
            Fate::Aborted => None,
            Fate::Wrote(revision) => Some((revision, false)),
            Fate::Read(revision) => Some((revision, true)),
        }
    }
}

/// Whether the claimed order explains every read and contradicts nobody.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(history: &[Transaction]) -> Result<(), NotSerial> {
    let mut order: Vec<(&Transaction, (u64, bool))> =
        history.iter().filter_map(|transaction| Some((transaction, transaction.place()?))).collect();
    order.sort_by_key(|(_, place)| *place);
    if let Some(pair) = order.windows(2).find(|pair| pair[0].1 == pair[1].1 && !pair[0].1.1) {
        return Err(NotSerial::Twice(Box::new([pair[0].0.clone(), pair[1].0.clone()])));
    }
    replay(&order)?;
    real_time(order)
}

fn replay(order: &[(&Transaction, (u64, bool))]) -> Result<(), NotSerial> {
    let mut state = State::new();
    for (transaction, _) in order {
        let unexplained = |why| NotSerial::Unexplained { transaction: Box::new((*transaction).clone()), why };
        for (key, found) in &transaction.reads {
            let there = state.get(key).copied();
            if there != *found {
                return Err(unexplained(format!("the key {key:?} was read as {found:?}, and {there:?} was there")));
            }
        }
        for (prefix, found) in &transaction.ranges {
            let within = state.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(prefix));
            let there: State = within.map(|(key, value)| (key.clone(), *value)).collect();
            if there != *found {
                return Err(unexplained(format!("the range {prefix:?} was read as {found:?}, and {there:?} was there")));
            }
        }
        for (key, value) in &transaction.writes {
            match value {
                Some(value) => state.insert(key.clone(), *value),
                None => state.remove(key),
            };
        }
    }
    Ok(())
}

/// Whoever was answered before somebody else began comes before them.
fn real_time(mut order: Vec<(&Transaction, (u64, bool))>) -> Result<(), NotSerial> {
    let mut answered: Vec<_> = order.iter().filter(|(transaction, _)| transaction.answered.is_some()).copied().collect();
    answered.sort_by_key(|(transaction, _)| transaction.answered);
    order.sort_by_key(|(transaction, _)| transaction.called);
    let mut ended = answered.into_iter().peekable();
    // The latest of those that had ended.
    let mut latest: Option<(&Transaction, (u64, bool))> = None;
    for (transaction, place) in order {
        while let Some(next) = ended.next_if(|(next, _)| next.answered < Some(transaction.called)) {
            if latest.is_none_or(|(_, place)| place < next.1) {
                latest = Some(next);
            }
        }
        if let Some((earlier, _)) = latest.filter(|(_, latest)| *latest > place) {
            return Err(NotSerial::BackInTime(Box::new([earlier.clone(), transaction.clone()])));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
