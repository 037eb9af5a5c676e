//! Taking a backup: everything of a store, or what has changed since a revision, into a new file.

use std::{
    fmt,
    future::IntoFuture,
    path::{Path, PathBuf},
};

use blocking::{Unblock, unblock};
use futures_lite::AsyncWriteExt as _;
use larder_core::{BoxFuture, Error, ErrorKind, Position, Range, Result, Revision, Store, index::IndexState};

use super::form::{BLOCK_BYTES, BLOCK_BYTES_MAX, Ending, FORM, Header, Kind, MAGIC, checksum, put_commit, put_entry};
use crate::{
    copy::Told,
    follow::{commits, read},
    progress::{Progress, is_taken},
    source::{Holding, oldest},
};

/// A backup being made ready; awaiting it takes it.
#[must_use = "nothing is backed up until this is awaited"]
pub struct Backup<'a> {
    store: &'a Store,
    path: PathBuf,
    since: Option<Revision>,
    history: bool,
    told: Box<dyn FnMut(&Told) + Send + 'a>,
}

/// What was backed up.
#[derive(Clone, Debug)]
pub struct BackedUp {
    /// What the file is of.
    pub header: Header,
    /// How many entries are in it,
    pub entries: u64,
    /// and how many commits.
    pub commits: u64,
    /// How long it is.
    pub bytes: u64,
}

/// Writes `store`, as it is now and with its log, to the new file `path`, while others go on writing.
///
/// The file is there when it is whole, and not before: it is written under another name, made durable, and renamed.
///
/// # Errors
/// When awaited: `AlreadyExists` when there is something at `path`; `Trimmed` when the log does not reach back to what
/// [`Backup::since`] says; what the engine and the disk meet. Then nothing is left behind.
pub fn backup<'a>(store: &'a Store, path: impl AsRef<Path>) -> Backup<'a> {
    Backup { store, path: path.as_ref().to_owned(), since: None, history: true, told: Box::new(|_| ()) }
}

impl<'a> Backup<'a> {
    /// Only what has changed after `since`, to go on top of a backup that reaches up to it.
    pub fn since(mut self, since: Option<Revision>) -> Self {
        self.since = since;
        self
    }

    /// With the log, as it is unless said otherwise: it can then be restored to every revision that is still kept.
    pub fn history(mut self, history: bool) -> Self {
        self.history = history;
        self
    }

    /// Tells `told` after every step how far it is.
    pub fn progress(mut self, told: impl FnMut(&Told) + Send + 'a) -> Self {
        self.told = Box::new(told);
        self
    }

    async fn run(mut self) -> Result<BackedUp> {
        let exists = self.path.clone();
        if unblock(move || exists.symlink_metadata().is_ok()).await {
            return Err(taken(&self.path));
        }
        let random = self.store.world().random();
        let mut name = self.path.file_name().ok_or_else(|| Error::invalid("a backup needs the name of a file"))?.to_owned();
        name.push(format!(".{:016x}.part", random >> 64));
        let part = self.path.with_file_name(name);
        let written = self.write(&part).await;
        let done = match written {
            Ok(done) => publish(part.clone(), self.path.clone()).await.map(|()| done),
            Err(error) => Err(error),
        };
        // Renamed or of no use.
        unblock(move || std::fs::remove_file(part).ok()).await;
        done
    }

    async fn write(&mut self, part: &Path) -> Result<BackedUp> {
        let (store, now) = (self.store, self.store.world().now());
        let status = store.engine().status(now).await?;
        let head = Position { lineage: status.lineage, revision: status.revision };
        let (base, time) = match self.since {
            Some(revision) => (Position { revision, ..head }, now),
            None if self.history => oldest(store).await?,
            None => (head, now),
        };
        let mut holding = Holding::begin(store, format!("backup-{:032x}", store.world().random()), base).await?;
        let header = Header {
            form: FORM,
            store: status.store.to_string(),
            lineage: head.lineage.get(),
            base: base.revision.get(),
            base_time: time.as_millis(),
            through: head.revision.get(),
            full: self.since.is_none(),
        };
        let mut writer = Writer::create(part).await?;
        writer.json(Kind::Header, &header).await?;
        let mut progress = Progress::begin(status.store, base, time, self.history);
        let mut ending = Ending::default();
        if header.full {
            let mut stored = store.stored(base, Range::all());
            while let Some(mut page) = stored.next().await? {
                page.retain(|entry| is_taken(&entry.address));
                for entry in &page {
                    writer.part(Kind::Entries, |bytes| put_entry(bytes, entry)).await?;
                }
                progress.arrived(&page);
                holding.renew(base).await?;
                (self.told)(&Told { entries: Some(status.entries), ..Told::of(&progress) });
            }
        }
        let mut after = base;
        while after.revision < head.revision {
            let page = read(store, after).await?;
            let end = page.through.min(head.revision);
            for made in commits(page.changes, end) {
                writer.part(Kind::Commits, |bytes| put_commit(bytes, &made)).await?;
                progress = progress.repeated(made.revision);
            }
            after.revision = end;
            holding.renew(after).await?;
            (self.told)(&Told { head: Some(head.revision), ..Told::of(&progress) });
        }
        if let Some(indexes) = store.engine().indexes() {
            let found = indexes.list(None).await?.into_iter().filter(|status| status.state != IndexState::Dropped);
            ending.indexes = found.map(|status| (status.namespace.as_str().to_owned(), status.index)).collect();
        }
        (ending.entries, ending.commits) = (progress.entries, progress.commits);
        writer.json(Kind::End, &ending).await?;
        let bytes = writer.end().await?;
        holding.end().await;
        Ok(BackedUp { header, entries: ending.entries, commits: ending.commits, bytes })
    }
}

/// Gives a whole file its name, if nothing has it.
async fn publish(part: PathBuf, path: PathBuf) -> Result<()> {
    unblock(move || {
        // A link never replaces anything; where there are none, a look has to do.
        match std::fs::hard_link(&part, &path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(taken(&path)),
            Err(_) if path.symlink_metadata().is_ok() => return Err(taken(&path)),
            Err(_) => std::fs::rename(&part, &path).map_err(|error| unwritten(&path, error))?,
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        #[cfg(unix)]
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| unwritten(&path, error))?;
        #[cfg(not(unix))]
        let _ = folder;
        Ok(())
    })
    .await
}

fn taken(path: &Path) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("there is something at {} already", path.display()))
}

fn unwritten(path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("the backup {} cannot be written", path.display())).caused_by(error)
}

/// Puts blocks together and writes them.
struct Writer {
    path: PathBuf,
    file: Unblock<std::fs::File>,
    block: Vec<u8>,
    kind: Kind,
    before: [u8; 32],
    written: u64,
}

impl Writer {
    async fn create(path: &Path) -> Result<Self> {
        let own = path.to_owned();
        let file = unblock(move || std::fs::File::create_new(&own)).await.map_err(|error| unwritten(path, error))?;
        let mut writer = Self {
            path: path.to_owned(),
            file: Unblock::new(file),
            block: Vec::new(),
            kind: Kind::Header,
            before: [0; 32],
            written: 0,
        };
        writer.bytes(MAGIC.to_vec()).await?;
        Ok(writer)
    }

    async fn bytes(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.written += bytes.len() as u64;
        self.file.write_all(&bytes).await.map_err(|error| unwritten(&self.path, error))
    }

    /// One thing that is not cut.
    async fn part(&mut self, kind: Kind, put: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        if self.kind != kind || self.block.len() >= BLOCK_BYTES {
            self.flush().await?;
        }
        self.kind = kind;
        put(&mut self.block);
        Ok(())
    }

    async fn json(&mut self, kind: Kind, value: &impl serde::Serialize) -> Result<()> {
        let json = serde_json::to_vec(value)
            .map_err(|error| Error::new(ErrorKind::Internal, "a header cannot be written as JSON").caused_by(error))?;
        self.part(kind, |bytes| bytes.extend(json)).await?;
        self.flush().await
    }

    async fn flush(&mut self) -> Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let (block, kind) = (std::mem::take(&mut self.block), self.kind as u8);
        if block.len() > BLOCK_BYTES_MAX {
            return Err(Error::limit(format!("a commit of {} bytes is too large for a backup", block.len())));
        }
        let unpacked = u32::try_from(block.len()).expect("a block is shorter than that");
        let packed = lz4_flex::block::compress(&block);
        let sum = checksum(&self.before, kind, unpacked, &packed);
        let length = u32::try_from(packed.len()).expect("what is packed is hardly longer");
        let head = [&[kind][..], &unpacked.to_be_bytes(), &length.to_be_bytes(), &sum].concat();
        self.before = sum;
        self.bytes(head).await?;
        self.bytes(packed).await
    }

    /// Makes all of it durable. How long it is.
    async fn end(mut self) -> Result<u64> {
        self.flush().await?;
        let path = self.path.clone();
        let unwritten = |error| unwritten(&path, error);
        self.file.flush().await.map_err(unwritten)?;
        self.file.with_mut(|file| file.sync_all()).await.map_err(unwritten)?;
        Ok(self.written)
    }
}

impl fmt::Debug for Backup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backup").field("store", self.store).field("path", &self.path).finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for Backup<'a> {
    type Output = Result<BackedUp>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
