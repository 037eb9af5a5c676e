//! Readers: what many callers want to know at the same time is one question.
//!
//! While some questions are on their way, whoever asks next waits for those who ask after them; all of it is then asked in one
//! transaction, and is as of one revision, which is not before anything that was acknowledged when any of them asked.

use std::sync::Arc;

use larder_core::{Error, Result};
use tokio::sync::{
    Semaphore,
    mpsc::{Receiver, Sender, channel, error::TryRecvError},
    oneshot,
};

use crate::{
    client::Client,
    error::unavailable,
    message::{KeyValue, RangeRequest},
    pages::Pages,
    read::read,
    runtime,
};

/// How many questions are on their way at most.
const QUESTIONS: usize = 4;
/// How many ranges are asked for in one question, unless a single caller wants more.
const RANGES: usize = 256;
/// How many callers wait in the line; more of them wait for a place in it.
const LINE: usize = 1024;

/// Ranges, each with what is in it, and the revision at which it is.
type Found = (i64, Vec<Vec<KeyValue>>);

/// Somebody who wants to know something as of now.
struct Asked {
    ranges: Vec<RangeRequest>,
    answer: oneshot::Sender<Result<Found>>,
}

/// Where questions are asked that are about the present.
#[derive(Debug)]
pub(crate) struct Readers {
    line: Sender<Asked>,
}

impl Readers {
    pub(crate) fn start(client: Arc<Client>, pages: Pages) -> Result<Self> {
        let (line, asked) = channel(LINE);
        runtime::begin(serve(client, pages, asked))?;
        Ok(Self { line })
    }

    /// Reads `ranges` as of now, and says which revision that is.
    pub(crate) async fn ask(&self, ranges: Vec<RangeRequest>) -> Result<Found> {
        let (answer, answered) = oneshot::channel();
        let gone = || unavailable("the task that reads has ended");
        self.line.send(Asked { ranges, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Asks for all who wait, until nobody can ask any more.
async fn serve(client: Arc<Client>, pages: Pages, mut line: Receiver<Asked>) {
    let ways = Arc::new(Semaphore::new(QUESTIONS));
    let mut next = None;
    loop {
        let Ok(way) = ways.clone().acquire_owned().await else { return };
        let first = match next.take() {
            Some(asked) => asked,
            None => match line.recv().await {
                Some(asked) => asked,
                None => return,
            },
        };
        let mut count = first.ranges.len();
        let mut together = vec![first];
        loop {
            match line.try_recv() {
                Ok(asked) if count + asked.ranges.len() > RANGES => {
                    next = Some(asked);
                    break;
                }
                Ok(asked) => {
                    count += asked.ranges.len();
                    together.push(asked);
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        let (client, pages) = (client.clone(), pages.clone());
        tokio::spawn(async move {
            answer(&client, &pages, together).await;
            drop(way);
        });
    }
}

async fn answer(client: &Client, pages: &Pages, together: Vec<Asked>) {
    let ranges = together.iter().flat_map(|asked| asked.ranges.iter().cloned()).collect();
    match look(client, pages, ranges).await {
        Ok((revision, found)) => {
            let mut found = found.into_iter();
            for asked in together {
                let own = found.by_ref().take(asked.ranges.len()).collect();
                // Whoever has gone does not want to know any more.
                let _ = asked.answer.send(Ok((revision, own)));
            }
        }
        Err(error) => {
            for asked in together {
                let _ = asked.answer.send(Err(Error::new(error.kind(), error.message()).engine("etcd")));
            }
        }
    }
}

/// Reads `ranges` as of the latest revision at which nothing is left to be done.
async fn look(client: &Client, pages: &Pages, mut ranges: Vec<RangeRequest>) -> Result<Found> {
    ranges.push(pages.look());
    loop {
        let (revision, mut found) = read(client, ranges.clone(), None).await?;
        let Some(due) = found.pop().and_then(|mut due| due.pop()) else { return Ok((revision, found)) };
        // What somebody has decided to do is done before anybody sees a part of it.
        pages.finish(client, &due).await?;
    }
}
