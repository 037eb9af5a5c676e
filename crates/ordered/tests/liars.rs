//! The check of maps catches maps that lie: each in one way.

use std::{any::Any, panic, sync::Arc};

use bytes::Bytes;
use larder_core::{BoxFuture, Result, engine::Capabilities};
use larder_ordered::{Applied, Batch, Map, Pair, Part, Size, TestMap, View, check};

/// How a map lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    None,
    /// It looks at the guard as it is when the batch comes, and not as it was.
    GuardOfNow,
    /// It says that it raced, and has written all the same.
    RacedAndDone,
    /// A view tells what is there when it is asked.
    NoMoment,
    FirstInReverse,
    OneTooMany,
    StopsEarly,
    LastOfPart,
    LosesEmptyValues,
    ForgetsDeletes,
    ForgetsGuard,
    HalfOfABatch,
    ReadsInOrder,
    SaysMoreThanFits,
}

const LIES: &[Lie] = &[
    Lie::GuardOfNow,
    Lie::RacedAndDone,
    Lie::NoMoment,
    Lie::FirstInReverse,
    Lie::OneTooMany,
    Lie::StopsEarly,
    Lie::LastOfPart,
    Lie::LosesEmptyValues,
    Lie::ForgetsDeletes,
    Lie::ForgetsGuard,
    Lie::HalfOfABatch,
    Lie::ReadsInOrder,
    Lie::SaysMoreThanFits,
];

#[derive(Clone, Debug)]
struct Liar {
    map: TestMap,
    lie: Lie,
}

#[derive(Debug)]
struct LiarsView {
    view: Box<dyn View>,
    liar: Liar,
}

impl Map for Liar {
    fn capabilities(&self) -> Capabilities {
        self.map.capabilities()
    }

    fn most(&self) -> Size {
        let most = self.map.most();
        if self.lie == Lie::SaysMoreThanFits { Size { bytes: 2 * most.bytes, ..most } } else { most }
    }

    fn view(&self) -> BoxFuture<'_, Result<Box<dyn View>>> {
        Box::pin(async {
            let view = self.map.view().await?;
            Ok(Box::new(LiarsView { view, liar: self.clone() }) as Box<dyn View>)
        })
    }

    fn apply<'a>(&'a self, view: &'a dyn View, mut batch: Batch) -> BoxFuture<'a, Result<Applied>> {
        Box::pin(async move {
            let LiarsView { view, .. } = view.as_any().downcast_ref().expect("a view of this map");
            match self.lie {
                Lie::ForgetsDeletes => batch.deletes.clear(),
                Lie::ForgetsGuard => {
                    let now = self.map.view().await?.get(vec![batch.guard.0.clone()]).await?.pop().flatten();
                    batch.guard.1 = now.unwrap_or(batch.guard.1);
                }
                Lie::HalfOfABatch => batch.puts.truncate(batch.puts.len().div_ceil(2)),
                Lie::LosesEmptyValues => batch.puts.retain(|(_, value)| !value.is_empty()),
                _ => {}
            }
            if self.lie == Lie::GuardOfNow {
                let now = self.map.view().await?;
                return self.map.apply(&*now, batch).await;
            }
            let applied = self.map.apply(&**view, batch.clone()).await?;
            if self.lie == Lie::RacedAndDone && matches!(applied, Applied::Raced) {
                batch.puts.into_iter().for_each(|(key, value)| self.map.put(key, value));
            }
            Ok(applied)
        })
    }

    fn size(&self) -> BoxFuture<'_, Result<Option<u64>>> {
        self.map.size()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.map.close()
    }
}

impl View for LiarsView {
    fn get(&self, mut keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>>> {
        Box::pin(async move {
            match self.liar.lie {
                Lie::NoMoment => return self.liar.map.view().await?.get(keys).await,
                Lie::ReadsInOrder => keys.sort(),
                _ => {}
            }
            self.view.get(keys).await
        })
    }

    fn scan(&self, mut parts: Vec<Part>) -> BoxFuture<'_, Result<Vec<Vec<Pair>>>> {
        Box::pin(async move {
            for part in &mut parts {
                match self.liar.lie {
                    Lie::FirstInReverse => part.reverse = false,
                    Lie::OneTooMany => part.limit += 1,
                    Lie::StopsEarly => part.limit = part.limit.min(1000),
                    Lie::LastOfPart => part.to = [&*part.to, b"\0"].concat().into(),
                    _ => {}
                }
            }
            match self.liar.lie {
                Lie::NoMoment => self.liar.map.view().await?.scan(parts).await,
                _ => self.view.scan(parts).await,
            }
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn passes(lie: Lie) -> bool {
    let liar = Liar { map: TestMap::new(), lie };
    panic::catch_unwind(|| check(|| Arc::new(liar.clone()))).is_ok()
}

#[test]
fn every_liar_is_caught_and_who_does_not_lie_is_not() {
    assert!(passes(Lie::None));
    let passed: Vec<Lie> = LIES.iter().copied().filter(|lie| passes(*lie)).collect();
    assert!(passed.is_empty(), "these were believed: {passed:?}");
}
