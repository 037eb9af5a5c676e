//! The catalogue: every case there is, once, with the story of what goes wrong in an engine that fails it.
//!
//! [`suite!`](crate::suite) and [`cases`] both come from this one table, so neither can know a case that the other does not.
//! Before the braces stand the promise and the module that holds the cases.

/// Hands the table to the macro `$then`, after whatever else it is to be told.
#[doc(hidden)]
#[macro_export]
macro_rules! __catalogue {
    ($then:ident $($argument:tt)*) => { $crate::$then! { [$($argument)*]
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
            /// What came and went, or went without a trace because it expired, is missing from a difference.
            g6_a_difference_is_that_of_the_pictures
            /// Between two pages of a difference something is lost, or told twice.
            g6_a_difference_of_many_comes_page_by_page
            /// The bytes were stored in another encoding meanwhile, and the past is no longer found.
            g6_a_recoded_entry_is_seen_in_the_past
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
        "G9" order {
            /// A collation, UTF-16 or a locale decides the order.
            g9_keys_come_in_bytewise_order
            /// Two keys that look alike are one: case, composed letters, trailing blanks.
            g9_a_key_is_itself_and_no_other
            /// A prefix becomes a LIKE pattern or a glob, or ends at the wrong neighbour.
            g9_prefixes_are_literal
            /// Pages overlap or leave a gap where a key is the beginning of the next.
            g9_paging_neither_loses_nor_doubles
            /// A bound that is no key of the store moves to the nearest one.
            g9_after_and_before_cut_where_they_say
            /// A full page says that it is the last.
            g9_pages_say_whether_there_is_more
            /// SQL wildcards, question marks and brackets show through.
            g9_only_the_star_is_special_in_a_glob
            /// Namespace and key are joined by a separator that either of them may hold.
            g9_namespaces_never_touch
            /// An index takes fewer bytes than the longest key has.
            g9_the_longest_names_fit
        }
        "G10" exact {
            /// Bytes pass through text on their way, or nothing is taken for absence.
            g10_bytes_come_back
            /// JSON passes through a parser on its way: 1.0 becomes 1, names are sorted, large numbers rounded.
            g10_json_comes_back_byte_for_byte
            /// What the bytes are, or how they were encoded, is guessed again when they are read.
            g10_the_same_bytes_of_another_kind_are_another_value
            /// A column, a message or a buffer is smaller than the largest value.
            g10_a_mebibyte_comes_back
            /// What is deep enough to be refused by a parser is taken, and cannot be read.
            g10_the_deepest_json_reads_back
            /// Metadata passes through a parser on its way, or mixes with fields of the system.
            g10_metadata_comes_back
            /// Times are kept in seconds, in a float, or are those of the engine's own clock.
            g10_times_come_back_to_the_millisecond
            /// Values are compared as JSON, or by a prefix.
            g10_values_are_compared_byte_by_byte
        }
        "G12" guest {
            /// A guest reads, lists, counts, watches or is told something of a neighbour, or is disturbed by one.
            g12_a_guest_learns_nothing_of_its_neighbours
            /// Asking for a stranger's id answers more than what became of it, or ends what is still open.
            g12_an_id_tells_no_keys_and_no_values
            /// A noisy neighbour's log is trimmed, or a neighbour deleted, and the guest's is gone with it.
            g12_a_neighbour_cannot_take_away_what_a_guest_has
            /// One way of writing does not ask whether the handle may.
            g12_a_handle_that_only_reads_writes_nothing
            /// One way of reading or writing does not ask what the handle is bound to.
            g12_a_narrowed_handle_stays_inside
            /// A handle is narrowed once and then widened again.
            g12_a_handle_is_never_made_wider
            /// Two handles are used in one commit, and the bounds of one of them are forgotten.
            g12_two_handles_together_may_what_each_of_them_may
        }
        "G12" allowance {
            /// A quota is exceeded by one, forgets keys and metadata, or stands in the way of what makes room.
            g12_a_quota_bounds_what_a_guest_takes
            /// A guest that writes the same key again and again fills the log.
            g12_a_quota_bounds_the_log_of_a_guest
            /// A value is measured too late, or not in one of the ways of writing.
            g12_a_quota_bounds_the_largest_value
            /// A quota is looked at before the commit, and two that fit alone are too much together.
            g12_quotas_hold_in_a_race
        }
        "G13" refused {
            /// A bad key, name or value is found after something has been written.
            g13_bad_input_is_refused_before_anything_is_written
            /// What fits on this engine does not fit on the next one, and nobody knew.
            g13_a_portable_store_keeps_the_floor_everywhere
            /// Text that a database takes for a number is added to.
            g13_adding_and_annotating_refuse_what_they_cannot_change
            /// What the store keeps about itself can be read, written or counted by anybody.
            g13_reserved_namespaces_are_out_of_reach
            /// Metadata that is damaged inside ends the engine, or the thread in which it writes, with the next merge.
            g13_damaged_metadata_is_told_and_stops_nobody
        }
        "G13" writes {
            /// An imported version of 0 makes an entry that is there and absent; the largest one breaks the next write.
            g13_a_version_that_cannot_be_counted_on_is_not_restored
        }
        "G14" outcome {
            /// The connection broke after the commit; sent again, it happens again.
            g14_the_same_commit_again_happens_once
            /// The retry arrives in the same group as the commit itself.
            g14_twice_in_one_group_is_once
            /// A known id is decided anew: its own write makes its own check fail.
            g14_a_known_id_answers_whatever_comes_with_it
            /// Somebody was told that it never happened, and then it arrives.
            g14_resolve_fences_what_was_never_seen
            /// Conflicts are remembered as if they had happened.
            g14_conflicts_and_refusals_leave_no_id
            /// Asking and committing at the same time get answers that contradict each other.
            g14_resolving_and_committing_race_to_one_answer
            /// Ids are trimmed with the log, or an old commit happens again once its id is gone.
            g14_ids_outlive_the_log_and_are_forgotten_by_age
            /// Ids are forgotten up to a moment in the future, and every commit until then is refused as too old.
            g14_ids_yet_to_be_made_are_never_forgotten
            /// The same, through the store.
            g14_a_store_resolves_what_it_sent
            /// An id is used for another commit, and the first one's answers are dealt out to other writes.
            g14_an_id_names_one_commit
        }
        "G7" faults {
            /// The engine could not be reached for a moment, and whoever was to look takes that for having looked.
            g7_a_look_that_fails_is_not_taken_for_a_look
        }
        "G14" faults {
            /// A call that fails leaves something behind, or a retry meets it; a watch takes a failed look for a look.
            g14_a_call_that_is_refused_left_nothing_and_may_be_made_again
            /// The answer is lost on its way, and the caller is told that nothing happened, or does it twice.
            g14_an_answer_that_is_lost_can_be_had_again
        }
        "writes" writes {
            /// A set without metadata loses what was there, or merging goes too deep.
            writes_keep_replace_and_merge_metadata
            /// Adding ends an expiry, drops metadata or goes beyond a bound.
            writes_that_add_keep_expiry_and_metadata
            /// A restored entry gets a version, times or encodings of its own.
            writes_that_restore_bring_back_exactly_what_was
            /// Compressing an entry in the background looks like a write to everybody else.
            writes_that_recode_leave_nothing_but_other_bytes
            /// Two writes of a key in one commit make two versions or two changes.
            writes_of_one_key_fold_into_one_step
            /// A conflict names the fourth write as the third, because two of the others were folded into one.
            writes_that_fold_are_named_by_their_own_place
            /// Writes of one key are folded, and bounds or sums are no longer those of each by itself.
            writes_that_fold_answer_as_one_by_one
            /// Receipts come in the order of keys.
            writes_answer_in_their_order
        }
        "namespaces" namespaces {
            /// An empty namespace that was created is forgotten, or an empty one that was not is listed.
            namespaces_are_the_created_and_the_used
            /// Creating what exists succeeds, and two owners believe that it is theirs.
            namespaces_are_created_strictly
            /// A namespace is deleted with what it holds although nobody said so, or takes a neighbour with it.
            namespaces_are_deleted_with_care
            /// A deletion breaks off half-way, and new entries mix with those that were to go.
            namespaces_being_deleted_take_no_writes
            /// A clear breaks off half-way, and cannot be taken up again.
            clearing_goes_on_where_it_was_cut_off
            /// A handle lists, counts or clears beyond its namespace.
            handles_see_their_namespace_alone
        }
        "namespaces" deletion {
            /// Two deletions overlap, and the second to end takes what was created after the first.
            namespaces_deleted_twice_at_once_leave_what_comes_after
            /// Something happened while an empty namespace was being deleted, and that is taken for "not empty".
            namespaces_are_deleted_by_what_they_hold_in_the_end
            /// What the store keeps about itself fills more than a page, and the rest of it counts as the user's.
            status_counts_nothing_of_the_stores_own
        }
        "batches" batches {
            /// One bad entry of many takes the good ones with it.
            batches_answer_each_key_by_itself
            /// Many keys come back sorted, or without duplicates, or without the missing ones.
            batches_read_in_the_order_asked
            /// Offset and limit meet the ends of a list: nothing, everything, beyond.
            batches_are_listed_by_offset_and_limit
            /// Absent and present are told apart wrongly by one of the verbs.
            stores_answer_absence_and_presence
        }
        "groups" group {
            /// An answer of a group goes to the wrong commit, or a large group is cut.
            groups_of_any_size_answer_each_commit
            /// Whoever started a group goes away, and everybody else waits for ever.
            groups_outlive_a_caller_that_goes_away
            /// A future is dropped at an await, and half of its commit stays.
            groups_survive_a_dropped_future_of_the_engine
            /// Commits that gather while the engine is busy get each other's answers.
            groups_form_and_answer_everybody
            /// The engine cannot be reached, and one of a group is told so while the others wait.
            groups_that_cannot_be_sent_fail_one_and_all
        }
        "model" model {
            /// Everything else: what two rules do to each other in an order that nobody thought of.
            model_random_histories_agree_with_the_oracle
        }
    } };
}

/// One `#[test]` for each case.
#[doc(hidden)]
#[macro_export]
macro_rules! __tests {
    ([$factory:expr] $($promise:literal $module:ident { $($(#[doc = $story:literal])* $name:ident)* })*) => {
        $($(
            $(#[doc = $story])*
            #[test]
            fn $name() {
                $crate::check(stringify!($name), &$factory);
            }
        )*)*
    };
}

/// The table as data.
#[doc(hidden)]
#[macro_export]
macro_rules! __list {
    ([] $($promise:literal $module:ident { $($(#[doc = $story:literal])* $name:ident)* })*) => {
        &[$($(
            $crate::Case {
                name: stringify!($name),
                promise: $promise,
                story: concat!($($story),*).trim_ascii_start(),
                body: $module::$name,
            },
        )*)*]
    };
}
