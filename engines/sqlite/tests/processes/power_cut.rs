//! A power cut, without cutting the power: writes that were never synced are taken away.
//!
//! A killed process leaves its writes in the page cache, so killing shows nothing about syncs. Here a child's system
//! calls are recorded; at an acknowledgement the files are built anew from what had been synced by then, alone or with
//! some of the rest in another order, and opened.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    child::{Spec, open},
    kills::verify,
    trace::{self, Call},
};

/// Enough for the write-ahead log to be checkpointed and begun anew in between.
const COMMITS: u32 = 400;

fn record(directory: &Path, commits: u32) -> (PathBuf, Vec<Call>) {
    let path = directory.join("power.db");
    drop(open(&path).expect("the store opens"));
    let file = directory.join("trace");
    let recorder = file.to_str().expect("a temporary path in UTF-8").to_owned();
    let child = Spec { role: "pairs", store: &path, name: "w", commits }.start(&trace::recorder(&recorder));
    (path, trace::read(child, &file))
}

/// Between the last write to a file of the store and an acknowledgement there is a sync of that file.
pub(crate) fn a_sync_precedes_every_acknowledgement() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (_, calls) = record(directory.path(), 50);
    let mut dirty: Vec<&str> = Vec::new();
    let (mut syncs, mut acknowledgements) = (0, 0);
    for call in &calls {
        match call {
            // The log alone makes a commit durable; a checkpoint may copy it into the file at any later time.
            Call::Write { file, .. } if file.ends_with("-wal") => dirty.push(file),
            Call::Sync { file } => {
                syncs += 1;
                dirty.retain(|dirty| dirty != file);
            }
            Call::Say { line } => {
                acknowledgements += 1;
                assert!(dirty.is_empty(), "{line}: {} writes to the log were not synced", dirty.len());
            }
            Call::Write { .. } | Call::Truncate { .. } | Call::Unlink { .. } => {}
        }
    }
    assert_eq!(acknowledgements, 50);
    assert!(syncs >= 50, "{syncs} syncs for {acknowledgements} acknowledgements");
}

/// A file as the disk has it, and what has been written since the last sync.
#[derive(Clone, Default)]
struct Disk {
    synced: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum Pending {
    Write { at: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

impl Pending {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                image.resize(image.len().max(end), 0);
                image[*at..end].copy_from_slice(bytes);
            }
            Self::Truncate { length } => image.resize(*length, 0),
        }
    }
}

/// Drops every unsynced write, then some of them, at every few acknowledgements: nothing acknowledged is missing.
pub(crate) fn lost_unsynced_writes_lose_nothing_acknowledged() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // The files as they are before the child starts; they were synced when the store was created.
    let path = directory.path().join("power.db");
    drop(open(&path).expect("the store opens"));
    let before = fs::read(&path).expect("the store is a file");
    let (path, calls) = record(directory.path(), COMMITS);
    let log = format!("{}-wal", path.display());
    let name = path.display().to_string();
    let mut disks: BTreeMap<&str, Disk> = BTreeMap::new();
    disks.insert(&name, Disk { synced: before, pending: Vec::new() });
    disks.insert(&log, Disk::default());

    let mut cuts = 0;
    for call in &calls {
        match call {
            Call::Write { file, at, bytes } => {
                if let Some(disk) = disks.get_mut(file.as_str()) {
                    disk.pending.push(Pending::Write { at: *at, bytes: bytes.clone() });
                }
            }
            Call::Truncate { file, length } => {
                if let Some(disk) = disks.get_mut(file.as_str()) {
                    disk.pending.push(Pending::Truncate { length: *length });
                }
            }
            Call::Sync { file } => {
                if let Some(disk) = disks.get_mut(file.as_str()) {
                    for pending in std::mem::take(&mut disk.pending) {
                        pending.apply(&mut disk.synced);
                    }
                }
            }
            Call::Unlink { file } => {
                if let Some(disk) = disks.get_mut(file.as_str()) {
                    *disk = Disk::default();
                }
            }
            Call::Say { line } => {
                let numbers: Vec<u64> = line.split(' ').skip(1).map(|n| n.parse().expect("a number")).collect();
                if numbers[0].is_multiple_of(9) {
                    // Nothing of what was not synced, then every second write, then all but every third.
                    for keep in [|_: usize| false, |n| n % 2 == 0, |n| n % 3 != 0] {
                        cuts += 1;
                        cut(directory.path(), cuts, &disks, &name, &log, keep);
                        let acknowledged = BTreeMap::from([("w", numbers[0].cast_signed())]);
                        verify(&directory.path().join(format!("cut-{cuts}.db")), &acknowledged, numbers[1]);
                    }
                }
            }
        }
    }
    assert!(cuts >= 3 * (COMMITS / 9), "{cuts} cuts");
}

/// Writes the files as a power cut would have left them.
fn cut(directory: &Path, cut: u32, disks: &BTreeMap<&str, Disk>, name: &str, log: &str, keep: fn(usize) -> bool) {
    for (file, ending) in [(name, ""), (log, "-wal")] {
        let disk = &disks[file];
        let mut image = disk.synced.clone();
        for (_, pending) in disk.pending.iter().enumerate().filter(|(n, _)| keep(*n)) {
            pending.apply(&mut image);
        }
        if ending.is_empty() || !image.is_empty() {
            fs::write(directory.join(format!("cut-{cut}.db{ending}")), image).expect("a file can be written");
        }
    }
}
