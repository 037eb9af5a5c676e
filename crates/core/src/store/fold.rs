//! Folding: many writes of one key in a commit become one, with the same end.
//!
//! Writes apply in the order in which they were given, and still make one version step and one change. The seam names
//! every key once, so the order is worked out here.

use std::ops::RangeInclusive;

use crate::{
    address::Address,
    commit::{Action, Check, Condition, Conflict, Expected, ExpiryChange, Found, MetadataChange, Part, Write},
    error::{Error, ErrorKind, Result},
    metadata::Metadata,
    time::Timestamp,
    value::Value,
};

/// Writes with every address once, checks that folding has brought along, and for each given write its place.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) writes: Vec<Write>,
    pub(super) checks: Vec<Check>,
    pub(super) places: Vec<usize>,
}

/// Folds `writes`.
///
/// # Errors
/// What the engine would have answered to the writes one by one: `NotFound` for metadata or expiry of what was deleted
/// just before, `InvalidState` and `Conflict` for adding to what was set just before; `Invalid` for orders without sense.
pub(super) fn fold(writes: Vec<Write>) -> Result<Folded> {
    let count = writes.len();
    let mut folded = Folded { writes: Vec::with_capacity(count), places: Vec::with_capacity(count), checks: Vec::new() };
    let mut known: std::collections::HashMap<Address, usize> = std::collections::HashMap::new();
    let single = count == 1;
    for (index, write) in writes.into_iter().enumerate() {
        // A commit of one write is the common one, and needs no map.
        let place = if single { None } else { known.get(&write.address).copied() };
        match place {
            None => {
                if !single {
                    known.insert(write.address.clone(), folded.writes.len());
                }
                folded.places.push(folded.writes.len());
                folded.writes.push(write);
            }
            Some(place) => {
                folded.places.push(place);
                let earlier = &mut folded.writes[place];
                let needs_entry = matches!(earlier.action, Action::Annotate { .. });
                earlier.action = both(index, &earlier.address, earlier.action.clone(), write.action)?;
                if needs_entry && !matches!(earlier.action, Action::Annotate { .. }) {
                    // What annotates must find an entry; the write it was folded into would not ask.
                    folded.checks.push(Check::Key { address: write.address, condition: Condition::Exists });
                }
            }
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
            // The first sum's bounds, seen from the second: what lies outside of an i64 on the near side holds anyway.
            let Some(delta) = d1.checked_add(d2) else { return senseless("the two numbers to add are too large together") };
            Action::Add { delta, floor: f1.saturating_add(d2).max(f2), ceiling: c1.saturating_add(d2).min(c2) }
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
    match number.checked_add(delta).filter(|sum| bounds.contains(sum)) {
        Some(sum) => Ok(Value::integer(sum)),
        None => Err(Error::conflict(Conflict {
            part: Part::Write(index),
            address: Some(address.clone()),
            expected: Expected::Within { floor: *bounds.start(), ceiling: *bounds.end() },
            found: Found::Number(number),
        })),
    }
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
        assert_eq!((one.writes.len(), one.places), (1, vec![0, 0]));
        let anew = folded(vec![Action::Delete, put("2")]).expect("folds");
        let Action::Put { metadata, .. } = &anew.writes[0].action else { panic!("a put") };
        assert_eq!(*metadata, MetadataChange::Replace(Metadata::default()));
    }

    #[test]
    fn sums_add_up_within_both_bounds() {
        let both = folded(vec![add(5, 0, 10), add(-3, -100, 100)]).expect("folds");
        // v + 5 in 0..=10 and v + 2 in -100..=100 is v + 2 in -3..=7.
        assert!(matches!(both.writes[0].action, Action::Add { delta: 2, floor: -3, ceiling: 7 }));
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
