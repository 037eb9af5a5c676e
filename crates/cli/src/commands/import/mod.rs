//! `import`: many records in many commits, in bounded memory.
//!
//! A thread reads and parses, this side commits, and a bounded channel lies between: see [`batch`].

mod array;
mod batch;
mod key;
mod lines;
mod records;
mod restore;
mod summary;
mod writer;

use std::{
    io::{BufRead, BufReader, Read},
    thread,
};

use clap::Args;
use larder::{Error, ErrorKind, Limits, Namespace};
use tokio::sync::mpsc;

use crate::{
    failure::Failure,
    input,
    session::{Missing, Session},
    text::grouped,
};
use batch::{Existing, Feed, Stop, Work};
use key::KeyFields;
use lines::Lines;
use records::Recipe;
use summary::Summary;
use writer::{Totals, Writer};

/// How much is read at once.
const READ_BYTES: usize = 256 << 10;
/// How many batches wait for the committer at most; the reader waits then.
const WAITING_BATCHES: usize = 2;
/// The longest line of an export; far more than a value that fits every engine takes as JSON.
const EXPORT_LINE_BYTES_MAX: usize = 256 << 20;

/// Read records from JSON lines, a JSON array, or an export, and keep each under a key made of its fields
#[derive(Args, Debug)]
#[command(after_help = "\
The input is JSON lines, a JSON array, a document with an array somewhere inside, or what `larder export` wrote. Records are \
kept byte for byte. At most 1,000 share a commit; when the import stops half-way, what is committed stays.

Examples:
  cargo metadata --format-version 1 | larder import --items packages --key id -
  larder import --key id users.jsonl
  larder import --key owner.name,id -n orders orders.json     keys such as ada/17
  larder import everything.jsonl                              an export brings its own keys")]
pub(crate) struct ImportArguments {
    /// The file to read, or - for the standard input
    file: String,

    /// The fields that make the key: dotted paths, joined by / in the key
    #[arg(long, value_name = "FIELD[,FIELD]")]
    key: Option<String>,

    /// Where the array of records is inside the document, such as a.b
    #[arg(long, value_name = "PATH")]
    items: Option<String>,

    /// Leave keys alone that are there already, instead of overwriting them
    #[arg(long)]
    if_absent: bool,

    /// Let an export replace entries that are there already; in two commits, not one
    #[arg(long, conflicts_with = "if_absent")]
    overwrite: bool,

    /// Skip bad records, count them and show the first ones, instead of stopping
    #[arg(long)]
    skip_bad: bool,
}

/// What is read, known by its first bytes.
enum Source {
    Export(Lines<Reader>, Option<Namespace>),
    Lines(Lines<Reader>, Recipe),
    Array(Reader, Vec<String>, Recipe),
}

type Reader = BufReader<Box<dyn Read + Send>>;

pub(crate) async fn run(session: &mut Session, arguments: ImportArguments) -> Result<(), Failure> {
    let source = source(session, &arguments)?;
    let existing = match (&source, arguments.if_absent, arguments.overwrite) {
        (_, true, _) => Existing::Skip,
        (Source::Export(..), _, false) => Existing::Refuse,
        _ => Existing::Overwrite,
    };
    let store = session.open(Missing::Create).await?.with_native_limits();
    let (sender, mut work) = mpsc::channel(WAITING_BATCHES);
    let feed = Feed::new(sender, store.limits(), existing, arguments.skip_bad);
    // A thread of its own and not one of the runtime's, which would be waited for at the end: it may hang on an input
    // that never comes.
    thread::spawn(move || read(source, feed));

    let mut writer = Writer { store, existing, totals: Totals::default() };
    let mut summary = Summary::begin(session);
    let ended = loop {
        let step = match work.recv().await {
            Some(Work::Batch(batch)) => writer.batch(batch).await,
            Some(Work::Namespace { namespace, metadata }) => writer.namespace(&namespace, metadata).await,
            Some(Work::Index { namespace, index }) => writer.index(&namespace, index).await,
            Some(Work::Bad { place, reason }) => {
                summary.bad(place, reason);
                Ok(())
            }
            Some(Work::End(ended)) => break ended,
            None => break Err(Error::new(ErrorKind::Internal, "the thread that reads the input has died")),
        };
        if let Err(error) = step {
            break Err(error);
        }
        summary.progress(&writer.totals);
    };
    summary.progress_ends();
    match ended {
        Ok(()) => summary.tell(session, &writer.totals),
        Err(error) => Err(stopped(error, &writer.totals, existing)),
    }
}

/// Looks at the first bytes, and whether they and the arguments fit together; nothing is opened or written before.
fn source(session: &Session, arguments: &ImportArguments) -> Result<Source, Failure> {
    let items = arguments.items.as_deref().map(key::path).transpose()?;
    let fields = arguments.key.as_deref().map(KeyFields::parse).transpose()?;
    let namespace = session.namespace()?;
    let recipe =
        fields.map(|fields| Recipe { fields, namespace: namespace.clone(), value_bytes_max: Limits::FLOOR.value_bytes });
    let keyless =
        || Failure::Usage("the records need keys: name the fields that make them with --key FIELD[,FIELD]".to_owned());

    let (reader, name) = input::file(&arguments.file)?;
    let mut reader = BufReader::with_capacity(READ_BYTES, reader);
    let unreadable = |error| input::unreadable(&name, error);
    if let Some(path) = items {
        return Ok(Source::Array(reader, path, recipe.ok_or_else(keyless)?));
    }
    let blank_lines = skip_blank(&mut reader).map_err(unreadable)?;
    if reader.fill_buf().map_err(unreadable)?.first() == Some(&b'[') {
        return Ok(Source::Array(reader, Vec::new(), recipe.ok_or_else(keyless)?));
    }
    let line_bytes_max = recipe.as_ref().map_or(EXPORT_LINE_BYTES_MAX, |recipe| recipe.value_bytes_max);
    let mut lines = Lines::new(reader, blank_lines, line_bytes_max);
    let export = lines.peek().map_err(unreadable)?.and_then(|line| line.text).is_some_and(restore::is_header);
    match (export, recipe) {
        (true, None) => Ok(Source::Export(lines, session.settings.namespace.is_some().then_some(namespace))),
        (true, Some(_)) => Err(Failure::Usage("an export brings its own keys: leave --key away".to_owned())),
        (false, Some(recipe)) => Ok(Source::Lines(lines, recipe)),
        (false, None) => Err(keyless()),
    }
}

/// Reads over white space before anything else, and counts the lines that end in it.
fn skip_blank(reader: &mut impl BufRead) -> std::io::Result<u64> {
    let mut lines = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let blank = buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let more = blank > 0 && blank == buffer.len();
        lines += buffer[..blank].iter().filter(|byte| **byte == b'\n').count() as u64;
        reader.consume(blank);
        if !more {
            return Ok(lines);
        }
    }
}

fn read(source: Source, mut feed: Feed) {
    let answer: Result<(), Stop> = match source {
        Source::Export(lines, only) => restore::lines(lines, only.as_ref(), &mut feed),
        Source::Lines(lines, recipe) => records::lines(lines, &recipe, &mut feed),
        Source::Array(reader, path, recipe) => records::elements(reader, &path, &recipe, &mut feed),
    };
    feed.end(answer);
}

/// The error that ended an import, with what it leaves behind.
fn stopped(error: Error, totals: &Totals, existing: Existing) -> Failure {
    let kept = match totals.entries() {
        0 => "nothing was imported".to_owned(),
        1 => "the 1 entry committed before stays".to_owned(),
        entries => format!("the {} entries committed before stay", grouped(entries)),
    };
    let kind = error.kind();
    let error = Error::new(kind, format!("{error}; {kept}"));
    match kind {
        ErrorKind::AlreadyExists if existing == Existing::Refuse => {
            Failure::hinted(error, "--if-absent leaves alone what is there, --overwrite replaces it")
        }
        ErrorKind::Invalid | ErrorKind::Limit => Failure::hinted(
            error,
            "mend the input and import it again, or go on past bad records with --skip-bad; the array inside a document \
             is named with --items",
        ),
        ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => {
            Failure::hinted(error, "when that is mended, import it again; with --if-absent it goes on where it stopped")
        }
        _ => error.into(),
    }
}
