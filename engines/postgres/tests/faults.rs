//! Histories over a line that fails all the time: what was acknowledged is there, what was refused is not, what nobody knows is
//! resolved by its id, watches are told everything once, and an order explains every answer.

mod place;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use larder_conformance::{
    Patient, Site,
    proxy::{Cut, Proxy, Words},
    record, watching,
};
use larder_core::{BoxFuture, Engine, ErrorKind, Result, StoreId};
use larder_postgres::{PostgresConfig, PostgresEngine};
use place::{Place, administer, server};

/// A place that is reached over a line, by whoever has patience.
struct Disturbed {
    /// Gone with this.
    _place: Place,
    url: String,
    opened: AtomicU64,
}

impl Disturbed {
    fn fresh(port: u16) -> Self {
        let place = Place::fresh();
        let server = server();
        let (front, back) = server.rsplit_once('@').expect("a URL with a user");
        let database = back.split_once('/').expect("a URL with a database").1;
        let url = format!("{front}@127.0.0.1:{port}/{database}?schema={}", place.schema());
        Self { _place: place, url, opened: AtomicU64::new(0) }
    }
}

impl Site for Disturbed {
    fn open(&self) -> BoxFuture<'_, Result<Arc<dyn Engine>>> {
        Box::pin(async {
            let seed = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
            loop {
                let config = PostgresConfig::parse(&self.url)?;
                match PostgresEngine::open(config, StoreId::from_bytes([7; 16])).await {
                    Ok(engine) => return Ok(Arc::new(Patient::new(Arc::new(engine), seed << 32)) as Arc<dyn Engine>),
                    Err(error) if error.kind() == ErrorKind::Unavailable => {}
                    Err(error) => return Err(error),
                }
            }
        })
    }
}

/// Says that it is over when it goes.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Disturbs the line in one way after the other while `work` is done, with one seed after the other, until each of them has
/// happened a few times.
fn disturbed_in_every_way(work: impl Fn(&Proxy, u64)) {
    let mut happened = [0; 5];
    for turn in 0.. {
        let more = disturbed(|proxy| work(proxy, 1 + 1000 * turn));
        happened.iter_mut().zip(more).for_each(|(times, more)| *times += more);
        if happened.iter().all(|times| *times > 2) {
            break;
        }
        assert!(turn < 20, "the line fails in every way: {happened:?}");
    }
    println!("answers lost, lines cut, commits lost, slow lines, backends ended: {happened:?}");
}

/// Disturbs the line in one way after the other while `work` is done; how often each of them happened.
fn disturbed(work: impl FnOnce(&Proxy)) -> [u64; 5] {
    let words = Words { commit: b"COMMIT\0", answer: b"COMMIT\0" };
    let server = server();
    let port = server.rsplit_once('/').and_then(|(place, _)| place.rsplit_once(':')?.1.parse().ok());
    let proxy = Proxy::before(port.expect("a URL with a port"), words);
    let (done, happened) = (AtomicBool::new(false), Mutex::new([0; 5]));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut count = happened.lock().expect("nobody else has it yet");
            let goes_on = |commits: u64| {
                let until = proxy.commits() + commits;
                while proxy.commits() < until && !done.load(Ordering::Relaxed) {
                    thread::sleep(Duration::from_millis(1));
                }
                !done.load(Ordering::Relaxed)
            };
            for turn in 0_u64.. {
                // Counted in commits, so that a busy machine makes it neither worse nor better.
                if !goes_on(5 + turn * 7 % 23) {
                    break;
                }
                match turn % 5 {
                    0 => proxy.cut(Cut::After, false),
                    1 => proxy.reset(),
                    2 => proxy.cut(Cut::Before, false),
                    3 => proxy.delay(Duration::from_millis(1 + turn % 4)),
                    _ => {
                        // Whatever backend is there, whatever it does.
                        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE";
                        let own = std::process::id();
                        administer(&format!("{sql} 'larder t{own}\\_%'")).expect("the server can be asked");
                    }
                }
                count[(turn % 5) as usize] += 1;
                goes_on(2);
                proxy.mend();
            }
        });
        // However the work ends.
        let _done = Done(&done);
        work(&proxy);
    });
    *happened.lock().expect("nobody panicked with it")
}

#[test]
fn recorded_histories_have_an_order_over_a_line_that_fails() {
    disturbed_in_every_way(|proxy, seed| {
        let port = proxy.port();
        let told = record::histories(&move || Disturbed::fresh(port), seed, 12);
        told.unwrap_or_else(|bad| panic!("{bad}"));
    });
}

#[test]
fn watches_are_told_everything_once_over_a_line_that_fails() {
    disturbed_in_every_way(|proxy, seed| {
        let port = proxy.port();
        watching::histories(&move || Disturbed::fresh(port), seed, 6);
    });
}
