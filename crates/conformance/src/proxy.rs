//! A line to a server that a test disturbs: cut where a commit goes by or anywhere, slow, or silent.
//!
//! Speaks no protocol. It is told by which bytes a request that writes is known, and by which its answer.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

/// What happens to the next commit that comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It does not reach the server.
    Before,
    /// It reaches the server, and its answer does not come back.
    After,
    /// It does not reach the server until it is let go, long after its sender was cut off.
    Hold,
}

/// How commits look on a line.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// What stands in a request that commits.
    pub commit: &'static [u8],
    /// What stands in its answer; nothing is any answer.
    pub answer: &'static [u8],
}

/// A way to a server. It ends with the process.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    server: SocketAddr,
    words: Words,
    state: Mutex<State>,
    /// Whoever waits until the line is not silent any more.
    silence: Condvar,
}

#[derive(Debug, Default)]
struct State {
    cut: Option<Cut>,
    /// Whether nobody gets through any more once that has happened.
    then_down: bool,
    down: bool,
    silent: bool,
    delay: Duration,
    commits: u64,
    ends: Vec<TcpStream>,
    held: Option<(Vec<u8>, TcpStream, Receiver<Vec<u8>>)>,
}

impl Proxy {
    /// A way to the server at `port` of this machine.
    ///
    /// # Panics
    /// When the machine has no port left.
    pub fn before(port: u16, words: Words) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let own = listener.local_addr().expect("it listens").port();
        let server = SocketAddr::from(([127, 0, 0, 1], port));
        let line = Arc::new(Line { server, words, state: Mutex::default(), silence: Condvar::new() });
        let shared = line.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(shared.server) else { continue };
                let line = shared.clone();
                if !line.state().down {
                    thread::spawn(move || line.carry(client, server));
                }
            }
        });
        Self { port: own, line }
    }

    /// Where it begins.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts the line at the next commit; whether nobody gets through any more after that until it is mended.
    pub fn cut(&self, cut: Cut, then_down: bool) {
        let mut state = self.line.state();
        (state.cut, state.then_down, state.down) = (Some(cut), then_down, false);
    }

    /// Whether the cut has happened.
    pub fn has_cut(&self) -> bool {
        self.line.state().cut.is_none()
    }

    /// How many commits have come by so far, whatever became of them.
    pub fn commits(&self) -> u64 {
        self.line.state().commits
    }

    /// Lets everybody through again, at once.
    pub fn mend(&self) {
        let mut state = self.line.state();
        (state.cut, state.down, state.silent, state.delay) = (None, false, false, Duration::ZERO);
        self.line.silence.notify_all();
    }

    /// Cuts every connection that there is.
    pub fn reset(&self) {
        for end in std::mem::take(&mut self.line.state().ends) {
            // It may have ended by itself.
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// Says nothing any more, to nobody, and keeps what it is told for later.
    pub fn fall_silent(&self) {
        self.line.state().silent = true;
    }

    /// Takes so much time for everything that goes by.
    pub fn delay(&self, delay: Duration) {
        self.line.state().delay = delay;
    }

    /// Lets what was held arrive, and waits for what the server answers.
    ///
    /// # Panics
    /// When nothing was held, or the server does not answer.
    pub fn let_go(&self) -> Vec<u8> {
        let (held, mut server, answer) = self.line.state().held.take().expect("something was held");
        server.write_all(&held).expect("the server takes it");
        answer.recv_timeout(Duration::from_secs(60)).expect("the server answers")
    }
}

/// Whether `word` stands in what went by, also where it was cut in two.
#[derive(Default)]
struct Ear(Vec<u8>);

impl Ear {
    fn hears(&mut self, said: &[u8], word: &[u8]) -> bool {
        self.0.extend_from_slice(said);
        let heard = word.is_empty() || self.0.windows(word.len()).any(|window| window == word);
        let kept = if heard { 0 } else { word.len().saturating_sub(1) };
        self.0.drain(..self.0.len().saturating_sub(kept));
        heard
    }
}

fn copy(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a socket has another handle")
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as the line is slow, or silent.
    fn pass(&self) {
        let state = self.state();
        let delay = state.delay;
        drop(self.silence.wait_while(state, |state| state.silent));
        if !delay.is_zero() {
            thread::sleep(delay);
        }
    }

    /// Carries what the client says, and cuts the line where it is to be cut.
    fn carry(self: Arc<Self>, mut client: TcpStream, mut server: TcpStream) {
        self.state().ends.extend([copy(&client), copy(&server)]);
        let quiet = Arc::new(AtomicBool::new(false));
        let (swallowed, answer) = channel();
        let back = {
            let (line, quiet) = (self.clone(), quiet.clone());
            let (answers, to) = (copy(&server), copy(&client));
            thread::spawn(move || line.carry_back(answers, to, &quiet, &swallowed))
        };
        let (mut buffer, mut ear) = (vec![0; 1 << 20], Ear::default());
        while let Ok(length @ 1..) = client.read(&mut buffer) {
            let said = &buffer[..length];
            self.pass();
            let commits = ear.hears(said, self.words.commit);
            let mut now = self.state();
            now.commits += u64::from(commits);
            if commits && let Some(cut) = now.cut.take() {
                now.down = now.then_down;
                match cut {
                    Cut::After => {
                        drop(now);
                        quiet.store(true, Ordering::SeqCst);
                        server.write_all(said).expect("the server takes it");
                        let _ = back.join();
                        return;
                    }
                    Cut::Hold => {
                        quiet.store(true, Ordering::SeqCst);
                        now.held = Some((said.to_vec(), copy(&server), answer));
                        let _ = client.shutdown(Shutdown::Both);
                        return;
                    }
                    Cut::Before => break,
                }
            }
            drop(now);
            if server.write_all(said).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
    }

    /// Carries what the server answers, until an answer is to be lost.
    fn carry_back(&self, mut server: TcpStream, mut client: TcpStream, quiet: &AtomicBool, swallowed: &Sender<Vec<u8>>) {
        let (mut buffer, mut ear) = (vec![0; 1 << 16], Ear::default());
        while let Ok(length @ 1..) = server.read(&mut buffer) {
            if quiet.load(Ordering::SeqCst) {
                // Whoever waits for the answer hears that the line was cut, once the server has said all of it.
                if ear.hears(&buffer[..length], self.words.answer) {
                    let _ = swallowed.send(buffer[..length].to_vec());
                    break;
                }
                continue;
            }
            self.pass();
            if client.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_heard_once_wherever_it_is_cut() {
        let heard = |said: &[&str]| {
            let mut ear = Ear::default();
            said.iter().filter(|said| ear.hears(said.as_bytes(), b"COMMIT")).count()
        };
        assert_eq!(heard(&["xCOMMITx", "x"]), 1);
        assert_eq!(heard(&["xCO", "MMIT", "COMM", "I", "T"]), 2);
        assert_eq!(heard(&["COMM", "xIT"]), 0);
    }
}
