//! The catalogue: every case there is, once, with the story of what goes wrong in an engine that fails it.
//!
//! [`suite!`](crate::suite) and [`cases`] both come from this one table, so neither can know a case that the other does not.
//! Before the braces stand the promise and the module that holds the cases. The table is long, so its second half stands in
//! a file of its own, and what is made of it in another.

mod expansion;
mod second;

/// Hands the table to the macro `$then`, after whatever else it is to be told.
#[doc(hidden)]
#[macro_export]
macro_rules! __catalogue {
    ($then:ident $($argument:tt)*) => { $crate::__catalogue_second! { $then [$($argument)*]
        "G1" atomic {
            /// The last write of a commit is refused, and an engine that applies writes one by one keeps the first half.
            g1_a_refused_commit_leaves_no_half
            /// A check fails, and something of its commit stays behind: a write, a line of the log, a revision.
            g1_a_conflicting_commit_leaves_no_trace
            /// A condition is read the wrong way round, or against what the commit itself has written.
            g1_conditions_hold_where_they_should
            /// The id of a commit that did not happen is remembered, and the retry is answered with nothing done.
            g1_an_id_that_was_refused_may_succeed_later
            /// One transaction around a whole group: the one bad commit rolls back its neighbours, or loses their ids.
            g1_a_failing_neighbour_harms_nobody
            /// All commits of a group are decided before any is applied, and two of them create the same key.
            g1_a_commit_of_a_group_sees_those_before_it
            /// The same, through the store: bad keys, sizes and orders are found too late.
            g1_a_store_commit_is_all_or_nothing
        }
        "G1" crash {
            /// The process dies while a commit is written, and a part of it is there when it is opened again.
            g1_a_crash_leaves_no_half
        }
        "G2" crash {
            /// A commit, a fence or a trim is acknowledged from memory, and the medium has yet to hear of it.
            g2_acknowledged_is_there_after_a_crash
        }
        "G2" durable {
            /// An acknowledged write, its log line or its id waits in a buffer and is gone after reopening.
            g2_acknowledged_is_there_after_reopening
            /// An engine takes less than the floor, or the status tells another durability than is in force.
            g2_capabilities_keep_the_floor
            /// A new store counts its own tables, or sizes are counted in characters.
            g2_a_new_store_is_empty_and_says_so
            /// A handle answers from a cache of its own, and does not see what another one wrote.
            g2_two_handles_see_one_store
            /// A closed handle goes on writing to a file that somebody else has opened, or panics.
            g2_a_closed_handle_answers_closed
        }
        "G3" revision {
            /// Revisions are taken when a commit begins, not in the order in which commits happen.
            g3_revisions_increase_in_commit_order
            /// Deleting nothing takes a revision, so watchers wake for nothing and caches are thrown away.
            g3_a_commit_that_changes_nothing_takes_no_revision
            /// The limit cuts the log within a commit, and the rest of that commit is lost or told twice.
            g3_a_commit_is_never_torn_in_the_log
            /// Changes of a commit come in the order of keys, or of a hash map.
            g3_the_log_keeps_the_order_of_writes
            /// The revision is published before the entries, and a reader sees half of a commit.
            g3_a_reader_never_sees_a_revision_without_what_came_before
        }
        "G6" revision {
            /// The revision is read in another transaction than the entries, and names another moment.
            g6_every_read_names_its_moment
            /// Entry, log and receipt disagree on revision or time of one commit.
            g6_a_commit_is_known_by_its_revision_everywhere
        }
        "G6" view {
            /// The past is seen with an entry of the present, without one that was deleted, or with one that had expired.
            g6_every_revision_can_be_seen_as_it_was
            /// A time is taken for the commit after it, or one that is forgotten for one that is known.
            g6_a_time_is_seen_as_it_was
            /// The log was trimmed, and a view goes on with what is left as if nothing had happened.
            g6_who_comes_too_late_for_a_view_is_told
            /// Others write between two pages, and the second one is of another moment than the first.
            g6_pages_go_on_as_they_began
            /// The revision is noted before a scan or after it, and in between somebody has written.
            g6_a_moment_is_named_right_while_others_write
            /// What came and went, or went without a trace because it expired, is missing from a difference.
            g6_a_difference_is_that_of_the_pictures
            /// Between two pages of a difference something is lost, or told twice.
            g6_a_difference_of_many_comes_page_by_page
            /// The bytes were stored in another encoding meanwhile, and the past is no longer found.
            g6_a_recoded_entry_is_seen_in_the_past
        }
        "G6" undoing {
            /// What was undone lies over what is there now, and the two together are a state that never was.
            g6_undo_goes_back_to_the_moment_asked
            /// The last change is undone where it should be the first, or one that made a key, or took it away, is not.
            g6_undo_tells_what_a_key_was_before_its_first_change
            /// A page ends where the engine got tired, and says that it is the last.
            g6_undo_comes_in_pages_from_both_ends
            /// The log does not reach back that far, and what can still be undone is taken for all of it.
            g6_what_cannot_be_undone_is_told
        }
        "G4" race {
            /// Check and write are two steps, and in between somebody else writes: two winners.
            g4_one_of_racing_compare_and_sets_wins
            /// Two callers hold the same lock, because both saw that it was absent.
            g4_one_of_racing_creates_wins
            /// Sets that travel in one group are merged, and some versions are never there.
            g4_sets_polled_together_get_distinct_versions
            /// Two sets read the same version and write the same next one.
            g4_sets_on_threads_get_distinct_versions
            /// A sum is read, added to and written back, and one addition is lost or one too many fits.
            g4_racing_adds_sum_exactly_and_stay_below_the_ceiling
            /// A commit over two keys checks one of them too early: money is made.
            g4_money_moves_and_none_is_made
        }
        "G4" records {
            /// A read answers from before a write that was acknowledged, or two writes make one step.
            g4_recorded_operations_are_linearizable
        }
        "G5" records {
            /// A transaction read what nobody had written at its revision, or happened before one that had ended.
            g5_recorded_transactions_are_serializable
        }
        "G5" race {
            /// A range is guarded by the keys that were found in it, so a phantom slips in.
            g5_a_range_that_was_read_conflicts_with_whatever_changes_it
            /// Two transactions read the same range and write different keys of it; both commit.
            g5_write_skew_is_caught
            /// The log was trimmed, or the revision is from another store, and "nothing found" is taken for "unchanged".
            g5_nobody_can_vouch_for_a_past_that_is_not_there
            /// Expiry writes no line into the log, so a range loses an entry and counts as unchanged.
            g5_a_range_check_fails_when_an_entry_has_expired_since
            /// The commit's clock is behind the reader's, and an entry that was not read is there again unnoticed.
            g5_a_range_check_fails_when_an_entry_is_back_for_a_clock_behind
        }
        "G5" anomalies {
            /// Writes of two transactions mix, and what is left is half of each.
            g5_g0_write_cycles
            /// What is read was never committed.
            g5_g1a_aborted_reads
            /// What is read was written again before it was committed.
            g5_g1b_intermediate_reads
            /// Each of two transactions reads what the other one has not written yet, and both commit.
            g5_g1c_circular_information_flow
            /// A part of a transaction is seen, and then it is gone under another one.
            g5_otv_observed_transaction_vanishes
            /// The same question twice in one transaction finds what has come in between.
            g5_pmp_predicate_many_preceders
            /// What to write was chosen by what is no longer so.
            g5_pmp_predicate_many_preceders_of_writes
            /// Two read the same number, add to it and write it: one addition is lost.
            g5_p4_lost_update
            /// One key is read before a commit of two keys, and the other one after it.
            g5_g_single_read_skew
            /// The same, where keys are found by what they hold.
            g5_g_single_read_skew_of_predicates
            /// The same, where what is found is then deleted.
            g5_g_single_read_skew_of_write_predicates
            /// Two read the same two keys, each writes another one of them, and both commit.
            g5_g2_item_write_skew
            /// Two find that something is not there, each writes it, and both commit.
            g5_g2_anti_dependency_cycles
            /// Two writers alone would be in order, but a reader has seen the second one first.
            g5_g2_anti_dependency_cycles_of_two_edges
        }
        "G5" transaction {
            /// What a transaction has written is missing from one way of reading, or stands where it does not belong.
            g5_a_transaction_reads_its_own_writes
            /// Writes of one key mix otherwise in a transaction than one by one.
            g5_a_transaction_may_write_a_key_again_and_again
            /// The moment moves on although something that was read has changed, or one way of reading goes back to none.
            g5_a_transaction_never_sees_two_moments
            /// A scan guards the keys that it found, or less than it passed over, or more than it looked at.
            g5_phantoms_are_caught
            /// Readers are told to try again because somebody writes.
            g5_a_transaction_that_only_reads_never_conflicts
            /// A commit takes so many checks, and what was read beyond that is left unchecked, or all of the store checked.
            g5_more_reads_than_checks_are_all_guarded
            /// What was read expires, which nobody writes down anywhere, and the commit goes through.
            g5_what_expires_before_the_commit_conflicts
            /// The log was trimmed, and a transaction takes what it no longer finds for unchanged.
            g5_what_the_log_no_longer_tells_is_no_pass
        }
        "G5" transact {
            /// An attempt that lost leaves something behind, or the answer is that of one that never happened.
            g5_transact_tries_again_and_happens_once
            /// A transaction whose turn never comes is tried for ever.
            g5_transact_ends_at_its_deadline
            /// Two transactions count the same, and one of them is lost.
            g5_transact_loses_nothing_in_a_race
            /// A body fails, and some of what it had written stays.
            g5_what_is_rolled_back_leaves_nothing
            /// Nobody can tell whether a transaction is still open, has happened, or never will.
            g5_a_transaction_has_a_state
            /// A transaction that waits forgets what it has read, or is there for strangers, or waits for ever.
            g5_a_parked_transaction_goes_on
            /// A handle that may do less takes up a transaction of one that may do more.
            g5_a_parked_transaction_is_taken_up_with_the_rights_it_had
            /// Transactions that nobody takes up again fill the memory.
            g5_so_many_transactions_wait
            /// A transaction grows beyond what a commit takes, and is refused when all the work is done.
            g5_a_transaction_has_limits
        }
        "G14" transact {
            /// Nobody heard what became of a commit, and the transaction happens twice, or not at all.
            g14_a_transaction_finds_out_what_became_of_it
        }
        "G5" interleaving {
            /// Everything else that transactions do to each other in an order that nobody thought of.
            g5_interleaved_transactions_happen_one_after_the_other
        }
        "G5" trimming {
            /// The log of a namespace was trimmed, and "nothing found" is taken for "unchanged".
            g5_nobody_can_vouch_for_a_namespace_that_was_trimmed
        }
        "G7" trimming {
            /// A namespace was trimmed by itself, and who asks about it gets what is left as if it were everything.
            g7_a_namespace_trimmed_by_itself_says_so
            /// A noisy namespace is trimmed, and others lose their changes with it or are told that they did.
            g7_nobody_else_notices_when_a_namespace_is_trimmed
        }
        "G7" log {
            /// A change is missing from the log, or one of its sides is.
            g7_every_change_is_told_with_both_sides
            /// What a key became is taken from the present, although it has been written again since.
            g7_both_sides_are_kept_over_any_later_write
            /// Ranges lose a change, tell it twice where they overlap, or let in a neighbour's.
            g7_ranges_choose_changes
            /// An engine builds one question from all ranges, and the question grows too large to be asked.
            g7_ranges_have_a_most
            /// Going on after a revision tells its changes again, or skips the next.
            g7_reading_goes_on_after_any_revision
            /// The log was trimmed, and who comes too late gets what is left as if it were everything.
            g7_who_comes_too_late_is_told
            /// Trimming beyond the head hides changes that have yet to come, or forgets what entries are.
            g7_trimming_stops_at_the_head
            /// A resume point of another past is taken for one of this store, and changes are missed in silence.
            g7_another_past_is_not_this_one
            /// A deleted entry leaves its version or its before-image to the next one of the same key.
            g7_an_entry_can_come_and_go_and_come_again
            /// Read from its end, the log tells a commit in two orders, begins at the wrong place or skips between pages.
            g7_the_log_reads_backwards_as_forwards
            /// The history of a key ends too early, tells of its neighbours, or loses a change between two pages.
            g7_a_key_has_its_history
        }
        "G7" watches {
            /// A watcher misses what another handle wrote, hears it twice, or gets half of a commit.
            g7_watchers_get_all_of_their_range_once_and_in_order
            /// Whoever writes nothing itself never looks at what others wrote.
            g7_a_quiet_handle_hears_the_others
            /// Events wait in a buffer, the buffer is full, and the watcher never learns what it missed.
            g7_a_slow_watcher_loses_nothing
            /// Whoever stops and goes on is told the last commit again, or not the next one.
            g7_a_watch_is_resumed_anywhere
            /// A quiet watcher's bookmark runs ahead of what it has yet to be told, or stands still until it is too old.
            g7_a_bookmark_is_true_at_any_moment
            /// The log was trimmed under a watcher, and it goes on with what is left.
            g7_a_watch_that_comes_too_late_is_told
            /// What has expired goes without a word, or is told by everybody who notices.
            g7_watchers_are_told_what_expires
            /// A wait is given up half-way, and what it had begun to read is gone.
            g7_a_wait_that_is_given_up_loses_nothing
            /// A guest hears of its neighbours, or somebody hears what the store keeps about itself.
            g7_a_watch_hears_its_namespace_alone
            /// A filter looks at one side of a change, and what ceases to pass goes without a word.
            g7_a_filter_tells_what_comes_and_what_goes
        }
        "G8" expiry {
            /// One way of reading forgets to ask whether an entry has expired, or asks the engine's own clock.
            g8_expired_is_absent_to_every_read_and_check
            /// An entry lives one millisecond too long, or is kept in whole seconds.
            g8_an_entry_expires_at_its_moment_to_the_millisecond
            /// A time of expiry that has passed already is refused, or taken for "never".
            g8_an_entry_may_be_born_expired
            /// A write over an expired entry goes on with its version, its metadata or its number.
            g8_writing_over_an_expired_entry_creates
            /// A delete says that the expired entry was there, or an annotation brings it back to life.
            g8_deleting_or_annotating_what_has_expired_finds_nothing
            /// A delete finds nothing to do, is acknowledged, and a clock that is behind still reads what was deleted.
            g8_deleting_what_has_expired_removes_it_for_every_clock
            /// A touch is lost on the next write, or an old expiry takes a new value with it.
            g8_touching_extends_and_setting_ends_an_expiry
            /// The clock steps back, and an entry that was written over is found under what had replaced it.
            g8_the_log_knows_what_expired_as_it_was
            /// Nobody finds what has expired, and it stays for ever; or what was renewed in the meantime goes with it.
            g8_what_has_expired_can_be_swept_up
        }
        "keeping" keeping {
            /// The log grows without end, or forgets what is young enough, or a part of a commit.
            keeping_forgets_what_is_too_old
            /// The bound is on the number of changes, and a few large values fill the disk.
            keeping_forgets_what_is_too_much
        }
        "keeping" retaining {
            /// A noisy namespace cannot be bounded by itself, or its bounds are put off for as long as the store is trimmed.
            keeping_bounds_the_log_of_a_namespace_by_itself
            /// A backup takes its time, and the log that it still needs is trimmed; or a refused hold ends the one before.
            keeping_waits_for_whoever_holds_the_log
            /// Whoever held the log has died, and the disk fills.
            keeping_lets_go_of_what_is_held_for_too_long_or_too_much
            /// A hold counts for the store, and not for a namespace that is trimmed by itself.
            keeping_holds_namespaces_that_are_bounded_by_themselves
        }
    } };
}
