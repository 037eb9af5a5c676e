//! Projection: some fields of an entry instead of all of it.

use std::{collections::BTreeMap, fmt};

use super::{
    json::{Json, quote},
    path::Path,
    sight,
};
use crate::{entry::Entry, key::Key};

/// An entry's key, and some of its fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The key.
    pub key: Key,
    /// By the text of the path that was asked for. What is missing is not in here; a path with `[]` in it has an array of
    /// what it reaches, which may be empty.
    pub fields: BTreeMap<String, Json>,
}

impl Row {
    /// What `paths` reach in `entry`.
    pub fn of(entry: &Entry, paths: &[Path]) -> Self {
        let mut fields = BTreeMap::new();
        for path in paths {
            let mut found = Vec::new();
            sight::each(entry, path, &mut |sight| {
                found.extend(sight.read());
                false
            });
            if path.is_many() {
                fields.insert(path.to_string(), Json::Array(found));
            } else if let Some(value) = found.pop() {
                fields.insert(path.to_string(), value);
            }
        }
        Self { key: entry.address.key.clone(), fields }
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.bytes() + 64);
        size_of::<Self>() + self.key.len() + fields.sum::<usize>()
    }
}

/// The row as a JSON object: `key`, and `fields` by their paths.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{\"key\":{},\"fields\":{{", quote(&self.key))?;
        for (index, (name, value)) in self.fields.iter().enumerate() {
            write!(f, "{}{}:{value}", if index == 0 { "" } else { "," }, quote(name))?;
        }
        f.write_str("}}")
    }
}
