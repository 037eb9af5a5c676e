//! Reading: `get`, `exists`, `list`, `scan` and `count`. Long answers are printed page by page, in bounded memory.

use clap::Args;
use larder::{Entry, Error, ErrorKind, Key, Namespace, Value};
use serde_json::json;

use super::{
    moment::AsOfArgument,
    selection::{Keys, Window},
};
use crate::{
    failure::Failure,
    output::Output,
    session::{Missing, Session},
    text::{is_printable, one_line, shell, shortened},
};

/// How many keys are asked for at once.
const PAGE_KEYS: usize = 1000;

/// Print the value of a key, byte for byte; with --json the whole entry
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  larder get config > config.json
  larder get config --json
  larder get config --as-of 1234              as it was after revision 1234
  larder get config --as-of '2h ago'
  larder get -- -odd-key")]
pub(crate) struct GetArguments {
    /// The key; one that begins with - goes after --
    key: String,
    #[command(flatten)]
    as_of: AsOfArgument,
}

/// Say whether a key is there: exit status 0 if it is, 3 if not
#[derive(Args, Debug)]
pub(crate) struct ExistsArguments {
    /// The key
    key: String,
    #[command(flatten)]
    as_of: AsOfArgument,
}

/// Print keys in bytewise order, as of one moment, one per line; with --json as an array
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  larder list workloads/
  larder list --glob '*.json' --limit 10
  larder list --limit 10 --after workloads/web      the next page
  larder list log/ --reverse --limit 1              the last key
  larder list --as-of 2030-01-31T12:00:00Z          what was there then")]
pub(crate) struct ListArguments {
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    window: Window,
    #[command(flatten)]
    as_of: AsOfArgument,
}

/// Print entries in bytewise order of their keys, as of one moment: key, tab, value; with --json as an array of whole
/// entries
#[derive(Args, Debug)]
#[command(after_help = "Line ends and other control characters in values are shown as escapes, and binary values by their \
size. `larder export` is for machines and keeps every byte.

Examples:
  larder scan workloads/
  larder scan --json --limit 3")]
pub(crate) struct ScanArguments {
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    window: Window,
    #[command(flatten)]
    as_of: AsOfArgument,
}

/// Print how many keys there are
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  larder count\n  larder count workloads/\n  larder count --glob '*/web'")]
pub(crate) struct CountArguments {
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    window: Window,
    #[command(flatten)]
    as_of: AsOfArgument,
}

pub(crate) async fn get(session: &mut Session, arguments: GetArguments) -> Result<(), Failure> {
    let key = Key::new(arguments.key)?;
    let sight = arguments.as_of.of(session.open(Missing::Tell).await?).await?;
    let Some(entry) = sight.get(&key).await? else {
        return Err(sight.absent(session, &key));
    };
    let output = &mut session.output;
    if output.json {
        return Ok(output.line(entry.to_json())?);
    }
    print_value(output, &entry.value)
}

/// The failure of a command that needs `key` to be there.
pub(crate) fn absent(session: &Session, namespace: &Namespace, key: &Key) -> Failure {
    let error = Error::new(ErrorKind::NotFound, format!("there is no key {key:?} in namespace {namespace:?}"));
    Failure::hinted(error, format!("`{} list` shows what is there", session.call()))
}

/// A value as it is; on a terminal only what a terminal shows.
pub(crate) fn print_value(output: &mut Output, value: &Value) -> Result<(), Failure> {
    let bytes = value.bytes();
    if !output.is_terminal() {
        return Ok(output.raw(bytes)?);
    }
    let text = std::str::from_utf8(bytes).ok().filter(|text| is_printable(text));
    let Some(text) = text else {
        let message = format!("{} bytes of binary are nothing for a terminal", bytes.len());
        return Err(Failure::hinted(Error::invalid(message), "use --json, or send the output to a file"));
    };
    Ok(output.line(text.strip_suffix('\n').unwrap_or(text))?)
}

pub(crate) async fn exists(session: &mut Session, arguments: ExistsArguments) -> Result<(), Failure> {
    let key = Key::new(arguments.key)?;
    let sight = arguments.as_of.of(session.open(Missing::Tell).await?).await?;
    let exists = sight.get(&key).await?.is_some();
    session.output.done(&exists, exists)?;
    if exists { Ok(()) } else { Err(Failure::Answered(ErrorKind::NotFound.exit_status())) }
}

pub(crate) async fn list(session: &mut Session, arguments: ListArguments) -> Result<(), Failure> {
    let mut select = arguments.window.on(arguments.keys.select()?)?;
    let view = arguments.as_of.of(session.open(Missing::Tell).await?).await?.view().await?;
    let mut items = Items::begin(&mut session.output)?;
    let terminal = items.output.is_terminal();
    let mut left = arguments.window.limit.unwrap_or(usize::MAX);
    loop {
        let page = view.list(select.clone().limit(left.min(PAGE_KEYS))).await?;
        left -= page.items.len();
        for key in &page.items {
            if items.output.json {
                items.item(&json!(key.as_str()).to_string())?;
            } else if terminal {
                items.item(&one_line(key))?;
            } else {
                items.item(key)?;
            }
        }
        match page.next {
            Some(next) if left > 0 => select = select.offset(0).after(next),
            _ => return items.end(),
        }
    }
}

pub(crate) async fn scan(session: &mut Session, arguments: ScanArguments) -> Result<(), Failure> {
    let select = arguments.window.limited(arguments.keys.select()?)?;
    let sight = arguments.as_of.of(session.open(Missing::Tell).await?).await?;
    let mut items = Items::begin(&mut session.output)?;
    let mut pages = sight.pages(select);
    while let Some(page) = pages.next().await? {
        for entry in &page {
            let text = if items.output.json { entry.to_json() } else { as_line(entry) };
            items.item(&text)?;
        }
    }
    items.end()
}

fn as_line(entry: &Entry) -> String {
    format!("{}\t{}", one_line(&entry.address.key), value_line(&entry.value, usize::MAX))
}

/// The first `characters_max` characters of a value on one line, and that there are more if there are.
pub(crate) fn value_line(value: &Value, characters_max: usize) -> String {
    let text = std::str::from_utf8(value.bytes()).ok().filter(|_| value.encodings().is_empty());
    let binary = || format!("<{} bytes of binary>", value.bytes().len());
    text.map_or_else(binary, |text| one_line(&shortened(text, characters_max)))
}

pub(crate) async fn count(session: &mut Session, arguments: CountArguments) -> Result<(), Failure> {
    let select = arguments.window.limited(arguments.keys.select()?)?;
    let sight = arguments.as_of.of(session.open(Missing::Tell).await?).await?;
    let count = sight.count(select).await?;
    Ok(session.output.line(count)?)
}

/// A list being printed: a line for each item, or a JSON array.
struct Items<'a> {
    output: &'a mut Output,
    any: bool,
}

impl<'a> Items<'a> {
    fn begin(output: &'a mut Output) -> Result<Self, Failure> {
        if output.json {
            output.raw(b"[")?;
        }
        Ok(Self { output, any: false })
    }

    fn item(&mut self, text: &str) -> Result<(), Failure> {
        match (self.output.json, std::mem::replace(&mut self.any, true)) {
            (true, true) => self.output.raw(b",\n")?,
            (true, false) => self.output.raw(b"\n")?,
            (false, _) => return Ok(self.output.line(text)?),
        }
        Ok(self.output.raw(text.as_bytes())?)
    }

    fn end(self) -> Result<(), Failure> {
        if self.output.json {
            self.output.line(if self.any { "\n]" } else { "]" })?;
        }
        Ok(())
    }
}

/// What a hint calls `key`.
pub(crate) fn get_command(session: &Session, key: &str) -> String {
    let dashes = if key.starts_with('-') { "-- " } else { "" };
    format!("{} get {dashes}{}", session.call(), shell(key))
}
