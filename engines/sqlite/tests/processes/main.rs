//! What several processes, killed processes, lost syncs and full disks do to one file.
//!
//! The cases start this program again as their children: real processes, really killed, traced by `strace` where the
//! order of system calls is what matters. A program without arguments runs every case; any argument is a filter.

mod child;
mod disk_full;
mod indexes;
mod kills;
mod power_cut;
mod races;
mod trace;

use std::{env, panic, process::ExitCode};

/// Every case by name.
const CASES: &[(&str, fn())] = &[
    ("one_of_eight_processes_wins_each_compare_and_set", races::one_of_eight_processes_wins_each_compare_and_set),
    ("sets_by_tasks_and_processes_are_all_distinct", races::sets_by_tasks_and_processes_are_all_distinct),
    ("killed_writers_lose_nothing_acknowledged", kills::killed_writers_lose_nothing_acknowledged),
    ("a_killed_builder_leaves_what_can_be_finished", indexes::a_killed_builder_leaves_what_can_be_finished),
    ("a_unique_index_raced_by_processes_never_holds_two", indexes::a_unique_index_raced_by_processes_never_holds_two),
    ("an_index_of_one_process_is_kept_by_the_others", indexes::an_index_of_one_process_is_kept_by_the_others),
    ("a_sync_precedes_every_acknowledgement", power_cut::a_sync_precedes_every_acknowledgement),
    ("lost_unsynced_writes_lose_nothing_acknowledged", power_cut::lost_unsynced_writes_lose_nothing_acknowledged),
    ("a_full_disk_loses_nothing_acknowledged", disk_full::a_full_disk_loses_nothing_acknowledged),
    ("a_failed_sync_is_unknown_to_the_whole_group", disk_full::a_failed_sync_is_unknown_to_the_whole_group),
    ("a_disk_with_space_again_goes_on", disk_full::a_disk_with_space_again_goes_on),
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
