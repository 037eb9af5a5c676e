//! Reading parts of the cluster, all of them as of one revision.

use larder_core::Result;

use crate::{
    client::{Client, RANGE, READ},
    error::{Attempt, So, odd},
    message::{KeyValue, RangeRequest, RangeResponse, Request, Response, TxnRequest, TxnResponse},
    nest::{OPERATIONS_MAX, flatten, nest},
};

/// Reads `ranges` as of `revision`, or else as of the latest one; answers which one that was.
///
/// The latest one is not before anything that was acknowledged when this was called.
pub(crate) async fn read(
    client: &Client,
    ranges: Vec<RangeRequest>,
    revision: Option<i64>,
) -> Result<(i64, Vec<Vec<KeyValue>>)> {
    let mut found = Vec::with_capacity(ranges.len());
    let mut revision = revision;
    for ranges in ranges.chunks(OPERATIONS_MAX) {
        let (at, answers) = read_some(client, ranges.to_vec(), revision).await?;
        found.extend(answers.into_iter().map(|answer| answer.pairs));
        revision = Some(at);
    }
    Ok((revision.unwrap_or_default(), found))
}

/// How many keys there are in each of `ranges` as of `revision`.
pub(crate) async fn count(client: &Client, mut ranges: Vec<RangeRequest>, revision: i64) -> Result<Vec<u64>> {
    ranges.iter_mut().for_each(|range| range.count_only = true);
    let (_, answers) = read_some(client, ranges, Some(revision)).await?;
    Ok(answers.into_iter().map(|answer| answer.count.unsigned_abs()).collect())
}

async fn read_some(
    client: &Client,
    mut ranges: Vec<RangeRequest>,
    revision: Option<i64>,
) -> Result<(i64, Vec<RangeResponse>)> {
    if let Some(revision) = revision {
        // What was is the same at every member that has come so far, so the one that is asked need not ask the others.
        ranges.iter_mut().for_each(|range| (range.revision, range.serializable) = (revision, true));
        match ask(client, ranges.clone()).await {
            Err(failure) if failure.so == So::Behind => {}
            answered => return Ok((revision, answered?.1)),
        }
        ranges.iter_mut().for_each(|range| range.serializable = false);
    }
    let (at, answers) = ask(client, ranges).await?;
    Ok((revision.unwrap_or(at), answers))
}

async fn ask(client: &Client, mut ranges: Vec<RangeRequest>) -> Attempt<(i64, Vec<RangeResponse>)> {
    let asked = ranges.len();
    if asked == 1
        && let Some(range) = ranges.pop()
    {
        let answer: RangeResponse = client.ask(RANGE, &range).await?;
        let revision = answer.header.ok_or_else(odd)?.revision;
        return Ok((revision, vec![answer]));
    }
    let operations = ranges.into_iter().map(|range| Request::Range(range).into()).collect();
    let all = TxnRequest { success: nest(operations), ..TxnRequest::default() };
    let answer: TxnResponse = client.ask(READ, &all).await?;
    let revision = answer.header.ok_or_else(odd)?.revision;
    let ranges = flatten(answer.responses)?.into_iter().map(|response| match response {
        Response::Range(range) => Ok(range),
        Response::Txn(_) => Err(odd()),
    });
    let ranges = ranges.collect::<Result<Vec<_>>>()?;
    if ranges.len() == asked { Ok((revision, ranges)) } else { Err(odd().into()) }
}
