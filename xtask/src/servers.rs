//! Servers that tests need: found, installed where that is allowed, started for one run and stopped after it.

use std::{env, fs, path::Path};

use crate::{
    command::{Failure, run},
    system::may_install,
};

#[path = "../../engines/postgres/tests/server/mod.rs"]
mod postgres;

/// What tests are told where the server is by.
const POSTGRES: &str = "LARDER_TEST_POSTGRES";

/// The servers of a run; they end with it, however it ends.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    postgres: Option<postgres::Server>,
    named: Option<String>,
}

/// Whether somebody has said that this run has to do without `engine`.
pub(crate) fn is_skipped(engine: &str) -> bool {
    env::var("LARDER_SKIP").is_ok_and(|list| list.split(',').any(|name| name.trim() == engine))
}

impl Servers {
    /// Makes sure that there is a PostgreSQL for tests: the one that is named already, or one of our own.
    pub(crate) fn with_postgres(mut self) -> Result<Self, Failure> {
        if let Ok(url) = env::var(POSTGRES) {
            self.named = Some(url);
            return Ok(self);
        }
        if postgres::programs().is_none() {
            install_postgres()?;
        }
        let server = postgres::Server::start().map_err(|why| {
            Failure::new(format!("there is no PostgreSQL for the tests: {why}; LARDER_SKIP=postgres does without"))
        })?;
        self.postgres = Some(server);
        Ok(self)
    }

    /// The variables that tell tests where the servers are.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let url = self.named.clone().or_else(|| self.postgres.as_ref().map(postgres::Server::url));
        url.map(|url| (POSTGRES, url)).into_iter().collect()
    }
}

/// Installs PostgreSQL without the server that Debian would start by itself.
fn install_postgres() -> Result<(), Failure> {
    eprintln!("postgres is missing: it is what the tests of the PostgreSQL engine run on");
    if !may_install() {
        return Err(Failure::new(
            "install what is missing with\n\n    sudo apt-get install --yes postgresql\n\nor do without: LARDER_SKIP=postgres",
        ));
    }
    let install = |package: &str| run("apt-get", &["install", "--yes", "--no-install-recommends", package]);
    if install("postgresql-common").is_err() {
        run("apt-get", &["update"])?;
        install("postgresql-common")?;
    }
    let settings = Path::new("/etc/postgresql-common/createcluster.d");
    let told =
        fs::create_dir_all(settings).and_then(|()| fs::write(settings.join("larder.conf"), "create_main_cluster = false\n"));
    told.map_err(|error| Failure::new(format!("{} cannot be written to: {error}", settings.display())))?;
    install("postgresql")
}
