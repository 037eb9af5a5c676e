//! From single records to batches that fit into one commit, on the thread that reads.
//!
//! What is read goes to the committer through a bounded channel, so a fast reader waits and memory stays flat.

use std::{
    collections::{HashMap, hash_map},
    fmt,
};

use larder::{Action, Error, Index, Key, Limits, Metadata, Namespace};
use tokio::sync::mpsc::Sender;

/// How many records share a commit at most.
const BATCH_RECORDS: usize = 1000;
/// How many bytes share a commit at most, unless a single record is larger.
const BATCH_BYTES: usize = 4 << 20;

/// What the reader hands to the committer.
#[derive(Debug)]
pub(super) enum Work {
    Batch(Batch),
    Namespace {
        namespace: Namespace,
        metadata: Metadata,
    },
    Index {
        namespace: Namespace,
        index: Index,
    },
    Bad {
        place: Place,
        reason: String,
    },
    /// The last thing; what is missing it was read by a thread that died.
    End(Result<(), Error>),
}

/// Records for one commit: one namespace, no key twice.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) namespace: Namespace,
    pub(super) records: Vec<(Key, Action)>,
    /// Records that another one of the same key in this batch has replaced, or, with `--if-absent`, prevented.
    pub(super) repeated: u64,
}

/// Where in the input something stands, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Line(u64),
    Record(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Record(number) => write!(f, "record {number}"),
        }
    }
}

/// What becomes of keys that are there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    Overwrite,
    Skip,
    Refuse,
}

/// Why reading ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody takes what is read any more.
    Gone,
    Failed(Error),
}

/// The reader's end of the channel.
#[derive(Debug)]
pub(super) struct Feed {
    sender: Sender<Work>,
    existing: Existing,
    skip_bad: bool,
    records_max: usize,
    bytes_max: usize,
    namespace: Namespace,
    records: Vec<(Key, Action)>,
    places: HashMap<Key, usize>,
    repeated: u64,
    bytes: usize,
}

impl Feed {
    pub(super) fn new(sender: Sender<Work>, limits: Limits, existing: Existing, skip_bad: bool) -> Self {
        Self {
            sender,
            existing,
            skip_bad,
            records_max: BATCH_RECORDS.min(limits.commit_writes).min(limits.commit_checks),
            bytes_max: BATCH_BYTES.min(limits.commit_bytes),
            namespace: Namespace::default(),
            records: Vec::new(),
            places: HashMap::new(),
            repeated: 0,
            bytes: 0,
        }
    }

    /// One good record.
    pub(super) fn record(&mut self, namespace: &Namespace, key: Key, action: Action) -> Result<(), Stop> {
        // The key counts twice: it may come with a check.
        let bytes = 2 * key.len() + weight(&action);
        let full = self.records.len() == self.records_max || self.bytes + bytes > self.bytes_max;
        // A restored entry cannot be written twice in one commit; in two it meets itself and is refused.
        let twice = matches!(action, Action::Restore { .. }) && self.places.contains_key(&key);
        if full || twice || *namespace != self.namespace {
            self.flush()?;
            self.namespace = namespace.clone();
        }
        match self.places.entry(key) {
            hash_map::Entry::Vacant(place) => {
                self.records.push((place.key().clone(), action));
                place.insert(self.records.len() - 1);
                self.bytes += bytes;
            }
            hash_map::Entry::Occupied(place) => {
                self.repeated += 1;
                if self.existing != Existing::Skip {
                    self.records[*place.get()].1 = action;
                    self.bytes += bytes;
                }
            }
        }
        Ok(())
    }

    pub(super) fn namespace(&mut self, namespace: Namespace, metadata: Metadata) -> Result<(), Stop> {
        self.flush()?;
        self.send(Work::Namespace { namespace, metadata })
    }

    /// One index, of which everything that was there before it is in.
    pub(super) fn index(&mut self, namespace: Namespace, index: Index) -> Result<(), Stop> {
        self.flush()?;
        self.send(Work::Index { namespace, index })
    }

    /// One bad record: the end, unless bad ones are to be skipped.
    pub(super) fn bad(&mut self, place: Place, error: &Error) -> Result<(), Stop> {
        let mut reason = error.to_string();
        if let Place::Line(_) = place {
            // The parser saw one line and calls it the first.
            reason = reason.replace(" at line 1 column ", " at column ");
        }
        if self.skip_bad {
            return self.send(Work::Bad { place, reason });
        }
        Err(Stop::Failed(Error::new(error.kind(), format!("{place}: {reason}"))))
    }

    /// Hands over what is left, and how reading ended.
    pub(super) fn end(mut self, answer: Result<(), Stop>) {
        let sent = self.flush();
        let answer = match (answer, sent) {
            (Ok(()), Ok(())) => Ok(()),
            (Err(Stop::Failed(error)), Ok(())) => Err(error),
            _ => return,
        };
        // Who has gone needs no answer.
        let _ = self.send(Work::End(answer));
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if self.records.is_empty() {
            return Ok(());
        }
        let records = std::mem::take(&mut self.records);
        self.places.clear();
        self.bytes = 0;
        let repeated = std::mem::take(&mut self.repeated);
        self.send(Work::Batch(Batch { namespace: self.namespace.clone(), records, repeated }))
    }

    fn send(&mut self, work: Work) -> Result<(), Stop> {
        self.sender.blocking_send(work).map_err(|_| Stop::Gone)
    }
}

/// What an action weighs in a commit.
pub(super) fn weight(action: &Action) -> usize {
    match action {
        Action::Put { value, .. } => value.bytes().len(),
        Action::Restore { value, metadata, .. } => value.bytes().len() + metadata.len(),
        _ => 0,
    }
}
