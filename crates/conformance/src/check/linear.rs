//! Linearizability: every operation takes effect at one moment between its call and its answer.
//!
//! The search is that of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with the memory of Lowe ("Testing
//! for Linearizability", 2017): operations are put in an order one by one, and no set of operations is tried twice with
//! the same outcome. A history is linearizable when each of its keys is (Herlihy and Wing, 1990), so each is searched by
//! itself.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

/// What a key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// 1 on creation, one more with every write.
    pub version: u64,
    /// The value; recordings write each value once.
    pub value: u64,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// What is there?
    Read,
    /// Make it hold this.
    Set(u64),
    /// Make it hold this if it has this version; 0 is absent.
    SetIf {
        /// The version it has to have.
        expected: u64,
        /// The new value.
        value: u64,
    },
    /// Make it absent.
    Delete,
}

/// What was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This was there.
    Found(Option<Held>),
    /// It was set, and has this version.
    Set(u64),
    /// It was not set: it had this version.
    Met(u64),
    /// It is gone, and this is whether it was there.
    Deleted(bool),
}

/// An operation on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whose it is.
    pub key: String,
    /// What was asked.
    pub call: Call,
    /// When it was asked.
    pub called: u64,
    /// What was answered, and when. Without an answer it may have happened at any time since, or never.
    pub answered: Option<(u64, Answer)>,
}

/// A key whose operations no order explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotLinear {
    /// Which one.
    pub key: String,
    /// As many operations as any order explains.
    pub explained: Vec<Operation>,
    /// What it holds after them.
    pub state: Option<Held>,
    /// What would have to come next, and does not fit.
    pub stuck: Vec<Operation>,
}

impl fmt::Display for NotLinear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, explained, state, stuck } = self;
        writeln!(f, "no order explains what was answered for the key {key:?}; the longest that can be explained is")?;
        explained.iter().try_for_each(|operation| writeln!(f, "  {operation}"))?;
        writeln!(f, "which leaves {state:?}, and now none of these fits:")?;
        stuck.iter().try_for_each(|operation| writeln!(f, "  {operation}"))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answered {
            Some((at, answer)) => write!(f, "{}..{at} {:?} -> {answer:?}", self.called, self.call),
            None => write!(f, "{}.. {:?} -> nobody knows", self.called, self.call),
        }
    }
}

/// Whether some order explains every answer.
///
/// # Errors
/// A key for which there is none.
pub fn check(operations: &[Operation]) -> Result<(), Box<NotLinear>> {
    let mut keys: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in operations {
        keys.entry(&operation.key).or_default().push(operation);
    }
    keys.into_values().try_for_each(search)
}

/// What a key holds after an operation; `None` when it cannot have been answered so.
fn after(state: Option<Held>, operation: &Operation) -> Option<Option<Held>> {
    let version = state.map_or(0, |held| held.version);
    let set = |value| Some(Held { version: version + 1, value });
    let answer = operation.answered.map(|(_, answer)| answer);
    match (operation.call, answer) {
        (Call::Read, None) => Some(state),
        (Call::Read, Some(Answer::Found(found))) => (found == state).then_some(state),
        (Call::Set(value), None) => Some(set(value)),
        (Call::Set(value), Some(Answer::Set(answered))) => (answered == version + 1).then_some(set(value)),
        (Call::SetIf { expected, value }, None) => Some(if expected == version { set(value) } else { state }),
        (Call::SetIf { expected, value }, Some(Answer::Set(answered))) => {
            (expected == version && answered == version + 1).then_some(set(value))
        }
        (Call::SetIf { expected, .. }, Some(Answer::Met(met))) => (met == version && met != expected).then_some(state),
        (Call::Delete, None) => Some(None),
        (Call::Delete, Some(Answer::Deleted(existed))) => (existed == state.is_some()).then_some(None),
        _ => None,
    }
}

/// Which operations have their place, as bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Placed(Vec<u64>);

impl Placed {
    fn has(&self, index: usize) -> bool {
        self.0[index / 64] & (1 << (index % 64)) != 0
    }

    fn turn(&mut self, index: usize) {
        self.0[index / 64] ^= 1 << (index % 64);
    }
}

fn search(mut operations: Vec<&Operation>) -> Result<(), Box<NotLinear>> {
    operations.sort_unstable_by_key(|operation| operation.called);
    let answered_at = |operation: &Operation| operation.answered.map_or(u64::MAX, |(at, _)| at);
    let mut placed = Placed(vec![0; operations.len().div_ceil(64)]);
    let mut seen: HashSet<(Placed, Option<Held>)> = HashSet::new();
    // The order so far: each operation with what was there before it.
    let mut order: Vec<(usize, Option<Held>)> = Vec::new();
    let (mut state, mut from) = (None, 0);
    let mut longest = (Vec::new(), None);
    loop {
        // Whatever was called after somebody had been answered comes after them.
        let left = || operations.iter().enumerate().filter(|(index, _)| !placed.has(*index));
        let deadline = left().map(|(_, operation)| answered_at(operation)).min().unwrap_or(u64::MAX);
        if deadline == u64::MAX {
            // What is left was never answered, and need not have happened.
            return Ok(());
        }
        if order.len() >= longest.0.len() {
            longest = (order.iter().map(|(index, _)| *index).collect(), state);
        }
        let fits = left().skip_while(|(index, _)| *index < from).find_map(|(index, operation)| {
            if operation.called > deadline {
                return None;
            }
            let next = after(state, operation)?;
            let mut with = placed.clone();
            with.turn(index);
            seen.insert((with, next)).then_some((index, next))
        });
        match fits {
            Some((index, next)) => {
                order.push((index, state));
                placed.turn(index);
                (state, from) = (next, 0);
            }
            None => match order.pop() {
                Some((index, before)) => {
                    placed.turn(index);
                    (state, from) = (before, index + 1);
                }
                None => return Err(Box::new(stuck(&operations, longest))),
            },
        }
    }
}

fn stuck(operations: &[&Operation], (order, state): (Vec<usize>, Option<Held>)) -> NotLinear {
    let own = |index: &usize| operations[*index].clone();
    let left: Vec<usize> = (0..operations.len()).filter(|index| !order.contains(index)).collect();
    let answered_at = |index: &usize| operations[*index].answered.map_or(u64::MAX, |(at, _)| at);
    let deadline = left.iter().map(answered_at).min().unwrap_or(u64::MAX);
    let next: Vec<usize> = left.into_iter().filter(|index| operations[*index].called <= deadline).collect();
    NotLinear {
        key: operations[0].key.clone(),
        explained: order.iter().map(own).collect(),
        state,
        stuck: next.iter().map(own).collect(),
    }
}

#[cfg(test)]
mod tests;
