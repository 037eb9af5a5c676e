//! What has expired and was not swept up yet, page by page: there may be any amount of it, and the server does nothing else
//! while it counts.

use bytes::Bytes;
use larder_core::{Address, Range, Result, Timestamp};

use crate::{head::Head, log::PAGE_ROWS, read::addresses, readers::Readers};

/// How much larger pages become when somebody has come between two of them.
const GROWTH: usize = 4;

/// How large pages are.
///
/// All of them have to be of one state. Where others commit all the time, pages grow until what there is fits into few of
/// them, in the end into one.
pub(crate) struct Pages {
    rows: usize,
}

/// Some of what has expired.
pub(crate) struct Page {
    pub(crate) addresses: Vec<Address>,
    /// What their entries take, but for their keys.
    pub(crate) bytes: u64,
}

impl Default for Pages {
    fn default() -> Self {
        Self { rows: PAGE_ROWS }
    }
}

impl Page {
    /// How many are in `range`.
    pub(crate) fn of(&self, range: &Range) -> u64 {
        self.addresses.iter().filter(|address| range.contains(address)).count() as u64
    }
}

impl Pages {
    /// Shows every page as of `state`, or of what the first of them finds; `None` when there was another state in between.
    pub(crate) async fn each(
        &mut self,
        readers: &Readers,
        state: &mut Option<Bytes>,
        now: Timestamp,
        mut show: impl FnMut(Page) + Send,
    ) -> Result<Option<Head>> {
        let mut passed = 0;
        loop {
            let call = readers.function("stale").number(now.as_millis()).number(passed).number(self.rows);
            let mut answers = readers.ask(false, call).await?;
            let found = answers.some_bytes()?;
            let head = readers.keeper.head(Some(&found))?;
            if state.get_or_insert_with(|| found.clone()) != &found {
                self.rows = self.rows.saturating_mul(GROWTH);
                return Ok(None);
            }
            let (expired, bytes, addresses) = (answers.number()?, answers.number()?, addresses(answers.list()?)?);
            passed += addresses.len() as u64;
            let ended = passed >= expired || addresses.is_empty();
            show(Page { addresses, bytes });
            if ended {
                return Ok(Some(head));
            }
        }
    }
}
