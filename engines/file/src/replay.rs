//! What the store was: the state, and on it everything that the journal has.

use std::{collections::BTreeMap, sync::Arc};

use larder_core::Result;

use crate::{
    disk::Disk,
    error::{corrupt, explain},
    frame::Body,
    held::{Held, Stored},
    journal,
    layout::Layout,
    pairs::Pairs,
    stated,
};

/// What was found.
pub(crate) struct Found {
    pub(crate) pairs: Pairs,
    pub(crate) stored: BTreeMap<u64, Arc<Stored>>,
    /// The file in which the journal goes on, and up to where that is good.
    pub(crate) journal: u64,
    pub(crate) end: u64,
    /// Whether it ends with a frame that knows that all before it was synced.
    pub(crate) is_told: bool,
    /// What the journal has that the state has not.
    pub(crate) journal_bytes: u64,
}

/// Reads the state `number` and the journal from its file `number` on, and changes nothing.
///
/// # Errors
/// `Corrupt` when something is missing or damaged that was safe once.
pub(crate) fn replay(disk: Arc<dyn Disk>, number: u64, small: usize, layout: Layout) -> Result<Found> {
    let state = stated::read(&*disk, number, small)?;
    let mut pairs = Pairs::new(layout);
    pairs.fill(state.moment, state.pairs);
    let names = disk.list("").map_err(|error| explain("reading the directory", error))?;
    let is_there = |number: u64| names.iter().any(|name| *name == journal::name(number));
    let (mut at, mut journal_bytes, mut is_told) = (number, 0, true);
    let end = loop {
        if !is_there(at) {
            return Err(corrupt(format_args!("{} is missing", journal::name(at))));
        }
        let contents = journal::read(&*disk, at)?;
        if contents.end == 0 {
            return Err(corrupt(format_args!("{} has lost its beginning", journal::name(at))));
        }
        journal_bytes += contents.end;
        for frame in contents.frames {
            // A batch is the next moment, and the rest is of a moment that has been.
            let fits = match &frame.body {
                Body::Batch(_) => frame.moment == pairs.now() + 1,
                Body::Settled | Body::End | Body::Synced => frame.moment <= pairs.now(),
            };
            if !fits {
                return Err(corrupt(format_args!("{} has moment {} out of turn", journal::name(at), frame.moment)));
            }
            is_told = frame.body == Body::Synced;
            match frame.body {
                Body::Batch(writes) => {
                    let held = |value: Option<_>| value.map(|value| Held::new(value, small));
                    pairs.apply(writes.into_iter().map(|(key, value)| (key, held(value))).collect());
                }
                Body::Settled => pairs.dirty.retain(|_, stale| stale.changed > frame.moment),
                Body::End | Body::Synced => {}
            }
        }
        if !contents.ended {
            break contents.end;
        }
        at += 1;
    };
    // One that was begun, and never needed: it is begun once more when it is.
    for next in names.iter().filter_map(|name| name.strip_prefix("journal-")?.parse().ok()).filter(|next| *next > at) {
        let empty = next == at + 1 && journal::read(&*disk, next)?.frames.is_empty();
        if !empty {
            return Err(corrupt(format_args!("{} does not go on where {} ends", journal::name(next), journal::name(at))));
        }
    }
    Ok(Found { pairs, stored: state.files, journal: at, end, is_told, journal_bytes })
}
