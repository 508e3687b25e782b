use std::io;
use std::path::PathBuf;
use std::thread;

use clap::Parser as _;

use super::*;
use crate::cli::serve::Args;
use crate::cli::serve::Plan;
use crate::http::body::Limits;
use crate::http::threads::Threads;
use crate::threads::Helpers;

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

fn plan() -> Plan {
    Plan::new(&Command::parse_from(["serve"]).args.flags, Threads::start().unwrap(), Helpers::default()).unwrap()
}

fn settings(stream_bytes: u64) -> Settings {
    Settings { limits: Limits { stream_bytes: Some(stream_bytes), ..Limits::default() }, ..Settings::default() }
}

fn bad() -> ConfigError {
    ConfigError::Read { path: PathBuf::new(), source: io::ErrorKind::NotFound.into() }
}

/// Two reloads; the second comes while the first has read the file and not yet said what is in it.
fn reload_during_another(
    plan: &Plan,
    first: Result<Settings, ConfigError>,
    second: Result<Settings, ConfigError>,
) -> [Result<(), ReloadError>; 2] {
    let reloader = &plan.reloader;
    thread::scope(|scope| {
        let mut late = None;
        let early = reloader.reload_from(|_| {
            let thread = scope.spawn(|| reloader.reload_from(|_| second));
            while !reloader.turn.is_locked() && !thread.is_finished() {
                thread::yield_now();
            }
            late = Some(thread);
            first
        });
        [early, late.unwrap().join().unwrap()]
    })
}

#[test]
fn of_two_reloads_the_last_to_read_is_the_last_to_set() {
    let plan = plan();
    let telemetry = plan.app.telemetry();
    let now = || plan.app.settings().limits.stream_bytes;
    let counted = || (telemetry.reload_successful.get(), telemetry.reloads_failed.get());

    let answers = reload_during_another(&plan, Ok(settings(1)), Ok(settings(2)));
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!((now(), counted()), (Some(2), (1, 0)));

    let answers = reload_during_another(&plan, Err(bad()), Ok(settings(3)));
    assert!(answers[0].is_err() && answers[1].is_ok(), "each answers by its own reading: {answers:?}");
    assert_eq!((now(), counted()), (Some(3), (1, 1)));

    let answers = reload_during_another(&plan, Ok(settings(4)), Err(bad()));
    assert!(answers[0].is_ok() && answers[1].is_err(), "each answers by its own reading: {answers:?}");
    assert_eq!((now(), counted()), (Some(4), (0, 2)));
}
