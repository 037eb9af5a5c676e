//! Patches: a change to a document that says only what changes.
//!
//! A patch knows no store and no schema. What it does not touch stays as it is spelled, numbers included; white space that
//! means nothing goes.

mod merge;
mod operations;
mod pointer;
mod tree;

use bytes::Bytes;
use larder_core::{Error, Result, Value};
use serde::Serialize;

use tree::Tree;

/// A change to a document.
///
/// ```
/// use larder::documents::Patch;
///
/// # fn main() -> larder::Result<()> {
/// let merge = Patch::merge_text(r#"{"age": 32, "nick": null}"#)?;
/// assert_eq!(merge.apply(br#"{"name": "Ann", "age": 31.0, "nick": "A"}"#)?.bytes(), r#"{"name":"Ann","age":32}"#);
///
/// let list = Patch::operations_text(r#"[{"op": "test", "path": "/n", "value": 1}, {"op": "add", "path": "/tags/-", "value": "x"}]"#)?;
/// assert_eq!(list.apply(br#"{"n": 1.0, "tags": []}"#)?.bytes(), r#"{"n":1.0,"tags":["x"]}"#);
/// assert!(list.apply(br#"{"n": 2, "tags": []}"#).is_err(), "the test fails, so nothing happens");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Patch {
    form: Form,
    /// Checked when the patch was made.
    text: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Merge,
    Operations,
}

impl Patch {
    /// Fields to lay over the document, and to take away where they are `null`, as RFC 7386 says.
    ///
    /// # Errors
    /// `Invalid` when `changes` cannot be written as JSON.
    pub fn merge<T: Serialize + ?Sized>(changes: &T) -> Result<Self> {
        Self::merge_text(written(changes)?)
    }

    /// As [`Patch::merge`], from JSON text; numbers come through as they are spelled.
    ///
    /// # Errors
    /// `Invalid` when `text` is not JSON.
    pub fn merge_text(text: impl Into<Bytes>) -> Result<Self> {
        let text = text.into();
        Tree::parse(&text)?;
        Ok(Self { form: Form::Merge, text })
    }

    /// A list of operations, as RFC 6902 says: at most 1000, one after the other, and all of them or nothing.
    ///
    /// # Errors
    /// `Invalid`, with the number of the operation, for what is no operation; `Limit` for too many.
    pub fn operations<T: Serialize + ?Sized>(operations: &T) -> Result<Self> {
        Self::operations_text(written(operations)?)
    }

    /// As [`Patch::operations`], from JSON text.
    ///
    /// # Errors
    /// As [`Patch::operations`].
    pub fn operations_text(text: impl Into<Bytes>) -> Result<Self> {
        let text = text.into();
        operations::read(Tree::parse(&text)?)?;
        Ok(Self { form: Form::Operations, text })
    }

    /// What this makes of `document`, which is JSON text.
    ///
    /// # Errors
    /// Of operations: `InvalidState` when a place is not there, `Conflict` when a `test` finds something else. `Limit` when
    /// the document would grow too large or too deep; `Invalid` when it is not JSON.
    pub fn apply(&self, document: &[u8]) -> Result<Value> {
        let (document, patch) = (Tree::parse(document)?, Tree::parse(&self.text)?);
        Value::json(match self.form {
            Form::Merge => merge::merge(document, patch).write(),
            Form::Operations => {
                let operations = operations::read(patch)?;
                operations::apply(document, &operations)?.write()
            }
        })
    }
}

fn written<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|error| Error::invalid("this cannot be written as JSON").caused_by(error))
}
