//! Leader election: of any number of candidates at most one leads, and when it is gone another does.
//!
//! The lead is an entry that expires. Who creates it leads; who leads writes its expiry anew, on condition that nobody
//! else has written it since. Run it in several shells, and kill the one that leads:
//!
//! ```console
//! $ cargo run --package larder --example leader_election -- sqlite:./election.db
//! ```

use std::time::Duration;

use larder::{Condition, ErrorKind, ExpiryChange, MetadataChange, Result, Revision, Store, Timestamp};

const KEY: &str = "leader";
/// How long the lead lasts when its holder falls silent.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// Somebody who would like to lead.
pub(crate) struct Candidate {
    store: Store,
    name: String,
    lead: Option<Lead>,
}

/// The lead, in the hands of one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lead {
    /// When it began: larger than that of every leader before. What is outside of the store can refuse those who come with
    /// less than it has seen.
    pub(crate) term: Revision,
    /// When it ends, unless it is renewed before.
    pub(crate) until: Timestamp,
    /// When its entry was written last.
    revision: Revision,
}

impl Candidate {
    pub(crate) fn new(store: &Store, name: impl Into<String>) -> Self {
        Self { store: store.clone(), name: name.into(), lead: None }
    }

    /// Takes the lead if nobody has it, and keeps it if we have; `None` is for somebody else's.
    ///
    /// After an error nobody knows; as long as the last lead has not ended it is ours all the same.
    pub(crate) async fn campaign(&mut self) -> Result<Option<Lead>> {
        // Before anything is sent, so that it ends for us no later than for the others.
        let until = self.store.world().now().after(LEASE);
        let written = match self.lead {
            None => {
                let set = self.store.set(KEY, self.name.as_str()).expires_at(until).if_absent();
                set.await.map(|stamp| Lead { term: stamp.revision, until, revision: stamp.revision })
            }
            Some(lead) => {
                // A plain `touch` would prolong the lead of whoever has it by now.
                let touch = self.store.commit().check(KEY, Condition::Revision(lead.revision)).annotate(
                    KEY,
                    MetadataChange::Keep,
                    ExpiryChange::Set(Some(until)),
                );
                touch.await.map(|receipt| Lead { until, revision: receipt.revision, ..lead })
            }
        };
        self.lead = match written {
            Ok(lead) => Some(lead),
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => None,
            Err(error) => return Err(error),
        };
        Ok(self.lead)
    }

    /// Writes as the leader: in one commit with the check that we still are. Who has been replaced without knowing changes
    /// nothing, whatever the clocks say.
    pub(crate) async fn write(&self, key: &str, value: &str) -> Result<()> {
        let revision = self.lead.map_or(Revision::ZERO, |lead| lead.revision);
        self.store.commit().check(KEY, Condition::Revision(revision)).set(key, value).await.map(drop)
    }

    /// Lets go of the lead, so that nobody has to wait for its end.
    pub(crate) async fn resign(&mut self) -> Result<()> {
        let Some(lead) = self.lead.take() else { return Ok(()) };
        match self.store.commit().check(KEY, Condition::Revision(lead.revision)).delete(KEY).await {
            // It was somebody else's already.
            Err(error) if error.kind() != ErrorKind::Conflict => Err(error),
            _ => Ok(()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "sqlite:./election.db".to_owned());
    let store = larder::open(&url).await?;
    let name = format!("process {}", std::process::id());
    let mut candidate = Candidate::new(&store, &name);
    let mut watch = store.watch_key(KEY).start().await?;
    println!("{name} is a candidate; Ctrl-C resigns");
    loop {
        match candidate.campaign().await? {
            Some(lead) => {
                candidate.write("last word", &name).await?;
                println!("{name} leads in term {} until {}", lead.term, lead.until);
            }
            None => println!("somebody else leads"),
        }
        // Renewed three times as often as it has to be; a lead that is given up is noticed at once.
        tokio::select! {
            () = tokio::time::sleep(LEASE / 3) => {}
            news = watch.next(), if candidate.lead.is_none() => drop(news?),
            _ = tokio::signal::ctrl_c() => {
                candidate.resign().await?;
                return store.close().await;
            }
        }
    }
}
