//! What a child prints, read with a deadline: what never comes fails a test, and does not hang it.

use std::{
    io::{BufRead as _, BufReader, Read},
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

/// After this time a child is taken to hang; it has nothing to do with how fast one is.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// How much of a pipe is read ahead: little, so that what nobody asks for stays in the pipe and fills it.
const READ_BYTES: usize = 1024;

/// The lines of a pipe, each of which is read when it is asked for.
///
/// A thread reads, because a pipe knows no deadline. It waits for the next question in between, not for the next line,
/// so that a pipe nobody reads from is left alone, and closed when it is to be.
pub(crate) struct Lines {
    questions: Sender<()>,
    answers: Receiver<Vec<u8>>,
    reader: JoinHandle<()>,
}

impl Lines {
    pub(crate) fn new(pipe: impl Read + Send + 'static) -> Self {
        let (questions, asked) = channel();
        let (answer, answers) = channel();
        let reader = thread::spawn(move || {
            let mut pipe = BufReader::with_capacity(READ_BYTES, pipe);
            while let Ok(()) = asked.recv() {
                let mut line = Vec::new();
                pipe.read_until(b'\n', &mut line).expect("a pipe can be read");
                if answer.send(line).is_err() {
                    return;
                }
            }
        });
        Self { questions, answers, reader }
    }

    /// The next line with its end; at the end of the pipe without one, and then nothing.
    pub(crate) fn next(&self) -> Vec<u8> {
        self.questions.send(()).expect("the reader waits for questions");
        self.answers.recv_timeout(PATIENCE).expect("the next line comes")
    }

    /// Closes the pipe: when this returns, whoever writes into it is told.
    pub(crate) fn close(self) {
        let Self { questions, reader, .. } = self;
        drop(questions);
        reader.join().expect("the reader does not panic");
    }
}

/// What comes out of a pipe up to its end, read beside the caller.
pub(crate) fn all_of(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        // Who has waited in vain is gone.
        let _ = sender.send(bytes);
    });
    receiver
}
