//! Connections for reading, and where reads run.
//!
//! SQLite blocks the thread that calls it. A read of a few rows that are in the page cache takes microseconds, less
//! than handing it to another thread would; one that waits for a disk may take milliseconds. So small reads run on the
//! caller's thread while they prove quick, and move to threads that may block as soon as one did not.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use larder_core::{BoxFuture, Result};
use rusqlite::Connection;

use crate::{config::SqliteConfig, error::closed, file::connect};

/// How many connections read at the same time.
const CONNECTIONS_MAX: usize = 8;
/// A read on the caller's thread that took longer than this sends the following ones elsewhere,
const SLOW: Duration = Duration::from_micros(500);
/// for this long.
const ELSEWHERE_FOR: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    config: SqliteConfig,
    pool: Mutex<Pool>,
    returned: Condvar,
    began: Instant,
    /// Until when reads stay off the callers' threads, in nanoseconds since `began`.
    elsewhere_until: AtomicU64,
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
        Arc::new(Self { path, config, pool, returned: Condvar::new(), began: Instant::now(), elsewhere_until })
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
                    if start.elapsed() > SLOW {
                        let until = self.began.elapsed() + ELSEWHERE_FOR;
                        self.elsewhere_until.store(u64::try_from(until.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
                    }
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
