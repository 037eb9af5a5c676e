//! How to open a Redis store.

use std::{fmt, time::Duration};

use larder_core::{Durability, Error, Result};
use percent_encoding::percent_decode_str;
use redis::{ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion};

/// Where the server is and how it is used.
///
/// Neither this nor any error tells the password.
#[derive(Clone)]
pub struct RedisConfig {
    pub(crate) server: ConnectionInfo,
    pub(crate) prefix: String,
    /// `Full` needs a server that syncs before it acknowledges; `Relaxed` takes any.
    pub durability: Durability,
    /// Whether to create the store where there is none.
    pub create: bool,
    /// How long a server may take to let us in, and to answer; and how long a commit is tried again whose answer was lost,
    /// or that others were faster than.
    pub patience: Duration,
}

/// The prefix where the URL names none.
const PREFIX: &str = "larder";
const PREFIX_BYTES_MAX: usize = 128;

impl RedisConfig {
    /// The store at `redis://user:password@host:port/db?prefix=name`, with full durability, created where there is none.
    ///
    /// Without a prefix it is `larder`, without a password that of the environment variable `REDISCLI_AUTH`, if there is
    /// one. `durability=relaxed` takes a server that may lose what it has acknowledged.
    ///
    /// # Errors
    /// `Invalid` when this is not such a URL.
    pub fn parse(url: &str) -> Result<Self> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let Some((scheme, rest)) =
            place.split_once("://").filter(|(scheme, _)| ["redis", "rediss", "valkey", "valkeys"].contains(scheme))
        else {
            return Err(malformed("it does not begin with redis://"));
        };
        if scheme.ends_with("ss") || scheme == "valkeys" {
            return Err(
                Error::new(larder_core::ErrorKind::Unsupported, "this build speaks no TLS to Redis servers").engine("redis")
            );
        }
        if rest.matches('@').count() > 1 {
            return Err(malformed("there is more than one @ in it"));
        }
        let (mut prefix, mut durability) = (PREFIX.to_owned(), Durability::Full);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("prefix", name)) => prefix = decode(name)?,
                Some(("durability", "relaxed")) => durability = Durability::Relaxed,
                Some(("durability", "full")) => durability = Durability::Full,
                _ => {
                    return Err(malformed("what stands behind its ? is neither prefix=NAME nor durability=relaxed or full"));
                }
            }
        }
        // What the driver says of a URL it cannot read may hold a part of the password.
        let server = place.into_connection_info().map_err(|_| malformed("the driver cannot read it"))?;
        check_prefix(&prefix)?;
        let mut settings = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        if settings.password().is_none()
            && let Ok(password) = std::env::var("REDISCLI_AUTH")
        {
            settings = settings.set_password(password);
        }
        let tcp = server.tcp_settings().clone().set_nodelay(true);
        let server = server.set_redis_settings(settings).set_tcp_settings(tcp);
        Ok(Self { server, prefix, durability, create: true, patience: Duration::from_secs(10) })
    }

    /// The server, for messages.
    pub(crate) fn place(&self) -> String {
        self.server.addr().to_string()
    }

    /// The user that the server knows us as.
    pub(crate) fn user(&self) -> &str {
        self.server.redis_settings().username().unwrap_or("default")
    }
}

fn check_prefix(prefix: &str) -> Result<()> {
    let problem = if prefix.is_empty() {
        "is empty"
    } else if prefix.len() > PREFIX_BYTES_MAX {
        "is longer than 128 bytes"
    } else if prefix.contains(['{', '}']) || prefix.contains(char::is_control) {
        "holds a brace or a control character"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("the prefix {prefix:?} {problem}")).engine("redis"))
}

fn decode(text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| malformed("its prefix is not UTF-8"))
}

fn malformed(why: &str) -> Error {
    const FORM: &str = "write redis://user:password@host:port/db?prefix=name, with %40 for @, %2F for / and so on";
    Error::invalid(format!("this is not the URL of a Redis store, for {why}: {FORM}")).engine("redis")
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("server", &self.place())
            .field("user", &self.user())
            .field("db", &self.server.redis_settings().db())
            .field("prefix", &self.prefix)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_everything() {
        let url = "redis://ann:se%40cret@db.example:6000/3?prefix=a%20b&durability=relaxed";
        let config = RedisConfig::parse(url).expect("a good URL");
        let settings = config.server.redis_settings();
        assert_eq!((config.user(), &*config.place(), settings.db()), ("ann", "db.example:6000", 3));
        assert_eq!((settings.password(), &*config.prefix), (Some("se@cret"), "a b"));
        assert_eq!(config.durability, Durability::Relaxed);
        let plain = RedisConfig::parse("redis://h").expect("a good URL");
        assert_eq!((&*plain.place(), &*plain.prefix, plain.durability), ("h:6379", "larder", Durability::Full));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for url in ["redis:h", "http://h", "redis://h?prefix=a%7B", "redis://h?prefix=", "redis://h?prefx=a", "redis://h/x"]
        {
            assert!(RedisConfig::parse(url).is_err(), "{url}");
        }
        assert!(RedisConfig::parse("redis://h?durability=none").is_err());
    }

    /// People forget to encode what their password holds, and the URL is then read as something else: whatever is said
    /// about it, the password is not.
    #[test]
    fn no_password_is_told() {
        let urls = [
            "redis://ann:hush@h:1/2",
            "redis://ann:hush@hush@h/2",
            "redis://ann:hush/hush@h/2",
            "redis://ann:x?hush@h/2",
            "redis://ann:hush#hush@h/2?prefix=%ff",
            "redis://ann:hush@h/2?prefix={",
            "redis:ann:hush@h",
            "redis://:hush@h",
            "redis://ann:hush@/2",
            "redis://ann:hush@h/hush",
        ];
        for url in urls {
            let told = match RedisConfig::parse(url) {
                Ok(config) => format!("{config:?} {config:#?} {}", config.place()),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!told.contains("hush"), "{url}: {told}");
        }
    }
}
