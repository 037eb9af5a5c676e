//! Undoing: what the addresses of a range were at a past revision, where they have changed since.

use std::sync::Arc;

use larder_core::{Result, Revision, Snapshot, Undo, Undone, engine::Page};

use crate::{
    error::Attempt,
    log::{self, Reached, entry_of},
    range::within,
    read::{PAGE_BYTES_MAX, parameters},
    readers::{END, Readers},
    row::{self, number, signed},
    session::Session,
};

pub(crate) async fn undo(readers: &Arc<Readers>, undo: Undo) -> Result<Snapshot<Page<Undone>>> {
    let undo = Arc::new(undo);
    readers.one_moment(move |session| look(session, undo.clone())).await
}

async fn look(session: Arc<Session>, undo: Arc<Undo>) -> Attempt<Snapshot<Page<Undone>>> {
    let reached = log::begin(&session, undo.lineage, undo.after, Some(std::slice::from_ref(&undo.range))).await?;
    let found = match reached {
        Ok(reached) => read(&session, &undo, reached).await.map(Ok)?,
        Err(refusal) => Err(refusal.into()),
    };
    session.run(END).await?;
    found
}

async fn read(session: &Session, undo: &Undo, reached: Reached) -> Attempt<Snapshot<Page<Undone>>> {
    let (condition, edges) = within(&undo.range, 3);
    let order = if undo.reverse { "namespace DESC, key DESC" } else { "namespace, key" };
    let firsts = firsts(&condition, order, reached.is_short);
    // A row is looked at only for the first change of each key, and a value only where the page has room for it.
    const BYTES: &str = "coalesce(octet_length(log.value), 0) + coalesce(octet_length(log.metadata), 0)";
    let columns = entry_of("log");
    let sql = format!(
        "SELECT * FROM (SELECT log.namespace, log.key, {columns}, sum({BYTES}) OVER (ORDER BY nth ROWS UNBOUNDED PRECEDING) \
         AS running, {BYTES} AS bytes, nth FROM (SELECT place, row_number() OVER () AS nth FROM ({firsts} LIMIT $2) AS firsts) \
         AS numbered JOIN log USING (place)) AS page WHERE running - bytes < {PAGE_BYTES_MAX} ORDER BY nth"
    );
    // One more than asked for tells whether there is more.
    let limit = signed(undo.limit as u64).saturating_add(1);
    let rows = session.query(&sql, &parameters(&[&reached.first, &limit], &edges)).await?;
    let mut page = Page { items: Vec::new(), more: false };
    let mut namespace = None;
    for row in &rows {
        if page.items.len() == undo.limit {
            page.more = !page.items.is_empty();
            break;
        }
        let address = row::address_like(row, 0, &mut namespace)?;
        let entry = row::entry(row, 2, || Ok(address.clone()))?;
        page.items.push(Undone { address, entry });
        page.more = number(row, 11)? >= PAGE_BYTES_MAX;
    }
    Ok(Snapshot { revision: Revision::new(reached.head.cast_unsigned()), value: page })
}

/// The place of the first change of each address from that in parameter 1 on.
fn firsts(condition: &str, order: &str, is_short: bool) -> String {
    if is_short {
        // Among everything that has happened since, sorted; materialised, or the planner would go along the keys after all.
        return format!(
            "SELECT DISTINCT ON ({columns}) place FROM (WITH tail AS MATERIALIZED (SELECT place, namespace, key FROM log \
             WHERE place >= $1) SELECT * FROM tail) AS tail WHERE {condition} ORDER BY {order}, place",
            columns = order.replace(" DESC", "")
        );
    }
    // Along the index of keys, in its order.
    format!("SELECT min(place) AS place FROM log WHERE {condition} AND place >= $1 GROUP BY namespace, key ORDER BY {order}")
}
