//! Histories that once were not the same after a restart, each named for what it is about. Found by chance and made short.

use crate::play_inside;
use crate::steps;

#[track_caller]
fn check(history: &str) {
    if let Err(difference) = play_inside(&steps::parse(history)) {
        panic!("{difference}");
    }
}

#[test]
fn a_stop_that_was_sent_twice_goes_with_its_first_receipt() {
    check(
        "1: stop job @3d entity_id=x1 key:k0
         2: clock 7d
         3: again 1
         4: clock 12d
         5: point tick
         6: kill",
    );
}

#[test]
fn a_start_that_was_sent_twice_does_not_outlive_its_event() {
    check(
        "1: start build @-2d host=h1 key:k1
         2: stop build @0 host=h1
         3: clock 20h
         4: again 1
         5: clock 7d
         6: point tick
         7: kill",
    );
}

#[test]
fn a_heartbeat_that_was_sent_twice_does_not_outlive_its_event() {
    check(
        "1: start job @-2d16h entity_id=x0
         2: start job @-2d entity_id=x0
         3: clock 21h
         4: stop job @0 entity_id=x1
         5: again 2
         6: clock 5d
         7: point tick
         8: kill",
    );
}

#[test]
fn a_stop_sent_again_beside_a_newer_one_is_forgotten_once() {
    check(
        "1: stop build @0
         2: clock 5d
         3: stop build @0
         4: again 1
         5: clock 11d
         6: point tick
         7: kill",
    );
}

#[test]
fn a_point_that_was_sent_twice_goes_with_its_first_receipt() {
    check(
        "1: point mark @2d n=0 key:k0
         2: clock 8d
         3: again 1
         4: clock 14d
         5: point tick
         6: kill",
    );
}

#[test]
fn a_point_sent_again_after_it_was_forgotten_is_new() {
    check(
        "1: point mark @0 n=2
         2: clock 17h
         3: start job @0 entity_id=x0
         4: clock 5d
         5: again 1
         6: kill",
    );
}

#[test]
fn a_forgotten_stop_of_a_supersede_group_sent_again_is_new() {
    check(
        "1: stop deploy @0 v=3 svc=api
         2: clock 1d
         3: stop job @0 entity_id=x2
         4: again 1
         5: clock 6d
         6: start job @1d entity_id=x1
         7: kill",
    );
}

#[test]
fn a_start_sent_again_after_its_deletion_does_not_come_back() {
    check(
        "1: start job @0 entity_id=x1
         2: clock 7d
         3: delete #1
         4: again 1
         5: clock 17d
         6: point tick
         7: kill",
    );
}

#[test]
fn a_deletion_takes_the_same_event_after_its_neighbour_is_forgotten() {
    check(
        "1: start job @0 entity_id=x0
         2: stop job @-26m entity_id=x0
         3: clock 5d
         4: start job @-28m entity_id=x0
         5: delete #2
         6: clock 10d
         7: point tick
         8: kill",
    );
}

#[test]
fn a_deletion_takes_the_same_event_when_a_stop_overtakes() {
    check(
        "1: start deploy @1d v=2 svc=api
         2: stop deploy @-1d v=2 svc=api + start deploy @-1d v=2 svc=api to:c1
         3: delete #2.1
         4: clock 5d
         5: point tick
         6: clock 10d
         7: point tick
         8: kill",
    );
}

#[test]
fn a_deletion_of_an_edge_that_came_twice_in_an_array() {
    check(
        "1: stop job @0 entity_id=x0
         2: clock 11h
         3: start job @0 entity_id=x0 + start job @0 entity_id=x1 + start job @1d entity_id=x0 + start job @0 entity_id=x0
         4: delete #3.3
         5: clock 6d
         6: point tick
         7: kill",
    );
}

#[test]
fn a_deletion_of_a_superseded_start_with_a_stop_within_the_skew() {
    check(
        "1: stop deploy @0 v=1 svc=api
         2: clock 1d
         3: start deploy @-2d v=1 svc=api
         4: start deploy v=1 svc=api
         5: delete #4
         6: stop deploy @-2s v=1 svc=api
         7: clock 5d21h
         8: point tick
         9: kill",
    );
}

#[test]
fn details_of_a_stop_that_came_twice_are_forgotten_once() {
    check(
        "1: start build @0
         2: stop build @0 + stop build @0
         3: clock 3d
         4: change #2.1 name=n1
         5: again 2
         6: clock 12d
         7: point tick
         8: kill",
    );
}

#[test]
fn details_of_a_heartbeat_are_forgotten_with_it() {
    check(
        "1: start job @2h50m entity_id=x0
         2: stop job @0 entity_id=x0 + stop job entity_id=x0 + start job @2h entity_id=x0
         3: clock 1d
         4: etsupdate #2.2
         5: start job @2h50m entity_id=x0
         6: clock 6d
         7: point tick
         8: kill",
    );
}

#[test]
fn details_of_a_stop_whose_start_came_later() {
    check(
        "1: clock 3d
         2: stop deploy v=1 svc=api
         3: etsupdate #2
         4: clock 8d
         5: start deploy @0 v=1 svc=api + stop deploy @0 v=1 svc=api
         6: clock 13d
         7: point tick
         8: kill",
    );
}

#[test]
fn an_end_that_a_change_gave_outlives_older_stops() {
    check(
        "1: stop build @-2d12h host=h0
         2: stop build @0 host=h0
         3: start build host=h0
         4: clock 11m
         5: start build
         6: clock 12h
         7: change #3 ..
         8: stop build @-2d12h host=h0
         9: clock 4d9h
         10: point tick
         11: kill",
    );
}

#[test]
fn an_end_that_a_change_gave_to_a_repeated_start() {
    check(
        "1: start deploy @-8m v=2 svc=api + start deploy v=2 svc=api + stop job @1s entity_id=x1 key:k0
         2: clock 5d7h
         3: change #1.0 name=n1
         4: start build + start deploy @0 v=2 svc=api + start deploy @0 v=2 svc=api
         5: clock 11d2h15m
         6: change #4.2 ..11d1h59m
         7: kill",
    );
}

#[test]
fn a_start_whose_stop_was_forgotten_supersedes_the_same() {
    check(
        "1: stop deploy v=1 svc=api
         2: clock 2d
         3: start deploy @2d v=1 svc=api
         4: clock 7d
         5: start deploy @8d v=2 svc=api
         6: kill",
    );
}

#[test]
fn starts_in_the_future_supersede_the_same_when_old() {
    check(
        "1: stop deploy @0 v=1 svc=api + start deploy @2d v=1 svc=api + start deploy @4d v=3 svc=api key:k0
         2: clock 6d
         3: start deploy @3d v=2 svc=api
         4: clock 12d
         5: point tick
         6: kill",
    );
}

#[test]
fn a_version_started_again_supersedes_the_same() {
    check(
        "1: start deploy @0 v=2 svc=api + stop deploy @0 v=2 svc=api
         2: kill
         3: clock 1d
         4: stop deploy @16h v=2 svc=api
         5: start deploy @2d v=1 svc=api + start deploy v=2 svc=api
         6: clock 6d
         7: point tick
         8: kill",
    );
}

#[test]
fn a_superseded_start_is_forgotten_once() {
    check(
        "1: stop deploy @-1d v=2 svc=api
         2: start deploy @5d v=1 svc=api
         3: start deploy @0 v=2 svc=api
         4: clock 22h
         5: start build
         6: clock 5d
         7: point tick
         8: kill",
    );
}

#[test]
fn heartbeats_of_one_array_are_forgotten_once() {
    check(
        "1: start job @10m5s entity_id=x0 + start job @0 entity_id=x0 + start job @1d entity_id=x0 key:k1
         2: clock 6d
         3: start job @10m5s entity_id=x0 key:k0
         4: clock 11d
         5: point tick
         6: kill",
    );
}

#[test]
fn a_start_sent_again_after_its_stop_was_forgotten() {
    check(
        "1: stop job entity_id=x1
         2: start job @0 entity_id=x1
         3: clock 10d
         4: create deployment name=w1 @9d ..10d
         5: again 2
         6: clock 14d21h
         7: point tick
         8: kill",
    );
}

#[test]
fn a_start_between_heartbeats_in_the_future() {
    check(
        "1: start job @5h13m entity_id=x0
         2: clock 1d
         3: create incident name=w0 @2d ..2d
         4: start job @5h13m entity_id=x0
         5: start job @0 entity_id=x0
         6: clock 6d
         7: point tick
         8: kill",
    );
}

#[test]
fn another_skew_at_a_restart_pairs_nothing_anew() {
    check(
        "1: stop deploy @-1d17h v=1 svc=api
         2: start deploy @-1d16h59m57s v=1 svc=api
         3: kill skew=0s",
    );
}

#[test]
fn another_skew_at_a_later_restart_pairs_nothing_anew() {
    check(
        "1: kill skew=0s
         2: start build @-14m host=h0
         3: stop build @-14m3s host=h0
         4: kill skew=5s",
    );
}

#[test]
fn what_an_earlier_retirement_left_stays_when_the_reason_has_gone() {
    check(
        "1: stop job @10m entity_id=x0
         2: clock 11d
         3: start job @9m entity_id=x0
         4: clock 16d
         5: start deploy @14d v=1 svc=api + start job @9d entity_id=x0
         6: start job @0 entity_id=x0
         7: clock 21d
         8: point tick
         9: kill",
    );
}

#[test]
fn a_stop_stays_as_long_as_the_details_that_came_with_it() {
    check(
        "1: start job @0 entity_id=x1
         2: change #1 ..4d
         3: clock 18h
         4: stop job @0 entity_id=x1
         5: clock 5d16h
         6: point tick
         7: kill",
    );
}

#[test]
fn details_go_with_their_edge_though_the_stop_that_came_with_them_stays() {
    check(
        "1: start deploy @0 v=1 svc=api
         2: start deploy @6d v=1 svc=api
         3: clock 5d
         4: change #1 ..5d20h
         5: stop deploy @5d v=1 svc=api + stop deploy @5d v=1 svc=api
         6: delete #5.1
         7: clock 11d
         8: point tick
         9: kill",
    );
}

#[test]
fn details_of_a_deleted_event_do_not_go_to_its_neighbour() {
    check(
        "1: start job @-2d entity_id=x0 + start job entity_id=x1 + start job @0 entity_id=x0
         2: clock 9h
         3: start job @9h entity_id=x0
         4: change #1.2 name=m ..9h
         5: stop job @0 entity_id=x0
         6: clock 17h
         7: again 4
         8: delete #5
         9: clock 5d
         10: point tick
         11: kill",
    );
}

#[test]
fn an_event_with_an_id_stays_as_long_as_an_edge_that_it_had() {
    check(
        "1: create deployment name=w0 @6d21h ..
         2: change #1 @0
         3: clock 3d
         4: start job @3d entity_id=x0
         5: clock 7d21h
         6: point tick
         7: kill",
    );
}

#[test]
fn a_description_made_again_at_the_same_time_brings_no_stop_back() {
    check(
        "1: start build host=h2
         2: change #1.0 ..10d
         3: again 2
         4: clock 5d
         5: stop build host=h2
         6: clock 11d11h
         7: point tick
         8: kill",
    );
}

#[test]
fn descriptions_of_two_events_at_the_same_time_are_told_apart() {
    check(
        "1: start build @0 + start build @-2d host=h0 + start build @0 + start build @0 host=h0
         2: change #1.1 ..-22m
         3: change #1.3 note=seen
         4: clock 5d
         5: stop build
         6: clock 12d
         7: point tick
         8: kill",
    );
}

#[test]
fn an_edge_that_an_event_has_again_was_received_with_the_last_put() {
    check(
        "1: create incident name=w @2d ..2d
         2: change #1 @3d ..3d
         3: clock 6d
         4: change #1 ..6d
         5: clock 12d
         6: stop build @2d
         7: again 2
         8: kill",
    );
}

#[test]
fn a_retirement_without_its_checkpoint_is_made_again() {
    check(
        "1: etsput e1 @2d ..2d
         2: clock 12h
         3: start build @11h37m host=h1 + start build @11h
         4: clock 10d
         5: start build @-2d
         6: clock 15d
         7: start build @11h37m host=h1
         8: clock 15d11h
         9: fail create
         10: start build @0
         11: kill",
    );
}

#[test]
fn what_lapses_is_the_same_after_its_first_start_was_forgotten() {
    check(
        "1: start build @0 host=h1
         2: clock 21h
         3: change #1 ..0
         4: start build @0 host=h1
         5: delete #4
         6: start build @0 host=h1 status=good
         7: clock 7d18h
         8: point tick
         9: kill",
    );
}

#[test]
fn what_came_at_once_is_one_commit() {
    check(
        "1: at once: start job @0 entity_id=a | start job @0 entity_id=a | stop job @1m entity_id=a | etsput e0 @0 .. in:b
         2: at once: delete #1.0 | change #1.1 name=n1 if:now | start job @0 entity_id=a
         3: kill
         4: lines start job @1m entity_id=b + stop job @2m entity_id=b
         5: change #1 name=m if:2
         6: kill retention=2d
         7: clock 3d
         8: point tick
         9: kill",
    );
}

#[test]
fn what_a_failed_sync_left_is_as_old_as_its_record() {
    check(
        "7: fail sync
         8: stop build @-3d
         15: kill
         18: clock 4d
         23: start build @0
         24: clock 8d
         25: again 8
         26: clock 8d7h
         33: point tick
         34: kill",
    );
}
