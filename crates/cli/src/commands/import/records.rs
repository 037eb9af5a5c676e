//! Records of other programs: JSON lines, or the elements of an array. Every record is kept byte for byte.

use std::io::BufRead;

use larder::{Action, Error, Key, MetadataChange, Namespace, Result, Value};

use super::{
    array,
    batch::{Feed, Place, Stop},
    key::KeyFields,
    lines::{Line, Lines},
};

/// How records become entries.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) fields: KeyFields,
    pub(super) namespace: Namespace,
    /// What every engine takes as one value, so that what is imported can be written again one by one.
    pub(super) value_bytes_max: usize,
}

impl Recipe {
    fn entry(&self, record: &[u8]) -> Result<(Key, Action)> {
        if record.len() > self.value_bytes_max {
            return Err(self.too_large());
        }
        let value = Value::json(record.to_vec())?;
        // Checked to be JSON, it is UTF-8; the empty text would be refused as having no field.
        let key = self.fields.key(std::str::from_utf8(record).unwrap_or_default())?;
        Ok((key, Action::Put { value, expires_at: None, metadata: MetadataChange::Keep }))
    }

    fn too_large(&self) -> Error {
        Error::limit(format!("the record is too large for one value: at most {} bytes are allowed", self.value_bytes_max))
    }

    fn take(&self, feed: &mut Feed, place: Place, record: Option<&[u8]>) -> Result<(), Stop> {
        match record.ok_or_else(|| self.too_large()).and_then(|record| self.entry(record)) {
            Ok((key, action)) => feed.record(&self.namespace, key, action),
            Err(error) => feed.bad(place, &error),
        }
    }
}

/// One record on each line.
pub(super) fn lines(mut lines: Lines<impl BufRead>, recipe: &Recipe, feed: &mut Feed) -> Result<(), Stop> {
    while let Some(Line { number, text }) =
        lines.next().map_err(|error| Stop::Failed(crate::input::unreadable("the input", error)))?
    {
        recipe.take(feed, Place::Line(number), text)?;
    }
    Ok(())
}

/// One record in each element of the array at `path`.
pub(super) fn elements(reader: impl BufRead, path: &[String], recipe: &Recipe, feed: &mut Feed) -> Result<(), Stop> {
    let mut number = 0;
    array::elements(reader, path, &mut |raw| {
        number += 1;
        recipe.take(feed, Place::Record(number), Some(raw.get().as_bytes()))
    })
}
