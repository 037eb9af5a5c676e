//! What killed processes do to a store, and two processes that want the same one.
//!
//! The cases start this program again as their children: real processes, really killed. A program without arguments runs
//! every case; any argument is a filter.

mod child;
mod kills;

use std::{env, panic, process::ExitCode};

/// Every case by name.
const CASES: &[(&str, fn())] = &[
    ("killed_writers_lose_nothing_acknowledged", kills::killed_writers_lose_nothing_acknowledged),
    ("killed_relaxed_writers_lose_nothing_acknowledged", kills::killed_relaxed_writers_lose_nothing_acknowledged),
    ("one_process_has_it_open", kills::one_process_has_it_open),
];

fn main() -> ExitCode {
    if let Some(role) = env::var_os(child::ROLE) {
        child::run(&role.to_string_lossy());
        return ExitCode::SUCCESS;
    }
    let filters: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let chosen =
        CASES.iter().filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())));
    let (mut passed, mut failed) = (0, 0);
    for (name, case) in chosen {
        if panic::catch_unwind(case).is_ok() {
            println!("test {name} ... ok");
            passed += 1;
        } else {
            println!("test {name} ... FAILED");
            failed += 1;
        }
    }
    println!("\ntest result: {}. {passed} passed; {failed} failed", if failed == 0 { "ok" } else { "FAILED" });
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
