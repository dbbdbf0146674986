//! Interaction files: scenarios of a cluster, each with commands and the exact output.
//!
//! `support/script.rs` describes the commands. The monitors of `paxos_simulator::replicas` count the votes while
//! a scenario runs, and check agreement.
//!
//! After a change of behaviour, `UPDATE_EXPECT=1 cargo test -p paxos --test interaction` rewrites the output. Read the
//! difference as carefully as code.

#[path = "support/script.rs"]
mod script;

use std::{fs, path::Path};

macro_rules! scenarios {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let path = folder().join(concat!(stringify!($name), ".txt"));
                let file = fs::read_to_string(&path).expect("the scenario can be read");
                expect_test::expect_file![path].assert_eq(&script::run(&file));
            }
        )*

        /// Fails if there is a file that no test runs.
        #[test]
        fn every_file_is_run() {
            let files = fs::read_dir(folder()).expect("the folder can be read");
            let mut files: Vec<_> = files
                .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            files.sort();
            let mut run = vec![$(stringify!($name)),*];
            run.sort_unstable();
            assert_eq!(files, run);
        }
    };
}

scenarios! {
    a_candidate_waits_for_trimmed_slots
    a_crash_loses_unsynced_records
    a_deposed_leader_is_refused
    a_deposed_leaders_reads_are_refused
    a_gap_is_filled_with_a_noop
    a_lagging_follower_catches_up
    a_lagging_follower_gets_a_snapshot
    a_leader_proposes_slots_that_others_have_trimmed
    a_leader_that_comes_back_begins_a_higher_ballot
    a_lost_promise_is_given_again
    a_new_leader_adopts_values_that_may_be_chosen
    a_new_leaders_read_waits_for_reported_slots
    a_promise_beyond_the_slot_limit
    a_read_round_is_resent
    a_read_sees_slots_that_others_have_applied
    a_refused_candidate_catches_up_at_once
    a_single_node_chooses_alone
    a_slow_disk_holds_back_reads
    a_snapshot_trims_the_log
    an_accept_of_trimmed_slots
    chosen_slots_are_announced_in_runs
    duplicates_change_nothing
    flexible_quorums_1_and_3
    flexible_quorums_3_and_1
    no_more_slots_in_flight_than_allowed
    one_value_is_chosen
    one_vote_is_enough_to_read
    proposals_are_refused_with_the_leader
    reads_are_confirmed_in_rounds
    rivals_do_not_disagree
    the_highest_ballot_wins
    timers
    votes_out_of_order
}

#[test]
#[should_panic(expected = "`elect 1` is not a command")]
fn unknown_commands_fail() {
    script::run("cluster 3\nelect 1\n");
}

#[test]
#[should_panic(expected = "no such message is under way")]
fn commands_that_find_nothing_fail() {
    script::run("cluster 3\ncampaign 1\ndeliver 2->1\n");
}

#[test]
#[should_panic(expected = "`quorum=2` is not an option")]
fn unknown_options_fail() {
    script::run("cluster 3 quorum=2\n");
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interaction"))
}
