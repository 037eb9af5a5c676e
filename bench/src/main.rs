//! Ratios of Larder against the drivers underneath, measured in one run.
//!
//! Absolute times belong to a machine; what is promised is how much of the driver's own speed is left. So every row
//! does the same durable work on the same rows twice, once with the driver alone, and prints the ratio.

mod embedded;
mod etcd;
mod import;
mod index;
mod memory;
mod moving;
mod postgres;
mod query;
mod raw;
mod redis;
mod report;
mod search;
mod sqlite;
mod time;
mod watch;

use std::path::PathBuf;

use clap::Parser;

/// Measures Larder against the drivers underneath and prints a table of ratios.
#[derive(Debug, Parser)]
struct Options {
    /// How many entries the large stores hold.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u32,
    /// How many durable sets each round makes; a multiple of 1024.
    #[arg(long, default_value_t = 16_384)]
    sets: u32,
    /// Only rows whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Where the stores are made; the system's directory for temporary files unless given.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// The program whose `import` is measured; without it that row is left out, and said so.
    #[arg(long)]
    program: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let directory = match &options.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build()?;
    let mut report = report::Report::new();
    let wanted = |name: &str| name.contains(&options.only);
    // First, because memory that was used and freed before would hide what these use.
    if wanted("sqlite watch: idle") {
        watch::idling(&runtime, directory.path())?;
    }
    if wanted("memory") {
        memory::measure(&mut report, &runtime, options.entries)?;
    }
    if wanted("sqlite get") || wanted("sqlite list") {
        sqlite::reads(&mut report, &runtime, directory.path(), options.entries)?;
    }
    if wanted("sqlite set") {
        sqlite::writes(&mut report, &runtime, directory.path(), options.sets)?;
    }
    for engine in ["surrealkv", "file"].into_iter().filter(|engine| wanted(engine)) {
        embedded::writes(&mut report, &runtime, directory.path(), engine)?;
    }
    if wanted("moving") {
        moving::measure(&mut report, directory.path(), options.entries)?;
    }
    if wanted("redis") {
        redis::measure(&mut report, directory.path(), options.sets)?;
    }
    if wanted("etcd") {
        etcd::measure(&mut report, directory.path(), options.sets)?;
    }
    if wanted("sqlite watch: one writer") {
        watch::beside_watchers(&mut report, &runtime, directory.path())?;
    }
    if wanted("sqlite watch: resume") {
        watch::catching_up(&mut report, &runtime, directory.path())?;
    }
    if wanted("sqlite watch: heard") {
        watch::hearing(&runtime, directory.path())?;
    }
    if wanted("sqlite time: transaction") {
        time::transactions(&mut report, &runtime, directory.path())?;
    }
    if wanted("sqlite time: get as of") {
        time::past(&mut report, &runtime, directory.path())?;
    }
    if wanted("sqlite time: sweeping") {
        time::sweeping(&mut report, &runtime, directory.path(), options.entries)?;
    }
    let (in_file, in_memory) = (wanted("sqlite query"), wanted("memory query"));
    if in_file || in_memory {
        query::measure(&mut report, &runtime, directory.path(), (in_file, in_memory))?;
    }
    if wanted("sqlite index: equality") || wanted("sqlite index: range") {
        index::queries(&mut report, &runtime, directory.path(), options.entries)?;
    }
    if wanted("sqlite index: set") {
        index::sets(&mut report, &runtime, directory.path())?;
    }
    if wanted("sqlite search: two words") || wanted("memory search") {
        search::words(&mut report, &runtime, directory.path())?;
    }
    if wanted("sqlite search: nearest") {
        search::vectors(&mut report, &runtime, directory.path())?;
    }
    if wanted("postgres") {
        postgres::measure(&mut report, directory.path(), options.sets.min(postgres::SETS_MAX))?;
    }
    if wanted("import") {
        import::measure(&mut report, directory.path(), options.entries, options.program.as_deref())?;
    }
    report.print();
    Ok(())
}
