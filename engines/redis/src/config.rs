//! How to open a Redis store.

use std::{fmt, time::Duration};

use larder_core::{Durability, Error, Result};
use percent_encoding::percent_decode_str;
use redis::{Client, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion};

use crate::{
    sentinel::{self, Watched},
    tls::{self, Files},
};

/// Where the server is and how it is used.
///
/// Neither this nor any error tells the password.
#[derive(Clone)]
pub struct RedisConfig {
    /// Where sentinels are asked, with the address of the first of them.
    pub(crate) server: ConnectionInfo,
    watched: Option<Watched>,
    pub(crate) files: Files,
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

/// Where a sentinel listens that is named without a port.
const SENTINEL_PORT: u16 = 26379;

impl RedisConfig {
    /// The store at `redis://user:password@host:port/db?prefix=name`, with full durability, created where there is none.
    ///
    /// Without a prefix it is `larder`, without a password that of the environment variable `REDISCLI_AUTH`, if there is
    /// one. `durability=relaxed` takes a server that may lose what it has acknowledged.
    ///
    /// `rediss://` speaks TLS; `cacert=FILE` names the authorities that may vouch for the server, `cert=FILE` and `key=FILE`
    /// what proves to it who we are. `redis+sentinel://user:password@host:port,host:port/master/db` asks sentinels which
    /// server is the master, and asks them again whenever a connection is lost.
    ///
    /// # Errors
    /// `Invalid` when this is not such a URL.
    pub fn parse(url: &str) -> Result<Self> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let Some((scheme, rest)) = place.split_once("://") else { return Err(malformed("it does not begin with redis://")) };
        let (scheme, is_watched) = scheme.strip_suffix("+sentinel").map_or((scheme, false), |scheme| (scheme, true));
        if !["redis", "rediss", "valkey", "valkeys"].contains(&scheme) {
            return Err(malformed("it does not begin with redis://"));
        }
        if rest.matches('@').count() > 1 {
            return Err(malformed("there is more than one @ in it"));
        }
        if rest.contains('#') {
            return Err(malformed("there is a # in it"));
        }
        let (mut prefix, mut durability, mut files) = (PREFIX.to_owned(), Durability::Full, Files::default());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let file = |path: &str| decode(path).map(|path| Some(path.into()));
            match pair.split_once('=') {
                Some(("prefix", name)) => prefix = decode(name)?,
                Some(("durability", "relaxed")) => durability = Durability::Relaxed,
                Some(("durability", "full")) => durability = Durability::Full,
                Some(("cacert", path)) => files.authorities = file(path)?,
                Some(("cert", path)) => files.certificate = file(path)?,
                Some(("key", path)) => files.key = file(path)?,
                _ => {
                    return Err(malformed(
                        "what stands behind its ? is none of prefix=NAME, durability=relaxed or full, cacert=FILE, cert=FILE \
                         and key=FILE",
                    ));
                }
            }
        }
        let is_secret = scheme == "rediss" || scheme == "valkeys";
        if files.are_named() && !is_secret {
            return Err(malformed("files of certificates are for rediss://"));
        }
        if !files.are_whole() {
            return Err(malformed("cert=FILE and key=FILE go together"));
        }
        check_prefix(&prefix)?;
        let (server, watched) = match is_watched {
            true => watched(scheme, rest).map(|(server, watched)| (server, Some(watched)))?,
            false => (read(place)?, None),
        };
        let mut settings = server.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
        if settings.password().is_none()
            && let Ok(password) = std::env::var("REDISCLI_AUTH")
        {
            settings = settings.set_password(password);
        }
        let tcp = server.tcp_settings().clone().set_nodelay(true);
        let server = server.set_redis_settings(settings).set_tcp_settings(tcp);
        Ok(Self { server, watched, files, prefix, durability, create: true, patience: Duration::from_secs(10) })
    }

    /// The way to the server, which sentinels are asked for where it has some.
    pub(crate) async fn client(&self) -> Result<Client> {
        let server = match &self.watched {
            Some(watched) => sentinel::find(self, watched).await?,
            None => self.server.clone(),
        };
        tls::client(server, &self.files)
    }

    /// The server, for messages.
    pub(crate) fn place(&self) -> String {
        self.watched.as_ref().map_or_else(|| self.server.addr().to_string(), Watched::place)
    }

    /// The user that the server knows us as.
    pub(crate) fn user(&self) -> &str {
        self.server.redis_settings().username().unwrap_or("default")
    }
}

/// What the driver makes of the place of a server.
fn read(place: &str) -> Result<ConnectionInfo> {
    // What the driver says of a URL it cannot read may hold a part of the password.
    place.into_connection_info().map_err(|_| malformed("the driver cannot read it"))
}

/// `user:password@host:port,host:port/master/db`, read with the first host as if that were the server.
fn watched(scheme: &str, rest: &str) -> Result<(ConnectionInfo, Watched)> {
    let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (master, db) = path.split_once('/').unwrap_or((path, ""));
    if master.is_empty() {
        return Err(malformed("it names no master, as in redis+sentinel://host:port,host:port/master"));
    }
    let at = if user.is_empty() { "" } else { "@" };
    let one = |host: &str| {
        // The colons of an address in brackets are not that of a port.
        let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
        let port = if has_port { String::new() } else { format!(":{SENTINEL_PORT}") };
        read(&format!("{scheme}://{user}{at}{host}{port}/{db}"))
    };
    let found = hosts.split(',').map(one).collect::<Result<Vec<_>>>()?;
    let sentinels = found.iter().map(|sentinel| sentinel.addr().clone()).collect();
    let first = found.into_iter().next().ok_or_else(|| malformed("it names no sentinel"))?;
    Ok((first, Watched { master: decode(master)?, sentinels }))
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
    decoded.map(Into::into).map_err(|_| malformed("a part of it is not UTF-8"))
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
            .field("files", &self.files)
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
        let urls = [
            "redis:h",
            "http://h",
            "redis://h?prefix=a%7B",
            "redis://h?prefix=",
            "redis://h?prefx=a",
            "redis://h/x",
            "redis://h?durability=none",
            "redis://h?cacert=/ca.pem",
            "rediss://h?cert=/own.pem",
            "rediss://h#insecure",
            "redis+sentinel://h",
            "redis+sentinel://h,/master",
            "redis+sentinel://h/master/x",
            "http+sentinel://h/master",
        ];
        for url in urls {
            assert!(RedisConfig::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn sentinels_are_named_with_what_they_watch() {
        let url = "rediss+sentinel://ann:pw@one:1,two,[::1]/my%20master/3?prefix=a&cacert=/ca%20file";
        let config = RedisConfig::parse(url).expect("a good URL");
        let settings = config.server.redis_settings();
        assert_eq!((config.user(), settings.password(), settings.db()), ("ann", Some("pw"), 3));
        assert_eq!(config.place(), "my master of the sentinels at one:1, two:26379, ::1:26379");
        assert_eq!(config.files.authorities.as_deref(), Some(std::path::Path::new("/ca file")));
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
            "rediss://ann:hush@h/2?cacert=/ca",
            "redis+sentinel://ann:hush@h:1,g/m/2",
            "redis+sentinel://ann:hush,hush@h/m/2",
            "redis+sentinel://ann:hush/hush@h/m/2",
            "redis+sentinel://ann:hush@h/m/hush",
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
