//! Signals on their way through `exec`: to the job while it runs, else to the main thread.

use std::fs;
use std::io;
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;

use parking_lot::Mutex;
use rustix::process::Pid;
use rustix::process::Signal;
use signal_hook::consts::SIGCHLD;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;
use signal_hook::low_level::siginfo::Origin;

use super::inbox::Wake;

/// What is passed on, and whether it asks for the end.
const PASSED_ON: [(Signal, bool); 6] =
    [(Signal::INT, true), (Signal::TERM, true), (Signal::HUP, true), (Signal::QUIT, true), (Signal::USR1, false), (Signal::USR2, false)];

/// Whether a signal of that number asks a process to end.
pub(super) fn asks_for_the_end(number: i32) -> bool {
    PASSED_ON.iter().any(|(signal, ends)| *ends && signal.as_raw() == number)
}

/// Where signals go.
#[derive(Clone)]
pub(super) struct Relay(Arc<Mutex<State>>);

struct State {
    job: Option<Pid>,
    /// The first signal that asked for the end.
    asked_to_end: Option<i32>,
    wakes: Sender<Wake>,
}

impl Relay {
    /// Listens from now on.
    pub(super) fn listen(wakes: Sender<Wake>) -> io::Result<Self> {
        let ignored = ignored();
        let mut numbers: Vec<i32> = PASSED_ON.iter().map(|(signal, _)| signal.as_raw()).collect();
        // Under `nohup`, and in the background of a script, a signal is ignored on purpose; the job inherits that.
        numbers.retain(|number| ignored & (1 << (number - 1)) == 0);
        // A caller that ignores SIGCHLD would take the exit code of the job from us.
        numbers.push(SIGCHLD);
        let mut signals = SignalsInfo::<WithOrigin>::new(numbers)?;
        let relay = Self(Arc::new(Mutex::new(State { job: None, asked_to_end: None, wakes })));
        let for_thread = relay.clone();
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for origin in signals.forever() {
                for_thread.pass_on(&origin);
            }
        })?;
        Ok(relay)
    }

    /// Starts the job, which gets every signal from then on; not when one has asked for the end before.
    pub(super) fn adopt(&self, start: impl FnOnce() -> io::Result<Child>) -> Result<Child, Refusal> {
        let mut state = self.0.lock();
        if let Some(number) = state.asked_to_end {
            return Err(Refusal::Asked(number));
        }
        let child = start().map_err(Refusal::Failed)?;
        state.job = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(child)
    }

    /// The job has ended: its number may soon be that of another process.
    pub(super) fn release(&self) {
        self.0.lock().job = None;
    }

    /// The signal that asked for the end, if one did.
    pub(super) fn asked_to_end(&self) -> Option<i32> {
        self.0.lock().asked_to_end
    }

    fn pass_on(&self, origin: &Origin) {
        let Some((signal, ends)) = PASSED_ON.iter().find(|(signal, _)| signal.as_raw() == origin.signal) else { return };
        let mut state = self.0.lock();
        if *ends {
            state.asked_to_end.get_or_insert(origin.signal);
        }
        match state.job {
            // A terminal sends ^C to all of the foreground, the job included; twice is a different order to many programs.
            Some(_) if origin.cause == Cause::Kernel => {}
            Some(job) => {
                rustix::process::kill_process(job, *signal).ok();
            }
            None if *ends => {
                state.wakes.send(Wake::Interrupted).ok();
            }
            None => {}
        }
    }
}

/// Why there is no job.
pub(super) enum Refusal {
    /// By this signal, before it began.
    Asked(i32),
    Failed(io::Error),
}

/// The signals that were ignored when this process began, one bit each; none where the system does not tell.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
