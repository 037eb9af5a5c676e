//! The front door of the workspace: `cargo xtask` lists what there is.
//!
//! Logic that other projects put into shell scripts stands here, so that it runs wherever Rust does.

mod campaigns;
mod command;
mod servers;
mod system;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use command::{Failure, cargo, cargo_with};
use servers::Servers;

/// Everything one does with this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Formatting and lints, warnings being errors
    Check,
    /// Every test there is, after installing the tools that some of them need
    Test,
    /// The tests of one engine: memory, sqlite, file, surrealkv, postgres, redis or etcd
    Engine {
        /// Which one
        name: Engine,
    },
    /// Ratios against the drivers underneath, as a table
    Bench {
        /// Handed to the benchmark; `-- --help` lists what it takes
        #[arg(last = true)]
        options: Vec<String>,
    },
    /// Every case on every engine, and docs/capabilities.md from what came of it
    Capabilities,
    /// What the test command runs a part of, at full size: long tests, and histories by chance on every engine
    #[command(after_help = campaigns::list())]
    Soak {
        /// Which one; all of them when none is named
        campaign: Option<String>,
        /// How many histories by chance there are on each engine
        #[arg(long, env = "LARDER_HISTORIES", default_value_t = 10_000)]
        histories: u64,
        /// The first seed; a history that went wrong says which one tells it again
        #[arg(long, env = "LARDER_SEED", default_value_t = 1)]
        seed: u64,
        /// Handed to the campaigns; `-- --help` lists what they take
        #[arg(last = true)]
        options: Vec<String>,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Engine {
    Memory,
    Sqlite,
    Surrealkv,
    Etcd,
    File,
    Postgres,
    Redis,
}

fn main() -> ExitCode {
    let done = match Options::parse().task {
        Task::Check => check(),
        Task::Test => test(),
        Task::Engine { name } => engine(name),
        Task::Bench { options } => bench(&options),
        Task::Capabilities => capabilities(),
        Task::Soak { campaign, histories, seed, options } => soak(campaign, histories, seed, options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\ncargo xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<(), Failure> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])
}

fn test() -> Result<(), Failure> {
    system::provide(system::TOOLS)?;
    // One call builds every dependency once; the tests of the program find it built.
    let skipped: Vec<&str> = SERVERS.into_iter().filter(|engine| servers::is_skipped(engine)).collect();
    let told = format!("\n*** LARDER_SKIP: nothing of this run says anything about {} ***\n", skipped.join(" and "));
    let packages: Vec<String> = skipped.iter().map(|engine| format!("larder-{engine}")).collect();
    let mut arguments = vec!["test", "--workspace"];
    packages.iter().for_each(|package| arguments.extend(["--exclude", package]));
    let tell = || (!skipped.is_empty()).then(|| eprintln!("{told}"));
    tell();
    with(&servers()?, &arguments)?;
    tell();
    Ok(())
}

/// The engines whose tests need a server.
const SERVERS: [&str; 3] = ["etcd", "postgres", "redis"];

/// The servers of every engine that this run does not have to do without.
fn servers() -> Result<Servers, Failure> {
    let mut servers = Servers::default();
    if !servers::is_skipped("etcd") {
        servers = servers.with_etcd()?;
    }
    if !servers::is_skipped("postgres") {
        servers = servers.with_postgres()?;
    }
    if !servers::is_skipped("redis") {
        servers = servers.with_redis()?;
    }
    Ok(servers)
}

/// Runs cargo with these servers, which end when it has ended.
fn with(servers: &Servers, arguments: &[&str]) -> Result<(), Failure> {
    cargo_with(&servers.variables(), arguments)
}

fn engine(engine: Engine) -> Result<(), Failure> {
    match engine {
        Engine::Memory => cargo(&["test", "--package", "larder-conformance"]),
        Engine::Sqlite => {
            system::provide(system::TOOLS)?;
            cargo(&["test", "--package", "larder-sqlite"])
        }
        Engine::Surrealkv => cargo(&["test", "--package", "larder-ordered", "--package", "larder-surrealkv"]),
        Engine::Etcd => with(&Servers::default().with_etcd()?, &["test", "--package", "larder-etcd"]),
        Engine::File => cargo(&["test", "--package", "larder-file"]),
        Engine::Postgres => with(&Servers::default().with_postgres()?, &["test", "--package", "larder-postgres"]),
        Engine::Redis => with(&Servers::default().with_redis()?, &["test", "--package", "larder-redis"]),
    }
}

fn bench(options: &[String]) -> Result<(), Failure> {
    cargo(&["build", "--release", "--package", "larder-cli", "--package", "larder-bench"])?;
    let program = command::target_directory()?.join("release").join("larder");
    let program = format!("--program={}", program.display());
    let mut arguments = vec!["run", "--quiet", "--release", "--package", "larder-bench", "--", &program];
    arguments.extend(options.iter().map(String::as_str));
    cargo(&arguments)
}

fn capabilities() -> Result<(), Failure> {
    with(&servers()?, &["run", "--quiet", "--package", "larder-soak", "--", "--capabilities", "docs/capabilities.md"])
}

fn soak(campaign: Option<String>, histories: u64, seed: u64, options: Vec<String>) -> Result<(), Failure> {
    let servers = servers()?;
    for test in campaigns::CAMPAIGNS {
        if campaign.as_deref() == Some(test.name) {
            return test.run(&servers.variables());
        }
        if campaign.is_none() && options.is_empty() {
            test.run(&servers.variables())?;
        }
    }
    let mut orders = vec![format!("--histories={histories}"), format!("--seed={seed}")];
    orders.extend(campaign.into_iter().chain(options));
    let mut arguments = vec!["run", "--quiet", "--release", "--package", "larder-soak", "--"];
    arguments.extend(orders.iter().map(String::as_str));
    with(&servers, &arguments)
}
