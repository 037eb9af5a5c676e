//! Running other programs, and saying what was run when one fails.

use std::{env, fmt, path::PathBuf, process::Command, thread};

/// Why a task ended early.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs cargo, the one that runs us.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), Failure> {
    cargo_with(&[], arguments)
}

/// As [`cargo`], with these variables set.
pub(crate) fn cargo_with(variables: &[(&str, &str)], arguments: &[&str]) -> Result<(), Failure> {
    let mut variables = variables.to_vec();
    // However many cores there are, the servers of tests take so many connections.
    let cores = thread::available_parallelism().map_or(1, usize::from);
    if cores > 16 && env::var_os("RUST_TEST_THREADS").is_none() {
        variables.push(("RUST_TEST_THREADS", "16"));
    }
    start(&env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()), &variables, arguments)
}

/// Runs a program with what it prints going where ours goes.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), Failure> {
    start(program, &[], arguments)
}

fn start(program: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Result<(), Failure> {
    let set: String = variables.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    let shown = format!("{set}{} {}", program.rsplit('/').next().unwrap_or(program), arguments.join(" "));
    eprintln!("$ {shown}");
    match Command::new(program).envs(variables.iter().copied()).args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{shown}: ended with {status}"))),
        Err(error) => Err(Failure::new(format!("{shown}: cannot be started: {error}"))),
    }
}

/// Where cargo builds.
pub(crate) fn target_directory() -> Result<PathBuf, Failure> {
    let own = env::current_exe().map_err(|error| Failure::new(format!("this program cannot find itself: {error}")))?;
    // target/<profile>/xtask
    own.ancestors().nth(2).map(PathBuf::from).ok_or_else(|| Failure::new("this program is not in a target directory"))
}
