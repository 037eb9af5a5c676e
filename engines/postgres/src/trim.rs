//! Trimming: old changes and old ids go, step by step. The space they took is used again once PostgreSQL has vacuumed.

use std::sync::Arc;

use larder_core::{CommitId, Namespace, Revision, Timestamp, Trim, Trimmed};
use tokio_postgres::Row;

use crate::{
    error::Attempt,
    head::LOCK,
    log::PLACES,
    row::{cell, number, signed},
    session::{Parameters, Session},
};

/// How many rows one step looks at and deletes at most, so that commits get their turn in between.
const TRIM_ROWS: i64 = 2000;

/// What is left to do of a trim.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    trim: Trim,
    /// From which key and place on to look at the changes of a namespace.
    from: (String, i64),
}

impl Task {
    pub(crate) fn new(trim: Trim) -> Self {
        Self { trim, from: (String::new(), 0) }
    }
}

/// One step of a trim.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) trimmed: Trimmed,
    /// Until there is nothing left to do.
    pub(crate) next: Option<Task>,
}

/// Deletes some of what `task` says, in a transaction of its own.
pub(crate) async fn step(session: Arc<Session>, task: Task) -> Attempt<Step> {
    session.run("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let head = number(&session.row(LOCK, &[]).await?, 0)?;
    let Task { trim, from } = &task;
    let session = &*session;
    let (trimmed, from) = match &trim.namespace {
        None => everywhere(session, trim).await?,
        Some(namespace) => in_namespace(session, namespace, trim, head, from).await?,
    };
    session.run("COMMIT").await?;
    // What was the head at the first step stays the end, whatever is committed meanwhile.
    let trim = Trim { through: trim.through.min(trimmed.oldest), ..trim.clone() };
    Ok(Step { trimmed, next: from.map(|from| Task { trim, from }) })
}

type Stepped = (Trimmed, Option<(String, i64)>);

/// Forgets some changes of every namespace, and some ids.
async fn everywhere(session: &Session, trim: &Trim) -> Attempt<Stepped> {
    const NEWEST: &str = "SELECT id FROM commits ORDER BY id DESC LIMIT 1";
    const RAISE: &str = "UPDATE store SET oldest = greatest(oldest, least($1, revision)), ids_since = greatest(ids_since, $2) \
        RETURNING oldest";
    // A namespace that was trimmed by itself less far than all is one like the others again.
    const EMPTY: &str = "DELETE FROM namespaces WHERE oldest > 0 AND oldest <= $1 AND entries = 0 AND log_bytes = 0";
    const LEVEL: &str = "UPDATE namespaces SET oldest = 0 WHERE oldest > 0 AND oldest <= $1";
    const IDS: &str = "DELETE FROM commits WHERE id IN (SELECT id FROM commits WHERE id < $1 ORDER BY id LIMIT $2)";
    // Ids made later than any that is known here are never forgotten, or a clock that ran ahead could lock everyone out.
    let ids_before = match session.query(NEWEST, &[]).await?.first() {
        None => Timestamp::EPOCH,
        Some(row) => {
            let id = <[u8; 16]>::try_from(cell::<&[u8]>(row, 0)?);
            let id = id.map_err(|_| crate::error::corrupt("a commit id is not one"))?;
            trim.ids_before.min(CommitId::from_bytes(id).made_at())
        }
    };
    // First of all nobody may rely any more on what is about to go.
    let through = signed(trim.through.get());
    let oldest = number(&session.row(RAISE, &[&through, &ids_before.as_millis()]).await?, 0)?;
    session.execute(EMPTY, &[&oldest]).await?;
    session.execute(LEVEL, &[&oldest]).await?;

    let outdated = "place IN (SELECT place FROM log WHERE place < $1 ORDER BY place LIMIT $2)";
    let changes = forget(session, outdated, &[&after(through), &TRIM_ROWS]).await?;
    // An id begins with its time, so ids made before a moment are smaller than the first one made at it.
    let first_kept = CommitId::new(ids_before, 0);
    let ids = session.execute(IDS, &[&&first_kept.as_bytes()[..], &TRIM_ROWS]).await?;
    let more = changes > 0 || ids > 0;
    let oldest = Revision::new(oldest.cast_unsigned());
    Ok((Trimmed { oldest, changes, ids }, more.then(|| (String::new(), 0))))
}

/// Looks at some changes of `namespace` in the order of keys, the only one in which they stand together, and forgets those
/// that are old.
async fn in_namespace(
    session: &Session,
    namespace: &Namespace,
    trim: &Trim,
    head: i64,
    from: &(String, i64),
) -> Attempt<Stepped> {
    const RAISE: &str = "INSERT INTO namespaces SELECT $1, 0, 0, 0, $2 FROM store WHERE oldest < $2 \
        ON CONFLICT (namespace) DO UPDATE SET oldest = greatest(namespaces.oldest, excluded.oldest)";
    const OLDEST: &str = "SELECT greatest(store.oldest, coalesce(namespaces.oldest, 0)) FROM store \
        LEFT JOIN namespaces ON namespace = $1";
    const HERE: &str =
        "SELECT key, place FROM log WHERE namespace = $1 AND (key, place) >= ($2, $3) ORDER BY key, place LIMIT $4";
    let namespace = namespace.as_str();
    let through = signed(trim.through.get()).min(head);
    // First of all nobody may rely any more on what is about to go.
    session.execute(RAISE, &[&namespace, &through]).await?;
    let oldest = number(&session.row(OLDEST, &[&namespace]).await?, 0)?;
    let here = session.query(HERE, &[&namespace, &from.0, &from.1, &(TRIM_ROWS + 1)]).await?;
    let place = |row: &Row| number(row, 1);
    let (here, next) = match here.split_last() {
        Some((next, here)) if here.len() as i64 == TRIM_ROWS => (here, Some((cell(next, 0)?, place(next)?))),
        _ => (&here[..], None),
    };
    let end = after(through);
    let places = here.iter().map(place).collect::<larder_core::Result<Vec<i64>>>()?;
    let places: Vec<i64> = places.into_iter().filter(|place| *place < end).collect();
    let changes = forget(session, "place = ANY($1)", &[&places]).await?;
    Ok((Trimmed { oldest: Revision::new(oldest.cast_unsigned()), changes, ids: 0 }, next))
}

/// Deletes `which` rows of the log, counts them off what the store and its namespaces take, and answers how many they were.
async fn forget(session: &Session, which: &str, parameters: Parameters<'_>) -> Attempt<u64> {
    let delete = format!(
        "WITH gone AS (DELETE FROM log WHERE {which} RETURNING namespace, octet_length(key) \
         + coalesce(octet_length(value), 0) + coalesce(octet_length(metadata), 0) AS bytes) \
         SELECT namespace, count(*), sum(bytes)::bigint FROM gone GROUP BY namespace"
    );
    const STORE: &str = "UPDATE store SET changes = changes - $1, log_bytes = log_bytes - $2";
    const NAMESPACES: &str = "UPDATE namespaces SET log_bytes = log_bytes - less FROM unnest($1::text[], $2::bigint[]) \
        AS gone (gone_namespace, less) WHERE namespace = gone_namespace";
    const EMPTY: &str =
        "DELETE FROM namespaces WHERE namespace = ANY($1::text[]) AND entries = 0 AND log_bytes = 0 AND oldest = 0";
    let (mut namespaces, mut bytes, mut changes) = (Vec::<String>::new(), Vec::new(), 0);
    for row in &session.query(&delete, parameters).await? {
        namespaces.push(cell(row, 0)?);
        changes += number(row, 1)?;
        bytes.push(number(row, 2)?);
    }
    if changes > 0 {
        session.execute(STORE, &[&changes, &bytes.iter().sum::<i64>()]).await?;
        session.execute(NAMESPACES, &[&namespaces, &bytes]).await?;
        session.execute(EMPTY, &[&namespaces]).await?;
    }
    Ok(changes.cast_unsigned())
}

/// The first place after those of the commit that took `revision`.
fn after(revision: i64) -> i64 {
    revision.saturating_add(1).saturating_mul(PLACES)
}
