//! From a URL to a store.

use std::{borrow::Cow, fmt, sync::Arc};

use larder_core::{Durability, Engine, Error, ErrorKind, Result, Retention, Store, StoreId, World, memory::MemoryEngine};

use crate::world::SystemWorld;

/// Opens the store at `url`, and creates it where there is none.
///
/// # Errors
/// `Invalid` for a URL that says nothing, `Unsupported` for an engine that is not built in, and what the engine meets.
pub async fn open(url: &str) -> Result<Store> {
    Builder::new(url).open().await
}

/// How to open a store.
#[derive(Clone)]
pub struct Builder {
    url: String,
    durability: Option<Durability>,
    create: bool,
    retention: Option<Retention>,
    world: Option<Arc<dyn World>>,
}

impl Builder {
    /// A store at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), durability: None, create: true, retention: Some(Retention::default()), world: None }
    }

    /// When an acknowledged commit has to be safe; `Full` unless said otherwise.
    ///
    /// An engine that cannot give it refuses to open. `memory:` gives `Volatile` and refuses any other demand.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Whether to create a store where there is none; it is so unless said otherwise.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// How long the log and commit ids are kept; [`Retention::default`] unless said otherwise. `None` keeps them for ever,
    /// and leaves expired entries where they are until [`Store::keep`] is called.
    #[must_use]
    pub fn retention(mut self, retention: Option<Retention>) -> Self {
        self.retention = retention;
        self
    }

    /// Time, chance and tasks from elsewhere than the system.
    #[must_use]
    pub fn world(mut self, world: Arc<dyn World>) -> Self {
        self.world = Some(world);
        self
    }

    pub(crate) fn has_world(&self) -> bool {
        self.world.is_some()
    }

    /// Opens the store.
    ///
    /// # Errors
    /// As [`open`].
    pub async fn open(self) -> Result<Store> {
        let world = self.world.clone().unwrap_or_else(|| Arc::new(SystemWorld::new()));
        let engine = self.engine(&*world).await?;
        let store = Store::new(engine, world);
        if let Some(retention) = self.retention {
            store.keep_in_background(retention);
        }
        Ok(store)
    }

    async fn engine(&self, world: &dyn World) -> Result<Arc<dyn Engine>> {
        let fresh = StoreId::from_bytes(world.random().to_be_bytes());
        let Some((scheme, rest)) = self.url.split_once(':') else {
            let message = format!("the store {:?} has no engine in front: write sqlite:PATH or memory:", self.url);
            return Err(Error::invalid(message));
        };
        match scheme {
            "memory" if !rest.is_empty() => Err(Error::invalid("the store memory: takes nothing after the colon")),
            "memory" if self.durability.is_some_and(|durability| durability != Durability::Volatile) => {
                Err(Error::new(ErrorKind::Unsupported, "the store memory: is gone with its process and cannot be durable"))
            }
            "memory" => Ok(Arc::new(MemoryEngine::new(fresh))),
            #[cfg(feature = "etcd")]
            "etcd" | "etcds" => {
                let mut config = larder_etcd::EtcdConfig::parse(&self.url)?;
                config.create = self.create;
                Ok(Arc::new(larder_etcd::open(config, fresh).await?))
            }
            #[cfg(feature = "file")]
            "file" => {
                let mut config = larder_file::FileConfig::new(rest);
                config.durability = self.durability.unwrap_or_default();
                config.create = self.create;
                Ok(Arc::new(larder_file::open(config, fresh).await?))
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                let mut config = larder_postgres::PostgresConfig::parse(&self.url)?;
                config.durability = self.durability.unwrap_or_default();
                config.create = self.create;
                Ok(Arc::new(larder_postgres::PostgresEngine::open(config, fresh).await?))
            }
            #[cfg(feature = "redis")]
            "redis" | "rediss" | "valkey" | "valkeys" => {
                let mut config = larder_redis::RedisConfig::parse(&self.url)?;
                config.durability = self.durability.unwrap_or(config.durability);
                config.create = self.create;
                Ok(Arc::new(larder_redis::RedisEngine::open(config, fresh).await?))
            }
            #[cfg(feature = "sqlite")]
            "sqlite" => {
                let mut config = larder_sqlite::SqliteConfig::new(rest);
                config.durability = self.durability.unwrap_or_default();
                config.create = self.create;
                Ok(Arc::new(larder_sqlite::SqliteEngine::open(config, fresh).await?))
            }
            #[cfg(feature = "surrealkv")]
            "surrealkv" => {
                let mut config = larder_surrealkv::SurrealKvConfig::new(rest);
                config.durability = self.durability.unwrap_or_default();
                config.create = self.create;
                Ok(Arc::new(larder_surrealkv::SurrealKvEngine::open(config, fresh).await?))
            }
            _ => Err(unknown(scheme)),
        }
    }
}

/// The URL of a store without the password in it, fit to be shown.
///
/// It is the same store still: a password can also come from elsewhere, such as `PGPASSWORD`.
pub fn without_password(url: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = url.split_once("://") else { return Cow::Borrowed(url) };
    // Of somebody who forgot to encode an @ in the password it is the last one.
    let Some((credentials, place)) = rest.rsplit_once('@') else { return Cow::Borrowed(url) };
    match credentials.split_once(':') {
        Some((user, _)) => Cow::Owned(format!("{scheme}://{user}@{place}")),
        None => Cow::Borrowed(url),
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("url", &without_password(&self.url))
            .field("durability", &self.durability)
            .field("create", &self.create)
            .field("retention", &self.retention)
            .finish_non_exhaustive()
    }
}

fn unknown(scheme: &str) -> Error {
    let known = [
        Some("memory:"),
        cfg!(feature = "sqlite").then_some("sqlite:PATH"),
        cfg!(feature = "file").then_some("file:PATH"),
        cfg!(feature = "surrealkv").then_some("surrealkv:PATH"),
        cfg!(feature = "postgres").then_some("postgres://USER@HOST/DATABASE"),
        cfg!(feature = "redis").then_some("redis://HOST/DB?prefix=NAME"),
        cfg!(feature = "etcd").then_some("etcd://HOST,HOST?prefix=NAME"),
    ];
    let known: Vec<&str> = known.into_iter().flatten().collect();
    let message = format!("there is no engine {scheme:?} in this build; it has {}", known.join(" and "));
    Error::new(ErrorKind::Unsupported, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        for (url, shown) in [
            ("postgres://ann:hush@h:1/app?schema=s", "postgres://ann@h:1/app?schema=s"),
            ("postgres://ann:hu@sh/hu?sh@h/app", "postgres://ann@h/app"),
            ("postgres://ann@h/app", "postgres://ann@h/app"),
            ("postgres://h/app", "postgres://h/app"),
            ("etcd://ann:hush@a:1,b:2/?prefix=p", "etcd://ann@a:1,b:2/?prefix=p"),
            ("redis://:hush@h:1/2?prefix=p", "redis://@h:1/2?prefix=p"),
            ("sqlite:./a:b@c.db", "sqlite:./a:b@c.db"),
        ] {
            assert_eq!(without_password(url), shown);
            let told = format!("{:?}", Builder::new(url));
            assert!(told.contains(shown) && !told.contains("hu"), "{told}");
        }
    }
}
