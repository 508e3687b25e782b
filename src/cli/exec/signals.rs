//! Signals on their way through `exec`: to the job while it runs; the main thread asks whether one asked for the end.

use std::fs;
use std::io;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rustix::process::Pid;
use rustix::process::Signal;
use signal_hook::consts::SIGCHLD;
use signal_hook::consts::SIGXFSZ;
use signal_hook::iterator::Handle;
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::Cause;
use signal_hook::low_level::siginfo::Origin;

use crate::cli;

/// What is passed on and asks for the end.
const ENDING: [Signal; 4] = [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT];
/// What is passed on and means what the job makes of it.
const OTHERS: [Signal; 2] = [Signal::USR1, Signal::USR2];

const NOT_PASSED_ON: &str = "signals are not passed on to the command";

/// Whether a signal of that number asks a process to end.
pub(super) fn asks_for_the_end(number: i32) -> bool {
    ENDING.iter().any(|signal| signal.as_raw() == number)
}

/// The thread that passes signals on, and what ends it.
type Listener = (Handle, JoinHandle<()>);

/// Where signals go.
#[derive(Clone)]
pub(super) struct Relay {
    job: Arc<Mutex<Option<Pid>>>,
    /// The last signal that asked for the end, 0 for none. It is set the moment the signal comes, not when our thread
    /// gets to it, so that it is never taken for one that came after the job.
    asked: Arc<AtomicUsize>,
    thread: Arc<Mutex<Option<Listener>>>,
}

impl Relay {
    /// Listens from now on. Where the system has no room for that, signals are not passed on, but the job is run.
    pub(super) fn listen() -> Self {
        let relay = Self { job: Arc::default(), asked: Arc::default(), thread: Arc::default() };
        if let Err(error) = relay.register() {
            cli::note(&format!("warning: {NOT_PASSED_ON}: {error}"));
        }
        relay
    }

    fn register(&self) -> io::Result<()> {
        // A caller that ignores SIGCHLD would take the exit code of the job from us.
        signal_hook::flag::register(SIGCHLD, Arc::default())?;
        // A file of the spool that may not be so large is an error of writing; the job has the signal as it was.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        let ignored = ignored();
        // Before any other is ours: a signal that nobody can pass on is to do what it does.
        let registered = SignalsInfo::<WithOrigin>::new([0; 0])?;
        let (signals, for_thread) = (registered.handle(), self.clone());
        let (send, received) = mpsc::channel::<SignalsInfo<WithOrigin>>();
        let pass_on = move || received.iter().for_each(|mut signals| signals.forever().for_each(|origin| for_thread.pass_on(&origin)));
        let thread = thread::Builder::new().name("signals".to_owned()).spawn(pass_on)?;
        for signal in ENDING.into_iter().chain(OTHERS) {
            let number = signal.as_raw();
            // Under `nohup`, and in the background of a script, a signal is ignored on purpose; the job inherits that.
            if ignored & (1 << (number - 1)) != 0 {
                continue;
            }
            if asks_for_the_end(number)
                && let Ok(value) = usize::try_from(number)
            {
                signal_hook::flag::register_usize(number, Arc::clone(&self.asked), value)?;
            }
            signals.add_signal(number)?;
        }
        *self.thread.lock() = Some((signals, thread));
        // The thread is there, and waits for them.
        send.send(registered).ok();
        Ok(())
    }

    /// Ends the thread that passes signals on, which makes room for the job; whether there was one.
    pub(super) fn make_room(&self) -> bool {
        let Some((signals, thread)) = self.thread.lock().take() else { return false };
        signals.close();
        thread.join().ok();
        cli::note(&format!("warning: {NOT_PASSED_ON}: there is room for it alone"));
        true
    }

    /// Starts the job, which gets every signal from then on; not when one has asked for the end before.
    pub(super) fn adopt(&self, start: impl FnOnce() -> io::Result<Child>) -> Result<Child, AdoptError> {
        let mut job = self.job.lock();
        if let Some(number) = self.asked_to_end() {
            return Err(AdoptError::Asked(number));
        }
        let child = start().map_err(AdoptError::Failed)?;
        *job = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(child)
    }

    /// The job has ended: its number may soon be that of another process.
    pub(super) fn release(&self) {
        *self.job.lock() = None;
    }

    /// The signal that asked for the end, if one did.
    pub(super) fn asked_to_end(&self) -> Option<i32> {
        number(self.asked.load(Ordering::SeqCst))
    }

    /// The same; from now on it has to ask again.
    pub(super) fn take_asked_to_end(&self) -> Option<i32> {
        number(self.asked.swap(0, Ordering::SeqCst))
    }

    fn pass_on(&self, origin: &Origin) {
        let Some(signal) = ENDING.iter().chain(&OTHERS).find(|signal| signal.as_raw() == origin.signal) else { return };
        // A terminal sends ^C to all of the foreground, the job included; twice is a different order to many programs.
        if origin.cause == Cause::Kernel {
            return;
        }
        if let Some(job) = *self.job.lock() {
            rustix::process::kill_process(job, *signal).ok();
        }
    }
}

fn number(asked: usize) -> Option<i32> {
    i32::try_from(asked).ok().filter(|number| *number != 0)
}

/// Why there is no job.
pub(super) enum AdoptError {
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
