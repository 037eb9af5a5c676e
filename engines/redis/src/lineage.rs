//! Lineage: noticing when the past of a store may be another than it was.
//!
//! A server that ends may take commits with it: those that it acknowledged before they were synced, when it crashes, and
//! those that no replica had yet, when a replica is promoted in its place. So the state names the life of the server in
//! which it was last written, and whether that life could take something with it; who connects in another life draws a new
//! lineage before anything is read or committed in it.

use larder_core::{Lineage, Result};

use crate::{error::Attempt, head::Head, session::Session};

/// A life of the server: from its start, or from its promotion, to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// 40 hex digits that the server draws when a life begins.
    pub(crate) id: String,
    /// It was a replica before, as far as it remembers.
    pub(crate) was_promoted: bool,
    /// What it has acknowledged may end with it: it syncs later, or it has replicas that might be promoted.
    pub(crate) can_lose: bool,
}

/// How many digits of a life become the number of a lineage: JSON's numbers hold so much everywhere.
const DIGITS: usize = 13;

impl Life {
    /// What the state says about the life in which it is written.
    pub(crate) fn mark(&self) -> String {
        format!("{}{}", if self.can_lose { '-' } else { '+' }, self.id)
    }

    /// Whether everything is still there that was acknowledged in the life that `mark` is of.
    fn keeps(&self, mark: &str) -> bool {
        match mark.split_at_checked(1) {
            None => true,
            Some((_, id)) if id == self.id => true,
            Some(("+", _)) => !self.was_promoted,
            Some(_) => false,
        }
    }

    /// The lineage that begins with this life. Whoever notices it draws the same.
    fn lineage(&self) -> Lineage {
        let digits = self.id.get(..DIGITS).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        Lineage::new(digits.unwrap_or(1).max(1))
    }
}

/// Draws a new lineage when what the state tells hangs on another life than the one this session has met.
pub(crate) async fn notice_lost_past(session: &Session, life: &Life) -> Result<()> {
    loop {
        let Some(state) = read_state(session).await? else { return Ok(()) };
        let head = Head::read(&state)?;
        if life.keeps(&head.life) {
            return Ok(());
        }
        let anew = Head { tick: head.tick + 1, lineage: life.lineage(), life: life.mark(), ..head };
        // When somebody was faster, what stands there now is looked at again.
        session.write(session.change(&anew)).await?;
    }
}

/// The bytes of the state, if there is one; it is watched from then on.
pub(crate) async fn read_state(session: &Session) -> Attempt<Option<bytes::Bytes>> {
    // One that is no string is answered as if it were not there, and not as an error.
    let mut trip = session.watch();
    trip.command("MGET").arg(session.state());
    Ok(session.ask_all(&trip).await?.list()?.bytes()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_keeps_what_another_could_not_lose() {
        let life = |id: &str, was_promoted, can_lose| Life { id: id.repeat(40), was_promoted, can_lose };
        let (safe, risky) = (life("a", false, false).mark(), life("a", false, true).mark());
        let kept = |life: Life| [life.keeps(""), life.keeps(&safe), life.keeps(&risky)];
        assert_eq!(kept(life("a", false, true)), [true, true, true], "the same life");
        assert_eq!(kept(life("b", false, false)), [true, true, false], "after a restart");
        assert_eq!(kept(life("b", true, false)), [true, false, false], "after a promotion");
        assert_ne!(life("a", false, false).lineage(), life("b", false, false).lineage());
        assert_ne!(life("0", false, false).lineage(), Lineage::ZERO);
    }
}
