//! The lease: an entry that expires, created if it is absent, renewed while it is ours, deleted when it is done with.
//!
//! It knows nothing of commands and processes.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use larder::{Condition, Entry, Error, ErrorKind, ExpiryChange, Key, MetadataChange, Revision, Store, Value, Watch};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{moment::Moment, signals::Signals};
use crate::{failure::Failure, session::Session, text::shell};

/// How long to wait for a lock.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    None,
    For(Duration),
    Endless,
}

/// Who holds a lock: the value of its entry.
#[derive(Debug, Deserialize, Serialize)]
struct Holder {
    host: String,
    pid: u32,
    since: String,
    /// Chosen by chance for each lease: what tells ours from everybody else's, whatever became of our last commit.
    token: String,
}

impl Holder {
    fn this_process(store: &Store) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let token = format!("{:032x}", store.world().random());
        Self { host, pid: std::process::id(), since: store.world().now().to_string(), token }
    }

    fn of(entry: &Entry) -> Option<Self> {
        serde_json::from_slice(entry.value.bytes()).ok()
    }
}

/// A lock that this process has taken.
pub(super) struct Lease {
    store: Store,
    key: Key,
    ttl: Duration,
    token: String,
    /// When it was taken: the fencing token.
    taken: Revision,
    /// When the entry was written last; it is ours as long as that stays so.
    revision: Revision,
    end: Moment,
    renewal: Instant,
    /// What happens to the entry, to notice at once that somebody took it away; `None` when that cannot be had.
    watch: Option<Watch>,
    /// What stood against the last renewal.
    trouble: Option<Error>,
}

impl Lease {
    /// Takes the lock `key`, and waits for it if need be.
    pub(super) async fn acquire(
        session: &Session,
        store: Store,
        key: Key,
        ttl: Duration,
        patience: Patience,
        signals: &mut Signals,
    ) -> Result<Self, Failure> {
        let give_up = match patience {
            Patience::None => Some(Instant::now()),
            Patience::For(wait) => Instant::now().checked_add(wait),
            Patience::Endless => None,
        };
        let holder = Holder::this_process(&store);
        // Watched before it is tried, so that nothing is missed between the two; but most locks are free at once.
        let (mut watch, mut told) = (None, false);
        loop {
            // Not given up half-way: what is taken has to be known, so that it can be given back.
            if let Some(mut lease) = attempt(&store, &key, ttl, &holder).await? {
                lease.watch = match watch {
                    Some(watch) => Some(watch),
                    // Without it, the renewals notice what happens.
                    None => store.watch_key(&key).after(lease.taken).start().await.ok(),
                };
                return Ok(lease);
            }
            let watch = match &mut watch {
                Some(watch) => watch,
                None if !matches!(patience, Patience::None) => {
                    watch = Some(store.watch_key(&key).start().await?);
                    continue;
                }
                None => return Err(held(session, &store, &key, patience).await),
            };
            if !told && !session.output.quiet {
                told = true;
                let by = store.get(&key).await?.map_or_else(|| "somebody".to_owned(), |entry| describe(&entry));
                // Nobody waits for it, so it does not matter whether it arrives.
                let _ = writeln!(io::stderr(), "waiting for the lock {}, held by {by}", name(&key));
            }
            tokio::select! {
                free = is_free(&store, &key, watch) => free?,
                signal = signals.next() => return Err(Failure::Answered(u8::try_from(128 + signal).unwrap_or(u8::MAX))),
                () = at(give_up) => return Err(held(session, &store, &key, patience).await),
            }
        }
    }

    /// Waits until the lease was renewed, and answers its new end; or why it is lost.
    ///
    /// Dropping the future loses nothing: what became of a renewal that was given up is found out by the next one.
    pub(super) async fn kept(&mut self) -> Result<Moment, String> {
        loop {
            let news = async {
                match &mut self.watch {
                    Some(watch) => watch.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep_until(self.renewal) => {
                    let begun = Instant::now();
                    match self.renew().await {
                        Ok(true) => {
                            self.renewal = begun + self.ttl / 3;
                            self.trouble = None;
                            return Ok(self.end);
                        }
                        Ok(false) => return Err(GONE.to_owned()),
                        // The guard counts the time that is left; as long as there is some, it is tried again.
                        Err(error) => {
                            self.trouble = Some(error);
                            self.renewal = Instant::now() + self.ttl / 12;
                        }
                    }
                }
                news = news => match news {
                    Ok(batch) => {
                        let last = batch.changes.last().and_then(|change| change.after.as_ref());
                        // Another's, or nobody's. The past of our own lease was ours as well.
                        if batch.revision >= self.taken && !last.is_some_and(|entry| self.is_ours(entry)) {
                            return Err(GONE.to_owned());
                        }
                    }
                    // The renewals look, too.
                    Err(_) => self.watch = None,
                },
            }
        }
    }

    /// Writes the entry's expiry anew, if the entry is still ours; says whether it is.
    async fn renew(&mut self) -> Result<bool, Error> {
        loop {
            // Before it is sent, so that it ends for us no later than for others.
            let at = self.store.world().now().after(self.ttl);
            let end = Moment::at(at);
            let renewed = self
                .store
                .commit()
                .check(&self.key, Condition::Revision(self.revision))
                .annotate(&self.key, MetadataChange::Keep, ExpiryChange::Set(Some(at)))
                .await;
            match renewed {
                Ok(receipt) => {
                    (self.revision, self.end) = (receipt.revision, end);
                    return Ok(true);
                }
                Err(error) if is_conflict(&error) || error.kind() == ErrorKind::OutcomeUnknown => {}
                Err(error) => return Err(error),
            }
            // Perhaps it was our own renewal that we did not hear back from, or somebody has touched it.
            match self.store.get(&self.key).await? {
                Some(entry) if self.is_ours(&entry) => self.revision = entry.revision,
                _ => return Ok(false),
            }
        }
    }

    /// Gives the lock back, if it is still ours.
    pub(super) async fn release(&mut self) -> Result<(), Error> {
        while let Some(entry) = self.store.get(&self.key).await?.filter(|entry| self.is_ours(entry)) {
            let ours = Condition::Revision(entry.revision);
            match self.store.commit().check(&self.key, ours).delete(&self.key).await {
                Ok(_) => break,
                // A renewal that was given up half-way has arrived after all.
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_ours(&self, entry: &Entry) -> bool {
        Holder::of(entry).is_some_and(|holder| holder.token == self.token)
    }

    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Until when others are kept out, unless it is renewed.
    pub(super) fn end(&self) -> Moment {
        self.end
    }

    pub(super) fn name(&self) -> String {
        name(&self.key)
    }

    /// Why the lease was not renewed.
    pub(super) fn trouble(&self) -> String {
        match &self.trouble {
            Some(error) => format!("it could not be renewed: {error}"),
            None => "it was not renewed in time".to_owned(),
        }
    }

    /// What the command is told.
    pub(super) fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("LARDER_LOCK_KEY", self.key.to_string()),
            ("LARDER_LOCK_NAMESPACE", self.store.namespace().to_string()),
            ("LARDER_LOCK_REVISION", self.taken.to_string()),
        ]
    }
}

const GONE: &str = "somebody has deleted it or taken it over";

/// Tries once to create the entry.
async fn attempt(store: &Store, key: &Key, ttl: Duration, holder: &Holder) -> Result<Option<Lease>, Error> {
    let begun = Instant::now();
    let expires_at = store.world().now().after(ttl);
    let mut end = Moment::at(expires_at);
    let value = Value::json(serde_json::to_vec(holder).expect("texts and numbers can be written as JSON"))?;
    let taken = match store.set(key, value).expires_at(expires_at).if_absent().await {
        Ok(stamp) => stamp.revision,
        Err(error) if is_conflict(&error) || error.kind() == ErrorKind::OutcomeUnknown => {
            let ours = |entry: &Entry| Holder::of(entry).is_some_and(|there| there.token == holder.token);
            // It may be ours after all: from an attempt that we did not hear back from.
            let Some(entry) = store.get(key).await?.filter(ours) else { return Ok(None) };
            end = end.or_before(entry.expires_at.map_or(end, Moment::at));
            entry.revision
        }
        Err(error) => return Err(error),
    };
    let (store, key, token) = (store.clone(), key.clone(), holder.token.clone());
    let renewal = begun + ttl / 3;
    Ok(Some(Lease { store, key, ttl, token, taken, revision: taken, end, renewal, watch: None, trouble: None }))
}

/// Waits until there is no entry at `key`; nothing but its changes and its expiry wakes it.
async fn is_free(store: &Store, key: &Key, watch: &mut Watch) -> Result<(), Error> {
    let mut present = store.get(key).await?;
    while let Some(entry) = present {
        let left = entry.expires_at.map(|at| at.as_millis().saturating_sub(store.world().now().as_millis()));
        let left = left.map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or_default()));
        let expiry = left.and_then(|left| Instant::now().checked_add(left));
        let changed = async {
            match expiry {
                Some(expiry) => timeout_at(expiry, watch.next()).await.ok(),
                None => Some(watch.next().await),
            }
        };
        present = match changed.await {
            // Asked for again: another may have taken it meanwhile.
            None => store.get(key).await?,
            Some(batch) => {
                batch?;
                store.get(key).await?
            }
        };
    }
    Ok(())
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// The lock was not to be had.
async fn held(session: &Session, store: &Store, key: &Key, patience: Patience) -> Failure {
    let by = match store.get(key).await {
        Ok(Some(entry)) => format!("is held by {}", describe(&entry)),
        // Whoever held it has just let go.
        Ok(None) => "was held".to_owned(),
        Err(error) => return error.into(),
    };
    let hint = match patience {
        Patience::None => "without --no-wait it is waited for".to_owned(),
        _ => format!("wait longer, or look at it with `{} get {}`", session.call(), shell(key)),
    };
    Failure::hinted(Error::new(ErrorKind::Conflict, format!("the lock {} {by}", name(key))), hint)
}

fn describe(entry: &Entry) -> String {
    let by = match Holder::of(entry) {
        Some(Holder { host, pid, since, .. }) => format!("process {pid} on {host:?} since {since}"),
        None => "an entry that is no lock of this program".to_owned(),
    };
    match entry.expires_at {
        Some(at) => format!("{by}, until {at} unless it is renewed"),
        None => format!("{by}, which does not expire"),
    }
}

fn name(key: &Key) -> String {
    format!("{:?}", key.as_str())
}

fn is_conflict(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists | ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    async fn taken() -> (Store, Key, Lease) {
        let store = larder::open("memory:").await.expect("opens");
        let key = Key::new("deploy").expect("valid");
        let holder = Holder::this_process(&store);
        let lease = attempt(&store, &key, TTL, &holder).await.expect("answers").expect("it is free");
        (store, key, lease)
    }

    #[tokio::test]
    async fn nobody_renews_or_gives_back_what_is_another_s() {
        let (store, key, mut lease) = taken().await;
        assert!(lease.renew().await.expect("answers"), "it is ours");
        let other = store.set(&key, "another's").await.expect("sets");
        assert!(!lease.renew().await.expect("answers"));
        lease.release().await.expect("answers");
        let there = store.get(&key).await.expect("answers").expect("it is there");
        assert_eq!((there.revision, there.expires_at), (other.revision, None));
    }

    /// The answer to a renewal was lost: our entry has a revision that we do not know.
    #[tokio::test]
    async fn what_is_ours_is_known_by_its_token() {
        let (store, key, mut lease) = taken().await;
        let touched = store.touch(&key, Some(TTL)).await.expect("touches");
        assert!(lease.renew().await.expect("answers"));
        assert!(lease.revision > touched.revision && lease.taken < touched.revision);
        store.touch(&key, Some(TTL)).await.expect("touches");
        lease.release().await.expect("answers");
        assert!(!store.exists(&key).await.expect("answers"));
    }

    /// The answer to the creation was lost: whoever tries again meets himself.
    #[tokio::test]
    async fn who_meets_himself_has_the_lock() {
        let (store, key, first) = taken().await;
        let holder = Holder { token: first.token.clone(), ..Holder::this_process(&store) };
        let again = attempt(&store, &key, TTL, &holder).await.expect("answers").expect("it is ours");
        assert_eq!((again.taken, again.token), (first.taken, first.token));
        assert!(again.end.wall <= first.end.wall, "it ends no later than its entry says");
        let other = Holder::this_process(&store);
        assert!(attempt(&store, &key, TTL, &other).await.expect("answers").is_none());
    }
}
