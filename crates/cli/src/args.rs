//! The command line: what can be typed before and after every command, and which commands there are.
//!
//! The arguments of a command stand in the command's own file.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum, error::ErrorKind};
use larder::Durability;

#[cfg(target_os = "linux")]
use crate::commands::lock;
use crate::commands::{
    backup, bench, clear, commit, completions, delete, diff, doc, explain, export, history, hold, import, index, metadata,
    moving, namespaces, number, query, read, search, set, status, touch, trim, txn, watch,
};

/// The store that is used when none is named.
pub(crate) const DEFAULT_STORE: &str = "sqlite:./larder.db";

const AFTER_HELP: &str = "\
Exit statuses:
  0  done
  1  internal: a bug, please report it
  2  usage: the arguments are not understood
  3  not found
  4  conflict, or it exists already, or it is not empty, or it is not the same
  5  invalid, over a limit, or not supported
  6  denied, or over a quota
  7  unavailable, or the outcome is unknown
  8  corrupt

Examples:
  larder set greeting 'hello'            keep a value in ./larder.db
  larder get greeting                    and have it back
  larder set config @config.json         a file; JSON is recognised and kept byte for byte
  larder list workloads/                 the keys that begin with workloads/
  larder --store sqlite:/var/app.db status";

/// Keep values under keys, with versions, compare-and-set and atomic commits, in one embedded file or at a server
#[derive(Debug, Parser)]
#[command(name = "larder", version, after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What goes with every command, before or after its name.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Settings {
    /// The store: sqlite:PATH, file:PATH or surrealkv:PATH, where PATH is taken literally,
    /// postgres://USER@HOST/DATABASE?schema=NAME, redis://HOST/DB?prefix=NAME, etcd://HOST,HOST?prefix=NAME, or memory:
    #[arg(long, global = true, value_name = "URL", env = "LARDER_STORE", hide_env_values = true, default_value = DEFAULT_STORE)]
    pub(crate) store: String,

    /// The namespace [default: default]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,

    /// When an acknowledged write has to be safe: from a power cut (full, the default) or from a killed process (relaxed)
    #[arg(long, global = true, value_name = "CLASS", hide_possible_values = true)]
    pub(crate) durability: Option<DurabilityClass>,

    /// Print JSON, errors included
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Print nothing but what was asked for
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// The durability that can be asked for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum DurabilityClass {
    Full,
    Relaxed,
}

impl From<DurabilityClass> for Durability {
    fn from(class: DurabilityClass) -> Self {
        match class {
            DurabilityClass::Full => Self::Full,
            DurabilityClass::Relaxed => Self::Relaxed,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Get(read::GetArguments),
    Set(set::SetArguments),
    Delete(delete::DeleteArguments),
    Exists(read::ExistsArguments),
    List(read::ListArguments),
    Scan(read::ScanArguments),
    Count(read::CountArguments),
    Query(query::QueryArguments),
    Search(search::SearchArguments),
    Explain(explain::ExplainArguments),
    /// Create, list and drop what makes queries fast
    #[command(subcommand)]
    Index(index::IndexCommand),
    /// Keep documents in collections, each under a JSON Schema if it has one
    #[command(subcommand)]
    Doc(doc::DocCommand),
    Clear(clear::ClearArguments),
    /// Show or change the metadata of an entry
    #[command(subcommand)]
    Meta(metadata::MetaCommand),
    Add(number::AddArguments),
    Touch(touch::TouchArguments),
    #[cfg(target_os = "linux")]
    Lock(lock::LockArguments),
    /// What `lock` puts between itself and its command
    #[cfg(target_os = "linux")]
    #[command(subcommand, hide = true)]
    LockGuard(lock::GuardCommand),
    Watch(watch::WatchArguments),
    History(history::HistoryArguments),
    Diff(diff::DiffArguments),
    Trim(trim::TrimArguments),
    /// Keep the log from being trimmed for somebody who still needs it
    #[command(subcommand)]
    Hold(hold::HoldCommand),
    Commit(commit::CommitArguments),
    Txn(txn::TxnArguments),
    Copy(moving::copy::CopyArguments),
    Migrate(moving::migrate::MigrateArguments),
    Verify(moving::verify::VerifyArguments),
    Import(import::ImportArguments),
    Export(export::ExportArguments),
    /// Create, delete and list namespaces
    #[command(subcommand)]
    Ns(namespaces::NsCommand),
    Status(status::StatusArguments),
    Backup(backup::BackupArguments),
    Restore(moving::restore::RestoreArguments),
    Bench(bench::BenchArguments),
    Completions(completions::CompletionsArguments),
}

/// Prints help or version, or why the command line is not understood: in JSON too, if that was asked for.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match error.print() {
            Ok(()) => ExitCode::SUCCESS,
            Err(cause) => ExitCode::from(crate::failure::Failure::Output(cause).exit_status()),
        };
    }
    // Nothing was parsed, so the wish for JSON has to be looked for by hand.
    let json = std::env::args_os().skip(1).take_while(|argument| argument != "--").any(|argument| argument == "--json");
    if json {
        let text = error.render().to_string();
        let message = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
        crate::failure::Failure::Usage(message.to_owned()).tell(true);
    } else {
        // With nobody there to read it, the exit status still tells.
        let _ = error.print();
    }
    ExitCode::from(2)
}
