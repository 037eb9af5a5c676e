//! A proxy before a server that cuts the line where a test wants it cut.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

/// What happens to the next commit that comes by; after it everything goes through again, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It does not reach the server.
    Before,
    /// It reaches the server, and its answer does not come back.
    After,
    /// It does not reach the server until it is let go, long after its sender was cut off.
    Hold,
}

#[derive(Debug, Default)]
struct State {
    cut: Option<Cut>,
    /// Whether nobody gets through any more once that has happened.
    then_down: bool,
    down: bool,
    held: Option<(Vec<u8>, TcpStream, Receiver<Vec<u8>>)>,
}

/// A way to a server.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

/// What is in every commit that may be cut; nothing on the line is encrypted or compressed.
const WRITING: &[u8] = b"cut here";

impl Proxy {
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        // It ends with the process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                if lock(&shared).down {
                    continue;
                }
                let shared = shared.clone();
                thread::spawn(move || forth(client, server, &shared));
            }
        });
        Self { port, state }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts the line at the next commit.
    pub(crate) fn cut(&self, cut: Cut, then_down: bool) {
        *lock(&self.state) = State { cut: Some(cut), then_down, ..State::default() };
    }

    /// Whether the cut has happened.
    pub(crate) fn has_cut(&self) -> bool {
        lock(&self.state).cut.is_none()
    }

    /// Lets everybody through again.
    pub(crate) fn mend(&self) {
        lock(&self.state).down = false;
    }

    /// Lets what was held arrive, and waits for what the server answers.
    pub(crate) fn let_go(&self) -> Vec<u8> {
        let (held, mut server, answer) = lock(&self.state).held.take().expect("something was held");
        server.write_all(&held).expect("the server takes it");
        answer.recv_timeout(Duration::from_secs(60)).expect("the server answers")
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Carries what the client says, and cuts the line where it is to be cut.
fn forth(mut client: TcpStream, mut server: TcpStream, state: &Mutex<State>) {
    let copy = |stream: &TcpStream| stream.try_clone().expect("a socket has another handle");
    let (mut answers, mut back_to) = (copy(&server), copy(&client));
    let quiet = Arc::new(AtomicBool::new(false));
    let is_quiet = quiet.clone();
    let (swallowed, answer) = channel();
    let back = thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while let Ok(length @ 1..) = answers.read(&mut buffer) {
            if is_quiet.load(Ordering::SeqCst) {
                // The answer to the commit; whoever waits for it hears that the line was cut.
                let _ = swallowed.send(buffer[..length].to_vec());
                let _ = back_to.shutdown(Shutdown::Both);
                return;
            }
            if back_to.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
        let _ = back_to.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 1 << 20];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let said = &buffer[..length];
        let mut now = lock(state);
        if now.cut.is_some() && said.windows(WRITING.len()).any(|window| window == WRITING) {
            let cut = now.cut.take();
            now.down = now.then_down;
            match cut {
                Some(Cut::After) => {
                    quiet.store(true, Ordering::SeqCst);
                    server.write_all(said).expect("the server takes it");
                    drop(now);
                    let _ = back.join();
                    return;
                }
                Some(Cut::Hold) => {
                    quiet.store(true, Ordering::SeqCst);
                    now.held = Some((said.to_vec(), copy(&server), answer));
                    let _ = client.shutdown(Shutdown::Both);
                    return;
                }
                _ => break,
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
