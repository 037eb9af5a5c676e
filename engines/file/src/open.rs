//! Opening: whose directory it is, what a crash has left, and what the store was.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use larder_core::{Durability, Error, ErrorKind, Result};

use crate::{
    config::{FileConfig, Tuning},
    core::Core,
    directory::{Directory, LOCK, sync_directory},
    disk::{Disk, read_all},
    error::{corrupt, explain},
    home::Home,
    journal::{self, Journal},
    keeper::remove_old,
    layout::Layout,
    map::FileMap,
    name::ENTRIES,
    presence,
    replay::replay,
    shown::{EDITED, UNFINISHED},
    state,
};

/// The file that says whose directory it is.
const TITLE: &str = "larder.txt";

/// The same until it is finished.
const TITLE_UNFINISHED: &str = "larder.txt.new";

/// What it begins with in this version; a later one changes the number.
const WHOSE: &str = "This directory is a Larder store, version 1.\n";

/// What it says to people behind that.
const ABOUT: &str = "
entries/NAMESPACE/KEY has the value of each entry, for you to read: `a` to `z`, digits and -_.+=,@ stand for themselves,
^a is A, and %2f is the byte 2f, a slash. Names that would be long end in ~ and a SHA-256.

Nothing that is written here by others than Larder is part of the store. What it finds in the file of an entry it puts
into edited/, and writes the file again. `larder set` changes an entry.
";

impl FileMap {
    /// Opens the directory of `config`, and makes it where there is none.
    ///
    /// # Errors
    /// `NotFound` for a missing directory around it, or a missing store that is not to be created; `Invalid` for a directory
    /// that holds something else; `Unsupported` for a store of a newer version; `Corrupt` for one that is damaged;
    /// `Unavailable` while another process has it. None of them is touched.
    pub fn open(config: &FileConfig, layout: Layout) -> Result<Self> {
        make_directory(config)?;
        let path = fs::canonicalize(&config.path).map_err(|error| explain("opening the directory", error))?;
        let disk = Directory::new(path.clone());
        look(&disk, config.create).map_err(|error| at(&config.path, error))?;
        let open = |presence| {
            let (core, journal, is_told, lock) = settle_in(Arc::new(disk), config.create, config.tuning, layout)?;
            Home::new(core, journal, is_told, lock, Some(presence))
        };
        let home = presence::share(path, Home::enter, open).map_err(|error| at(&config.path, error))?;
        Ok(Self::at(home, config.durability))
    }

    /// Opens what is on `disk`, or makes it; nobody shares it by opening it once more.
    ///
    /// # Errors
    /// As [`FileMap::open`].
    pub fn open_on(disk: Arc<dyn Disk>, durability: Durability, tuning: Tuning, layout: Layout) -> Result<Self> {
        look(&*disk, true)?;
        let (core, journal, is_told, lock) = settle_in(disk, true, tuning, layout)?;
        let home = Home::new(core, journal, is_told, lock, None)?;
        Ok(Self::at(home, durability))
    }
}

/// Names the directory in what went wrong.
fn at(path: &Path, error: Error) -> Error {
    let message = format!("{}: {}", path.display(), error.message());
    let kind = error.kind();
    error.as_kind(kind, message)
}

fn make_directory(config: &FileConfig) -> Result<()> {
    let path: &PathBuf = &config.path;
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(invalid(format!("{} is no directory", path.display()))),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(explain("looking for the directory", error)),
        Err(_) if !config.create => return Err(no_store(&path.display().to_string())),
        Err(_) => {}
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        let message = format!("there is no directory {} for the store to be in", parent.display());
        return Err(Error::new(ErrorKind::NotFound, message).engine("file"));
    }
    match fs::create_dir(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| sync_directory(parent)).map_err(|error| explain("making the directory", error)),
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::invalid(message).engine("file")
}

fn no_store(place: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no store in {place}")).engine("file")
}

/// Says whether there is a store already, and refuses what is somebody else's.
fn look(disk: &dyn Disk, create: bool) -> Result<bool> {
    let names = disk.list("").map_err(|error| explain("reading the directory", error))?;
    if !names.iter().any(|name| name == TITLE) {
        // Whoever began to make a store here may have died early.
        if let Some(other) = names.iter().find(|name| ![LOCK, TITLE_UNFINISHED].contains(&name.as_str())) {
            return Err(invalid(format!(
                "the directory holds {other:?} and is no Larder store; an empty or a new one can become one"
            )));
        }
        return if create { Ok(false) } else { Err(no_store("the directory")) };
    }
    let title = disk.open(TITLE).and_then(|file| read_all(&*file)).map_err(|error| explain("reading larder.txt", error))?;
    let version = WHOSE.trim_end_matches("1.\n");
    if title.starts_with(WHOSE.as_bytes()) {
        Ok(true)
    } else if title.starts_with(version.as_bytes()) {
        let message = "the store was written by a newer version of Larder";
        Err(Error::new(ErrorKind::Unsupported, message).engine("file"))
    } else {
        Err(invalid("the directory has a larder.txt that is not ours"))
    }
}

type Settled = (Arc<Core>, Journal, bool, Box<dyn std::any::Any + Send + Sync>);

/// Takes the directory, and makes of what is there what was acknowledged.
fn settle_in(disk: Arc<dyn Disk>, create: bool, tuning: Tuning, layout: Layout) -> Result<Settled> {
    let lock = disk.lock().map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            Error::new(ErrorKind::Unavailable, "another process has the store open; one at a time can").engine("file")
        }
        _ => explain("locking the directory", error),
    })?;
    // Once more, with everybody else kept out.
    if !look(&*disk, create)? {
        write_title(&*disk).map_err(|error| explain("making the store", error))?;
    }
    let number = match newest_state(&*disk)? {
        Some(number) => number,
        None => begin(&disk)?,
    };
    let found = replay(disk.clone(), number, tuning.small_bytes, layout)?;
    let journal = Journal::resume(disk.clone(), found.journal, found.end)?;
    let core = Core::new(disk, layout, tuning, found.pairs, found.stored, found.journal_bytes);
    clear_up(&core).map_err(|error| explain("removing what a crash has left", error))?;
    remove_old(&core, number)?;
    Ok((Arc::new(core), journal, found.is_told, lock))
}

fn write_title(disk: &dyn Disk) -> io::Result<()> {
    let file = disk.create(TITLE_UNFINISHED)?;
    file.write(0, format!("{WHOSE}{ABOUT}").as_bytes())?;
    file.sync()?;
    disk.rename(TITLE_UNFINISHED, TITLE)?;
    disk.sync_directory("")
}

fn newest_state(disk: &dyn Disk) -> Result<Option<u64>> {
    let names = disk.list("").map_err(|error| explain("reading the directory", error))?;
    let number = |name: &String| {
        let number = name.strip_prefix("state-")?.parse().ok()?;
        (*name == state::name(number)).then_some(number)
    };
    Ok(names.iter().filter_map(number).max())
}

/// Makes a store that holds nothing, where there was none.
fn begin(disk: &Arc<dyn Disk>) -> Result<u64> {
    let names = disk.list("").map_err(|error| explain("reading the directory", error))?;
    let has = |name: &str| names.iter().any(|found| found == name);
    let entries = if has("entries/") { disk.list(ENTRIES) } else { Ok(Vec::new()) };
    let entries = entries.map_err(|error| explain("reading the directory", error))?;
    let journals = names.iter().filter(|name| name.starts_with("journal-")).count();
    let begun = journals == 0 || (journals == 1 && has(&journal::name(1)) && journal::read(&**disk, 1)?.frames.is_empty());
    if !entries.is_empty() || !begun {
        return Err(corrupt("the state is missing"));
    }
    drop(Journal::create(disk.clone(), 1)?);
    state::Writer::create(disk.clone(), 1, 0)?.finish()?;
    Ok(1)
}

/// Makes the directories that have to be there, and removes files that were not finished.
fn clear_up(core: &Core) -> io::Result<()> {
    let disk = &core.disk;
    for directory in [ENTRIES, EDITED, UNFINISHED] {
        disk.create_directory(directory)?;
    }
    for name in disk.list(UNFINISHED)? {
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            disk.remove(&format!("{UNFINISHED}/{name}"))?;
        }
    }
    for name in disk.list("")? {
        let unfinished = name.strip_suffix(".new").and_then(|name| name.strip_prefix("state-"));
        if unfinished.is_some_and(|number| number.parse::<u64>().is_ok()) {
            disk.remove(&name)?;
        }
    }
    let namespaces = disk.list(ENTRIES)?;
    core.directories().extend(namespaces.iter().filter_map(|name| Some(format!("{ENTRIES}/{}", name.strip_suffix('/')?))));
    // They may have been made by a process that died before it synced them.
    disk.sync_directory(ENTRIES)?;
    disk.sync_directory("")
}
