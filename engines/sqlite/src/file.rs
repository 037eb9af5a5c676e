//! The file: found, recognised, created, opened.
//!
//! A file is looked at before SQLite touches it, because SQLite repairs and adds files as it opens; what is not ours is
//! left as it is. A new store is built beside its place and moved there whole, so nobody ever meets half a store.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use larder_core::{Durability, Error, ErrorKind, Result, StoreId};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};

use crate::{
    config::SqliteConfig,
    error::{corrupt, explain},
    new_file::{NewFile, beside},
    presence::{self, Presence},
};

/// "Lard" in ASCII: which program a SQLite file belongs to.
const APPLICATION_ID: u32 = 0x4c61_7264;

/// What brings a file from each version to the next. A file's version is the number of steps it has behind it.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("schema-2.sql"), include_str!("schema-3.sql")];

/// The part of a SQLite file that says what it is: <https://www.sqlite.org/fileformat2.html#the_database_header>.
const HEADER_BYTES: usize = 100;

/// Opens the configured file, and creates it where there is none.
pub(crate) fn open(config: &SqliteConfig, fresh: StoreId) -> Result<(PathBuf, Arc<Presence>, Connection)> {
    let path = find(config, fresh)?;
    let (presence, connection) = presence::enter(&path, || recognise(&path), || connect(&path, config))?;
    Ok((path, presence, connection))
}

/// The path of an existing file, in a form in which SQLite finds no meaning and under which its logs lie.
fn find(config: &SqliteConfig, fresh: StoreId) -> Result<PathBuf> {
    let shown = config.path.display();
    if config.path.as_os_str().is_empty() {
        return Err(Error::invalid("there is no path after sqlite:").engine("sqlite"));
    }
    if config.durability == Durability::Volatile {
        return Err(Error::new(ErrorKind::Unsupported, "a file cannot be volatile: use memory:").engine("sqlite"));
    }
    // Absolute, so that neither `:memory:` nor `file:` can stand at the beginning.
    let path = std::path::absolute(&config.path)
        .map_err(|error| Error::invalid(format!("the path {shown} cannot be used")).engine("sqlite").caused_by(error))?;
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => {
            return Err(Error::invalid(format!("{shown} is a directory; name a file in it")).engine("sqlite"));
        }
        Ok(metadata) if metadata.permissions().readonly() => {
            let message = format!("{shown} is read-only; a store is always open for writing");
            return Err(Error::new(ErrorKind::Denied, message).engine("sqlite"));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if !path.parent().is_some_and(Path::is_dir) {
                let message = format!("the directory of {shown} does not exist; create it first");
                return Err(Error::new(ErrorKind::NotFound, message).engine("sqlite"));
            }
            if !config.create {
                return Err(Error::new(ErrorKind::NotFound, format!("there is no store at {shown}")).engine("sqlite"));
            }
            create(&path, fresh)?;
        }
        Err(error) => return Err(unreadable(&config.path, error)),
    }
    // A link leads to the file, and the logs lie beside the file.
    fs::canonicalize(&path).map_err(|error| unreadable(&config.path, error))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidFilename => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("{} cannot be read", path.display())).engine("sqlite").caused_by(error)
}

/// Whether the file is a store of a version we know, judged by its header alone.
fn recognise(path: &Path) -> Result<()> {
    // Another process may be moving its log into the file right now: what looks cut off is looked at again.
    (1..LOOKS).find_map(|_| judge(path).ok()).map_or_else(|| judge(path), Ok)
}

/// How often a file is looked at before it is refused.
const LOOKS: u32 = 3;

fn judge(path: &Path) -> Result<()> {
    let shown = path.display();
    let log_is_empty = fs::metadata(beside(path, "-wal")).map_or(true, |log| log.len() == 0);
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let mut file = File::open(path).map_err(|error| unreadable(path, error))?;
    file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(|error| unreadable(path, error))?;
    let foreign = |what: &str| {
        Err(Error::invalid(format!("{shown} is {what}, not a Larder store; it was left as it is")).engine("sqlite"))
    };
    if header.is_empty() {
        return foreign("an empty file");
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return foreign("a file of another program");
    }
    if header.len() < HEADER_BYTES {
        return Err(corrupt("it was cut off within its first 100 bytes"));
    }
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if number(68) != APPLICATION_ID {
        return foreign("a SQLite file of another program");
    }
    let version = number(60) as usize;
    if version > MIGRATIONS.len() {
        return Err(newer(path, version));
    }
    // Pages that are still in the write-ahead log need not be in the file yet.
    let page_bytes = u64::from(u16::from_be_bytes([header[16], header[17]]));
    let page_bytes = if page_bytes == 1 { 65536 } else { page_bytes };
    let length = file.metadata().map_err(|error| unreadable(path, error))?.len();
    let expected = page_bytes * u64::from(number(28));
    if log_is_empty && length < expected {
        return Err(corrupt(&format!("it holds {length} of {expected} bytes")));
    }
    Ok(())
}

/// Refuses to write to a file that another program has brought to a newer version since it was opened here.
pub(crate) fn still_known(format: i64) -> Result<()> {
    let known = MIGRATIONS.len();
    if format == known as i64 {
        return Ok(());
    }
    let message = format!(
        "a newer Larder has brought the file to version {format}, and this one knows {known}; nothing was written; update Larder"
    );
    Err(Error::new(ErrorKind::Unsupported, message).engine("sqlite"))
}

fn newer(path: &Path, version: usize) -> Error {
    let (shown, known) = (path.display(), MIGRATIONS.len());
    let message =
        format!("{shown} was written by a newer Larder: its version is {version}, this one knows {known}; update Larder");
    Error::new(ErrorKind::Unsupported, message).engine("sqlite")
}

/// Builds an empty store and moves it to `path`, unless somebody else was faster.
fn create(path: &Path, fresh: StoreId) -> Result<()> {
    let place = NewFile::beside(path)?;
    let mut connection = Connection::open_with_flags(place.path(), flags()).map_err(explain)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(explain)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID).map_err(explain)?;
    migrate(&mut connection, path)?;
    let row = "INSERT INTO store VALUES (1, ?1, 0, 0, 0, 0, 0, 0, 0, 0, NULL, ?2, 0)";
    connection.execute(row, (fresh.to_string(), MIGRATIONS.len() as u32)).map_err(explain)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(explain)?;
    connection.close().map_err(|(_, error)| explain(error))?;
    match place.move_to(path) {
        // Somebody else was faster, and their store is as good as ours.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

fn flags() -> OpenFlags {
    // Neither CREATE nor URI: the file is there, and its name means nothing.
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Brings the schema up to date, in one transaction; finding nothing to do is the rule.
fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    // The header that was judged may be older than what stands in the write-ahead log.
    let version = |connection: &Connection| -> Result<usize> {
        let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)).map_err(explain)?;
        if version as usize > MIGRATIONS.len() { Err(newer(path, version as usize)) } else { Ok(version as usize) }
    };
    if version(connection)? == MIGRATIONS.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
    // Asked again: another process may have migrated while we waited for the lock.
    let done = version(&transaction)?;
    for step in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(step).map_err(explain)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32).map_err(explain)?;
    transaction.execute("UPDATE store SET format = ?1", [MIGRATIONS.len() as u32]).map_err(explain)?;
    transaction.commit().map_err(explain)?;
    // Into the header as soon as may be: programs from before this one look for the version nowhere else.
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).map_err(explain)
}

/// A connection to the store in `path`.
pub(crate) fn connect(path: &Path, config: &SqliteConfig) -> Result<Connection> {
    let mut connection = Connection::open_with_flags(path, flags()).map_err(explain)?;
    connection.busy_timeout(config.busy_timeout.min(BUSY_TIMEOUT_MAX)).map_err(explain)?;
    connection.set_prepared_statement_cache_capacity(64);
    let synchronous = if config.durability == Durability::Full { "FULL" } else { "NORMAL" };
    connection.pragma_update(None, "synchronous", synchronous).map_err(explain)?;
    // Where a plain sync does not reach the medium, as on macOS, SQLite asks for more; elsewhere this changes nothing.
    connection.pragma_update(None, "fullfsync", config.durability == Durability::Full).map_err(explain)?;
    connection.pragma_update(None, "checkpoint_fullfsync", config.durability == Durability::Full).map_err(explain)?;
    connection.pragma_update(None, "trusted_schema", false).map_err(explain)?;
    // Without the query planner stability guarantee SQLite plans a statement anew whenever a bound value changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(explain)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB).map_err(explain)?;
    // What a burst of commits made of the write-ahead log does not stay that large for ever.
    connection.pragma_update(None, "journal_size_limit", 64 << 20).map_err(explain)?;
    if connection.is_readonly("main").map_err(explain)? {
        let message = format!("{} is read-only; a store is always open for writing", path.display());
        return Err(Error::new(ErrorKind::Denied, message).engine("sqlite"));
    }
    let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).map_err(explain)?;
    if mode != "wal" {
        connection.pragma_update(None, "journal_mode", "WAL").map_err(explain)?;
    }
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// SQLite counts milliseconds in an i32.
const BUSY_TIMEOUT_MAX: Duration = Duration::from_millis(i32::MAX as u64);

/// What each connection keeps of the file in memory.
const CACHE_KIB: i64 = 16 * 1024;
