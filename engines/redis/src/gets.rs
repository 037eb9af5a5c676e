//! Gets, together: what many callers ask for at the same time is one question.
//!
//! Who asks waits in a line. Tasks of our own ask for all who wait, in one `MGET` and so as of one moment: the server reads
//! one command instead of many, and the connection carries one answer. No caller asks for others, because one who never
//! looks again would hold them up.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_channel::oneshot;
use larder_core::{Error, ErrorKind, Result, Revision};

use crate::{error::again, read::SMALL, readers::Readers, runtime};

/// How many questions are under way at once; as many as there are sessions for small ones.
const AT_ONCE: usize = 2;

/// Who waits to be asked for.
#[derive(Debug, Default)]
pub(crate) struct Gets(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    /// How many questions are under way.
    asking: usize,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    keys: Vec<Vec<u8>>,
    answer: oneshot::Sender<Result<Found>>,
}

/// What stood at keys, in the order in which they were named, and the revision at that moment.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) revision: Revision,
    pub(crate) values: Vec<Option<Bytes>>,
}

impl Gets {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // The queue is whole between any two statements, so a panic elsewhere has not broken it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those who are asked for next, together; with none, whoever asked for them does so no more, in the same step.
    fn next(&self) -> Vec<Waiting> {
        let mut queue = self.queue();
        let mut keys = 0;
        let fits = |waiting: &&Waiting| {
            keys += waiting.keys.len();
            keys <= SMALL
        };
        // Nobody waits here with more keys than fit.
        let count = queue.waiting.iter().take_while(fits).count();
        queue.asking -= usize::from(count == 0);
        queue.waiting.drain(..count).collect()
    }
}

/// What stands at `keys`, which are few.
pub(crate) async fn find(readers: &Arc<Readers>, keys: Vec<Vec<u8>>) -> Result<Found> {
    let (answer, answered) = oneshot::channel();
    let begins = {
        let mut queue = readers.gets.queue();
        queue.waiting.push_back(Waiting { keys, answer });
        let begins = queue.asking < AT_ONCE;
        queue.asking += usize::from(begins);
        begins
    };
    if begins {
        let turn = Turn { readers: readers.clone(), ended: false };
        drop(runtime::begin(turn.serve())?);
    }
    answered.await.unwrap_or_else(|_| Err(failed()))
}

/// What stands at `keys`, which are many.
pub(crate) async fn find_alone(readers: &Readers, keys: &[Vec<u8>]) -> Result<Found> {
    ask(readers, false, &[keys]).await.map(|mut found| found.remove(0))
}

/// One who asks for those who wait.
struct Turn {
    readers: Arc<Readers>,
    ended: bool,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // It failed half-way: whoever comes next asks for those who still wait.
        if !self.ended {
            self.readers.gets.queue().asking -= 1;
        }
    }
}

impl Turn {
    /// Asks for those who wait until nobody does.
    async fn serve(mut self) {
        loop {
            let readers = &self.readers;
            let waiting = readers.gets.next();
            if waiting.is_empty() {
                self.ended = true;
                return;
            }
            let keys: Vec<&[Vec<u8>]> = waiting.iter().map(|one| &*one.keys).collect();
            match ask(readers, true, &keys).await {
                Ok(found) => {
                    for (one, found) in waiting.into_iter().zip(found) {
                        // The caller may have gone.
                        let _ = one.answer.send(Ok(found));
                    }
                }
                Err(error) => {
                    // Where the server is away, nobody waits in turn for what is the same for all.
                    let away = error.kind() == ErrorKind::Unavailable;
                    let rest = if away { std::mem::take(&mut readers.gets.queue().waiting) } else { VecDeque::new() };
                    for one in waiting.into_iter().chain(rest) {
                        let _ = one.answer.send(Err(again(&error)));
                    }
                }
            }
        }
    }
}

/// Asks for the keys of several, in one question.
async fn ask(readers: &Readers, small: bool, all: &[&[Vec<u8>]]) -> Result<Vec<Found>> {
    let mut command = redis::cmd("MGET");
    command.arg(readers.state());
    for key in all.iter().copied().flatten() {
        command.arg(key);
    }
    let mut answers = readers.ask(small, command).await?;
    let revision = readers.keeper.revision(answers.bytes()?.as_deref())?;
    let mut found = |keys: &&[Vec<u8>]| {
        let values = keys.iter().map(|_| answers.bytes()).collect::<Result<_>>()?;
        Ok(Found { revision, values })
    };
    all.iter().map(&mut found).collect()
}

fn failed() -> Error {
    Error::new(ErrorKind::Internal, "the task that reads failed").engine("redis")
}
