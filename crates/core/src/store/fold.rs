//! Folding: many writes of one key in a commit become one, with the same end.
//!
//! Writes apply in the order in which they were given, and still make one version step and one change. The seam names
//! every key once, so the order is worked out here.

use std::{collections::HashMap, ops::RangeInclusive};

use crate::{
    address::Address,
    commit::{Action, Check, Condition, Conflict, Expected, ExpiryChange, Found, MetadataChange, Part, Write, Written},
    error::{Error, ErrorKind, Result},
    metadata::Metadata,
    time::Timestamp,
    value::Value,
};

/// Writes with every address once, checks that folding has brought along, and the way back to the writes as given.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) writes: Vec<Write>,
    pub(super) checks: Vec<Check>,
    pub(super) given: Given,
}

/// The writes as they were given, as far as answers have to be told in their terms.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// For each write its place among the folded ones.
    places: Vec<usize>,
    /// Every `Add` of a commit of several writes.
    adds: Vec<Addition>,
}

/// An `Add` as it was given.
#[derive(Debug)]
struct Addition {
    /// Its place among the given writes.
    index: usize,
    /// Its place among the folded ones.
    place: usize,
    delta: i64,
    bounds: RangeInclusive<i64>,
    sum: Sum,
}

/// What an `Add` arrives at.
#[derive(Clone, Copy, Debug)]
enum Sum {
    /// This, because what it adds to was set by the same commit.
    Known(i64),
    /// What the engine answers, less this: what was added later. It wraps around, and back again.
    Less(i64),
}

impl Given {
    /// The answers to the writes as given, from those to the folded ones.
    pub(super) fn answers(&self, folded: &[Written]) -> Vec<Written> {
        let mut answers: Vec<Written> = self.places.iter().map(|place| folded[*place]).collect();
        for Addition { index, sum, .. } in &self.adds {
            answers[*index].number = match sum {
                Sum::Known(number) => Some(*number),
                Sum::Less(later) => answers[*index].number.map(|last| last.wrapping_sub(*later)),
            };
        }
        answers
    }

    /// A conflict over the folded write at `place`, as the given writes would have met it one by one.
    pub(super) fn conflict(&self, place: usize, conflict: Conflict) -> Conflict {
        if let Found::Number(mut number) = conflict.found {
            for Addition { index, delta, bounds, .. } in self.adds.iter().filter(|add| add.place == place) {
                match within(number, *delta, bounds) {
                    Some(sum) => number = sum,
                    None => return Conflict { address: conflict.address, ..out_of_bounds(*index, number, bounds) },
                }
            }
        }
        let index = self.places.iter().position(|given| *given == place).unwrap_or(place);
        Conflict { part: Part::Write(index), ..conflict }
    }
}

/// Folds `writes`.
///
/// # Errors
/// What the engine would have answered to the writes one by one: `NotFound` for metadata or expiry of what was deleted
/// just before, `InvalidState` and `Conflict` for adding to what was set just before; `Invalid` for orders without sense.
pub(super) fn fold(writes: Vec<Write>) -> Result<Folded> {
    let count = writes.len();
    let given = Given { places: Vec::with_capacity(count), adds: Vec::new() };
    let mut folded = Folded { writes: Vec::with_capacity(count), checks: Vec::new(), given };
    if count == 1 {
        // A commit of one write is the common one, and needs no map.
        folded.given.places.push(0);
        folded.writes = writes;
        return Ok(folded);
    }
    let mut known: HashMap<Address, usize> = HashMap::new();
    for (index, write) in writes.into_iter().enumerate() {
        let place = known.get(&write.address).copied();
        let add = match &write.action {
            Action::Add { delta, floor, ceiling } => Some((*delta, *floor..=*ceiling)),
            _ => None,
        };
        match place {
            None => {
                known.insert(write.address.clone(), folded.writes.len());
                folded.writes.push(write);
            }
            Some(place) => {
                let earlier = &mut folded.writes[place];
                let needs_entry = matches!(earlier.action, Action::Annotate { .. });
                earlier.action = both(index, &earlier.address, earlier.action.clone(), write.action)?;
                if needs_entry && !matches!(earlier.action, Action::Annotate { .. }) {
                    // What annotates must find an entry; the write it was folded into would not ask.
                    folded.checks.push(Check::Key { address: write.address, condition: Condition::Exists });
                }
            }
        }
        let place = place.unwrap_or(folded.writes.len() - 1);
        folded.given.places.push(place);
        if let Some((delta, bounds)) = add {
            let sum = match &folded.writes[place].action {
                Action::Put { value, .. } => value.as_integer().map(Sum::Known),
                Action::Add { delta: so_far, .. } => Some(Sum::Less(*so_far)),
                _ => None,
            };
            let sum = sum.expect("an add folds into a sum or into an integer that is set");
            folded.given.adds.push(Addition { index, place, delta, bounds, sum });
        }
    }
    // How much is added in all is known only now.
    for Addition { place, sum, .. } in &mut folded.given.adds {
        if let (Sum::Less(so_far), Action::Add { delta, .. }) = (*sum, &folded.writes[*place].action) {
            *sum = Sum::Less(delta.wrapping_sub(so_far));
        }
    }
    Ok(folded)
}

/// What the write with this index, `second`, makes of the one before it.
fn both(index: usize, address: &Address, first: Action, second: Action) -> Result<Action> {
    let senseless = |why: &str| Err(Error::invalid(format!("the key {address} is written twice in one commit: {why}")));
    Ok(match (first, second) {
        (Action::Restore { .. } | Action::Recode { .. }, _) | (_, Action::Restore { .. } | Action::Recode { .. }) => {
            return senseless("a restored or recoded entry is written once");
        }
        (Action::Add { .. }, Action::Put { .. } | Action::Delete) => {
            return senseless("the sum would be thrown away");
        }

        (Action::Delete, Action::Put { value, expires_at, metadata }) => {
            Action::Put { value, expires_at, metadata: anew(metadata) }
        }
        (Action::Delete, Action::Add { delta, floor, ceiling }) => {
            let value = sum(index, address, 0, delta, floor..=ceiling)?;
            Action::Put { value, expires_at: None, metadata: anew(MetadataChange::Keep) }
        }
        (Action::Delete, Action::Annotate { .. }) => {
            let message =
                format!("the key {address} is deleted by the same commit, so its metadata and expiry cannot be changed");
            return Err(Error::new(ErrorKind::NotFound, message));
        }
        (_, Action::Delete) => Action::Delete,

        (
            Action::Put { metadata: first, .. } | Action::Annotate { metadata: first, .. },
            Action::Put { value, expires_at, metadata },
        ) => Action::Put { value, expires_at, metadata: then(first, metadata)? },
        (Action::Put { value, expires_at, metadata: first }, Action::Annotate { metadata, expiry }) => {
            Action::Put { value, expires_at: later(expires_at, expiry), metadata: then(first, metadata)? }
        }
        (Action::Put { value, expires_at, metadata }, Action::Add { delta, floor, ceiling }) => {
            let Some(number) = value.as_integer() else {
                let message = format!("the key {address} is set by the same commit to what is not a JSON integer to add to");
                return Err(Error::new(ErrorKind::InvalidState, message));
            };
            Action::Put { value: sum(index, address, number, delta, floor..=ceiling)?, expires_at, metadata }
        }
        (Action::Annotate { metadata: first, expiry: before }, Action::Annotate { metadata, expiry }) => {
            let expiry = if expiry == ExpiryChange::Keep { before } else { expiry };
            Action::Annotate { metadata: then(first, metadata)?, expiry }
        }
        (Action::Add { delta: d1, floor: f1, ceiling: c1 }, Action::Add { delta: d2, floor: f2, ceiling: c2 }) => {
            let Some(delta) = d1.checked_add(d2) else { return senseless("the two numbers to add are too large together") };
            let (floor, ceiling) = seen_from(f1, c1, d2);
            Action::Add { delta, floor: floor.max(f2), ceiling: ceiling.min(c2) }
        }
        (Action::Annotate { .. }, Action::Add { .. }) | (Action::Add { .. }, Action::Annotate { .. }) => {
            return senseless("adding and changing metadata or expiry take two commits");
        }
    })
}

/// The metadata of an entry that begins anew.
fn anew(change: MetadataChange) -> MetadataChange {
    MetadataChange::Replace(change.given().cloned().unwrap_or_else(Metadata::default))
}

fn then(first: MetadataChange, second: MetadataChange) -> Result<MetadataChange> {
    Ok(match (first, second) {
        (first, MetadataChange::Keep) => first,
        (MetadataChange::Keep, second) | (_, second @ MetadataChange::Replace(_)) => second,
        (MetadataChange::Replace(first), MetadataChange::Merge(second)) => MetadataChange::Replace(first.merge(&second)?),
        (MetadataChange::Merge(first), MetadataChange::Merge(second)) => MetadataChange::Merge(first.merge(&second)?),
    })
}

fn later(expires_at: Option<Timestamp>, change: ExpiryChange) -> Option<Timestamp> {
    match change {
        ExpiryChange::Keep => expires_at,
        ExpiryChange::Set(at) => at,
    }
}

/// The sum, if it is within `bounds`: a conflict where it is not, as the engine would have found it.
fn sum(index: usize, address: &Address, number: i64, delta: i64, bounds: RangeInclusive<i64>) -> Result<Value> {
    within(number, delta, &bounds)
        .map(Value::integer)
        .ok_or_else(|| Error::conflict(Conflict { address: Some(address.clone()), ..out_of_bounds(index, number, &bounds) }))
}

fn within(number: i64, delta: i64, bounds: &RangeInclusive<i64>) -> Option<i64> {
    number.checked_add(delta).filter(|sum| bounds.contains(sum))
}

fn out_of_bounds(index: usize, number: i64, bounds: &RangeInclusive<i64>) -> Conflict {
    Conflict {
        part: Part::Write(index),
        address: None,
        expected: Expected::Within { floor: *bounds.start(), ceiling: *bounds.end() },
        found: Found::Number(number),
    }
}

/// The bounds of a sum, seen from the next one, which adds `delta`.
///
/// A bound that leaves the i64 on its own side holds for every sum there is; one that leaves it on the other side holds
/// for none.
fn seen_from(floor: i64, ceiling: i64, delta: i64) -> (i64, i64) {
    const NONE: (i64, i64) = (i64::MAX, i64::MIN);
    let floor = match floor.checked_add(delta) {
        Some(floor) => floor,
        None if delta < 0 => i64::MIN,
        None => return NONE,
    };
    let ceiling = match ceiling.checked_add(delta) {
        Some(ceiling) => ceiling,
        None if delta > 0 => i64::MAX,
        None => return NONE,
    };
    (floor, ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{key::Key, namespace::Namespace};

    fn folded(actions: Vec<Action>) -> Result<Folded> {
        let address = Address::new(Namespace::default(), Key::new("k")?);
        fold(actions.into_iter().map(|action| Write { address: address.clone(), action }).collect())
    }

    fn put(value: &str) -> Action {
        Action::Put { value: Value::detect(value.to_owned()), expires_at: None, metadata: MetadataChange::Keep }
    }

    fn add(delta: i64, floor: i64, ceiling: i64) -> Action {
        Action::Add { delta, floor, ceiling }
    }

    #[test]
    fn the_last_put_wins_and_a_delete_before_it_forgets_the_metadata() {
        let one = folded(vec![put("1"), put("2")]).expect("folds");
        assert_eq!((one.writes.len(), one.given.places), (1, vec![0, 0]));
        let anew = folded(vec![Action::Delete, put("2")]).expect("folds");
        let Action::Put { metadata, .. } = &anew.writes[0].action else { panic!("a put") };
        assert_eq!(*metadata, MetadataChange::Replace(Metadata::default()));
    }

    #[test]
    fn sums_add_up_within_both_bounds() {
        let both = folded(vec![add(5, 0, 10), add(-3, -100, 100)]).expect("folds");
        // v + 5 in 0..=10 and v + 2 in -100..=100 is v + 2 in -3..=7.
        assert!(matches!(both.writes[0].action, Action::Add { delta: 2, floor: -3, ceiling: 7 }));
        for (first, second) in [(add(0, i64::MAX, i64::MAX), 1), (add(0, i64::MIN, i64::MIN), -1)] {
            let none = folded(vec![first, add(second, i64::MIN, i64::MAX), add(0, i64::MIN, i64::MAX)]).expect("folds");
            assert!(matches!(none.writes[0].action, Action::Add { floor: i64::MAX, ceiling: i64::MIN, .. }), "no sum fits");
        }
        assert!(folded(vec![add(1, 0, 9), put("1")]).is_err());
        let fixed = folded(vec![put("40"), add(2, 0, 50)]).expect("folds");
        let Action::Put { value, .. } = &fixed.writes[0].action else { panic!("a put") };
        assert_eq!(value.as_integer(), Some(42));
        assert!(folded(vec![put("40"), add(2, 0, 41)]).is_err() && folded(vec![put("x"), add(2, 0, 41)]).is_err());
    }

    #[test]
    fn annotating_first_still_asks_for_the_entry() {
        let annotate = Action::Annotate { metadata: MetadataChange::Keep, expiry: ExpiryChange::Set(None) };
        assert_eq!(folded(vec![annotate.clone(), put("1")]).expect("folds").checks.len(), 1);
        assert!(folded(vec![Action::Delete, annotate]).is_err());
    }
}
