//! How to open a PostgreSQL store.

use std::{fmt, sync::Arc, time::Duration};

use larder_core::{Durability, Error, Result};
use percent_encoding::percent_decode_str;
use tokio_postgres::config::Host;

use crate::{
    standing::Standing,
    tls::{self, Tls, Wanted},
};

/// Where the server is and how it is used.
///
/// Neither this nor any error tells the password.
#[derive(Clone)]
pub struct PostgresConfig {
    pub(crate) server: tokio_postgres::Config,
    /// The same for each host by itself.
    pub(crate) servers: Vec<tokio_postgres::Config>,
    pub(crate) standing: Arc<Standing>,
    pub(crate) tls: Option<Tls>,
    pub(crate) schema: String,
    /// `Full` needs a server that syncs before it acknowledges; `Relaxed` takes any, and does not wait for the sync.
    pub durability: Durability,
    /// Whether to create the schema, or its tables, where there are none. A database is never created.
    pub create: bool,
    /// How long a commit waits for others that commit, and the server for a process of ours that stands still in the
    /// middle of one; and how long a read waits for a server that says nothing. Who waited in vain is refused with
    /// `Unavailable`.
    pub patience: Duration,
}

/// The schema where the URL names none.
const SCHEMA: &str = "larder";

/// PostgreSQL cuts longer names off, and then two of them are one.
const NAME_BYTES_MAX: usize = 63;

impl PostgresConfig {
    /// The store at `postgres://user:password@host:port/database?schema=name`, with full durability, created where there is
    /// none.
    ///
    /// Several servers stand as `host1:port1,host2:port2`: the one of them that takes writes is asked, and another one when
    /// that changes, as with `target_session_attrs=read-write` elsewhere.
    ///
    /// Without a schema it is `larder`, without a password that of the environment variable `PGPASSWORD`. Other
    /// parameters are those of the driver, such as `connect_timeout`.
    ///
    /// TLS is asked for as elsewhere: `sslmode=disable`, `prefer` (where there is none), `require`, `verify-ca` or `verify-full`;
    /// `sslrootcert=file` for whom to trust, else it is whom the system trusts; `sslcert` and `sslkey` for who we are.
    ///
    /// # Errors
    /// `Invalid` when this is not such a URL, or what it names for TLS cannot be used.
    pub fn parse(url: &str) -> Result<Self> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let Some((_, rest)) = place.split_once("://").filter(|(scheme, _)| ["postgres", "postgresql"].contains(scheme))
        else {
            return Err(malformed("it does not begin with postgres://"));
        };
        if rest.matches('@').count() > 1 {
            return Err(malformed("there is more than one @ in it"));
        }
        let (mut schema, mut others, mut wanted) = (SCHEMA.to_owned(), Vec::new(), Wanted::default());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("schema", name)) => schema = decode(name)?,
                Some(("sslmode", mode)) => wanted.mode = Some(mode),
                Some(("sslrootcert", path)) => wanted.roots = Some(decode(path)?),
                Some(("sslcert", path)) => wanted.certificate = Some(decode(path)?),
                Some(("sslkey", path)) => wanted.key = Some(decode(path)?),
                _ => others.push(pair),
            }
        }
        let joint = if others.is_empty() { "" } else { "?" };
        // What the driver says of a URL it cannot read may hold a part of the password.
        let mut server: tokio_postgres::Config =
            format!("{place}{joint}{}", others.join("&")).parse().map_err(|_| malformed("the driver cannot read it"))?;
        if server.get_hosts().is_empty() && server.get_hostaddrs().is_empty() {
            return Err(malformed("it names no host"));
        }
        if server.get_user().is_none() {
            return Err(malformed("it names no user"));
        }
        if server.get_password().is_none()
            && let Ok(password) = std::env::var("PGPASSWORD")
        {
            server.password(password);
        }
        check_schema(&schema)?;
        if server.get_application_name().is_none() {
            server.application_name(format!("larder {schema}"));
        }
        if server.get_connect_timeout().is_none() {
            server.connect_timeout(CONNECT_TIMEOUT);
        }
        server
            .keepalives_idle(KEEPALIVE)
            .keepalives_interval(KEEPALIVE / 3)
            .keepalives_retries(3)
            .tcp_user_timeout(KEEPALIVE);
        let (mode, tls) = tls::prepare(wanted)?;
        server.ssl_mode(mode);
        let servers = each(&server)?;
        let standing = Arc::default();
        Ok(Self {
            server,
            servers,
            standing,
            tls,
            schema,
            durability: Durability::Full,
            create: true,
            patience: Duration::from_secs(10),
        })
    }

    /// The schema as it stands in SQL.
    pub(crate) fn quoted_schema(&self) -> String {
        format!("\"{}\"", self.schema.replace('"', "\"\""))
    }

    /// The servers, for messages.
    pub(crate) fn place(&self) -> String {
        (0..self.servers.len()).map(|index| self.place_of(index)).collect::<Vec<_>>().join(", ")
    }

    /// One of the servers, for messages.
    pub(crate) fn place_of(&self, index: usize) -> String {
        let server = &self.servers[index];
        let port = server.get_ports().first().copied().unwrap_or(PORT);
        match (server.get_hosts().first(), server.get_hostaddrs().first()) {
            (Some(Host::Tcp(name)), _) => format!("{name}:{port}"),
            #[cfg(unix)]
            (Some(Host::Unix(path)), _) => format!("{}:{port}", path.display()),
            (None, Some(address)) => format!("{address}:{port}"),
            (None, None) => format!("nowhere:{port}"),
        }
    }

    /// How long a server may take until it lets us in.
    pub(crate) fn connecting(&self) -> Duration {
        self.server.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT)
    }

    pub(crate) fn user(&self) -> &str {
        self.server.get_user().unwrap_or_default()
    }

    /// The database; without a name it is that of the user.
    pub(crate) fn database(&self) -> &str {
        self.server.get_dbname().unwrap_or_else(|| self.user())
    }
}

/// How long a server may take until it answers a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a silent server goes unasked, and how long one that does not answer is waited for.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Where servers listen that nobody has told otherwise.
const PORT: u16 = 5432;

/// The same as `server` for each of its hosts, to be connected to one by one: the driver has one patience for all of them
/// together, and the first that stands still would use it up.
fn each(server: &tokio_postgres::Config) -> Result<Vec<tokio_postgres::Config>> {
    let (hosts, addresses, ports) = (server.get_hosts(), server.get_hostaddrs(), server.get_ports());
    let count = hosts.len().max(addresses.len());
    let fits = |length: usize, also: usize| length == count || length == also;
    if !fits(hosts.len(), 0) || !fits(addresses.len(), 0) || !(fits(ports.len(), 1) || ports.is_empty()) {
        return Err(malformed("it has not as many ports or addresses as hosts"));
    }
    let one = |index: usize| {
        let mut one = tokio_postgres::Config::new();
        match hosts.get(index) {
            Some(Host::Tcp(name)) => drop(one.host(name)),
            #[cfg(unix)]
            Some(Host::Unix(path)) => drop(one.host_path(path)),
            None => {}
        }
        addresses.get(index).map(|address| one.hostaddr(*address));
        one.port(ports.get(index).or(ports.first()).copied().unwrap_or(PORT));
        server.get_user().map(|user| one.user(user));
        server.get_password().map(|password| one.password(password));
        server.get_dbname().map(|name| one.dbname(name));
        server.get_options().map(|options| one.options(options));
        server.get_application_name().map(|name| one.application_name(name));
        server.get_connect_timeout().map(|patience| one.connect_timeout(*patience));
        server.get_tcp_user_timeout().map(|patience| one.tcp_user_timeout(*patience));
        server.get_keepalives_interval().map(|interval| one.keepalives_interval(interval));
        server.get_keepalives_retries().map(|retries| one.keepalives_retries(retries));
        one.keepalives(server.get_keepalives()).keepalives_idle(server.get_keepalives_idle());
        one.ssl_mode(server.get_ssl_mode()).ssl_negotiation(server.get_ssl_negotiation());
        one.channel_binding(server.get_channel_binding());
        one
    };
    Ok((0..count).map(one).collect())
}

fn check_schema(name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > NAME_BYTES_MAX {
        "is longer than the 63 bytes that PostgreSQL takes"
    } else if name.contains('\0') {
        "holds a NUL"
    } else if name.starts_with("pg_") || name == "information_schema" {
        "belongs to PostgreSQL"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("the schema {name:?} {problem}")).engine("postgres"))
}

fn decode(text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| malformed("one of its parameters is not UTF-8"))
}

fn malformed(why: &str) -> Error {
    const FORM: &str = "write postgres://user:password@host:port/database?schema=name, with %40 for @, %2F for / and so on";
    Error::invalid(format!("this is not the URL of a PostgreSQL store, for {why}: {FORM}")).engine("postgres")
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("server", &self.place())
            .field("user", &self.user())
            .field("database", &self.database())
            .field("schema", &self.schema)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use larder_core::ErrorKind;

    use super::*;

    #[test]
    fn a_url_names_everything() {
        let config = PostgresConfig::parse("postgres://ann:se%40cret@db.example:6000/app?schema=a%22b&connect_timeout=3");
        let config = config.expect("a good URL");
        assert_eq!((config.user(), config.database(), &*config.place()), ("ann", "app", "db.example:6000"));
        assert_eq!(config.server.get_password(), Some(&b"se@cret"[..]));
        assert_eq!((&*config.schema, &*config.quoted_schema()), ("a\"b", "\"a\"\"b\""));
        assert_eq!(config.server.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(
            PostgresConfig::parse("postgresql://ann@h/app").map(|config| config.schema).ok().as_deref(),
            Some("larder")
        );
    }

    #[test]
    fn a_url_may_name_several_servers() {
        let place = |hosts: &str| PostgresConfig::parse(&format!("postgres://ann@{hosts}/app")).map(|config| config.place());
        assert_eq!(place("a:1,b:2,c").ok().as_deref(), Some("a:1, b:2, c:5432"));
        assert_eq!(place("a,b").ok().as_deref(), Some("a:5432, b:5432"));
        let config = PostgresConfig::parse("postgres://ann:hush@a:1,b:2/app?connect_timeout=3").expect("a good URL");
        let second = &config.servers[1];
        assert_eq!((second.get_hosts(), second.get_ports()), (&[Host::Tcp("b".to_owned())][..], &[2][..]));
        assert_eq!((second.get_user(), second.get_dbname()), (Some("ann"), Some("app")));
        assert_eq!(second.get_password(), Some(&b"hush"[..]));
        assert_eq!(second.get_connect_timeout(), Some(&Duration::from_secs(3)));
        assert_eq!(second.get_application_name(), Some("larder larder"));
    }

    /// A word that is not known may have been meant to encrypt, and is not left out.
    #[test]
    fn what_is_asked_for_of_tls_is_known_or_refused() {
        let kind = |rest: &str| {
            let parsed = PostgresConfig::parse(&format!("postgres://ann@h/app?{rest}"));
            parsed.map(|config| config.tls.is_some()).map_err(|error| error.kind())
        };
        assert_eq!((kind(""), kind("sslmode=prefer"), kind("sslmode=require")), (Ok(true), Ok(true), Ok(true)));
        assert_eq!(kind("sslmode=disable"), Ok(false));
        let refused = [
            "sslmode=allow",
            "sslmode=",
            "sslmode=verify-ca&sslrootcert=/nowhere",
            "sslcert=/nowhere",
            "sslcert=/a&sslkey=/a",
        ];
        for rest in refused {
            assert_eq!(kind(rest), Err(ErrorKind::Invalid), "{rest}");
        }
    }

    /// People forget to encode what their password holds, and the URL is then read as something else: whatever is said
    /// about it, the password is not.
    #[test]
    fn no_password_is_told() {
        let urls = [
            "postgres://ann:hush@h:1/app",
            "postgres://ann:hush@hush@h/app",
            "postgres://ann:hush/hush@h/app",
            "postgres://ann:x?hush@h/app",
            "postgres://ann:hush#hush@h/app?schema=%ff",
            "postgres://ann:hush@h/app?schema=pg_x",
            "postgres:ann:hush@h",
            "postgres://:hush@h",
            "postgres://ann:hush@/app",
            "postgres://ann:hush@h:port/app",
            "postgres://ann:hush@h/app?hush=hush",
        ];
        for url in urls {
            let told = match PostgresConfig::parse(url) {
                Ok(config) => format!("{config:?} {config:#?} {}", config.place()),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!told.contains("hush"), "{url}: {told}");
        }
    }
}
