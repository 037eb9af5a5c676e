//! The server: whether it is one that keeps our promises, and which of its lives this is.

use std::collections::HashMap;

use larder_core::{Durability, Error, ErrorKind, Result};
use redis::Value;

use crate::{
    config::RedisConfig,
    error::{Attempt, Failure, unavailable},
    lineage::Life,
    session::Session,
};

/// The first version of Redis that has all that we use.
const OLDEST: u32 = 7;

/// What the server says about itself.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) durability: Durability,
    pub(crate) life: Life,
}

/// Asks the server who it is, and refuses one that cannot keep the promises.
pub(crate) async fn judge(session: &Session, config: &RedisConfig) -> Result<Server> {
    let told = match session.run(&redis::cmd("INFO")).await.map_err(Error::from)? {
        Value::BulkString(text) => String::from_utf8_lossy(&text).into_owned(),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => text,
        _ => return Err(unsupported(config, "does not say what it is")),
    };
    let told: HashMap<&str, &str> = told.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
    let says = |name: &str| told.get(name).copied().unwrap_or_default();
    // The second is what Valkey calls the first.
    if [says("redis_mode"), says("server_mode")].contains(&"sentinel") {
        return Err(unsupported(config, "is a sentinel, which keeps no data: name the server that it watches"));
    }
    if says("loading") != "0" {
        // Half awake, it says of other things what is not so.
        return Err(unavailable(format!("the server at {} is still loading its data", config.place())));
    }
    let version = says("redis_version");
    if version.split('.').next().and_then(|major| major.parse().ok()).is_none_or(|major: u32| major < OLDEST) {
        return Err(unsupported(config, &format!("is Redis {version}; this needs {OLDEST} or later")));
    }
    if says("cluster_enabled") == "1" {
        // All of a store is in one slot. But a slot can be moved, key by key, and a change that meets a key which has gone
        // ahead would end half-way.
        let why =
            "is a node of a cluster, which may move keys away in the middle of a change: use one with cluster-enabled no";
        return Err(unsupported(config, why));
    }
    if says("role") != "master" {
        return Err(unavailable(format!("the server at {} is a replica, which takes no writes", config.place())));
    }
    let policy = says("maxmemory_policy");
    if policy != "noeviction" {
        let why =
            format!("may throw entries away when its memory is full (maxmemory-policy {policy}); set it to noeviction");
        return Err(unsupported(config, &why));
    }
    let durability = durability(session, config, says("aof_enabled") == "1").await?;
    let life = Life {
        id: says("master_replid").to_owned(),
        was_promoted: says("master_replid2").bytes().any(|digit| digit != b'0'),
        can_lose: durability != Durability::Full || says("connected_slaves") != "0",
    };
    Ok(Server { durability, life })
}

/// How durable the server is, if that is enough.
async fn durability(session: &Session, config: &RedisConfig, appends: bool) -> Result<Durability> {
    let is = async |name: &str, wanted: &str| setting(session, name).await.map(|found| found.as_deref() == Some(wanted));
    let full = async || -> Attempt<Option<&'static str>> {
        Ok(if !appends {
            Some("keeps no log of its writes (appendonly no)")
        } else if !is("appendfsync", "always").await? {
            Some("acknowledges writes before they are on its disk (appendfsync is not always)")
        } else if !is("no-appendfsync-on-rewrite", "no").await? {
            Some("acknowledges some writes before they are on its disk (no-appendfsync-on-rewrite yes)")
        } else {
            None
        })
    };
    let why = match full().await {
        Ok(None) => return Ok(Durability::Full),
        Ok(Some(why)) => why,
        Err(Failure::Refused(error)) if error.kind() == ErrorKind::Denied => "does not tell the user how durable it is",
        Err(other) => return Err(other.into()),
    };
    if config.durability == Durability::Full {
        let way = "set appendonly yes and appendfsync always, or ask for durability=relaxed";
        return Err(unsupported(config, &format!("{why}: {way}")));
    }
    Ok(Durability::Relaxed)
}

async fn setting(session: &Session, name: &str) -> Attempt<Option<String>> {
    match session.run(redis::cmd("CONFIG").arg("GET").arg(name)).await? {
        Value::Array(pair) => Ok(pair.get(1).and_then(|value| match value {
            Value::BulkString(text) => String::from_utf8(text.clone()).ok(),
            _ => None,
        })),
        _ => Ok(None),
    }
}

fn unsupported(config: &RedisConfig, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the server at {} {why}", config.place())).engine("redis")
}
