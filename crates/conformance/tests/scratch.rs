mod liars;
use larder_conformance::cases;
use liars::Den;
use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
#[test]
fn scratch() {
    panic::set_hook(Box::new(|_| {}));
    let want = std::env::var("LIES").unwrap_or_default();
    let lies: Vec<_> =
        liars::all().into_iter().filter(|l| want.is_empty() || want.split(',').any(|w| l().name().contains(w))).collect();
    let only = std::env::var("CASES").unwrap_or_default();
    let mine: Vec<_> = cases().iter().filter(|c| only.is_empty() || only.split(',').any(|w| c.name.contains(w))).collect();
    let next = AtomicUsize::new(0);
    let out = Mutex::new(std::collections::BTreeMap::<String, Vec<String>>::new());
    thread::scope(|s| {
        for _ in 0..16 {
            s.spawn(|| {
                loop {
                    let t = next.fetch_add(1, Ordering::Relaxed);
                    let Some(lie) = lies.get(t / mine.len()).copied() else { return };
                    let case = mine[t % mine.len()];
                    let (tell, told) = mpsc::channel();
                    let begin = Instant::now();
                    thread::spawn(move || {
                        let ok = panic::catch_unwind(AssertUnwindSafe(|| case.run(&|| Den::new(lie)))).is_ok();
                        let _ = tell.send(ok);
                    });
                    let answer = told.recv_timeout(Duration::from_secs(15));
                    let took = begin.elapsed().as_secs();
                    let mut out = out.lock().unwrap();
                    let list = out.entry(lie().name()).or_default();
                    match answer {
                        Ok(true) => {
                            if took > 3 {
                                list.push(format!("({} took {took})", case.name))
                            }
                        }
                        Ok(false) => list.push(case.name.into()),
                        Err(_) => list.push(format!("HANG {}", case.name)),
                    }
                }
            });
        }
    });
    for (lie, list) in out.into_inner().unwrap() {
        println!("{lie} -> {}", list.join(" "));
    }
}
