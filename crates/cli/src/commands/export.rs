//! `export`: a store, or a part of it, as JSON lines that `import` takes back exactly.
//!
//! What differs between two stores that hold the same - revisions, store ids, the time of the export - stays out, so
//! that an export of an import is byte for byte the export it came from. The last line counts the entries, so that a
//! file that was cut off is noticed even where the cut is between two lines.

use clap::Args;
use larder::{Entry, Select, Store};
use serde_json::json;

use super::selection::Keys;
use crate::{
    failure::Failure,
    output::Output,
    session::{Missing, Session},
};

/// The form that is written; `import` refuses forms it does not know.
pub(super) const FORMAT: u64 = 1;

/// Write entries as JSON lines, with versions, times, expiry and metadata, for `larder import`
#[derive(Args, Debug)]
#[command(after_help = "\
The entries are read page by page while others may write; `larder backup` is as of one moment.

Examples:
  larder export --all-namespaces > everything.jsonl
  larder export workloads/ | larder --store sqlite:copy.db import -")]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    keys: Keys,

    /// Everything: the entries of all namespaces, and which namespaces were created with which metadata
    #[arg(long, conflicts_with_all = ["prefix", "glob", "namespace"])]
    all_namespaces: bool,
}

pub(crate) async fn run(session: &mut Session, arguments: ExportArguments) -> Result<(), Failure> {
    let select = arguments.keys.select()?;
    let store = session.open(Missing::Tell).await?;
    let output = &mut session.output;
    output.line(format_args!("{{\"larder\":\"export\",\"format\":{FORMAT}}}"))?;
    let mut entries = 0;
    if arguments.all_namespaces {
        for info in store.list_namespaces().await? {
            if info.registered {
                let name = json!(info.namespace.as_str());
                let metadata = info.metadata.as_str();
                output.line(format_args!("{{\"larder\":\"namespace\",\"name\":{name},\"metadata\":{metadata}}}"))?;
            }
            entries += export(output, &store.in_namespace(&info.namespace)?, Select::all()).await?;
        }
    } else {
        entries = export(output, &store, select).await?;
    }
    Ok(output.line(format_args!("{{\"larder\":\"end\",\"entries\":{entries}}}"))?)
}

async fn export(output: &mut Output, store: &Store, select: Select) -> Result<u64, Failure> {
    let mut pages = store.pages(select);
    let mut entries = 0;
    while let Some(page) = pages.next().await? {
        for entry in &page {
            output.line(line(entry))?;
        }
        entries += page.len() as u64;
    }
    Ok(entries)
}

/// The entry without its revision, which is a number of this store and of no other.
fn line(entry: &Entry) -> String {
    // A quote inside a JSON string has a backslash before it and never a comma, so the first match is the field.
    entry.to_json_line().replacen(&format!(",\"revision\":{}", entry.revision), "", 1)
}
