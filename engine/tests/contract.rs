//! One contract for every engine: what `task.rs` promises, each rule a test that runs on threads, io_uring and the
//! simulator. It must not know how an engine keeps a promise.
#![expect(clippy::panic, clippy::print_stdout, reason = "what a test may do, its rig may too")]

#[path = "contract/apart.rs"]
mod apart;
#[path = "contract/copy.rs"]
mod copy;
#[path = "contract/limits.rs"]
mod limits;
#[path = "contract/link.rs"]
mod link;
#[path = "contract/list.rs"]
mod list;
#[path = "contract/place.rs"]
mod place;
#[path = "contract/remove.rs"]
mod remove;
#[path = "contract/replace.rs"]
mod replace;
#[path = "contract/rig.rs"]
mod rig;
#[path = "contract/take.rs"]
mod take;
#[path = "contract/task.rs"]
mod task;

/// Makes a test of each named function on each engine. A function that is not named here is dead code, which fails the
/// build.
macro_rules! contract {
    ($($file:ident { $($name:ident,)* })*) => {
        contract!(@engine threads $($file { $($name,)* })*);
        contract!(@engine uring $($file { $($name,)* })*);
        contract!(@engine sim $($file { $($name,)* })*);
    };
    (@engine $engine:ident $($file:ident { $($name:ident,)* })*) => {
        mod $engine {
            $($(
                #[test]
                fn $name() {
                    for rig in crate::rig::$engine() {
                        crate::$file::$name(&rig);
                    }
                }
            )*)*
        }
    };
}

contract! {
    list {
        pages_are_complete_and_without_duplicates,
        an_empty_directory_is_one_empty_page,
        only_the_first_page_tells_the_directory,
        named_entries_come_in_the_order_asked_for_and_missing_ones_are_left_out,
        one_entry_or_none_is_read,
        itself_reads_no_entries,
        temporaries_are_never_entries_and_are_leftovers_on_request,
        all_names_are_told_on_request_without_examining_them,
        later_pages_tell_no_names,
        several_names_come_in_the_order_asked_for,
        a_missing_root_is_not_found,
        a_missing_directory_is_not_found,
        a_file_is_no_directory,
        a_path_through_a_symlink_is_refused,
        what_is_listed_is_exact,
        names_of_any_bytes_are_listed,
        attributes_are_read_only_when_asked_for,
        links_are_listed_and_copied_as_what_they_lead_to_where_they_are_followed,
    }
    copy {
        copy_into_a_new_directory_publishes_once,
        copy_into_a_new_directory_leaves_out_what_failed,
        copy_into_a_new_directory_that_exists_changes_nothing,
        copy_into_a_new_directory_below_a_missing_one_fails,
        copy_into_an_existing_directory_adds_to_it,
        copy_into_a_staged_directory_shows_nothing_before_it_is_published,
        copy_over_nothing_keeps_what_came_meanwhile,
        copy_over_an_entry_replaces_a_file,
        copy_over_an_entry_replaces_a_symlink_and_not_its_target,
        copy_over_an_entry_keeps_one_name_of_two,
        copy_over_an_entry_never_replaces_a_directory,
        copy_over_an_empty_directory_replaces_only_an_empty_one,
        copy_in_place_keeps_the_inode_unless_it_has_other_names,
        copy_keeps_what_it_replaces_where_it_is_told_to,
        the_only_pick_can_have_another_name_in_the_source,
        failures_are_told_by_their_place_in_the_page,
        a_file_that_became_something_else_is_not_followed,
        a_file_that_changed_since_it_was_listed_is_copied_whole,
        copied_metadata_are_exact,
        metadata_that_are_not_preserved_are_not_set,
        large_contents_are_equal,
        holes_stay_holes,
        a_shared_or_refused_clone_is_told,
        names_of_any_bytes_are_copied,
        a_missing_source_directory_fails_the_task,
        picks_beyond_the_page_are_left_out,
        settled_files_and_bytes_are_counted,
        owners_and_set_id_bits_are_kept_by_who_may,
        a_durable_copy_is_a_copy,
        attributes_are_copied,
    }
    place {
        steps_run_in_order_and_a_failed_one_stops_no_other,
        a_made_directory_is_private_unless_plain,
        an_existing_name_is_no_directory_to_make,
        a_staged_directory_is_published_under_its_name,
        a_staged_directory_is_never_published_over_anything,
        a_staged_directory_that_is_given_up_leaves_no_trace,
        a_staged_directory_can_be_filled_after_it_is_published,
        a_symlink_is_made_with_its_metadata,
        a_pipe_is_made_with_its_metadata,
        a_device_and_a_socket_are_made_by_who_may,
        a_node_over_nothing_keeps_what_came_meanwhile,
        a_node_replaces_what_it_may,
        a_node_never_replaces_a_full_directory,
        repair_sets_only_what_is_asked,
        repair_of_a_symlink_does_not_follow_it,
        repair_of_what_is_missing_fails,
        repair_sets_and_removes_attributes,
        a_directory_is_widened_and_finished,
        placing_in_a_missing_directory_fails,
    }
    link {
        a_link_is_another_name_of_the_file,
        a_link_over_nothing_keeps_what_came_meanwhile,
        a_shared_file_has_a_name_in_both_directories,
        a_link_replaces_a_file,
        a_link_replaces_an_empty_directory,
        a_link_over_the_same_file_leaves_no_trace,
        a_link_to_what_is_missing_fails,
        a_link_to_a_symlink_does_not_follow_it,
        a_link_into_a_staged_directory_is_published_with_it,
    }
    replace {
        copies_replace_trees,
        nodes_and_links_replace_trees,
        made_directories_replace_what_they_may,
        a_plain_directory_that_replaces_is_plain,
        staged_directories_replace_what_they_may,
        new_directories_replace_what_they_may,
        what_stays_of_a_replaced_tree_is_told,
    }
    take {
        a_taken_entry_keeps_everything,
        a_taken_entry_gets_another_name,
        taking_over_nothing_keeps_what_came_meanwhile,
        taking_over_an_entry_replaces_it,
        taking_over_an_entry_never_replaces_a_directory,
        taking_a_name_over_another_of_the_same_file_leaves_one,
        taking_an_entry_over_itself_keeps_it,
        taking_over_a_tree_replaces_all_of_it,
        privileged_what_is_on_another_file_system_is_not_taken,
        what_is_gone_or_behind_a_link_is_not_taken,
        a_directory_is_not_taken_into_itself,
    }
    remove {
        single_removes_files_and_empty_directories,
        single_keeps_full_directories,
        aside_keeps_files_and_removes_empty_directories,
        tree_removes_all_and_follows_nothing,
        what_is_missing_is_not_counted,
        a_leftover_is_kept_while_its_lock_is_held,
        a_leftover_is_removed_when_its_lock_is_free,
        a_leftover_without_a_temporary_name_is_data_and_stays,
        unchanged_removes_what_is_as_it_was,
        unchanged_keeps_what_changed_and_says_so,
        unchanged_removes_all_names_of_an_inode_one_after_another,
        a_removal_cut_short_tells_what_it_removed,
        a_link_on_the_way_is_not_followed,
    }
    limits {
        privileged_a_full_file_system_ends_a_copy_with_all_that_is_left,
        a_lost_owner_takes_the_set_id_bits_with_it,
        facts_tell_whether_attributes_are_held,
        a_place_is_known_through_every_mount_or_not_at_all,
        privileged_places_of_two_file_systems_are_different,
    }
    task {
        digests_are_xxh3_in_the_order_of_the_names,
        what_cannot_be_digested_fails_alone,
        space_tells_the_directory_and_all_above_it,
        space_of_a_missing_root_is_not_found,
        a_cancelled_run_interrupts_every_task_and_changes_nothing,
        a_thousand_tasks_end_once_each,
        every_port_hears_of_its_own_tasks,
    }
}
