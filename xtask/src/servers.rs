//! Servers that tests need: found, installed where that is allowed, started for one run and stopped after it.

use std::env;

use crate::{
    command::{Failure, run},
    system::may_install,
};

#[path = "../../engines/redis/tests/server/mod.rs"]
mod redis;

/// What tests are told where the server is by.
const REDIS: &str = "LARDER_TEST_REDIS";

/// The servers of a run; they end with it, however it ends.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    redis: Option<redis::Server>,
    variables: Vec<(&'static str, String)>,
}

/// Whether somebody has said that this run has to do without `engine`.
pub(crate) fn is_skipped(engine: &str) -> bool {
    env::var("LARDER_SKIP").is_ok_and(|list| list.split(',').any(|name| name.trim() == engine))
}

impl Servers {
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
