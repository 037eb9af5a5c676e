//! The place: a directory with a file that says what it is, and beside that what SurrealKV keeps.
//!
//! | path | what |
//! | --- | --- |
//! | `larder` | one line: that this is ours, and its version; locked by the process that has the store open |
//! | `tree/` | the directory of SurrealKV |
//!
//! The file is there before anything else, so what is not ours is told without touching it, and a store that was never
//! finished is finished by whoever opens it next.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use larder_core::{Error, ErrorKind, Result};

use crate::{
    config::SurrealKvConfig,
    error::{invalid, of_the_system, unavailable},
};

const MARK: &str = "larder";
const KIND: &str = "larder surrealkv ";
const VERSION: u32 = 1;

/// How long a process that is just ending may take to let go.
const PATIENCE: Duration = Duration::from_millis(500);

/// A directory that nobody else has open as long as this lives.
#[derive(Debug)]
pub(crate) struct Place {
    /// The directory of SurrealKV.
    pub(crate) tree: PathBuf,
    _locked: File,
}

/// Finds the place, and makes it where there is nothing.
pub(crate) fn take(config: &SurrealKvConfig) -> Result<Place> {
    let path = &config.path;
    let mark = path.join(MARK);
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => return Err(invalid(format!("{} is not a directory", path.display()))),
        Ok(_) if !mark.exists() => {
            let held = fs::read_dir(path).map_err(|error| of_the_system(&error, "read the directory"))?;
            // What somebody began to write when the system ended is no more than that.
            if held.flatten().any(|entry| *entry.file_name() != *draft_name()) {
                let message = "belongs to another program, not to a Larder store; it was left as it is";
                return Err(invalid(format!("what is in {} {message}", path.display())));
            }
            create(config, &mark)?;
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(config, &mark)?,
        Err(error) => return Err(of_the_system(&error, "look at the directory")),
    }
    let mut file = OpenOptions::new().read(true).write(true).open(&mark);
    let file = file.as_mut().map_err(|error| of_the_system(error, "open the store"))?;
    recognise(file, path)?;
    let locked = lock(file.try_clone().map_err(|error| of_the_system(&error, "lock the store"))?, path)?;
    Ok(Place { tree: path.join("tree"), _locked: locked })
}

fn draft_name() -> String {
    format!("{MARK}.new")
}

/// Writes the file that says what this is, durable before it has its name.
fn create(config: &SurrealKvConfig, mark: &Path) -> Result<()> {
    let path = &config.path;
    if !config.create {
        let message = format!("there is no store in {}", path.display());
        return Err(Error::new(ErrorKind::NotFound, message).engine("surrealkv"));
    }
    let make = || {
        fs::create_dir_all(path)?;
        let draft = path.join(draft_name());
        let mut file = File::create(&draft)?;
        file.write_all(format!("{KIND}{VERSION}\n").as_bytes())?;
        file.sync_all()?;
        // Somebody else of the same moment has written the same.
        fs::rename(&draft, mark).or_else(|error| if mark.exists() { Ok(()) } else { Err(error) })?;
        File::open(path)?.sync_all()?;
        let parent = path.canonicalize()?.parent().map(Path::to_owned);
        parent.map_or(Ok(()), |parent| File::open(parent)?.sync_all())
    };
    make().map_err(|error| of_the_system(&error, "make the directory"))
}

fn recognise(file: &mut File, path: &Path) -> Result<()> {
    let mut text = String::new();
    let read = file.take(100).read_to_string(&mut text);
    let version: Option<u32> = text.strip_prefix(KIND).and_then(|version| version.trim_end().parse().ok());
    match version.filter(|_| read.is_ok()) {
        Some(VERSION) => Ok(()),
        Some(version) => {
            let message = format!(
                "the store in {} was written by a newer Larder: its version is {version}, this one knows {VERSION}; update Larder",
                path.display()
            );
            Err(Error::new(ErrorKind::Unsupported, message).engine("surrealkv"))
        }
        None => {
            let message = "belongs to another program, not to a Larder store in SurrealKV; it was left as it is";
            Err(invalid(format!("what is in {} {message}", path.display())))
        }
    }
}

fn lock(file: File, path: &Path) -> Result<File> {
    let until = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(Duration::from_millis(5)),
            Err(TryLockError::WouldBlock) => {
                let message = "another process has the store in";
                return Err(unavailable(format!("{message} {} open, and only one can", path.display())));
            }
            Err(TryLockError::Error(error)) => return Err(of_the_system(&error, "lock the store")),
        }
    }
}

/// What the files take.
pub(crate) fn size(path: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        sum += match entry.metadata() {
            Ok(found) if found.is_dir() => size(&entry.path())?,
            Ok(found) => found.len(),
            // It is gone meanwhile.
            Err(_) => 0,
        };
    }
    Ok(sum)
}
