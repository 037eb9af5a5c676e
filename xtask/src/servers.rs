//! Servers that tests need: found, installed where that is allowed, started for one run and stopped after it.

use std::{env, fs, path::Path};

use crate::{
    command::{Failure, run},
    system::may_install,
};

#[path = "../../engines/etcd/tests/server/mod.rs"]
mod etcd;

#[path = "../../engines/postgres/tests/server/mod.rs"]
mod postgres;

#[path = "../../engines/redis/tests/server/mod.rs"]
mod redis;

/// What tests are told where the servers are by.
const ETCD: &str = "LARDER_TEST_ETCD";
const POSTGRES: &str = "LARDER_TEST_POSTGRES";
const REDIS: &str = "LARDER_TEST_REDIS";

/// The servers of a run; they end with it, however it ends.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    etcd: Option<etcd::Server>,
    postgres: Option<postgres::Server>,
    redis: Option<redis::Server>,
    variables: Vec<(&'static str, String)>,
}

/// Whether somebody has said that this run has to do without `engine`.
pub(crate) fn is_skipped(engine: &str) -> bool {
    env::var("LARDER_SKIP").is_ok_and(|list| list.split(',').any(|name| name.trim() == engine))
}

impl Servers {
    /// Makes sure that there is an etcd for tests: the one that is named already, or one of our own.
    pub(crate) fn with_etcd(mut self) -> Result<Self, Failure> {
        if let Ok(url) = env::var(ETCD) {
            self.variables.push((ETCD, url));
            return Ok(self);
        }
        // What tests write is forgotten with it, so there is room for all of it.
        let server = etcd::Server::with(1, &["--quota-backend-bytes", "8589934592"])
            .map_err(|why| Failure::new(format!("there is no etcd for the tests: {why}; LARDER_SKIP=etcd does without")))?;
        self.variables.push((ETCD, server.url()));
        self.etcd = Some(server);
        Ok(self)
    }

    /// Makes sure that there is a PostgreSQL for tests: the one that is named already, or one of our own.
    pub(crate) fn with_postgres(mut self) -> Result<Self, Failure> {
        if let Ok(url) = env::var(POSTGRES) {
            self.variables.push((POSTGRES, url));
            return Ok(self);
        }
        if postgres::programs().is_none() {
            install_postgres()?;
        }
        let server = postgres::Server::start().map_err(|why| {
            Failure::new(format!("there is no PostgreSQL for the tests: {why}; LARDER_SKIP=postgres does without"))
        })?;
        self.variables.push((POSTGRES, server.url()));
        self.postgres = Some(server);
        Ok(self)
    }

    /// Makes sure that there is a Redis for tests: the one that is named already, or one of our own.
    pub(crate) fn with_redis(mut self) -> Result<Self, Failure> {
        if redis::program().is_none() {
            install_redis()?;
        }
        if let Ok(url) = env::var(REDIS) {
            self.variables.push((REDIS, url));
            return Ok(self);
        }
        let server = redis::Server::start().map_err(|why| {
            Failure::new(format!("there is no Redis for the tests: {why}; LARDER_SKIP=redis does without"))
        })?;
        self.variables.push((REDIS, server.url()));
        self.redis = Some(server);
        Ok(self)
    }

    /// The variables that tell tests where the servers are.
    pub(crate) fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, url)| (*name, &**url)).collect()
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

/// Installs Redis without the service that Debian would start with `redis-server`: its tools hold the same program.
fn install_redis() -> Result<(), Failure> {
    eprintln!("redis is missing: it is what the tests of the Redis engine run on");
    if !may_install() {
        return Err(Failure::new(
            "install what is missing with\n\n    sudo apt-get install --yes redis-tools\n\nor do without: LARDER_SKIP=redis",
        ));
    }
    let install = || run("apt-get", &["install", "--yes", "--no-install-recommends", "redis-tools"]);
    if install().is_err() {
        run("apt-get", &["update"])?;
        install()?;
    }
    Ok(())
}
