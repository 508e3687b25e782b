//! Histories that once were not the same after a restart, each named for what was wrong.

use crate::play_inside;
use crate::steps;

#[track_caller]
fn check(history: &str) {
    if let Err(difference) = play_inside(&steps::parse(history)) {
        panic!("{difference}");
    }
}

#[test]
fn a_repeated_start_does_not_outlive_its_event() {
    check(
        "1: start job @-1m entity_id=x
         2: stop job @0 entity_id=x
         3: clock 3d
         4: again 1
         5: clock 5d
         6: point tick
         7: kill",
    );
}
