//! The table: what was measured, and what is asked for.

use std::time::{Duration, Instant};

/// How often each side of a comparison is measured, in turns; the median counts.
const ROUNDS: usize = 5;

/// Rows in the order in which they were measured.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

#[derive(Debug)]
struct Row {
    work: String,
    ours: f64,
    other: f64,
    against: &'static str,
    least: f64,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a row: operations a second of ours and of what it is measured against, and the least ratio asked for.
    pub(crate) fn row(&mut self, work: impl Into<String>, ours: f64, other: f64, against: &'static str, least: f64) {
        let row = Row { work: work.into(), ours, other, against, least };
        eprintln!("{}", row.line());
        self.0.push(row);
    }

    pub(crate) fn print(&self) {
        println!("| work | ops/s | against | ops/s | ratio | asked | |");
        println!("| --- | ---: | --- | ---: | ---: | ---: | --- |");
        for row in &self.0 {
            println!("{}", row.line());
        }
    }
}

impl Row {
    fn line(&self) -> String {
        let Self { work, ours, other, against, least } = self;
        let ratio = ours / other;
        let verdict = if ratio >= *least { "" } else { "missed" };
        format!("| {work} | {ours:.0} | {against} | {other:.0} | {ratio:.2} | {least} | {verdict} |")
    }
}

/// How many a second, when each of `work` does `operations`: the median of several rounds, taken in turns, so that a
/// machine that changes its speed does so for all of them.
pub(crate) fn in_turns<const N: usize>(operations: u32, mut work: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (work, times) in work.iter_mut().zip(&mut times) {
            times.push(timed(work));
        }
    }
    times.map(|mut times: Vec<Duration>| {
        times.sort_unstable();
        f64::from(operations) / times[times.len() / 2].as_secs_f64()
    })
}

fn timed(work: &mut dyn FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Numbers that look random and are the same in every run.
pub(crate) fn scatter(n: u32, below: u32) -> u32 {
    let mixed = u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u32::try_from((mixed >> 32) % u64::from(below)).expect("a remainder is smaller than its divisor")
}
