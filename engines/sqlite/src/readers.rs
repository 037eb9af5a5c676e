//! Connections for reading, and where reads run.
//!
//! SQLite blocks the thread that calls it. A read of a few rows that are in the page cache takes microseconds, less
//! than handing it to another thread would; one that waits for a disk may take milliseconds. So small reads run on the
//! caller's thread while they prove quick, and move to threads that may block as soon as one did not.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use larder_core::{BoxFuture, Result};
use rusqlite::Connection;

use crate::{config::SqliteConfig, error::closed, file::connect, presence::Presence};

/// How many connections read at the same time.
const CONNECTIONS_MAX: usize = 8;
/// When several reads on callers' threads took longer than this,
const SLOW: Duration = Duration::from_micros(500);
/// the following ones run elsewhere for this long.
const ELSEWHERE_FOR: Duration = Duration::from_millis(50);
/// What a slow read adds to the score that a quick one lowers by one,
const SLOW_SCORE: i32 = 32;
/// and from which score on reads run elsewhere. One slow read proves nothing: the thread may have been interrupted.
const SCORE_MAX: i32 = 64;

#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    config: SqliteConfig,
    pool: Mutex<Pool>,
    returned: Condvar,
    /// Held until the last connection is gone.
    _presence: Arc<Presence>,
    began: Instant,
    /// Until when reads stay off the callers' threads, in nanoseconds since `began`.
    elsewhere_until: AtomicU64,
    /// How slow reads have been lately.
    score: AtomicI32,
}

#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Connection>,
    open: usize,
    /// How many threads wait for one to come back.
    waiting: usize,
    closed: bool,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, config: SqliteConfig, presence: Arc<Presence>) -> Arc<Self> {
        let pool = Mutex::new(Pool::default());
        let elsewhere_until = AtomicU64::new(0);
        let (returned, began, score) = (Condvar::new(), Instant::now(), AtomicI32::new(0));
        Arc::new(Self { path, config, pool, returned, _presence: presence, began, elsewhere_until, score })
    }

    /// Opens the first connection, so that the first read is as quick as the next.
    pub(crate) fn warm(&self) -> Result<()> {
        self.wait().map(drop)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.pool().closed
    }

    /// Runs `read` with a connection: here when it is `small` and small reads are quick, else where it may block.
    pub(crate) fn read<T: Send + 'static>(
        self: &Arc<Self>,
        small: bool,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        if small && self.is_quick() {
            match self.idle() {
                Ok(Some(borrowed)) => {
                    let watch = Watch::start(self.score.load(Ordering::Relaxed) > 0);
                    let answer = read(borrowed.connection());
                    drop(borrowed);
                    self.judge(watch.is_slow());
                    return Box::pin(std::future::ready(answer));
                }
                Ok(None) => {}
                Err(error) => return Box::pin(std::future::ready(Err(error))),
            }
        }
        let readers = self.clone();
        Box::pin(blocking::unblock(move || readers.beside(read)))
    }

    /// Runs `work` with a connection, on a thread that may block.
    pub(crate) fn beside<T>(self: &Arc<Self>, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        work(self.wait()?.connection())
    }

    /// Takes note of whether a read on a caller's thread was slow.
    fn judge(&self, slow: bool) {
        // Lost updates between these lines do no harm: the score is an impression.
        let score = self.score.load(Ordering::Relaxed);
        let score = if slow { score + SLOW_SCORE } else { (score - 1).max(0) };
        self.score.store(if score > SCORE_MAX { 0 } else { score }, Ordering::Relaxed);
        if score > SCORE_MAX {
            let until = self.began.elapsed() + ELSEWHERE_FOR;
            self.elsewhere_until.store(u64::try_from(until.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    fn is_quick(&self) -> bool {
        let until = self.elsewhere_until.load(Ordering::Relaxed);
        until == 0 || self.began.elapsed().as_nanos() > u128::from(until)
    }

    fn idle(&self) -> Result<Option<Borrowed<'_>>> {
        let mut pool = self.pool();
        if pool.closed {
            return Err(closed());
        }
        Ok(pool.idle.pop().map(|connection| Borrowed { readers: self, connection: Some(connection) }))
    }

    /// A connection that nobody uses: an idle one, a new one, or the next that comes back.
    fn wait(&self) -> Result<Borrowed<'_>> {
        let mut pool = self.pool();
        loop {
            if pool.closed {
                return Err(closed());
            }
            if let Some(connection) = pool.idle.pop() {
                return Ok(Borrowed { readers: self, connection: Some(connection) });
            }
            if pool.open < CONNECTIONS_MAX {
                pool.open += 1;
                drop(pool);
                // Counted from here on: if connecting fails, dropping this counts it off again.
                let mut borrowed = Borrowed { readers: self, connection: None };
                borrowed.connection = Some(connect(&self.path, &self.config)?);
                return Ok(borrowed);
            }
            pool.waiting += 1;
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
            pool.waiting -= 1;
        }
    }

    /// Lets no new read begin, and waits until those under way have ended and their connections are closed.
    pub(crate) async fn close(self: &Arc<Self>) {
        let (idle, done) = {
            let mut pool = self.pool();
            pool.closed = true;
            let idle = std::mem::take(&mut pool.idle);
            pool.open -= idle.len();
            (idle, pool.open == 0)
        };
        drop(idle);
        self.returned.notify_all();
        if !done {
            let readers = self.clone();
            blocking::unblock(move || {
                let pool = readers.pool();
                drop(readers.returned.wait_while(pool, |pool| pool.open > 0));
            })
            .await;
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // Whole between any two statements, so a panic elsewhere has not broken it.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells whether a read was slow because it waited for a disk.
struct Watch {
    start: Instant,
    /// How often the thread had waited for something, where that is looked at.
    waits: Option<i64>,
}

impl Watch {
    /// On a busy machine reads are slow that were only interrupted, and elsewhere they would be slower still. To tell them
    /// apart takes two questions to the system, so it is done when there is a suspicion.
    fn start(suspicious: bool) -> Self {
        let waits = if suspicious { waits() } else { None };
        Self { start: Instant::now(), waits }
    }

    fn is_slow(&self) -> bool {
        self.start.elapsed() > SLOW && self.waits.is_none_or(|before| waits() != Some(before))
    }
}

/// How often this thread has waited for something; `None` where the system does not tell.
#[cfg(target_os = "linux")]
fn waits() -> Option<i64> {
    use nix::sys::resource::{UsageWho, getrusage};
    getrusage(UsageWho::RUSAGE_THREAD).ok().map(|usage| usage.voluntary_context_switches())
}

#[cfg(not(target_os = "linux"))]
fn waits() -> Option<i64> {
    None
}

/// A connection in use; it goes back when this is dropped, unless the store was closed or the read panicked.
struct Borrowed<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Borrowed<'_> {
    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("a connection is there from the moment somebody may use it")
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        let connection = self.connection.take().filter(|_| !std::thread::panicking());
        let mut pool = self.readers.pool();
        match connection {
            Some(connection) if !pool.closed => pool.idle.push(connection),
            // Closed before it is counted off, so that a count of zero means that all are closed.
            connection => {
                drop(pool);
                drop(connection);
                pool = self.readers.pool();
                pool.open -= 1;
            }
        }
        // To wake nobody costs as much as to wake somebody.
        let awaited = pool.waiting > 0 || pool.closed;
        drop(pool);
        if awaited {
            self.readers.returned.notify_all();
        }
    }
}
