//! A disk that keeps what was synced, and of the rest whatever it likes.
//!
//! A power cut keeps any subset of the unsynced writes, each in sectors of which any may be missing, and any subset of the
//! unsynced names. A sync that fails loses some writes for good, and a later one does not bring them back. A full disk
//! writes a part of what it was given. Everything comes from one seed.

#![allow(dead_code, reason = "each test uses another part of it")]

use std::{
    any::Any,
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use larder_file::disk::{Disk, File};

const SECTOR: usize = 512;

/// A disk; a clone is the same one.
#[derive(Clone, Debug)]
pub(crate) struct Simulated {
    world: Arc<Mutex<World>>,
    /// Which process uses it: after a crash or a kill the handles of the one before do nothing.
    life: u64,
}

#[derive(Debug)]
struct World {
    seed: u64,
    life: u64,
    boot: u64,
    locked: bool,
    inodes: Vec<Inode>,
    /// What programs see.
    names: BTreeMap<String, Node>,
    /// What a power cut leaves for certain.
    safe: BTreeMap<String, Node>,
    changes: Vec<Change>,
    operations: u64,
    syncs: usize,
    plan: Plan,
    is_dead: bool,
}

/// When something goes wrong, counted in operations that change something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Plan {
    /// Never.
    #[default]
    Well,
    /// The process ends with this operation, of which nobody hears whether it was done.
    Dies(u64),
    /// From the one on and before the other there is no space.
    Full(u64, u64),
    /// From the one on and before the other no sync succeeds.
    SyncFails(u64, u64),
}

/// How much of what was not synced outlives a power cut.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keeps {
    Nothing,
    Some,
    Everything,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Debug, Default)]
struct Inode {
    seen: Vec<u8>,
    safe: Vec<u8>,
    /// In order; those that a failed sync has lost are marked.
    pending: Vec<(Write, bool)>,
}

#[derive(Clone, Debug)]
enum Write {
    At(usize, Vec<u8>),
    Truncate(usize),
}

impl Write {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::At(at, written) => {
                let end = at + written.len();
                bytes.resize(bytes.len().max(end), 0);
                bytes[*at..end].copy_from_slice(written);
            }
            Self::Truncate(length) => bytes.resize(*length, 0),
        }
    }
}

#[derive(Clone, Debug)]
struct Change {
    /// Where a sync makes it safe.
    directory: String,
    removed: Option<(String, Node)>,
    added: Option<(String, Node)>,
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        if let Some((name, node)) = &self.removed
            && names.get(name) == Some(node)
        {
            names.remove(name);
        }
        if let Some((name, node)) = &self.added {
            names.insert(name.clone(), *node);
        }
    }
}

fn directory_of(path: &str) -> String {
    path.rsplit_once('/').map_or_else(String::new, |(directory, _)| directory.to_owned())
}

impl World {
    /// The next number; SplitMix64.
    fn chance(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.seed;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn keeps(&mut self, keeps: Keeps) -> bool {
        match keeps {
            Keeps::Nothing => false,
            Keeps::Some => self.chance() & 1 == 0,
            Keeps::Everything => true,
        }
    }

    /// Counts an operation; whether it is the last thing that happens.
    fn count(&mut self) -> bool {
        self.operations += 1;
        self.is_dead = matches!(self.plan, Plan::Dies(at) if self.operations >= at);
        self.is_dead
    }

    fn is_full(&self) -> bool {
        matches!(self.plan, Plan::Full(from, to) if (from..to).contains(&self.operations))
    }

    fn sync_fails(&self) -> bool {
        matches!(self.plan, Plan::SyncFails(from, to) if (from..to).contains(&self.operations))
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn file(&self, path: &str) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn check_directory(&self, path: &str) -> io::Result<()> {
        let is_there = path.is_empty() || self.names.get(path) == Some(&Node::Directory);
        if is_there { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

impl Simulated {
    pub(crate) fn new(seed: u64) -> Self {
        let world = World {
            seed,
            life: 0,
            boot: 0,
            locked: false,
            inodes: Vec::new(),
            names: BTreeMap::new(),
            safe: BTreeMap::new(),
            changes: Vec::new(),
            operations: 0,
            syncs: 0,
            plan: Plan::Well,
            is_dead: false,
        };
        Self { world: Arc::new(Mutex::new(world)), life: 0 }
    }

    /// What goes wrong from here on, counted from here on.
    pub(crate) fn plan(&self, plan: Plan) {
        let mut world = self.world();
        (world.plan, world.operations) = (plan, 0);
    }

    /// How many operations there were since the plan was made.
    pub(crate) fn operations(&self) -> u64 {
        self.world().operations
    }

    /// How many files were synced.
    pub(crate) fn syncs(&self) -> usize {
        self.world().syncs
    }

    /// Ends the process; what it wrote is in the hands of the system.
    pub(crate) fn kill(&self) -> Self {
        let mut world = self.world();
        world.life += 1;
        world.locked = false;
        world.is_dead = false;
        world.plan = Plan::Well;
        Self { world: self.world.clone(), life: world.life }
    }

    /// Cuts the power.
    pub(crate) fn cut(&self, keeps: Keeps) -> Self {
        let after = self.kill();
        let mut world = self.world();
        world.boot += 1;
        for change in std::mem::take(&mut world.changes) {
            if world.keeps(keeps) {
                change.apply(&mut world.safe);
            }
        }
        world.names = world.safe.clone();
        for at in 0..world.inodes.len() {
            for (write, lost) in std::mem::take(&mut world.inodes[at].pending) {
                let torn: Vec<Write> = match write {
                    Write::Truncate(_) => vec![write],
                    Write::At(start, bytes) => {
                        let sectors = bytes.chunks(SECTOR).enumerate();
                        sectors.map(|(n, sector)| Write::At(start + n * SECTOR, sector.to_vec())).collect()
                    }
                };
                for part in torn {
                    if !lost && world.keeps(keeps) {
                        part.apply(&mut world.inodes[at].safe);
                    }
                }
            }
            let safe = world.inodes[at].safe.clone();
            world.inodes[at].seen = safe;
        }
        drop(world);
        after
    }

    /// The bytes of a file, as a person sees them.
    pub(crate) fn read(&self, path: &str) -> Option<Vec<u8>> {
        let world = self.world();
        world.file(path).ok().map(|inode| world.inodes[inode].seen.clone())
    }

    /// Writes a file as somebody else does.
    pub(crate) fn edit(&self, path: &str, bytes: &[u8]) {
        let mut world = self.world();
        let inode = world.file(path).unwrap_or_else(|_| {
            let inode = world.inodes.len();
            world.inodes.push(Inode::default());
            let node = Node::File(inode);
            world.names.insert(path.to_owned(), node);
            world.safe.insert(path.to_owned(), node);
            inode
        });
        world.inodes[inode] = Inode { seen: bytes.to_vec(), safe: bytes.to_vec(), pending: Vec::new() };
    }

    /// Every file below a directory.
    pub(crate) fn files(&self, directory: &str) -> Vec<String> {
        let world = self.world();
        let below = format!("{directory}/");
        let files = world.names.iter().filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(name, _)| name.clone()).filter(|name| directory.is_empty() || name.starts_with(&below)).collect()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world, if this process still lives.
    fn alive(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.world();
        if world.life == self.life && !world.is_dead { Ok(world) } else { Err(io::Error::other("the process is dead")) }
    }

    /// Does `change`, which needs space where `grows`.
    fn change(&self, grows: bool, change: impl FnOnce(&mut World) -> io::Result<()>) -> io::Result<()> {
        let mut world = self.alive()?;
        let dies = world.count();
        if grows && world.is_full() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change(&mut world)?;
        if dies { Err(io::Error::other("the process died")) } else { Ok(()) }
    }
}

struct Locked(Simulated);

impl Drop for Locked {
    fn drop(&mut self) {
        if let Ok(mut world) = self.0.alive() {
            world.locked = false;
        }
    }
}

impl Disk for Simulated {
    fn lock(&self) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut world = self.alive()?;
        if std::mem::replace(&mut world.locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Locked(self.clone())))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let world = self.alive()?;
        world.check_directory(directory)?;
        let inside = world.names.iter().filter(|(name, _)| directory_of(name) == directory);
        let name = |(name, node): (&String, &Node)| {
            let last = name.rsplit('/').next().unwrap_or_default().to_owned();
            if *node == Node::Directory { last + "/" } else { last }
        };
        Ok(inside.map(name).collect())
    }

    fn create_directory(&self, path: &str) -> io::Result<()> {
        self.change(true, |world| {
            world.check_directory(&directory_of(path))?;
            match world.names.get(path) {
                Some(Node::Directory) => {}
                Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    let added = Some((path.to_owned(), Node::Directory));
                    world.change(Change { directory: directory_of(path), removed: None, added });
                }
            }
            Ok(())
        })
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let mut found = 0;
        self.change(true, |world| {
            world.check_directory(&directory_of(path))?;
            if let Ok(inode) = world.file(path) {
                found = inode;
                world.inodes[inode].seen.clear();
                world.inodes[inode].pending.push((Write::Truncate(0), false));
                return Ok(());
            }
            found = world.inodes.len();
            world.inodes.push(Inode::default());
            let added = Some((path.to_owned(), Node::File(found)));
            world.change(Change { directory: directory_of(path), removed: None, added });
            Ok(())
        })?;
        Ok(Arc::new(Opened { disk: self.clone(), inode: found }))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let inode = self.alive()?.file(path)?;
        Ok(Arc::new(Opened { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change(false, |world| {
            world.check_directory(&directory_of(to))?;
            let node = Node::File(world.file(from)?);
            let (removed, added) = (Some((from.to_owned(), node)), Some((to.to_owned(), node)));
            world.change(Change { directory: directory_of(to), removed, added });
            Ok(())
        })
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.change(false, |world| {
            let node = Node::File(world.file(path)?);
            world.change(Change { directory: directory_of(path), removed: Some((path.to_owned(), node)), added: None });
            Ok(())
        })
    }

    fn sync_directory(&self, path: &str) -> io::Result<()> {
        self.change(false, |world| {
            world.check_directory(path)?;
            if world.sync_fails() {
                return Err(io::Error::other("the disk failed"));
            }
            let (safe, waiting) =
                std::mem::take(&mut world.changes).into_iter().partition(|change| change.directory == path);
            world.changes = waiting;
            let safe: Vec<Change> = safe;
            safe.iter().for_each(|change| change.apply(&mut world.safe));
            Ok(())
        })
    }

    fn boot(&self) -> Option<String> {
        Some(self.world().boot.to_string())
    }
}

#[derive(Debug)]
struct Opened {
    disk: Simulated,
    inode: usize,
}

impl Opened {
    fn write(&self, grows: bool, write: Write) -> io::Result<()> {
        let mut world = self.disk.alive()?;
        let dies = world.count();
        // What is there already has its space.
        let length = world.inodes[self.inode].seen.len();
        let fits = matches!(&write, Write::At(at, bytes) if at + bytes.len() <= length);
        let full = grows && !fits && world.is_full();
        let write = match write {
            Write::At(at, mut bytes) if full => {
                let part = world.chance() % (bytes.len() as u64 + 1);
                bytes.truncate(usize::try_from(part).expect("less than its length"));
                Write::At(at, bytes)
            }
            write => write,
        };
        let inode = &mut world.inodes[self.inode];
        write.apply(&mut inode.seen);
        inode.pending.push((write, false));
        match (full, dies) {
            (true, _) => Err(io::ErrorKind::StorageFull.into()),
            (_, true) => Err(io::Error::other("the process died")),
            _ => Ok(()),
        }
    }
}

impl File for Opened {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.alive()?.inodes[self.inode].seen.len() as u64)
    }

    fn read(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let world = self.disk.alive()?;
        let at = usize::try_from(at).map_err(io::Error::other)?;
        let bytes = world.inodes[self.inode].seen.get(at..at + length);
        bytes.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        Self::write(self, true, Write::At(usize::try_from(at).map_err(io::Error::other)?, bytes.to_vec()))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        Self::write(self, false, Write::Truncate(usize::try_from(length).map_err(io::Error::other)?))
    }

    fn sync(&self) -> io::Result<()> {
        // As a disk does, so that others come to wait.
        std::thread::yield_now();
        self.disk.change(false, |world| {
            world.syncs += 1;
            if world.sync_fails() {
                for at in 0..world.inodes[self.inode].pending.len() {
                    if world.chance() & 1 == 0 {
                        world.inodes[self.inode].pending[at].1 = true;
                    }
                }
                return Err(io::Error::other("the disk failed"));
            }
            let inode = &mut world.inodes[self.inode];
            for (write, lost) in std::mem::take(&mut inode.pending) {
                if !lost {
                    write.apply(&mut inode.safe);
                }
            }
            Ok(())
        })
    }
}
