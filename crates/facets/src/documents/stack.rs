//! Room on the stack for judging documents.
//!
//! The library judges rule within rule, and through references a schema can be as deep as it is long: what somebody sends
//! must not end the process. So it is estimated how deep this can go, and where that may be deeper than a thread has room for,
//! it is done on a thread that has.

use larder_core::{Error, Result};
use serde_json::Value;

/// What one level of a schema takes at most, in bytes: five times what was measured in a debug build.
const LEVEL_BYTES: u64 = 2 << 10;
/// What every thread is taken to have; a fifth of it is needed in fact.
const SPARE_BYTES: u64 = 1 << 20;
/// What turning a schema into rules takes, whatever is in it: it is judged itself, by the schema of schemas.
const BUILDING_BYTES: u64 = 32 << 20;
/// No thread is given more. It is room to grow into, and memory only where it is grown into.
const MOST_BYTES: u64 = 4 << 30;

/// How deep judging by a schema can go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depth {
    levels: u64,
    references: u64,
}

impl Depth {
    pub(super) fn of(schema: &Value) -> Self {
        Self { levels: 1 + levels(schema), references: references(schema) }
    }

    /// Between two references a schema is no deeper than it is written, and at one place of a document each reference is
    /// followed once.
    fn bytes(self, places: u64) -> u64 {
        (self.references * places + 1).saturating_mul(self.levels).saturating_mul(LEVEL_BYTES)
    }

    /// Turns the schema into rules.
    pub(super) fn build<T: Send>(self, build: impl FnOnce() -> T + Send) -> Result<T> {
        on_a_stack_of(BUILDING_BYTES.max(self.bytes(1)), build)
    }

    /// Judges `document`.
    pub(super) fn judge<T: Send>(self, document: &Value, judge: impl FnOnce() -> T + Send) -> Result<T> {
        let places = if self.references == 0 { 0 } else { 1 + levels(document) };
        match self.bytes(places) {
            ..=SPARE_BYTES => Ok(judge()),
            bytes => on_a_stack_of(bytes, judge),
        }
    }
}

fn on_a_stack_of<T: Send>(bytes: u64, work: impl FnOnce() -> T + Send) -> Result<T> {
    let refused =
        || Error::limit("this schema refers to itself so often that documents as deep as this one cannot be judged");
    let bytes = usize::try_from(bytes).ok().filter(|_| bytes <= MOST_BYTES).ok_or_else(refused)?;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("larder-schema".to_owned()).stack_size(bytes);
        let working = thread.spawn_scoped(scope, work).map_err(|error| refused().caused_by(error))?;
        working.join().or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// How deep arrays and objects are nested.
fn levels(value: &Value) -> u64 {
    match value {
        Value::Array(items) => 1 + items.iter().map(levels).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(levels).max().unwrap_or(0),
        _ => 0,
    }
}

fn references(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.iter().map(references).sum(),
        Value::Object(fields) => {
            let own = |name: &str| u64::from(matches!(name, "$ref" | "$dynamicRef" | "$recursiveRef"));
            fields.iter().map(|(name, value)| own(name) + references(value)).sum()
        }
        _ => 0,
    }
}
