//! The map: what has to be there for an engine.
//!
//! # Contract
//!
//! * Keys and values are bytes; keys are ordered bytewise, and no key is empty.
//! * A [`View`] is of one moment, which is not before any batch that was acknowledged to anyone, anywhere, when it was asked
//!   for; two views of one process never go backwards. It never changes, whatever is written in the meantime.
//! * A [`Batch`] happens whole or not at all. It happens only if its guard still has the value that it had in the view; as
//!   every batch writes its guard, batches with the same guard happen one after the other, each decided on what the one before
//!   left.
//! * What is acknowledged is as durable as [`Capabilities::durability`] says.
//! * Dropping the future of `apply` undoes nothing. The batch may still happen, whole.

use std::fmt::Debug;

use bytes::Bytes;
use larder_core::{BoxFuture, Error, Result, Shared, engine::Capabilities};

/// A byte-ordered map with transactions.
pub trait Map: Debug + Shared + 'static {
    /// What the engine says of itself; the limits are those of commits, which have to fit into [`Map::most`].
    fn capabilities(&self) -> Capabilities;

    /// How much a batch takes at most. The heaviest commit of the floor of limits comes to 1.6 MiB: its keys stand with the
    /// entry, in the log twice, and by when they expire.
    fn most(&self) -> Size;

    /// Everything, as of now.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be had at present.
    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>>>;

    /// Writes `batch`, which was decided on `view`.
    ///
    /// # Errors
    /// `Unavailable`, `Limit` and the like when it certainly has not happened and never will.
    fn apply<'a>(&'a self, view: &'a dyn View, batch: Batch) -> BoxFuture<'a, Result<Applied>>;

    /// Names the life of the machine, where acknowledged batches may be lost with it: a store that is found in another life
    /// than the one in which it was written, and was not closed in that, begins a new lineage.
    fn life(&self) -> Option<String> {
        None
    }

    /// Makes everything that was acknowledged as durable as it ever will be.
    fn sync(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// What the map takes on its medium, in bytes, where it can tell.
    fn size(&self) -> BoxFuture<'_, Result<Option<u64>>>;

    /// Ends all work and releases files and connections. Closing twice is fine.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}

/// A map as of one moment.
pub trait View: Debug + Shared {
    /// What is at `keys`, in the same order. Many keys are one round trip, where there is one at all.
    fn get(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>>;

    /// The first pairs of each part, in the order asked for. Many parts are one round trip, where there is one at all.
    ///
    /// As many as the part's limit, or fewer when there are no more of them; a map never stops earlier.
    fn scan(&self, parts: Vec<Part>) -> BoxFuture<'_, Result<Vec<Vec<Pair>>>>;

    /// For maps to find their own again behind the `dyn`.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// A key and its value.
pub type Pair = (Bytes, Bytes);

/// A part of a map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// The first key.
    pub from: Bytes,
    /// The first key behind it; not before `from`.
    pub to: Bytes,
    /// From the end towards the start.
    pub reverse: bool,
    /// How many pairs at most.
    pub limit: usize,
}

/// What is to be written in one step. No key is in it twice, the guard included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What must not have changed since the view, and what it becomes.
    pub guard: Pair,
    /// What is put.
    pub puts: Vec<Pair>,
    /// What is removed; what is not there is fine.
    pub deletes: Vec<Bytes>,
}

impl Batch {
    /// How large it is.
    pub fn size(&self) -> Size {
        let pairs = self.puts.iter().chain([&self.guard]).map(|(key, value)| key.len() + value.len());
        let bytes = pairs.chain(self.deletes.iter().map(Bytes::len)).sum();
        Size { operations: 1 + self.puts.len() + self.deletes.len(), bytes }
    }
}

/// How large a batch is, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How many puts and deletes, the guard included.
    pub operations: usize,
    /// The bytes of their keys and values.
    pub bytes: usize,
}

/// What became of a batch.
#[derive(Debug)]
pub enum Applied {
    /// It has happened.
    Done,
    /// Somebody else was first, and nothing has happened: look again, and decide again.
    Raced,
    /// It may have happened, or may yet: the answer was lost, and this is why.
    Unknown(Error),
}
