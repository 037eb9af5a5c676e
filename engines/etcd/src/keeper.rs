//! The keeper of a cluster that is declared ours: it forgets what was, and gives room back.
//!
//! A cluster keeps every revision until it is told to forget, and room that it has once taken until it is told to give it back.
//! Both concern everybody who uses it, so it is never done unasked. Nothing waits for a time: who writes also keeps.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use larder_core::Result;

use crate::{
    client::{ALARM, COMPACT, Client, DEFRAGMENT, RANGE, STATUS},
    config::EtcdConfig,
    error::{Attempt, So, odd},
    message::{Alarm, AlarmRequest, AlarmResponse, CompactRequest, Empty, RangeRequest, RangeResponse, StatusResponse},
    runtime,
};

/// How much room has to be unused before it is given back, which a member does standing still.
const UNUSED_BYTES_MIN: i64 = 64 << 20;

/// Who keeps a cluster.
#[derive(Debug)]
pub(crate) struct Keeper {
    client: Arc<Client>,
    every: Duration,
    seen: Mutex<Option<Seen>>,
    /// One at a time.
    working: tokio::sync::Mutex<()>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    revision: i64,
}

impl Keeper {
    /// The keeper, if the cluster is ours.
    pub(crate) fn new(client: &Arc<Client>, config: &EtcdConfig) -> Option<Arc<Self>> {
        let (seen, working) = Default::default();
        config.compact.then(|| Arc::new(Self { client: client.clone(), every: config.compact_every, seen, working }))
    }

    /// The cluster has come to `revision`: from time to time what was before is forgotten, elsewhere, and nobody waits for it.
    pub(crate) fn noticed(self: &Arc<Self>, revision: i64) -> Result<()> {
        let now = Seen { at: Instant::now(), revision };
        let before = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            match *seen {
                Some(before) if now.at.duration_since(before.at) < self.every => return Ok(()),
                before => {
                    *seen = Some(now);
                    before
                }
            }
        };
        // What was seen the last time is old enough: nobody looks at what was before that any more.
        let Some(before) = before else { return Ok(()) };
        let keeper = self.clone();
        runtime::begin(async move {
            // What fails now is done the next time.
            let _ = keeper.keep(before.revision).await;
        })?;
        Ok(())
    }

    async fn keep(&self, revision: i64) -> Attempt<()> {
        let _alone = self.working.lock().await;
        self.forget_before(revision).await?;
        self.give_back(UNUSED_BYTES_MIN).await
    }

    /// Makes room in a cluster that has none left, and lets it take writes again.
    pub(crate) async fn make_room(&self) -> Attempt<()> {
        let _alone = self.working.lock().await;
        let now: RangeResponse = self.client.ask(RANGE, &RangeRequest::of_nothing(Bytes::from_static(b"\0"))).await?;
        self.forget_before(now.header.ok_or_else(odd)?.revision).await?;
        self.give_back(0).await?;
        // An alarm is that of a member, and is taken back for that member.
        let armed: AlarmResponse = self.client.ask(ALARM, &AlarmRequest::ALL).await?;
        for alarm in armed.alarms.iter().filter(|alarm| alarm.alarm == Alarm::NO_SPACE) {
            let _: Empty = self.client.ask(ALARM, &AlarmRequest::disarm(alarm)).await?;
        }
        Ok(())
    }

    async fn forget_before(&self, revision: i64) -> Attempt<()> {
        match self.client.ask::<_, Empty>(COMPACT, &CompactRequest { revision, physical: true }).await {
            // Somebody else has forgotten more already.
            Err(failure) if failure.so == So::Forgotten => Ok(()),
            other => other.map(drop),
        }
    }

    /// Has members give back what they do not use, one after the other, where it is much.
    async fn give_back(&self, least: i64) -> Attempt<()> {
        for member in 0..self.client.members() {
            // A member that is not there has nothing to give.
            let Ok(status) = self.client.ask_one::<_, StatusResponse>(member, STATUS, &Empty {}).await else { continue };
            let unused = status.size - status.used;
            if unused > least && unused > status.used / 2 || least == 0 {
                let _: Empty = self.client.ask_one(member, DEFRAGMENT, &Empty {}).await?;
            }
        }
        Ok(())
    }
}
