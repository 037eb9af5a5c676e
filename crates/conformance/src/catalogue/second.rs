//! The second half of the catalogue.

/// Puts the second half of the table behind the first, and hands both to the macro `$then`.
#[doc(hidden)]
#[macro_export]
macro_rules! __catalogue_second {
    ($then:ident [$($argument:tt)*] $($first:tt)*) => { $crate::$then! { [$($argument)*] $($first)*
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
        "G11" query {
            /// SQL decides: NULL for missing, a collation, floats for integers, a pattern for a text, a number for a boolean.
            g11_operators_mean_what_they_say
            /// The limit is applied before what is left of the filter, or a page without an answer is taken for the last one.
            g11_pages_of_what_is_rare_are_whole
            /// An engine sorts out what is not asked for now, and it was at the moment of the view.
            g11_a_query_is_as_of_one_moment
            /// What has expired, or belongs to a neighbour, is found by a filter and by nothing else.
            g11_a_query_sees_what_is_there
            /// Of a long text the beginning is taken for all of it: two are the same, or stand in the order of their keys.
            g11_texts_that_begin_alike_for_long_are_told_apart
        }
        "G11" search {
            /// An engine searches by itself: other words, other scores, another order, or another moment.
            g11_a_search_answers_the_same_everywhere
            /// What has expired, or is no JSON, is found, or counts for how rare a word is.
            g11_a_search_sees_what_is_there
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
        "G12" counting {
            /// One kind of write is forgotten when counting, and a quota is full for ever, or never.
            g12_what_a_namespace_takes_is_counted_exactly
            /// Counting goes wrong where two kinds of write meet, or where the log is trimmed under it.
            g12_a_random_history_is_counted_exactly
            /// A quota is checked before the commit and not with it, or stands in the way of who wants to take less.
            g12_a_quota_holds_inside_the_commit
            /// Everybody sees the last free place, and everybody takes it.
            g12_racing_commits_never_exceed_a_quota
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
        "G14" once {
            /// Who was not told what became of a commit sends it again, and it happens again; or is told that it did not.
            g14_once_is_once_wherever_the_line_is_cut
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
        "G11" model {
            /// A question has another answer with an index than without: of an odd value, an order, a page, a moment, a handle.
            g11_any_index_answers_as_the_evaluator_does
        }
        "G11" indexes {
            /// A value has another term than what is the same, or the same term as another value; or is not where it is looked for.
            g11_operators_mean_the_same_along_an_index
            /// Of what one index finds, another one is asked for something else, or for what it was at another moment.
            g11_what_is_in_two_indexes_is_looked_up_in_both
            /// A write forgets what an entry had, or what it has; a row stays when its entry has gone.
            g11_an_index_has_a_row_for_every_term_and_no_other
            /// What is written while an index is built is in it twice, or not at all; or what is deleted comes back.
            g11_an_index_built_while_others_write_is_one_built_at_rest
            /// An index that was dropped answers on, or the next one has its rows.
            g11_indexes_come_go_and_come_again
        }
        "G6" indexes {
            /// A walk is of another moment than it says, skips what comes behind its page, or what was deleted meanwhile.
            g6_a_walk_is_of_one_moment_and_goes_on_where_it_ended
        }
        "G2" indexes {
            /// Rows live in memory, and the file is opened without them.
            g2_indexes_are_there_after_reopening
            /// The process ends while an index is built, which is then asked as if it were whole, or begun again for ever.
            g2_what_was_begun_is_gone_on_with
        }
        "G12" indexes {
            /// A neighbour's index is listed, dropped, used or counted; or a part of a namespace decides for all of it.
            g12_a_guest_learns_nothing_of_a_neighbours_indexes
        }
        "G13" indexes {
            /// An entry with a million elements makes a million rows in one commit.
            g13_an_entry_has_a_bounded_number_of_terms
        }
        "namespaces" indexes {
            /// A namespace is deleted, and who creates it anew finds that something has to be unique there.
            namespaces_take_their_indexes_along
        }
        "G4" unique {
            /// It is looked whether a value is free, and in between somebody else takes it.
            g4_one_of_racing_claims_of_a_value_wins
            /// A collation takes upper case for lower, a float one large number for the next, or null is not compared.
            g4_what_is_unique_is_so_for_the_same_values
            /// Values are compared with what was there before the commit, or with what has expired.
            g4_unique_values_change_hands
            /// The second element of an array is not looked at, or an entry is in its own way.
            g4_each_element_is_unique
            /// An index that could not be built stays, half of it, and refuses writes.
            g4_a_unique_index_that_cannot_be_built_leaves_nothing
        }
        "G1" unique {
            /// A commit is refused by its second write, and the rows of the first one stay.
            g1_a_commit_that_an_index_refuses_leaves_nothing
        }
        "G12" unique {
            /// Uniqueness is looked up without the namespace.
            g12_what_is_unique_here_is_not_so_there
        }
        "model" model {
            /// Everything else: what two rules do to each other in an order that nobody thought of.
            model_random_histories_agree_with_the_oracle
        }
    } };
}
