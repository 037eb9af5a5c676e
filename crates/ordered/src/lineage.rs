//! Lineage: noticing when the past of a store may be another than it was.
//!
//! A map that syncs later may lose what it has acknowledged when its machine ends. So the head names the life of the machine
//! in which it was written; a clean end takes the name away, and who finds the name of another life there draws a new lineage
//! before anything is read or committed. What is drawn is durable before it is used, and so is the name.

use larder_core::{Lineage, Result};

use crate::{
    error::unavailable,
    head::Head,
    keeper::Keeper,
    layout,
    map::{Applied, Map},
    sheet::Sheet,
};

/// Where the machine does not tell its lives apart, every end that was not clean counts as the end of one.
pub const UNKNOWN_LIFE: &str = "unknown";

/// How often others may come in between.
const ATTEMPTS_MAX: usize = 1000;

/// Replaces the head by what `anew` makes of it; when that is nothing, it is left.
async fn rewrite(map: &dyn Map, anew: impl Fn(&Head) -> Option<Head>) -> Result<()> {
    for _ in 0..ATTEMPTS_MAX {
        let view = map.view().await?;
        let found = view.get(vec![layout::head()]).await?.pop().flatten();
        let Some(head) = found.map(|head| Head::read(&head)).transpose()? else { return Ok(()) };
        let Some(anew) = anew(&head) else { return Ok(()) };
        let anew = Head { tick: head.tick + 1, ..anew };
        let sheet = Sheet::new(&*view);
        match map.apply(&*view, sheet.into_batch(anew.write())).await? {
            Applied::Done => return map.sync().await,
            Applied::Raced => {}
            Applied::Unknown(error) => return Err(error),
        }
    }
    Err(unavailable("others have been committing faster for too long"))
}

/// Names this life in the head, and draws a new lineage where another one is named there.
pub(crate) async fn begin(map: &dyn Map) -> Result<()> {
    let life = map.life().unwrap_or_default();
    rewrite(map, |head| {
        let lost = !head.life.is_empty() && (head.life != life || life == UNKNOWN_LIFE);
        let lineage = if lost { Lineage::new(head.lineage.get() + 1) } else { head.lineage };
        (lost || head.life != life).then(|| Head { lineage, life: life.clone(), ..head.clone() })
    })
    .await
}

/// Takes the name of this life away: from here on nothing can be lost.
pub(crate) async fn end(keeper: &Keeper) -> Result<()> {
    if keeper.map.life().is_some() {
        keeper.map.sync().await?;
        rewrite(&*keeper.map, |head| (!head.life.is_empty()).then(|| Head { life: String::new(), ..head.clone() })).await?;
    }
    keeper.map.close().await
}
