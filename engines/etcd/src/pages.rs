//! Batches that are larger than a request may be.
//!
//! They are written down first, in pages that nobody reads. One small transaction, which is the one that decides, then says
//! that they are to be done, and replaces the guard. From there on they will be: whoever looks next does them before looking,
//! if whoever wrote them has not done so already. Doing a page twice is fine, and once all are done none is any more.

use bytes::Bytes;
use larder_core::{Error, ErrorKind, Result};
use larder_ordered::Applied;
use prost::Message as _;

use crate::{
    client::{Client, PAGE, RANGE, READ, WRITE},
    error::{Attempt, So, odd},
    message::{
        Compare, DeleteRequest, KeyValue, PutRequest, RangeRequest, RangeResponse, Request, RequestOp, TxnRequest,
        TxnResponse,
    },
    nest::{OPERATIONS_MAX, nest},
};

/// What a request may take; a cluster takes 1.5 MiB unless it was told otherwise, with what it adds itself.
pub(crate) const REQUEST_BYTES_MAX: usize = 1_500_000;

/// What is kept free in a request for conditions and what is around them.
const AROUND: usize = 4096;

/// Where pages stand, and what says that they are to be done.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    due: Bytes,
    pages: Bytes,
    end: Bytes,
}

impl Pages {
    /// Those of a prefix: beside the keys of the map, which all have something behind the NUL.
    pub(crate) fn new(prefix: &[u8]) -> Self {
        let [due, pages, end] = [0, 1, 2].map(|last| [prefix, &[last]].concat().into());
        Self { due, pages, end }
    }

    /// Reads whether there are pages to be done.
    pub(crate) fn look(&self) -> RangeRequest {
        RangeRequest { key: self.due.clone(), ..RangeRequest::default() }
    }

    fn page(&self, number: usize) -> Bytes {
        let number = u32::try_from(number).expect("a batch has a limit").to_be_bytes();
        [&self.pages[..], &number].concat().into()
    }

    fn put(&self, number: usize, page: Bytes) -> RequestOp {
        Request::Put(PutRequest { key: self.page(number), value: page }).into()
    }

    /// Does all of `operations`, of which the first replaces the guard, if the guard is as `unchanged` says; answers the revision
    /// of the cluster as well.
    pub(crate) async fn apply(
        &self,
        client: &Client,
        unchanged: Compare,
        operations: Vec<RequestOp>,
    ) -> Attempt<(Applied, i64)> {
        let mut parts = divide(operations)?;
        if parts.len() == 1
            && let Some(all) = parts.pop()
        {
            return decide(client, vec![unchanged], all).await;
        }
        let guard = parts.first_mut().map(|first| first.remove(0)).ok_or_else(odd)?;
        let mut conditions = vec![unchanged.clone()];
        for (number, part) in parts.into_iter().enumerate() {
            let page = TxnRequest { success: nest(part), ..TxnRequest::default() }.encode_to_vec();
            // Pages that are due are never overwritten: the guard has changed by then.
            let step = TxnRequest {
                compare: vec![unchanged.clone()],
                success: vec![self.put(number, page.into())],
                failure: Vec::new(),
            };
            let written: TxnResponse = client.ask(PAGE, &step).await?;
            let revision = written.header.ok_or_else(odd)?.revision;
            if !written.succeeded {
                return Ok((Applied::Raced, revision));
            }
            // Somebody else may write theirs down in the same place, until one of us decides.
            conditions.push(Compare::written_at(self.page(number), revision));
        }
        let due = u32::try_from(conditions.len() - 1).expect("a batch has a limit").to_be_bytes();
        let due = Request::Put(PutRequest { key: self.due.clone(), value: Bytes::copy_from_slice(&due) });
        let applied = decide(client, conditions, vec![guard, due.into()]).await?;
        if matches!(applied, (Applied::Done, _)) {
            // It is as good as done. Where this fails, whoever looks next does it.
            let look: Result<RangeResponse, _> = client.ask(RANGE, &self.look()).await;
            if let Some(due) = look.ok().and_then(|mut found| found.pairs.pop()) {
                let _ = self.finish(client, &due).await;
            }
        }
        Ok(applied)
    }

    /// Does the pages that are `due`, if nobody else has done so meanwhile.
    pub(crate) async fn finish(&self, client: &Client, due: &KeyValue) -> Result<()> {
        let still = Compare::written_at(self.due.clone(), due.mod_revision);
        let count = due.value[..].try_into().map(u32::from_be_bytes).map_err(|_| odd())?;
        for number in 0..count as usize {
            let at = RangeRequest { key: self.page(number), ..RangeRequest::default() };
            let found: RangeResponse = client.ask(RANGE, &at).await?;
            let Some(page) = found.pairs.into_iter().next() else {
                // Somebody else has done all of them, or the store is gone.
                return Ok(());
            };
            let page = TxnRequest::decode(page.value).map_err(|_| odd())?;
            let step = TxnRequest { compare: vec![still.clone()], ..page };
            let done: TxnResponse = client.ask(PAGE, &step).await?;
            if !done.succeeded {
                return Ok(());
            }
        }
        let gone = |key: &Bytes, range_end: Bytes| Request::Delete(DeleteRequest { key: key.clone(), range_end }).into();
        let success = vec![gone(&self.due, Bytes::new()), gone(&self.pages, self.end.clone())];
        let _: TxnResponse = client.ask(PAGE, &TxnRequest { compare: vec![still], success, failure: Vec::new() }).await?;
        Ok(())
    }
}

/// Does all of `operations` in one step, if all `conditions` hold.
///
/// The first condition is that of the guard.
async fn decide(client: &Client, conditions: Vec<Compare>, operations: Vec<RequestOp>) -> Attempt<(Applied, i64)> {
    let unchanged = conditions.first().cloned().ok_or_else(odd)?;
    let step = TxnRequest { compare: conditions, success: nest(operations), failure: Vec::new() };
    match client.ask::<_, TxnResponse>(WRITE, &step).await {
        Ok(answer) => {
            let applied = if answer.succeeded { Applied::Done } else { Applied::Raced };
            Ok((applied, answer.header.ok_or_else(odd)?.revision))
        }
        // A cluster that becomes full with a step does it, and answers that it is full. So does one that refuses it.
        Err(failure) if failure.so == So::Full => {
            let look = TxnRequest { compare: vec![unchanged], ..TxnRequest::default() };
            let is_as_it_was = client.ask::<_, TxnResponse>(READ, &look).await.is_ok_and(|answer| answer.succeeded);
            if is_as_it_was { Err(failure) } else { Ok((Applied::Unknown(failure.error), 0)) }
        }
        Err(failure) if failure.so == So::Lost => Ok((Applied::Unknown(failure.error), 0)),
        Err(failure) => Err(failure),
    }
}

/// The operations in parts of which each fits into a request.
fn divide(operations: Vec<RequestOp>) -> Result<Vec<Vec<RequestOp>>> {
    // With the tag and length of the operation, and its share of those of the transactions around it.
    let weight = |operation: &RequestOp| operation.encoded_len() + 16;
    let most = REQUEST_BYTES_MAX - AROUND;
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for operation in operations {
        let own = weight(&operation);
        if own > most {
            let message = format!("{own} bytes of one key do not fit into a request to the cluster, which takes {most}");
            return Err(Error::new(ErrorKind::Limit, message).engine("etcd"));
        }
        if bytes + own > most || part.len() == OPERATIONS_MAX {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += own;
        part.push(operation);
    }
    parts.push(part);
    Ok(parts)
}
