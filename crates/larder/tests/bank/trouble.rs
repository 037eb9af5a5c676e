//! Where the bank is, and what happens to its servers while it is open.

use std::{
    env, thread,
    time::{Duration, Instant},
};

#[path = "../../../../engines/etcd/tests/server/mod.rs"]
mod etcd;

#[path = "../../../../engines/postgres/tests/server/mod.rs"]
mod postgres;

/// A place for a bank.
pub(crate) enum Trouble {
    Memory,
    Sqlite(tempfile::TempDir),
    /// A store of its own at the server that is there for all tests.
    Server(&'static str, String),
    /// A PostgreSQL and the standby that it waits for.
    Standby(Box<[postgres::Server; 2]>),
    /// Three members of an etcd.
    Members(Box<etcd::Server>),
}

/// How often the member that leads is killed, where there is time; it is started again at once.
const KILL_EVERY: Duration = Duration::from_secs(10);

impl Trouble {
    /// All of them, without those that somebody has said this run has to do without.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Memory, Self::Sqlite(tempfile::tempdir().expect("a temporary directory"))];
        let own = format!("bank-{}", std::process::id());
        for (name, variable, place) in [
            ("postgres", "LARDER_TEST_POSTGRES", format!("?schema={}", own.replace('-', "_"))),
            ("redis", "LARDER_TEST_REDIS", format!("?prefix={own}")),
            ("etcd", "LARDER_TEST_ETCD", format!("?prefix={own}")),
        ] {
            if is_skipped(name) {
                continue;
            }
            let server = env::var(variable).unwrap_or_else(|_| {
                panic!("the bank needs a server: `cargo xtask test` starts one, LARDER_SKIP={name} does without")
            });
            all.push(Self::Server(name, format!("{server}{place}")));
        }
        if !is_skipped("postgres") {
            all.push(Self::standby().unwrap_or_else(|why| panic!("there is no standby: {why}")));
        }
        if !is_skipped("etcd") {
            let members = etcd::Server::three().unwrap_or_else(|why| panic!("there is no cluster: {why}"));
            all.push(Self::Members(Box::new(members)));
        }
        all
    }

    fn standby() -> Result<Self, String> {
        let primary = postgres::Server::start()?;
        let standby = primary.standby("heir")?;
        primary.wait_for("heir")?;
        Ok(Self::Standby(Box::new([primary, standby])))
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite(_) => "sqlite",
            Self::Server(name, _) => name,
            Self::Standby(_) => "postgres_whose_standby_takes_over",
            Self::Members(_) => "etcd_whose_leader_is_killed",
        }
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Memory => "memory:".to_owned(),
            Self::Sqlite(directory) => format!("sqlite:{}", directory.path().join("bank.db").display()),
            Self::Server(_, url) => url.clone(),
            Self::Members(members) => format!("{}?prefix=bank", members.url()),
            Self::Standby(servers) => {
                let hosts: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port())).collect();
                format!("postgres://larder:{}@{}/postgres?schema=bank", postgres::PASSWORD, hosts.join(","))
            }
        }
    }

    /// Whether other processes can come to it.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(self, Self::Memory)
    }

    /// For how many seconds it is open in the test command, and how many tasks work there, where `most` would be too many.
    pub(crate) fn taste(&self, most: usize) -> (u64, usize) {
        match self {
            Self::Memory | Self::Sqlite(_) => (4, most),
            Self::Server(..) => (4, 16),
            Self::Standby(_) | Self::Members(_) => (12, 16),
        }
    }

    /// Makes trouble until then, and answers how often.
    pub(crate) fn make(&mut self, until: Instant) -> usize {
        let left = until.saturating_duration_since(Instant::now());
        match self {
            Self::Memory | Self::Sqlite(_) | Self::Server(..) => 0,
            Self::Standby(servers) => {
                thread::sleep(left / 3);
                let [primary, standby] = &mut **servers;
                primary.kill();
                standby.promote().unwrap_or_else(|why| panic!("it is promoted: {why}"));
                1
            }
            Self::Members(members) => {
                let (pause, mut kills) = (KILL_EVERY.min(left / 3), 0);
                while Instant::now() + pause < until {
                    thread::sleep(pause);
                    let leader = members.leader();
                    members.kill(leader);
                    members.again(leader).unwrap_or_else(|why| panic!("it comes back: {why}"));
                    kills += 1;
                }
                kills
            }
        }
    }
}

fn is_skipped(engine: &str) -> bool {
    let skipped = env::var("LARDER_SKIP").is_ok_and(|list| list.split(',').any(|name| name.trim() == engine));
    if skipped {
        eprintln!("*** LARDER_SKIP: the bank says nothing about {engine} ***");
    }
    skipped
}
