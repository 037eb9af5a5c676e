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

use crate::{config::SqliteConfig, error::closed, file::connect};

/// How many connections read at the same time.
const CONNECTIONS_MAX: usize = 8;
/// When several reads on callers' threads took longer than this,
const SLOW: Duration = Duration::from_micros(500);
/// the following ones run elsewhere for this long.
const ELSEWHERE_FOR: Duration = Duration::from_millis(50);
/// What a slow read adds to the score that a quick one lowers by one,
const SLOW_SCORE: i32 = 32;
/// and from which score on reads run elsewhere. One slow read proves nothing: the thread may have been preempted.
const SCORE_MAX: i32 = 64;

#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    config: SqliteConfig,
    pool: Mutex<Pool>,
    returned: Condvar,
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
    closed: bool,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, config: SqliteConfig) -> Arc<Self> {
        let pool = Mutex::new(Pool::default());
        let elsewhere_until = AtomicU64::new(0);
        let (returned, began, score) = (Condvar::new(), Instant::now(), AtomicI32::new(0));
        Arc::new(Self { path, config, pool, returned, began, elsewhere_until, score })
    }

    /// Opens the first connection, so that the first read is as quick as the next.
    pub(crate) fn warm(&self) -> Result<()> {
        self.wait().map(|connection| self.put_back(connection))
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
                Ok(Some(connection)) => {
                    let start = Instant::now();
                    let answer = read(&connection);
                    self.put_back(connection);
                    self.judge(start.elapsed());
                    return Box::pin(std::future::ready(answer));
                }
                Ok(None) => {}
                Err(error) => return Box::pin(std::future::ready(Err(error))),
            }
        }
        let readers = self.clone();
        Box::pin(blocking::unblock(move || {
            let connection = readers.wait()?;
            let answer = read(&connection);
            readers.put_back(connection);
            answer
        }))
    }

    /// Takes note of how long a read on a caller's thread took.
    fn judge(&self, took: Duration) {
        // Lost updates between these lines do no harm: the score is an impression.
        let score = self.score.load(Ordering::Relaxed);
        let score = if took > SLOW { score + SLOW_SCORE } else { (score - 1).max(0) };
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

    fn idle(&self) -> Result<Option<Connection>> {
        let mut pool = self.pool();
        if pool.closed { Err(closed()) } else { Ok(pool.idle.pop()) }
    }

    /// A connection that nobody uses: an idle one, a new one, or the next that comes back.
    fn wait(&self) -> Result<Connection> {
        let mut pool = self.pool();
        loop {
            if pool.closed {
                return Err(closed());
            }
            if let Some(connection) = pool.idle.pop() {
                return Ok(connection);
            }
            if pool.open < CONNECTIONS_MAX {
                pool.open += 1;
                drop(pool);
                return connect(&self.path, &self.config).inspect_err(|_| {
                    self.pool().open -= 1;
                    self.returned.notify_one();
                });
            }
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put_back(&self, connection: Connection) {
        let mut pool = self.pool();
        if pool.closed {
            return;
        }
        pool.idle.push(connection);
        drop(pool);
        self.returned.notify_one();
    }

    pub(crate) fn close(&self) {
        let mut pool = self.pool();
        pool.closed = true;
        let idle = std::mem::take(&mut pool.idle);
        drop(pool);
        drop(idle);
        self.returned.notify_all();
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        // Whole between any two statements, so a panic elsewhere has not broken it.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
