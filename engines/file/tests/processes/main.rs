//! What several processes, killed processes and a full disk do to one directory.
//!
//! The cases start this program again as their children: real processes, really killed. A program without arguments runs
//! every case; any argument is a filter.

mod child;
mod kills;
mod others;
mod small_disk;

use std::{env, panic, process::ExitCode};

/// Every case by name.
const CASES: &[(&str, fn())] = &[
    ("killed_writers_lose_nothing_acknowledged", kills::killed_writers_lose_nothing_acknowledged),
    ("one_process_at_a_time_has_a_directory", others::one_process_at_a_time_has_a_directory),
    ("a_real_full_disk_loses_nothing_and_goes_on", small_disk::a_real_full_disk_loses_nothing_and_goes_on),
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
