//! Moving between stores: copies, comparisons, backups, migration while others write.
//!
//! Everything here is made of what every engine has - entries as of one moment, the log, commits that bring their own clock -
//! so it works between any two of them. It knows no engine by name.
//!
//! # The map
//!
//! | for whom | what |
//! | --- | --- |
//! | who wants the same store elsewhere | [`copy`](copy()), [`progress`](progress()) |
//! | who wants it elsewhere while others write | [`migrate`](migrate()), [`follow_back`] |
//! | who wants it in a file | [`backup`](backup()), [`restore`](restore()), [`inspect`] |
//! | who watched the source | [`place_of`], [`source_at`] |
//! | who wants to know whether it is the same | [`digests`], [`diff`](diff()), [`verify`](verify()) |

#![forbid(unsafe_code)]

mod archive;
mod copy;
mod diff;
mod digest;
mod follow;
mod mapping;
mod migrate;
mod progress;
mod replay;
mod source;
mod target;
mod verify;

pub use archive::{BackedUp, Backup, Header, Restore, Restored, backup, inspect, restore};
pub use copy::{Copied, Copy, Told, copy};
pub use diff::{StoreDiff, diff};
pub use digest::{Digest, digests};
pub use mapping::{place_of, source_at};
pub use migrate::{Migrate, Migrated, follow_back, migrate};
pub use progress::{Progress, Step, progress};
pub use verify::{Verified, verify};
