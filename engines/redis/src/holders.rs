//! Who has a term in an index, as far as it was asked.
//!
//! What a group of commits claims shows only when it is decided. So it is decided with what is known, and where something was
//! missing, that is asked and all is decided again.

use std::collections::{HashMap, HashSet};

use larder_core::{
    Key, Namespace, Result, Timestamp,
    index::{Holder, IndexId, IndexStatus, Term},
};

use crate::{error::Attempt, kept::number, row, session::Session};

/// A term in an index of this namespace.
type Asked = (Namespace, IndexId, Term);

/// What is stored, known or still to be asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holders {
    known: HashMap<(IndexId, Term), Vec<Holder>>,
    missing: HashSet<Asked>,
}

impl Holders {
    /// Who has `term`; when that is not known, nobody, and it is to be asked.
    pub(crate) fn of(&mut self, status: &IndexStatus, term: &Term) -> Vec<Holder> {
        match self.known.get(&(status.id, term.clone())) {
            Some(holders) => holders.clone(),
            None => {
                self.missing.insert((status.namespace.clone(), status.id, term.clone()));
                Vec::new()
            }
        }
    }

    /// What was missing so far.
    pub(crate) fn missing(&mut self) -> HashSet<Asked> {
        std::mem::take(&mut self.missing)
    }

    /// Asks for what was `missing`. `false` when the state is no longer `state`.
    pub(crate) async fn learn(&mut self, session: &Session, state: &[u8], missing: HashSet<Asked>) -> Attempt<bool> {
        let missing: Vec<Asked> = missing.into_iter().collect();
        let mut call = session.function("holders");
        for (namespace, id, term) in &missing {
            call = call.arg(number(*id)).arg(namespace.as_str()).arg(row::beginning(term.as_bytes()));
        }
        let mut answers = session.ask(&call).await?;
        if answers.some_bytes()? != state {
            return Ok(false);
        }
        let mut found = answers.list()?;
        for (_, id, term) in missing {
            let mut held = found.list()?;
            let mut holders = Vec::with_capacity(held.len() / 2);
            while held.len() > 0 {
                let key = row::key(&held.some_bytes()?)?;
                holders.push(Holder { key, expires_at: moment(held.bytes()?)? });
            }
            self.known.insert((id, term), holders);
        }
        Ok(true)
    }
}

/// A moment as it stands in a sorted set.
fn moment(score: Option<bytes::Bytes>) -> Result<Option<Timestamp>> {
    let read = |score: &[u8]| std::str::from_utf8(score).ok()?.parse().ok();
    let odd = || crate::error::corrupt("when an entry expires cannot be read");
    score.map(|score| read(&score).map(Timestamp::from_millis_saturating).ok_or_else(odd)).transpose()
}

/// Who has `term` when `holders` had it and `rows` were changed since; `expires_at` tells of a key when that was changed, too.
pub(crate) fn now<'a>(
    mut holders: Vec<Holder>,
    rows: impl Iterator<Item = (&'a [u8], bool)>,
    expires_at: impl Fn(&Key) -> Option<Option<Timestamp>>,
) -> Result<Vec<Holder>> {
    for (key, is_there) in rows {
        let key = row::key(key)?;
        holders.retain(|holder| holder.key != key);
        if is_there {
            holders.push(Holder { key, expires_at: None });
        }
    }
    for holder in &mut holders {
        if let Some(changed) = expires_at(&holder.key) {
            holder.expires_at = changed;
        }
    }
    Ok(holders)
}
