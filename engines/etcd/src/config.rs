//! How to open a store in an etcd cluster.

use std::{fmt, path::PathBuf, time::Duration};

use larder_core::{Error, Result};
use percent_encoding::percent_decode_str;

/// Where the cluster is and how it is used.
///
/// Neither this nor any error tells the password.
#[derive(Clone)]
pub struct EtcdConfig {
    /// `host:port` of one or several members, any of which will do.
    pub(crate) members: Vec<String>,
    pub(crate) login: Option<Login>,
    pub(crate) tls: Option<Tls>,
    pub(crate) prefix: String,
    /// Whether the cluster is ours: then what was before the present is forgotten and room is given back, for all who use it.
    pub compact: bool,
    /// Whether to create the store where there is none.
    pub create: bool,
    /// How long members may take to let us in, and to answer, one after the other.
    pub patience: Duration,
    /// How much time at least lies between two compactions, and between what is read and what is forgotten.
    pub compact_every: Duration,
}

/// Who the cluster knows us as.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// How members prove who they are, and we do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Whose word is taken for it, as a file of certificates.
    pub(crate) ca: PathBuf,
    /// Our certificate and its key, where members ask for them.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// The prefix where the URL names none.
const PREFIX: &str = "larder";
const PREFIX_BYTES_MAX: usize = 128;
const PORT: &str = "2379";

impl EtcdConfig {
    /// The store at `etcd://user:password@host:port,host:port/?prefix=name`, created where there is none.
    ///
    /// Without a prefix it is `larder`, without a password that of the environment variable `ETCDCTL_PASSWORD`, if there is
    /// one. `etcds://` speaks TLS; then `ca` names the file of the certificates that are trusted, and `cert` and `key` our own.
    /// `compact=true` says that the cluster is ours alone.
    ///
    /// # Errors
    /// `Invalid` when this is not such a URL.
    pub fn parse(url: &str) -> Result<Self> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let Some((scheme, rest)) = place.split_once("://").filter(|(scheme, _)| ["etcd", "etcds"].contains(scheme)) else {
            return Err(malformed("it does not begin with etcd://"));
        };
        if rest.matches('@').count() > 1 {
            return Err(malformed("there is more than one @ in it"));
        }
        let (credentials, rest) = rest.split_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let hosts = rest.strip_suffix('/').unwrap_or(rest);
        let members = hosts.split(',').map(member).collect::<Result<_>>()?;
        let mut config = Self {
            members,
            login: credentials.map(login).transpose()?,
            tls: None,
            prefix: PREFIX.to_owned(),
            compact: false,
            create: true,
            patience: Duration::from_secs(10),
            compact_every: Duration::from_secs(60),
        };
        let (mut ca, mut certificate, mut key) = (None, None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("prefix", name)) => config.prefix = decode(name)?,
                Some(("compact", "true")) => config.compact = true,
                Some(("compact", "false")) => config.compact = false,
                Some(("ca", file)) => ca = Some(PathBuf::from(decode(file)?)),
                Some(("cert", file)) => certificate = Some(PathBuf::from(decode(file)?)),
                Some(("key", file)) => key = Some(PathBuf::from(decode(file)?)),
                _ => return Err(malformed("what stands behind its ? is none of prefix, compact, ca, cert and key")),
            }
        }
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(malformed("a certificate goes with its key: cert=FILE&key=FILE")),
        };
        config.tls = match (scheme, ca) {
            ("etcds", Some(ca)) => Some(Tls { ca, identity }),
            ("etcds", None) => return Err(malformed("etcds:// needs ca=FILE, the certificates that are trusted")),
            (_, None) if identity.is_none() => None,
            _ => return Err(malformed("certificates are for etcds://")),
        };
        check_prefix(&config.prefix)?;
        Ok(config)
    }

    /// The members, for messages.
    pub(crate) fn place(&self) -> String {
        self.members.join(",")
    }
}

/// One of the members, with its port.
fn member(text: &str) -> Result<String> {
    let (host, port) = match text.rsplit_once(':') {
        // Within brackets it is a part of the address.
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (text, PORT),
    };
    let is_name = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let is_address = |host: &str| {
        let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        inside.is_some_and(|inside| inside.parse::<std::net::Ipv6Addr>().is_ok())
    };
    if host.is_empty() || !(is_name(host) || is_address(host)) {
        return Err(malformed("a host in it is none"));
    }
    match port.parse::<u16>() {
        Ok(port @ 1..) => Ok(format!("{host}:{port}")),
        _ => Err(malformed("a port in it is none")),
    }
}

fn login(credentials: &str) -> Result<Login> {
    let (user, password) = match credentials.split_once(':') {
        Some((user, password)) => (user, Some(decode(password)?)),
        None => (credentials, None),
    };
    let password = password.or_else(|| std::env::var("ETCDCTL_PASSWORD").ok());
    match (decode(user)?, password) {
        (user, _) if user.is_empty() => Err(malformed("there is no user before the @")),
        (_, None) => Err(malformed("there is a user without a password: write user:password@, or set ETCDCTL_PASSWORD")),
        (user, Some(password)) => Ok(Login { user, password }),
    }
}

fn check_prefix(prefix: &str) -> Result<()> {
    let problem = if prefix.is_empty() {
        "is empty"
    } else if prefix.len() > PREFIX_BYTES_MAX {
        "is longer than 128 bytes"
    } else if prefix.contains(char::is_control) {
        "holds a control character"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("the prefix {prefix:?} {problem}")).engine("etcd"))
}

fn decode(text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| malformed("a part of it is not UTF-8"))
}

fn malformed(why: &str) -> Error {
    const FORM: &str = "write etcd://user:password@host:port,host:port/?prefix=name, with %40 for @, %2F for / and so on";
    Error::invalid(format!("this is not the URL of an etcd store, for {why}: {FORM}")).engine("etcd")
}

impl fmt::Debug for EtcdConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdConfig")
            .field("members", &self.members)
            .field("user", &self.login.as_ref().map(|login| &login.user))
            .field("prefix", &self.prefix)
            .field("tls", &self.tls)
            .field("compact", &self.compact)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_everything() {
        let config = EtcdConfig::parse("etcd://ann:se%40cret@a.example:6000,b,[::1]:7/?prefix=a%20b&compact=true");
        let config = config.expect("a good URL");
        assert_eq!(config.members, ["a.example:6000", "b:2379", "[::1]:7"]);
        assert_eq!(config.login.map(|login| (login.user, login.password)), Some(("ann".into(), "se@cret".into())));
        assert_eq!((&*config.prefix, config.compact, config.tls), ("a b", true, None));
        let plain = EtcdConfig::parse("etcd://h").expect("a good URL");
        assert_eq!((&*plain.place(), &*plain.prefix, plain.compact), ("h:2379", "larder", false));
        let sealed = EtcdConfig::parse("etcds://h?ca=/a&cert=b&key=c").expect("a good URL").tls.expect("it is sealed");
        assert_eq!(sealed, Tls { ca: "/a".into(), identity: Some(("b".into(), "c".into())) });
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for url in [
            "etcd:h",
            "http://h",
            "etcd://",
            "etcd://h,",
            "etcd://h:0",
            "etcd://h:x",
            "etcd://[::g]:1",
            "etcd://h/x",
            "etcd://h?prefix=",
            "etcd://h?prefix=%00",
            "etcd://h?prefx=a",
            "etcd://h?compact=yes",
            "etcd://h?ca=a",
            "etcd://h?cert=a&key=b",
            "etcds://h",
            "etcds://h?ca=a&cert=b",
            "etcd://:x@h",
        ] {
            assert!(EtcdConfig::parse(url).is_err(), "{url}");
        }
    }

    /// People forget to encode what their password holds, and the URL is then read as something else: whatever is said
    /// about it, the password is not.
    #[test]
    fn no_password_is_told() {
        let urls = [
            "etcd://ann:hush@h:1",
            "etcd://ann:hush@hush@h",
            "etcd://ann:hush/hush@h",
            "etcd://ann:x?hush@h",
            "etcd://ann:hush,hush@h?prefix=%ff",
            "etcd:ann:hush@h",
            "etcd://:hush@h",
            "etcd://ann:hush@",
            "etcd://ann:hush@h:hush",
            "etcd://ann:hush@h/?hush",
        ];
        for url in urls {
            let told = match EtcdConfig::parse(url) {
                Ok(config) => format!("{config:?} {config:#?} {}", config.place()),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!told.contains("hush"), "{url}: {told}");
        }
    }
}
