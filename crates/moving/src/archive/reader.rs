//! Reading a backup, block by block; nothing is believed before its checksum is.

use std::path::{Path, PathBuf};

use blocking::{Unblock, unblock};
use futures_lite::AsyncReadExt as _;
use larder_core::{Error, ErrorKind, Result};

use super::form::{BLOCK_BYTES_MAX, Block, Ending, FORM, HEAD_BYTES, Header, Kind, MAGIC, checksum};

pub(crate) struct Reader {
    path: PathBuf,
    file: Unblock<std::fs::File>,
    before: [u8; 32],
    pub(crate) header: Header,
    /// How many blocks were read.
    blocks: u64,
}

/// What comes out of a backup.
pub(crate) enum Part {
    Entries(Block),
    Commits(Block),
    End(Ending),
}

impl Reader {
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let own = path.to_owned();
        let file = unblock(move || std::fs::File::open(own)).await.map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::NotFound,
                _ => ErrorKind::Unavailable,
            };
            Error::new(kind, format!("the backup {} cannot be opened", path.display())).caused_by(error)
        })?;
        let header = Header { form: 0, store: String::new(), lineage: 0, base: 0, base_time: 0, through: 0, full: false };
        let mut reader =
            Self { path: path.to_owned(), file: Unblock::with_capacity(4 << 20, file), before: [0; 32], header, blocks: 0 };
        let mut magic = [0; MAGIC.len()];
        if reader.file.read_exact(&mut magic).await.is_err() || magic != *MAGIC {
            let message = format!("{} is no backup of larder", path.display());
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let (kind, bytes) = reader.block().await?;
        let form = serde_json::from_slice::<Form>(&bytes).ok().filter(|_| kind == Kind::Header);
        match form.map(|form| form.form) {
            Some(FORM) => {}
            Some(form) => {
                let message = format!("{} has form {form}, and this larder knows {FORM}: take a newer one", path.display());
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            None => return Err(reader.damaged("has no header")),
        }
        reader.header = serde_json::from_slice(&bytes).map_err(|_| reader.damaged("has no header"))?;
        Ok(reader)
    }

    /// The next part; behind [`Part::End`] there is nothing.
    pub(crate) async fn next(&mut self) -> Result<Part> {
        let (kind, bytes) = self.block().await?;
        Ok(match kind {
            Kind::Header => return Err(self.damaged("has two headers")),
            Kind::Entries => Part::Entries(Block::new(bytes)),
            Kind::Commits => Part::Commits(Block::new(bytes)),
            Kind::End => {
                let mut more = [0];
                if self.file.read(&mut more).await.map_err(|error| self.unread(error))? > 0 {
                    return Err(self.damaged("goes on behind its end"));
                }
                Part::End(serde_json::from_slice(&bytes).map_err(|_| self.damaged("has an end that says nothing"))?)
            }
        })
    }

    async fn block(&mut self) -> Result<(Kind, Vec<u8>)> {
        let mut head = [0; HEAD_BYTES];
        self.exactly(&mut head).await?;
        let (kind, rest) = head.split_first().expect("a head is longer than that");
        let (unpacked, rest) = rest.split_first_chunk().expect("a head is longer than that");
        let (length, sum) = rest.split_first_chunk().expect("a head is longer than that");
        let (unpacked, length) = (u32::from_be_bytes(*unpacked), u32::from_be_bytes(*length) as usize);
        // Nothing is made room for that cannot be: the lengths are not yet believed.
        if unpacked as usize > BLOCK_BYTES_MAX || length > lz4_flex::block::get_maximum_output_size(unpacked as usize) {
            return Err(self.damaged("is damaged"));
        }
        let mut packed = vec![0; length];
        self.exactly(&mut packed).await?;
        let own = checksum(&self.before, *kind, unpacked, &packed);
        if own != sum {
            return Err(self.damaged("is damaged"));
        }
        self.before = own;
        self.blocks += 1;
        let kind = Kind::of(*kind).ok_or_else(|| self.damaged("has a block of an unknown kind"))?;
        let bytes = lz4_flex::block::decompress(&packed, unpacked as usize).map_err(|_| self.damaged("is damaged"))?;
        Ok((kind, bytes))
    }

    async fn exactly(&mut self, bytes: &mut [u8]) -> Result<()> {
        match self.file.read_exact(bytes).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(self.damaged("was cut off")),
            Err(error) => Err(self.unread(error)),
        }
    }

    fn damaged(&self, how: &str) -> Error {
        let message = format!("the backup {} {how}, behind block {}", self.path.display(), self.blocks);
        Error::new(ErrorKind::Corrupt, message)
    }

    fn unread(&self, error: std::io::Error) -> Error {
        Error::new(ErrorKind::Unavailable, format!("the backup {} cannot be read", self.path.display())).caused_by(error)
    }
}

/// What every header tells, whatever its form.
#[derive(serde::Deserialize)]
struct Form {
    form: u32,
}
