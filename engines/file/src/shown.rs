//! Showing entries: one readable file for each, which holds exactly its value.
//!
//! The files are for people. The store writes them and looks at them, and never believes them: what is true stands in the
//! state and in the journal. So what somebody else writes there damages nothing. It is noticed before it is written over,
//! and by whoever looks through all files once a store was opened; then it is put aside in [`EDITED`], and the file becomes
//! what it has to be.

use std::{collections::BTreeSet, io, sync::Arc};

use bytes::Bytes;
use larder_core::Result;

use crate::{
    core::{Core, Look},
    disk::{File, read_all},
    error::explain,
    held::hash,
    name,
    pairs::{Dirty, Stale},
};

/// The directory of what somebody else has written into the files of entries.
pub(crate) const EDITED: &str = "edited";

/// The directory of files that are not finished.
pub(crate) const UNFINISHED: &str = "tmp";

/// How many files are open at the same time.
const TOGETHER: usize = 256;

/// How many pairs are looked at before somebody else gets a turn.
const LOOKED_AT: usize = 512;

/// Makes the files of `dirty` what they have to be as of `look`, and safe. What was tried is noted in `dirty`.
pub(crate) fn show(look: &Look, dirty: &mut Dirty) -> Result<()> {
    let mut desk = Desk { core: &look.core, look, touched: BTreeSet::new(), unfinished: Vec::new(), next: 0 };
    for (key, stale) in dirty {
        desk.one(key, stale)?;
        if desk.unfinished.len() >= TOGETHER {
            desk.finish()?;
        }
    }
    desk.finish()?;
    desk.sync()
}

struct Desk<'a> {
    core: &'a Core,
    look: &'a Look,
    /// The directories in which names have changed.
    touched: BTreeSet<String>,
    /// Files that are written, but not safe and not in their places; and where these are.
    unfinished: Vec<(Arc<dyn File>, String, String)>,
    next: u64,
}

/// What is not finished goes; on a full disk somebody else wants its space.
impl Drop for Desk<'_> {
    fn drop(&mut self) {
        for (_, unfinished, _) in &self.unfinished {
            let _ = self.core.disk.remove(unfinished);
        }
    }
}

impl Desk<'_> {
    fn one(&mut self, key: &Bytes, stale: &mut Stale) -> Result<()> {
        let Some((namespace, entry)) = (self.core.layout.address)(key) else { return Ok(()) };
        let (directory, path) = (name::directory(namespace), name::path(namespace, entry));
        let shown = self.core.pairs().shown(key, self.look.moment);
        let wanted = shown.as_ref().map(|shown| shown.hash);
        let failed = |error| explain(&format!("writing {path}"), error);
        let found = read(self.core, &path).map_err(failed)?.map(|found| hash(&found));
        // Also where it is right already: a crash may have come before that was safe.
        self.touched.insert(directory.clone());
        if found == wanted {
            return Ok(());
        }
        if found.is_some() && !stale.known.contains(&found) {
            self.put_aside(&path, entry).map_err(failed)?;
        }
        // Before it is tried: whoever tries again has to know it.
        if !stale.known.contains(&wanted) {
            stale.known.push(wanted);
        }
        let Some(shown) = shown else {
            return match self.core.disk.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        };
        let value = shown.held.value()?;
        self.write(&directory, &path, &value).map_err(failed)
    }

    fn write(&mut self, directory: &str, path: &str, value: &[u8]) -> io::Result<()> {
        if !self.core.directories().contains(directory) {
            self.core.disk.create_directory(directory)?;
            self.core.disk.sync_directory(name::ENTRIES)?;
            self.core.directories().insert(directory.to_owned());
        }
        let unfinished = format!("{UNFINISHED}/{}", self.next);
        self.next += 1;
        let file = self.core.disk.create(&unfinished)?;
        self.unfinished.push((file.clone(), unfinished, path.to_owned()));
        file.write(0, value)
    }

    /// Moves what somebody else wrote to where nobody writes over it.
    fn put_aside(&mut self, path: &str, entry: &str) -> io::Result<()> {
        let name = name::name(entry);
        let free = (1_u64..)
            .map(|n| format!("{EDITED}/{name}.{n}"))
            .find(|aside| self.core.disk.open(aside).is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
        self.touched.insert(EDITED.to_owned());
        self.core.disk.rename(path, &free.expect("nobody edits a file so often that numbers end"))
    }

    fn finish(&mut self) -> Result<()> {
        let finished = || {
            let files: Vec<Arc<dyn File>> = self.unfinished.iter().map(|(file, ..)| file.clone()).collect();
            self.core.disk.sync_files(&files)?;
            self.unfinished.iter().try_for_each(|(_, from, to)| self.core.disk.rename(from, to))
        };
        let done = finished().map_err(|error| {
            // Somebody may have removed one.
            self.core.directories().clear();
            explain("writing the files of entries", error)
        });
        if done.is_ok() {
            self.unfinished.clear();
        }
        done
    }

    fn sync(&self) -> Result<()> {
        for directory in &self.touched {
            match self.core.disk.sync_directory(directory) {
                // There was nothing to show in it yet.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                synced => synced.map_err(|error| explain(&format!("syncing {directory}"), error))?,
            }
        }
        Ok(())
    }
}

fn read(core: &Core, path: &str) -> io::Result<Option<Vec<u8>>> {
    match core.disk.open(path).and_then(|file| read_all(&*file)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Looks at some files, of the entries behind `after`, and notes which are not what they have to be. Answers the last key
/// that it looked at.
pub(crate) fn inspect(look: &Look, after: Option<&Bytes>) -> Option<Bytes> {
    let core = &look.core;
    let keys: Vec<Bytes> = core.pairs().following(after, LOOKED_AT, look.moment).into_iter().map(|(key, _)| key).collect();
    for key in &keys {
        let Some((namespace, entry)) = (core.layout.address)(key) else { continue };
        // What cannot be read now is looked at another time.
        let Ok(found) = read(core, &name::path(namespace, entry)) else { continue };
        let mut pairs = core.pairs_mut();
        let now = pairs.now();
        if found.map(|found| hash(&found)) != pairs.shown(key, now).map(|shown| shown.hash) && !pairs.dirty.contains_key(key)
        {
            pairs.dirty.insert(key.clone(), Stale { changed: now, known: Vec::new() });
        }
    }
    keys.last().cloned()
}
