//! The commands, one idea per file: each takes its arguments and the session, and answers through the session's output.

pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod change;
pub(crate) mod clear;
pub(crate) mod commit;
pub(crate) mod completions;
pub(crate) mod delete;
pub(crate) mod diff;
pub(crate) mod doc;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod hold;
pub(crate) mod holding;
pub(crate) mod import;
pub(crate) mod index;
#[cfg(target_os = "linux")]
pub(crate) mod lock;
pub(crate) mod metadata;
pub(crate) mod moment;
pub(crate) mod moving;
pub(crate) mod namespaces;
pub(crate) mod number;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod retention;
pub(crate) mod search;
pub(crate) mod selection;
pub(crate) mod set;
pub(crate) mod status;
pub(crate) mod touch;
pub(crate) mod trim;
pub(crate) mod txn;
pub(crate) mod watch;

use crate::{args::Command, failure::Failure, session::Session};

pub(crate) async fn run(session: &mut Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::Get(arguments) => read::get(session, arguments).await,
        Command::Set(arguments) => set::set(session, arguments).await,
        Command::Delete(arguments) => delete::delete(session, arguments).await,
        Command::Exists(arguments) => read::exists(session, arguments).await,
        Command::List(arguments) => read::list(session, arguments).await,
        Command::Scan(arguments) => read::scan(session, arguments).await,
        Command::Count(arguments) => read::count(session, arguments).await,
        Command::Query(arguments) => query::run(session, arguments).await,
        Command::Search(arguments) => search::run(session, arguments).await,
        Command::Explain(arguments) => explain::run(session, arguments).await,
        Command::Index(command) => index::run(session, command).await,
        Command::Clear(arguments) => clear::clear(session, arguments).await,
        Command::Meta(command) => metadata::run(session, command).await,
        Command::Add(arguments) => number::add(session, arguments).await,
        Command::Touch(arguments) => touch::touch(session, arguments).await,
        #[cfg(target_os = "linux")]
        Command::Lock(arguments) => lock::run(session, arguments).await,
        #[cfg(target_os = "linux")]
        Command::LockGuard(command) => lock::guard(command).await,
        Command::Watch(arguments) => watch::run(session, arguments).await,
        Command::History(arguments) => history::run(session, arguments).await,
        Command::Diff(arguments) => diff::run(session, arguments).await,
        Command::Trim(arguments) => trim::run(session, arguments).await,
        Command::Hold(command) => hold::run(session, command).await,
        Command::Doc(command) => doc::run(session, command).await,
        Command::Commit(arguments) => commit::run(session, arguments).await,
        Command::Txn(_) => txn::run(session).await,
        Command::Copy(arguments) => moving::copy::run(session, arguments).await,
        Command::Migrate(arguments) => moving::migrate::run(session, arguments).await,
        Command::Restore(arguments) => moving::restore::run(session, arguments).await,
        Command::Verify(arguments) => moving::verify::run(session, arguments).await,
        Command::Import(arguments) => import::run(session, arguments).await,
        Command::Export(arguments) => export::run(session, arguments).await,
        Command::Ns(command) => namespaces::run(session, command).await,
        Command::Status(_) => status::run(session).await,
        Command::Backup(arguments) => backup::run(session, arguments).await,
        Command::Bench(arguments) => bench::run(session, arguments).await,
        Command::Completions(arguments) => completions::run(session, arguments),
    }
}
