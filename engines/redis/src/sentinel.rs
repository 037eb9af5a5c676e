//! Sentinels: they say which server is the master now. Nothing is stored with them.
//!
//! They are asked anew for every connection, all at once, and what most of them say counts: one that was cut off from the
//! others may still name the master that was.

use std::{collections::HashMap, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use larder_core::{Error, ErrorKind, Result};
use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, RedisConnectionInfo, RedisError, Value};

use crate::{config::RedisConfig, error::unavailable, tls};

/// How long one of them may take: others may know.
const PATIENCE: Duration = Duration::from_secs(2);

/// A master, and who says where it is.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) master: String,
    pub(crate) sentinels: Vec<ConnectionAddr>,
}

impl Watched {
    /// For messages.
    pub(crate) fn place(&self) -> String {
        let sentinels: Vec<String> = self.sentinels.iter().map(ToString::to_string).collect();
        format!("{} of the sentinels at {}", self.master, sentinels.join(", "))
    }
}

/// What a sentinel says.
enum Told {
    Master(String, u16),
    /// It watches nobody of this name.
    Nobody,
    /// It is no sentinel.
    NoSentinel,
}

/// The server to connect to.
pub(crate) async fn find(config: &RedisConfig, watched: &Watched) -> Result<ConnectionInfo> {
    let mut asked: FuturesUnordered<_> =
        watched.sentinels.iter().map(|sentinel| ask(config, sentinel, &watched.master)).collect();
    let (mut votes, mut lost) = (HashMap::<(String, u16), usize>::new(), None);
    let (mut nobody, mut no_sentinel) = (false, false);
    while let Some(told) = asked.next().await {
        match told {
            Ok(Told::Master(host, port)) => {
                let votes = votes.entry((host, port)).or_default();
                *votes += 1;
                if *votes > watched.sentinels.len() / 2 {
                    break;
                }
            }
            Ok(Told::Nobody) => nobody = true,
            Ok(Told::NoSentinel) => no_sentinel = true,
            Err(error) => lost = Some(error),
        }
    }
    if let Some(((host, port), _)) = votes.into_iter().max_by_key(|(_, votes)| *votes) {
        let addr = match config.server.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        return Ok(config.server.clone().set_addr(addr));
    }
    let place = watched.place();
    Err(match lost {
        _ if nobody => Error::new(ErrorKind::NotFound, format!("there is no master {place}")).engine("redis"),
        _ if no_sentinel => {
            let message = format!("who was asked for {place} is no sentinel: write redis:// for a server itself");
            Error::new(ErrorKind::Unsupported, message).engine("redis")
        }
        Some(error) if error.kind() == ErrorKind::Denied => error,
        lost => {
            let error = unavailable(format!("nobody says where the master is: {place}"));
            lost.into_iter().fold(error, |error, lost| error.caused_by(lost))
        }
    })
}

async fn ask(config: &RedisConfig, sentinel: &ConnectionAddr, master: &str) -> Result<Told> {
    let mut command = redis::cmd("SENTINEL");
    command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
    let plain = RedisConnectionInfo::default();
    let own = config.server.redis_settings();
    // One that asks for a password is given the one of the servers.
    let known = own.password().map(|password| {
        let known = plain.clone().set_password(password);
        own.username().map_or(known.clone(), |user| known.set_username(user))
    });
    let answer = match run(config, sentinel, plain, &command).await? {
        Err(error) if error.code() == Some("NOAUTH") => match known {
            Some(known) => run(config, sentinel, known, &command).await?,
            None => Err(error),
        },
        other => other,
    };
    match answer {
        Ok(Value::Array(parts)) => match parts.as_slice() {
            [Value::BulkString(host), Value::BulkString(port)] => {
                let port = std::str::from_utf8(port).ok().and_then(|port| port.parse().ok());
                let told = port.map(|port| Told::Master(String::from_utf8_lossy(host).into_owned(), port));
                told.ok_or_else(|| unavailable(format!("the sentinel at {sentinel} says what nobody understands")))
            }
            _ => Ok(Told::Nobody),
        },
        Ok(Value::Nil) => Ok(Told::Nobody),
        Ok(_) => Ok(Told::NoSentinel),
        Err(error)
            if error.kind() == redis::ErrorKind::AuthenticationFailed
                || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM")) =>
        {
            let message = format!("the sentinel at {sentinel} does not let us in");
            Err(Error::new(ErrorKind::Denied, message).engine("redis").caused_by(error.to_string()))
        }
        Err(error) if error.code() == Some("ERR") => Ok(Told::NoSentinel),
        Err(error) => Err(unavailable(format!("the sentinel at {sentinel} has not answered")).caused_by(error.to_string())),
    }
}

/// The answer of a sentinel; an error of ours where it is not even asked.
async fn run(
    config: &RedisConfig,
    sentinel: &ConnectionAddr,
    settings: RedisConnectionInfo,
    command: &Cmd,
) -> Result<Result<Value, RedisError>> {
    let patience = Some(PATIENCE.min(config.patience));
    let timing = AsyncConnectionConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
    let there = config.server.clone().set_addr(sentinel.clone()).set_redis_settings(settings);
    let client = tls::client(there, &config.files)?;
    let mut connection = match client.get_multiplexed_async_connection_with_config(&timing).await {
        Ok(connection) => connection,
        Err(error) => return Ok(Err(error)),
    };
    Ok(match connection.send_packed_command(command).await {
        Ok(Value::ServerError(error)) => Err(error.into()),
        other => other,
    })
}
