//! What has happened in ranges that commits say are unchanged.
//!
//! It takes further questions, which are of the same moment as everything else as long as the state is the same.

use larder_core::{Address, Range, Revision, Timestamp};

use crate::{
    error::Attempt,
    group::Past,
    head::Head,
    layout::{self, Place, address_like, bounds},
    line::Line,
    log::{Floors, PAGE_ROWS},
    session::{Answers, Call, Session},
};

/// A question about the past of a range.
pub(crate) struct Unchanged<'a> {
    pub(crate) commit: usize,
    pub(crate) check: usize,
    pub(crate) range: &'a Range,
    pub(crate) since: Revision,
    pub(crate) earlier: Timestamp,
    pub(crate) later: Timestamp,
}

/// Looks at the past as of one state.
pub(crate) struct Eye<'a> {
    pub(crate) session: &'a Session,
    pub(crate) state: &'a [u8],
}

impl Eye<'_> {
    /// What a function answers; `None` when the state is no longer the same.
    async fn ask(&self, call: Call) -> Attempt<Option<Answers>> {
        let mut answers = self.session.ask(&call).await?;
        let same = answers.some_bytes()? == self.state;
        Ok(same.then_some(answers))
    }

    pub(crate) async fn past(&self, one: &Unchanged<'_>, head: &Head, floors: &Floors) -> Attempt<Option<Past>> {
        let oldest = floors.oldest_of(head.oldest, std::slice::from_ref(one.range));
        // Where the answer is clear without looking, nobody looks.
        if one.range.is_empty() || one.since < oldest {
            return Ok(Some(Past::default()));
        }
        // Those before it in the group may yet make the revision that it names.
        let changed = match one.since >= head.revision {
            true => None,
            false => match self.changed(one.range, one.since).await? {
                Some(changed) => changed,
                None => return Ok(None),
            },
        };
        let Some(expiring) = self.expiring(one).await? else { return Ok(None) };
        Ok(Some(Past { changed, expiring }))
    }

    /// The first revision after `since` that changed something in `range`.
    async fn changed(&self, range: &Range, since: Revision) -> Attempt<Option<Option<Revision>>> {
        let (from, to) = bounds(range);
        let (log_from, log_to) = (layout::after(since), b"+".to_vec());
        if range.is_one_key() {
            let member = &from[1..];
            let first = layout::row(member, Place { revision: since.next(), ordinal: 0 });
            let from = [b"[", &*first].concat();
            return self.in_history(from, &to, since, 1).await;
        }
        let call = self.session.function("measure").arg(&log_from).arg(&log_to).arg(&from).arg(&to);
        let Some(mut counts) = self.ask(call).await? else { return Ok(None) };
        let (in_log, in_history) = (counts.number()?, counts.number()?);
        match in_log <= in_history {
            true => self.in_log(log_from, &(from, to)).await,
            false => self.in_history(from, &to, since, PAGE_ROWS).await,
        }
    }

    async fn in_log(&self, mut log_from: Vec<u8>, (from, to): &(Vec<u8>, Vec<u8>)) -> Attempt<Option<Option<Revision>>> {
        loop {
            let call = self.session.function("records").arg(&log_from).arg("+").flag(false).number(PAGE_ROWS);
            let Some(mut answers) = self.ask(call).await? else { return Ok(None) };
            answers.list()?;
            let rows = answers.list()?.all_bytes()?;
            for row in &rows {
                let line = Line::read(row)?;
                if line.member >= &from[1..] && (to == b"+" || line.member < &to[1..]) {
                    return Ok(Some(Some(line.place.revision)));
                }
            }
            match rows.last().filter(|_| rows.len() >= PAGE_ROWS) {
                Some(last) => log_from = [b"(", &**last].concat(),
                None => return Ok(Some(None)),
            }
        }
    }

    async fn in_history(
        &self,
        mut from: Vec<u8>,
        to: &[u8],
        since: Revision,
        limit: usize,
    ) -> Attempt<Option<Option<Revision>>> {
        let mut first: Option<Revision> = None;
        loop {
            let call = self.session.function("history").arg(&from).arg(to).flag(false).number(limit);
            let Some(mut answers) = self.ask(call).await? else { return Ok(None) };
            answers.list()?;
            let rows = answers.list()?.all_bytes()?;
            for row in &rows {
                let (_, Place { revision, .. }) = layout::read_row(row)?;
                if revision > since && first.is_none_or(|first| revision < first) {
                    first = Some(revision);
                }
            }
            match rows.last().filter(|_| rows.len() >= limit && limit > 1) {
                Some(last) => from = [b"(", &**last].concat(),
                None => return Ok(Some(first)),
            }
        }
    }

    /// The addresses of a range that expire between the two moments.
    async fn expiring(&self, one: &Unchanged<'_>) -> Attempt<Option<Vec<Address>>> {
        let (mut found, mut passed, mut namespace) = (Vec::new(), 0, None);
        if one.earlier >= one.later {
            return Ok(Some(found));
        }
        loop {
            let call = self.session.function("expiring").arg(format!("({}", one.earlier.as_millis()));
            let call = call.number(one.later.as_millis()).number(passed).number(PAGE_ROWS);
            let Some(mut answers) = self.ask(call).await? else { return Ok(None) };
            let members = answers.list()?.all_bytes()?;
            passed += members.len();
            for member in &members {
                let address = address_like(member, &mut namespace)?;
                if one.range.contains(&address) {
                    found.push(address);
                }
            }
            if members.len() < PAGE_ROWS {
                return Ok(Some(found));
            }
        }
    }
}
