//! Which moment: `--as-of`, and what else names one of the past.

use std::{str::FromStr, time::Duration};

use clap::Args;
use larder::{
    Answer, AsOf, Entry, Error, ErrorKind, Hits, Key, Pages, Question, Result, Revision, Search, Select, Store, Timestamp,
    View,
};

use super::read::absent;
use crate::{failure::Failure, input, session::Session};

/// How help calls a moment.
pub(crate) const MOMENT: &str = "REVISION|TIME";

/// A moment of the past as it was typed: `1234`, `2030-01-31T12:00:00Z`, or `10m` and `2h ago`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Past {
    Revision(Revision),
    Time(Timestamp),
    Ago(Duration),
}

impl FromStr for Past {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(revision) = text.parse() {
            return Ok(Self::Revision(Revision::new(revision)));
        }
        if let Ok(time) = input::moment(text) {
            return Ok(Self::Time(time));
        }
        let span = text.strip_suffix("ago").unwrap_or(text).trim_end();
        humantime::parse_duration(span).map(Self::Ago).map_err(|_| {
            Error::invalid(format!(
                "{text:?} is no moment; write a revision as in 1234, a time as in 2030-01-31T12:00:00Z, or how long ago as in \
                 10m or '2h ago'"
            ))
        })
    }
}

impl Past {
    /// What the store, bound to its namespace, was then.
    pub(crate) async fn view(self, store: &Store) -> Result<View, Failure> {
        let moment = match self {
            Self::Revision(revision) => AsOf::Revision(revision),
            Self::Time(time) => AsOf::Time(time),
            Self::Ago(span) => AsOf::Time(store.world().now().before(span)),
        };
        match store.view_at(moment).await {
            Ok(view) => Ok(view),
            Err(error) => Err(not_seen(store, error).await),
        }
    }
}

/// Says how far back can be seen, in words that can be typed.
async fn not_seen(store: &Store, error: Error) -> Failure {
    let Some(oldest) = error.oldest() else {
        return match error.kind() {
            ErrorKind::Trimmed | ErrorKind::Invalid => {
                Failure::hinted(error, "what is there now is seen without naming a moment")
            }
            _ => error.into(),
        };
    };
    let at = store.view_at(oldest).await.map_or_else(|_| String::new(), |view| format!(", or {}", view.time()));
    Failure::hinted(error, format!("the furthest back that can be seen is revision {oldest}{at}"))
}

/// The moment of a command that reads.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct AsOfArgument {
    /// As it was then, as far as the log reaches back: a revision (1234), a time (2030-01-31T12:00:00Z), or how long ago
    /// (10m, '2h ago')
    #[arg(long, value_name = MOMENT)]
    as_of: Option<Past>,
}

impl AsOfArgument {
    pub(crate) async fn of(self, store: Store) -> Result<Sight, Failure> {
        let view = match self.as_of {
            Some(past) => Some(past.view(&store).await?),
            None => None,
        };
        Ok(Sight { past: self.as_of, store, view })
    }
}

/// A namespace as it is, or as it was.
#[derive(Debug)]
pub(crate) struct Sight {
    past: Option<Past>,
    store: Store,
    view: Option<View>,
}

impl Sight {
    pub(crate) async fn get(&self, key: &Key) -> Result<Option<Entry>> {
        match &self.view {
            Some(view) => view.get(key).await,
            None => self.store.get(key).await,
        }
    }

    pub(crate) async fn count(&self, select: Select) -> Result<u64> {
        match &self.view {
            Some(view) => view.count(select).await,
            None => self.store.count(select).await,
        }
    }

    pub(crate) async fn ask(&self, question: Question) -> Result<Answer> {
        match &self.view {
            Some(view) => view.ask(question).await,
            None => self.store.ask(question).await,
        }
    }

    pub(crate) async fn search(&self, search: &Search) -> Result<Hits<Entry>> {
        match &self.view {
            Some(view) => view.search(search).await,
            None => self.store.search(search).await,
        }
    }

    pub(crate) fn pages(&self, select: Select) -> Pages<'_> {
        match &self.view {
            Some(view) => view.pages(select),
            None => self.store.pages(select),
        }
    }

    /// One moment for all that follows: that of the past, or the present.
    pub(crate) async fn view(&self) -> Result<View> {
        match &self.view {
            Some(view) => Ok(view.clone()),
            None => self.store.view().await,
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The failure of a command that needs `key` to be there.
    pub(crate) fn absent(&self, session: &Session, key: &Key) -> Failure {
        let namespace = self.store.namespace();
        let Some(view) = &self.view else { return absent(session, namespace, key) };
        let (revision, at) = (view.revision(), view.time());
        let message = format!("there was no key {key:?} in namespace {namespace:?} at revision {revision}, {at}");
        let error = Error::new(ErrorKind::NotFound, message);
        let moment = match self.past {
            Some(Past::Revision(revision)) => revision.to_string(),
            _ => at.to_string(),
        };
        Failure::hinted(error, format!("`{} list --as-of {moment}` shows what was there", session.call()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_revision_a_time_or_a_span() {
        let span = |seconds| Ok(Past::Ago(Duration::from_secs(seconds)));
        for (text, expected) in [
            ("0", Ok(Past::Revision(Revision::ZERO))),
            ("1234", Ok(Past::Revision(Revision::new(1234)))),
            ("1970-01-01T00:00:00Z", Ok(Past::Time(Timestamp::EPOCH))),
            ("10m", span(600)),
            ("2h ago", span(7200)),
            ("1h30mago", span(5400)),
            ("0s", span(0)),
            ("", Err(ErrorKind::Invalid)),
            ("ago", Err(ErrorKind::Invalid)),
            ("-5", Err(ErrorKind::Invalid)),
            ("yesterday", Err(ErrorKind::Invalid)),
            ("2030-01-31", Err(ErrorKind::Invalid)),
            ("18446744073709551616", Err(ErrorKind::Invalid)),
        ] {
            assert_eq!(text.parse::<Past>().map_err(|error| error.kind()), expected, "{text:?}");
        }
    }
}
