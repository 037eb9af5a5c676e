//! The place: a schema, found, recognised, created, brought up to date.
//!
//! What is not ours is left as it is. A new store appears whole, in one transaction, under a lock that everybody who
//! creates or migrates takes.

use larder_core::{Durability, Error, ErrorKind, Result, StoreId};

use crate::{
    config::PostgresConfig,
    error::{Attempt, Failure, corrupt},
    keeper::{durability, settings},
    lineage::Life,
    session::Session,
    standing,
    write::SYNC,
};

/// What brings a schema from each version to the next. Its version is the number of steps it has behind it.
const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// The version of the schema that we know.
pub(crate) const VERSION: usize = MIGRATIONS.len();

/// The first version of PostgreSQL that has all that we use, as the server counts.
const OLDEST_SERVER: u32 = 13_00_00;

/// What was found where the store should be.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// No schema, or one with nothing in it.
    Nothing,
    /// A store of this version.
    Store(usize),
}

/// A store that was found.
pub(crate) struct Store {
    pub(crate) id: StoreId,
    pub(crate) durability: Durability,
    /// The session over which it was found.
    pub(crate) session: Session,
}

/// Finds the store, and creates it where there is none.
pub(crate) async fn open(config: &PostgresConfig, fresh: StoreId) -> Result<Store> {
    let session = standing::connect(config).await?;
    let durability = judge_server(&session, config).await?;
    if look(&session, config).await? != Found::Store(VERSION) {
        if !config.create && look(&session, config).await? == Found::Nothing {
            let message = format!(
                "there is no store in the schema {:?} of the database {:?} at {}",
                config.schema,
                config.database(),
                config.place()
            );
            return Err(Error::new(ErrorKind::NotFound, message).engine("postgres"));
        }
        let made = make(&session, config, fresh).await;
        if made.is_err() {
            // The session ends here, and with it the transaction.
            drop(session);
            return made.map(|()| unreachable!("it failed"));
        }
    }
    let sql = format!("SELECT store_id FROM {}.store", config.quoted_schema());
    let found = session.ask(&sql).await.map_err(Failure::into_error)?.and_then(|row| row.into_iter().next().flatten());
    let id = found.ok_or_else(|| corrupt("the table store is empty"))?;
    let id = id.parse().map_err(|_| corrupt("the identity of the store cannot be read"))?;
    Ok(Store { id, durability, session })
}

/// Whether the server is one that keeps our promises.
async fn judge_server(session: &Session, config: &PostgresConfig) -> Result<Durability> {
    let show = async |sql: &str| -> Result<String> {
        let row = session.ask(sql).await.map_err(Failure::into_error)?;
        Ok(row.and_then(|row| row.into_iter().next().flatten()).unwrap_or_default())
    };
    judge_version(&show("SHOW server_version_num").await?, config)?;
    let encoding = show("SHOW server_encoding").await?;
    if encoding != "UTF8" {
        let message = format!("the database {:?} keeps texts as {encoding}; a store needs UTF8", config.database());
        return Err(Error::new(ErrorKind::Unsupported, message).engine("postgres"));
    }
    durability(session, config).await
}

fn judge_version(number: &str, config: &PostgresConfig) -> Result<()> {
    let version: u32 = number.parse().unwrap_or(0);
    if version < OLDEST_SERVER {
        let (place, found, oldest) = (config.place(), version / 10_000, OLDEST_SERVER / 10_000);
        let message = format!("the server at {place} is PostgreSQL {found}; this needs {oldest} or later");
        return Err(Error::new(ErrorKind::Unsupported, message).engine("postgres"));
    }
    Ok(())
}

/// What stands in the schema, judged without touching it.
async fn look(session: &Session, config: &PostgresConfig) -> Result<Found> {
    const SQL: &str = "SELECT count(*), coalesce(bool_or(relname = 'larder_format' AND relkind = 'r'), false) FROM pg_catalog.pg_class \
        WHERE relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $1)";
    let row = session.row(SQL, &[&config.schema]).await.map_err(Failure::into_error)?;
    let (things, ours): (i64, bool) = (crate::row::cell(&row, 0)?, crate::row::cell(&row, 1)?);
    if things == 0 {
        return Ok(Found::Nothing);
    }
    let shown = format!("the schema {:?} of the database {:?}", config.schema, config.database());
    if !ours {
        let message = format!("{shown} belongs to another program, not to a Larder store; it was left as it is");
        return Err(Error::invalid(message).engine("postgres"));
    }
    let sql = format!("SELECT version FROM {}.larder_format", config.quoted_schema());
    let version = session.ask(&sql).await.map_err(Failure::into_error)?.and_then(|row| row.into_iter().next().flatten());
    let version: usize = version.and_then(|text| text.parse().ok()).ok_or_else(|| corrupt("they have no version"))?;
    if version > VERSION {
        let message = format!(
            "{shown} was written by a newer Larder: its version is {version}, this one knows {VERSION}; update Larder"
        );
        return Err(Error::new(ErrorKind::Unsupported, message).engine("postgres"));
    }
    Ok(Found::Store(version))
}

/// Creates the store or brings it up to date, in one transaction.
async fn make(session: &Session, config: &PostgresConfig, fresh: StoreId) -> Result<()> {
    let schema = config.quoted_schema();
    // The lock has a name of its own, so that nobody meets it by chance.
    let patience = config.patience.as_millis().max(1);
    session
        .run(&format!("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {patience}"))
        .await
        .map_err(Failure::into_error)?;
    session
        .query("SELECT pg_advisory_xact_lock(hashtextextended('larder:' || $1, 0))", &[&config.schema])
        .await
        .map_err(Failure::into_error)?;
    // Looked at again: somebody else may have been faster.
    let done = match look(session, config).await? {
        Found::Nothing => 0,
        Found::Store(version) => version,
    };
    let create = async || -> Attempt<()> {
        if done == 0 && !exists(session, config).await? {
            session.run(&format!("CREATE SCHEMA {schema}")).await?;
        }
        session.run(&format!("{}; SET search_path TO {schema}", settings(config))).await?;
        for step in MIGRATIONS.iter().skip(done) {
            session.run(step).await?;
        }
        if done == 0 {
            let life = Life::read(session).await?.mark(Durability::Full, "");
            let row = format!("INSERT INTO store VALUES (1, '{fresh}', 0, 0, 0, 0, 0, 0, 0, 0, 0, '{life}'); {SYNC}");
            session.run(&format!("INSERT INTO larder_format VALUES ({VERSION}); {row}")).await?;
        } else {
            session.run(&format!("UPDATE larder_format SET version = {VERSION}")).await?;
        }
        session.run("COMMIT").await
    };
    create().await.map_err(|failure| match failure {
        Failure::Refused(error) if error.kind() == ErrorKind::Denied => {
            let user = config.user();
            error.as_kind(ErrorKind::Denied, format!("the user {user:?} may not create the schema {schema} or tables in it"))
        }
        other => other.into_error(),
    })
}

async fn exists(session: &Session, config: &PostgresConfig) -> Attempt<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1)";
    Ok(crate::row::cell(&session.row(sql, &[&config.schema]).await?, 0)?)
}
