//! Log lines on their way out: whoever has one to write never waits for whoever reads them.
//!
//! tracing-appender does nearly that: it panics where there is no room for its thread, bounds lines but not their bytes, and may wait
//! for standard output when it ends.

use std::fmt;
use std::io;
use std::io::Write;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Condvar;
use parking_lot::Mutex;

/// So many bytes of lines wait at most; what comes then is left out, and counted.
const WAITING_MAX: usize = 256 << 10;

type Out = Box<dyn Write + Send>;

/// Where lines go; cheap to clone. Until [`Lines::start`] each is written by whoever has it.
#[derive(Clone)]
pub(super) struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Taken by the thread that writes.
    out: Option<Out>,
    /// There is that thread, which takes `out` when it comes to it.
    is_started: bool,
    waiting: Vec<u8>,
    is_writing: bool,
    left_out: u64,
    /// How many of these a line has told of.
    told: u64,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

impl Lines {
    pub(super) fn new(out: impl Write + Send + 'static) -> Self {
        let state = State { out: Some(Box::new(out)), ..State::default() };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// Makes the thread that writes them from now on, `tell` says with a line of its own how many were left out before it. An error
    /// where the system has no room for a thread; all stays as it was then.
    pub(super) fn start(&self, tell: fn(u64)) -> io::Result<()> {
        let lines = self.clone();
        let mut state = self.0.state.lock();
        if !state.is_started {
            thread::Builder::new().name("lines".to_owned()).spawn(move || lines.go_on(tell))?;
            state.is_started = true;
        }
        Ok(())
    }

    /// Whether there is a thread that writes them.
    pub(super) fn is_started(&self) -> bool {
        self.0.state.lock().is_started
    }

    /// How many were left out.
    pub(super) fn left_out(&self) -> u64 {
        self.0.state.lock().left_out
    }

    /// Waits until all are written, but no longer than this.
    pub(super) fn flush(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = self.0.state.lock();
        while (state.is_writing || !state.waiting.is_empty()) && !self.0.changed.wait_until(&mut state, until).timed_out() {}
    }

    fn go_on(&self, tell: fn(u64)) {
        let Some(mut out) = self.0.state.lock().out.take() else { return };
        loop {
            let (lines, untold) = {
                let mut state = self.0.state.lock();
                state.is_writing = false;
                self.0.changed.notify_all();
                while state.waiting.is_empty() {
                    self.0.changed.wait(&mut state);
                }
                state.is_writing = true;
                let untold = state.left_out - state.told;
                state.told = state.left_out;
                (mem::take(&mut state.waiting), untold)
            };
            drop(out.write_all(&lines).and_then(|()| out.flush()));
            if untold > 0 {
                tell(untold);
            }
        }
    }
}

impl Write for Lines {
    /// Takes a whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state.lock();
        if !state.is_started {
            // Who has closed it wants none.
            drop(state.out.as_mut().map(|out| out.write_all(line)));
        } else if state.waiting.len() + line.len() > WAITING_MAX {
            state.left_out += 1;
        } else {
            state.waiting.extend_from_slice(line);
            self.0.changed.notify_all();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Says what it is to write, and then waits until it may.
    struct Slow {
        asked: mpsc::Sender<Vec<u8>>,
        may: mpsc::Receiver<()>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.asked.send(bytes.to_vec()).unwrap();
            self.may.recv().unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_has_a_line_waits_for_nobody_and_what_is_left_out_is_told() {
        static TOLD: Mutex<Vec<u64>> = Mutex::new(Vec::new());
        let ((asked, written), (let_go, may)) = (mpsc::channel(), mpsc::channel());
        let mut lines = Lines::new(Slow { asked, may });
        lines.start(|count| TOLD.lock().push(count)).unwrap();
        lines.write_all(b"first\n").unwrap();
        assert_eq!(written.recv().unwrap(), b"first\n");
        let long = vec![b'x'; WAITING_MAX / 4];
        for _ in 0..6 {
            lines.write_all(&long).unwrap();
        }
        assert_eq!(lines.left_out(), 2);
        lines.flush(Duration::from_millis(1));
        assert!(lines.0.state.lock().is_writing, "it has waited no longer than it should");
        let_go.send(()).unwrap();
        assert_eq!(written.recv().unwrap().len(), WAITING_MAX);
        lines.write_all(b"last\n").unwrap();
        let_go.send(()).unwrap();
        assert_eq!(written.recv().unwrap(), b"last\n");
        let_go.send(()).unwrap();
        lines.flush(Duration::from_mins(1));
        let state = lines.0.state.lock();
        assert_eq!((state.is_writing, state.waiting.len()), (false, 0));
        assert_eq!(*TOLD.lock(), [2]);
    }
}
