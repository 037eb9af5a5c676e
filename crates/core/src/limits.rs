//! How large things may be.

use crate::{
    address::Address,
    commit::{Action, Check, Commit, Condition},
    error::{Error, Result},
};

/// What an engine takes at most; every engine takes at least [`Limits::FLOOR`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one value.
    pub value_bytes: usize,
    /// Writes in one commit.
    pub commit_writes: usize,
    /// Checks in one commit.
    pub commit_checks: usize,
    /// Bytes of one commit: keys, values, metadata and what is compared with.
    pub commit_bytes: usize,
}

impl Limits {
    /// What holds on every engine, and what a portable store keeps to, so that nobody outgrows an engine unknowingly.
    pub const FLOOR: Self =
        Self { value_bytes: 1024 * 1024, commit_writes: 64, commit_checks: 64, commit_bytes: 1280 * 1024 };

    /// Checks beyond a caller's own that a store may add to keep its promises: one for each namespace, and one for all of it.
    pub const EXTRA_CHECKS: usize = 65;

    /// The largest version that can be restored: far beyond what anybody reaches, and far enough from the end of the
    /// numbers that counting on never runs over.
    pub const RESTORED_VERSION_MAX: u64 = 1 << 53;

    /// Whether a caller may bring so many checks of its own; [`Limits::verify`] leaves room for those of the store.
    pub(crate) fn verify_checks(&self, checks: usize) -> Result<()> {
        most("checks", checks, self.commit_checks)
    }

    /// Whether `commit` keeps to these limits, and names no address twice among its writes.
    ///
    /// # Errors
    /// `Limit` when something is too large, `Invalid` when an address is written twice or a restored version is none.
    pub fn verify(&self, commit: &Commit) -> Result<()> {
        most("writes", commit.writes.len(), self.commit_writes)?;
        most("checks", commit.checks.len(), self.commit_checks + Self::EXTRA_CHECKS)?;
        for write in &commit.writes {
            if let Action::Restore { version, .. } = write.action
                && !(1..=Self::RESTORED_VERSION_MAX).contains(&version.get())
            {
                let most = Self::RESTORED_VERSION_MAX;
                return Err(Error::invalid(format!("a version of {version} cannot be restored: it is from 1 to {most}")));
            }
            let bytes = write.action.value().map_or(0, |value| value.bytes().len());
            if bytes > self.value_bytes {
                let most = self.value_bytes;
                return Err(Error::limit(format!("a value of {bytes} bytes is too large: at most {most} are allowed here")));
            }
        }
        most("bytes", commit_bytes(commit), self.commit_bytes)?;
        let mut addresses: Vec<&Address> = commit.writes.iter().map(|write| &write.address).collect();
        addresses.sort_unstable();
        match addresses.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => Err(Error::invalid(format!("the key {} is written twice in one commit", twice[0]))),
            None => Ok(()),
        }
    }
}

fn most(what: &str, found: usize, most: usize) -> Result<()> {
    if found > most {
        return Err(Error::limit(format!("{found} {what} is too much for one commit: at most {most} are allowed here")));
    }
    Ok(())
}

/// What a commit weighs: the bytes of its keys, values, metadata and what it compares with.
pub fn commit_bytes(commit: &Commit) -> usize {
    let checks = commit.checks.iter().map(|check| match check {
        Check::Key { address, condition: Condition::Value(value) } => address.key.len() + value.len(),
        Check::Key { address, .. } => address.key.len(),
        Check::Unchanged { range, .. } => range.start().key.len() + range.end().map_or(0, |end| end.key.len()),
        Check::Quota { .. } => 0,
    });
    let writes = commit.writes.iter().map(|write| {
        let value = write.action.value().map_or(0, |value| value.bytes().len());
        write.address.key.len() + value + write.action.metadata().map_or(0, |metadata| metadata.len())
    });
    checks.chain(writes).sum()
}

impl Action {
    /// The value that comes with the action.
    pub(crate) fn value(&self) -> Option<&crate::value::Value> {
        match self {
            Self::Put { value, .. } | Self::Restore { value, .. } | Self::Recode { value, .. } => Some(value),
            Self::Delete | Self::Annotate { .. } | Self::Add { .. } => None,
        }
    }

    fn metadata(&self) -> Option<&crate::metadata::Metadata> {
        match self {
            Self::Put { metadata, .. } | Self::Annotate { metadata, .. } => metadata.given(),
            Self::Restore { metadata, .. } => Some(metadata),
            Self::Delete | Self::Add { .. } | Self::Recode { .. } => None,
        }
    }
}
