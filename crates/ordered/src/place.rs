//! The place: a map, found to hold a store, or nothing, or what is not ours.

use larder_core::{Error, ErrorKind, Result, StoreId};

use crate::{
    error::unavailable,
    head::{Head, foreign},
    layout, lineage,
    map::{Applied, Map, Part},
    sheet::Sheet,
};

/// How often somebody else may come in between when a store is created.
const ATTEMPTS_MAX: usize = 100;

/// Finds the store in `map`, and creates it where there is nothing; answers which one it is.
pub(crate) async fn open(map: &dyn Map, fresh: StoreId, create: bool) -> Result<StoreId> {
    for _ in 0..ATTEMPTS_MAX {
        let view = map.view().await?;
        let anything = Part { from: vec![0].into(), to: vec![0xff; 16].into(), reverse: false, limit: 1 };
        let mut found = view.scan(vec![layout::only(&layout::head()), anything]).await?.into_iter();
        let (head, anything) = (found.next().unwrap_or_default().pop(), found.next().unwrap_or_default());
        if let Some((_, head)) = head {
            let store = Head::read(&head)?.store;
            lineage::begin(map).await?;
            return Ok(store);
        }
        if !anything.is_empty() {
            return Err(foreign());
        }
        if !create {
            return Err(Error::new(ErrorKind::NotFound, "there is no store"));
        }
        match map.apply(&*view, Sheet::new(&*view).into_batch(Head::new(fresh).write())).await? {
            // When somebody was faster, theirs is the store.
            Applied::Done | Applied::Raced | Applied::Unknown(_) => {}
        }
    }
    Err(unavailable("the store cannot be created: its answers are lost again and again"))
}
