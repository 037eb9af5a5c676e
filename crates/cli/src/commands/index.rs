//! `index`: what finds entries by their values, created, listed and dropped by the paths that it is on.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};
use larder::{Error, ErrorKind, Index, IndexInfo, Result, Store, query::Path};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    session::{Missing, Session},
    text::{counted, grouped, one_line, shell, shortened},
};

/// How often progress is shown.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// How much of a bad path is shown again.
const PATH_CHARACTERS_MAX: usize = 40;

#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    Create(CreateArguments),
    /// Print every index of the namespace, in the order in which they were created
    List,
    /// Drop the index on these paths; exit status 3 if there is none
    #[command(after_help = "\
Examples:
  larder index drop email
  larder index drop name.last name.first
  larder index drop --words title body")]
    Drop {
        /// The paths, in the order in which `larder index list` prints them
        #[arg(required_unless_present = "words", value_name = "PATH")]
        paths: Vec<String>,

        /// The index of the words there
        #[arg(long)]
        words: bool,
    },
}

/// Create an index of the namespace, or go on building one; that it is there already is fine
#[derive(Args, Debug)]
#[command(after_help = "\
An index keeps, for every entry, what it has at these paths, in order, and changes in the same commit as the entry. Queries \
use it by themselves where that helps: for = in ^= > >= < <= exists and missing on its paths, from the first on, and for \
sorting by them. No answer changes; `larder explain` shows which index was used.

Paths are written as in a query: age, address.city, tags.0, tags[] (every element, in one path at most), \"odd name\", and \
$version, $created, $updated, $meta.owner, $value.

Others may read and write while it is built. When the building is cut short, the same command goes on with it, and so does \
every process that keeps the store open.

With --unique no two entries may have the same in it: a write that would make it so is a conflict. What is missing is not \
compared, null is, and what has expired holds nothing any more.

With --words it is one of the words in the texts at these paths, or in all texts of the values, for `larder search`.

A namespace has at most 16 indexes, an index at most 8 paths, and an entry at most 1,024 different elements in one.

Examples:
  larder index create age
  larder index create email --unique
  larder index create 'dependencies[].name' -n packages
  larder index create name.last name.first       for filters on name.last, and for both
  larder index create --words title body         for `larder search`")]
pub(crate) struct CreateArguments {
    /// The paths, the most important one first
    #[arg(required_unless_present = "words", value_name = "PATH")]
    paths: Vec<String>,

    /// Refuse that two entries have the same
    #[arg(long)]
    unique: bool,

    /// Index the words of texts, for `larder search`
    #[arg(long, conflicts_with = "unique")]
    words: bool,
}

pub(crate) async fn run(session: &mut Session, command: IndexCommand) -> Result<(), Failure> {
    match command {
        IndexCommand::Create(arguments) => create(session, arguments).await,
        IndexCommand::List => list(session).await,
        IndexCommand::Drop { paths, words } => drop(session, &paths, words).await,
    }
}

async fn create(session: &mut Session, arguments: CreateArguments) -> Result<(), Failure> {
    let index = index(&arguments.paths, arguments.words)?;
    let index = if arguments.unique { index.unique() } else { index };
    let store = session.open(Missing::Create).await?;
    let call = session.call();
    let refused = |error| refused(error, &call, &index);
    let before = find(&store, &index).await.map_err(refused)?;
    let mut progress = Progress::begin(session, &store).await?;
    let created = store.create_index(index.clone()).progress(|entries| progress.tell(entries)).await;
    progress.end();
    created.map_err(refused)?;

    let what = one_line(&format!("{index:#}"));
    let (created, text) = match before {
        None => (true, format!("created the {what}")),
        Some(IndexInfo { building: Some(_), .. }) => (true, format!("finished the {what}")),
        Some(_) => (false, format!("the {what} is there already")),
    };
    let mut json = as_json(&index);
    json["created"] = created.into();
    Ok(session.output.done(&json, text)?)
}

/// The same index, if it is there.
async fn find(store: &Store, index: &Index) -> Result<Option<IndexInfo>> {
    Ok(store.indexes().await?.into_iter().find(|info| info.index == *index))
}

async fn list(session: &mut Session) -> Result<(), Failure> {
    let store = session.open(Missing::Tell).await?;
    let indexes = store.indexes().await?;
    let output = &mut session.output;
    if output.json {
        let row = |info: &IndexInfo| {
            let mut row = as_json(&info.index);
            row["ready"] = info.building.is_none().into();
            if let Some(entries) = info.building {
                row["entries"] = entries.into();
            }
            row
        };
        return Ok(output.json(&indexes.iter().map(row).collect::<Vec<_>>())?);
    }
    let names: Vec<String> = indexes.iter().map(|info| one_line(&info.index.to_string())).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    for (name, info) in names.iter().zip(&indexes) {
        match info.building {
            None => output.line(format_args!("{name:width$}  ready"))?,
            Some(entries) => {
                let entries = counted(entries, "entry", "entries");
                output.line(format_args!("{name:width$}  being built, {entries} so far"))?;
            }
        }
    }
    Ok(())
}

async fn drop(session: &mut Session, paths: &[String], words: bool) -> Result<(), Failure> {
    let index = index(paths, words)?;
    let store = session.open(Missing::Tell).await?;
    let what = one_line(&format!("{index:#}"));
    if !store.drop_index(&index).await? {
        let error = Error::new(ErrorKind::NotFound, format!("there is no {what} in namespace {:?}", store.namespace()));
        return Err(Failure::hinted(error, format!("`{} index list` shows what is there", session.call())));
    }
    Ok(session.output.done(&json!({ "dropped": names(&index) }), format_args!("dropped the {what}"))?)
}

/// The index on `paths`, or of the words there; what is wrong with one is said with that one.
fn index(paths: &[String], words: bool) -> Result<Index> {
    let path = |text: &String| {
        Path::parse(text).map_err(|error| {
            let (message, short) = (error.message(), shortened(text, PATH_CHARACTERS_MAX));
            let fault = message.strip_prefix("in a path").unwrap_or(message);
            Error::new(error.kind(), format!("in the path {short:?}{fault}"))
        })
    };
    let paths = paths.iter().map(path).collect::<Result<Vec<Path>>>()?;
    if words { Index::words(paths) } else { Index::over(paths) }
}

fn names(index: &Index) -> Vec<String> {
    index.paths().iter().map(Path::to_string).collect()
}

fn as_json(index: &Index) -> Value {
    let mut json = json!({ "paths": names(index), "unique": index.is_unique() });
    if index.is_words() {
        json["words"] = true.into();
    }
    json
}

/// Why an index was not created, and what to do about that.
fn refused(error: Error, call: &str, index: &Index) -> Failure {
    let paths: Vec<String> = names(index).iter().map(|path| shell(path)).collect();
    let hint = match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("`{call} index drop {}{}` drops it", if index.is_words() { "--words " } else { "" }, paths.join(" "))
        }
        ErrorKind::InvalidState => {
            "no index was created; make them differ, or leave --unique away, and create it again".to_owned()
        }
        ErrorKind::NotFound => "somebody else dropped it meanwhile; create it again if it is still wanted".to_owned(),
        _ => return error.into(),
    };
    Failure::hinted(error, hint)
}

/// How far the building is, for who watches.
struct Progress {
    began: Instant,
    /// When it was last shown; `None` where nobody watches.
    shown: Option<Instant>,
    /// How many entries there are, about.
    all: u64,
}

impl Progress {
    async fn begin(session: &Session, store: &Store) -> Result<Self> {
        let watched = io::stderr().is_terminal() && !session.output.quiet;
        let began = Instant::now();
        let all = if watched { store.usage().await?.entries } else { 0 };
        Ok(Self { began, shown: watched.then_some(began), all })
    }

    fn tell(&mut self, entries: u64) {
        let Some(shown) = self.shown.as_mut().filter(|shown| shown.elapsed() >= PROGRESS_EVERY) else { return };
        *shown = Instant::now();
        let rate = entries as f64 / self.began.elapsed().as_secs_f64();
        let (some, all, rate) = (grouped(entries), counted(self.all.max(entries), "entry", "entries"), grouped(rate as u64));
        // Progress that cannot be shown is no reason to stop.
        let _ = write!(io::stderr(), "\r\x1b[K{some} of {all}, {rate} a second");
    }

    /// Takes the progress away again.
    fn end(&self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
