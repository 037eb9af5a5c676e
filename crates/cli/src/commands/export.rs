//! `export`: a store, or a part of it, as JSON lines that `import` takes back exactly.
//!
//! What differs between two stores that hold the same - revisions, store ids, the time of the export - stays out, so
//! that an export of an import is byte for byte the export it came from. The last line counts the entries, so that a
//! file that was cut off is noticed even where the cut is between two lines.
//!
//! The indexes of a namespace stand behind its entries, so that they are built once it is filled. Only an export with some in it
//! has the form that knows of them: any other one is read by older programs, too.
//!
//! Everything is as of one moment, over all namespaces and however long it takes: a long export
//! holds the log until it is done.

use clap::Args;
use larder::{Entry, Index, Select, Store, View};
use serde_json::json;

use super::{holding::Holding, moment::AsOfArgument, selection::Keys};
use crate::{
    failure::Failure,
    output::Output,
    session::{Missing, Session},
};

/// The latest form that is written; `import` refuses forms it does not know.
pub(super) const FORMAT: u64 = WITH_INDEXES;
const PLAIN: u64 = 1;
const WITH_INDEXES: u64 = 2;

/// From how many bytes on an export holds the log. With less it waits for no reader, because that fits into a pipe, and is
/// done sooner than a hold would be set.
const HELD_BYTES_MIN: u64 = 64 << 10;

/// Write entries as JSON lines, as of one moment, with versions, times, expiry and metadata, for `larder import`
#[derive(Args, Debug)]
#[command(after_help = "\
Others may write meanwhile: what is written out is what there was when it began. An export of many entries keeps the log \
from being trimmed under it; `larder hold list` shows it as export-ID until it ends.

Examples:
  larder export --all-namespaces > everything.jsonl
  larder export --all-namespaces --as-of '1h ago' > before.jsonl
  larder export workloads/ | larder --store sqlite:copy.db import -")]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    keys: Keys,

    /// Everything: the entries of all namespaces, which namespaces were created with which metadata, and which indexes
    /// there are
    #[arg(long, conflicts_with_all = ["prefix", "glob", "namespace"])]
    all_namespaces: bool,

    #[command(flatten)]
    as_of: AsOfArgument,
}

pub(crate) async fn run(session: &mut Session, arguments: ExportArguments) -> Result<(), Failure> {
    let select = arguments.keys.select()?;
    let sight = arguments.as_of.of(session.open(Missing::Tell).await?).await?;
    let view = sight.view().await?;
    let mut export = Export { store: sight.store(), view, output: &mut session.output, entries: 0, bytes: 0, holding: None };
    let exported = if arguments.all_namespaces { export.everything().await } else { export.part(select).await };
    if let Some(holding) = export.holding {
        holding.end().await;
    }
    exported
}

/// An export on its way.
struct Export<'a> {
    store: &'a Store,
    view: View,
    output: &'a mut Output,
    entries: u64,
    /// Their bytes.
    bytes: u64,
    /// Keeps the log until the end.
    holding: Option<Holding>,
}

impl Export<'_> {
    async fn everything(&mut self) -> Result<(), Failure> {
        let namespaces = self.store.list_namespaces_at(&self.view).await?;
        let mut indexes = Vec::with_capacity(namespaces.len());
        for info in &namespaces {
            let found = self.store.in_namespace(&info.namespace)?.indexes().await?;
            indexes.push(found.into_iter().map(|info| info.index).collect::<Vec<Index>>());
        }
        self.begin(if indexes.iter().all(Vec::is_empty) { PLAIN } else { WITH_INDEXES })?;
        for (info, indexes) in namespaces.into_iter().zip(indexes) {
            if info.registered {
                let name = json!(info.namespace.as_str());
                let metadata = info.metadata.as_str();
                self.output.line(format_args!("{{\"larder\":\"namespace\",\"name\":{name},\"metadata\":{metadata}}}"))?;
            }
            let view = self.view.within(&self.store.scope(&info.namespace)?)?;
            self.entries(&view, Select::all()).await?;
            for index in indexes {
                // In its own form, which knows all that an index can be.
                let (namespace, index) = (json!(info.namespace.as_str()), json!(index));
                self.output.line(format_args!("{{\"larder\":\"index\",\"namespace\":{namespace},\"index\":{index}}}"))?;
            }
        }
        self.end()
    }

    async fn part(&mut self, select: Select) -> Result<(), Failure> {
        self.begin(PLAIN)?;
        let view = self.view.clone();
        self.entries(&view, select).await?;
        self.end()
    }

    async fn entries(&mut self, view: &View, select: Select) -> Result<(), Failure> {
        let mut pages = view.pages(select);
        while let Some(page) = pages.next().await? {
            self.bytes += page.iter().map(Entry::bytes).sum::<u64>();
            if self.bytes >= HELD_BYTES_MIN && self.holding.is_none() {
                self.holding = Some(Holding::begin(self.store, "export", view.position()).await?);
            }
            for entry in &page {
                self.output.line(line(entry))?;
            }
            self.entries += page.len() as u64;
        }
        Ok(())
    }

    fn begin(&mut self, format: u64) -> Result<(), Failure> {
        Ok(self.output.line(format_args!("{{\"larder\":\"export\",\"format\":{format}}}"))?)
    }

    fn end(&mut self) -> Result<(), Failure> {
        Ok(self.output.line(format_args!("{{\"larder\":\"end\",\"entries\":{}}}", self.entries))?)
    }
}

/// The entry without its revision, which is a number of this store and of no other.
fn line(entry: &Entry) -> String {
    // A quote inside a JSON string has a backslash before it and never a comma, so the first match is the field.
    entry.to_json_line().replacen(&format!(",\"revision\":{}", entry.revision), "", 1)
}
