//! Who watches the suite: engines that lie in one way each, and every lie has to be caught.
//!
//! A suite that lets one of them pass proves nothing about the others.

mod liars;

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use larder_conformance::{Case, cases, model};
use liars::{Den, Make};

/// How many lies are told at once: most of the time they wait for what never comes.
const AT_ONCE: usize = 32;
/// After so long a case is taken to wait for ever, which is a way to notice.
const PATIENCE: Duration = Duration::from_secs(20);

fn passes(case: &'static Case, lie: Make) -> bool {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let passed = panic::catch_unwind(AssertUnwindSafe(|| case.run(&|| Den::new(lie)))).is_ok();
        // Nobody listens any more when this took too long.
        let _ = tell.send(passed);
    });
    told.recv_timeout(PATIENCE).unwrap_or(false)
}

/// A case that no engine can pass would catch every lie, and prove nothing.
mod the_truth_passes {
    use std::sync::Arc;

    use super::liars::{Den, Truth};

    larder_conformance::suite!(|| Den::new(|| Arc::new(Truth)));
}

#[test]
fn every_lie_is_caught() {
    // What the cases say about lies is expected, and there is much of it. They run on threads without a name.
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        if thread::current().name().is_some() {
            usual(what);
        }
    }));
    let lies = liars::all();
    let mut table: BTreeMap<String, BTreeSet<usize>> = lies.iter().map(|lie| (lie().name(), BTreeSet::new())).collect();
    assert_eq!(table.len(), lies.len(), "every lie has a name of its own");
    let (next, caught) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    let (Some(lie), case) = (lies.get(turn / cases().len()), turn % cases().len()) else { return };
                    if !passes(&cases()[case], *lie) {
                        caught.lock().expect("nobody panics with the list").push((lie().name(), case));
                    }
                }
            });
        }
    });
    for (lie, case) in caught.into_inner().expect("nobody panics with the list") {
        table.entry(lie).or_default().insert(case);
    }
    for (lie, caught) in &table {
        let names: Vec<&str> = caught.iter().map(|case| cases()[*case].name).collect();
        println!("{lie} -> {}", names.join(", "));
    }
    let believed: Vec<&String> = table.iter().filter(|(_, cases)| cases.is_empty()).map(|(lie, _)| lie).collect();
    assert!(believed.is_empty(), "nobody noticed {believed:?}");
}

/// A history that goes wrong is told in a few steps, and its seed tells it again.
#[test]
fn a_difference_is_short_and_comes_again() {
    let lie = liars::all().into_iter().find(|lie| lie().name() == "FencesNothing").expect("there is such a lie");
    let lies = || Den::new(lie);
    let difference = model::histories(&lies, 1, 1_000).expect_err("it is caught within a thousand histories");
    let (shown, text) = (difference.to_string(), difference.story.clone());
    assert!(shown.contains(&format!("LARDER_SEED={}", difference.seed)), "{shown}");
    let steps: usize = text.split(' ').next().and_then(|count| count.parse().ok()).expect("it says how many steps");
    assert!(steps <= 5, "a commit, resolved and sent again, is enough:\n{text}");
    let again = model::histories(&lies, difference.seed, 1).expect_err("the seed tells it again");
    assert_eq!((again.seed, again.story), (difference.seed, text));
    println!("{shown}");
}
