//! What is done about a panic before anything is unwound: what is dropped then may wait for other threads, and that for ever.

use std::cell::RefCell;
use std::panic;
use std::panic::AssertUnwindSafe;
use std::panic::PanicHookInfo;
use std::process;
use std::rc::Rc;
use std::sync::Once;
use std::thread;

use crate::cli;
use crate::cli::Failure;
use crate::threads::Panicked;

type Told = Rc<dyn Fn(&PanicHookInfo<'_>)>;

thread_local! {
    static TOLD: RefCell<Option<Told>> = const { RefCell::new(None) };
}

/// Does the work; when it panics on this thread, `told` is called at once, and nothing is written. Other threads do as they did.
pub(super) fn telling<T>(told: impl Fn(&PanicHookInfo<'_>) + 'static, work: impl FnOnce() -> T) -> thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| match TOLD.try_with(|told| told.borrow().clone()) {
            Ok(Some(told)) => told(panic),
            _ => usual(panic),
        }));
    });
    let before = TOLD.replace(Some(Rc::new(told)));
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    TOLD.set(before);
    done
}

/// Does the work; when it panics on this thread the process ends at once with an error, whatever other threads do.
pub(super) fn ending<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let end = |panic: &PanicHookInfo<'_>| {
        let what = panic.payload_as_str().unwrap_or("unknown");
        let place = panic.location().map(|place| format!(" ({place})")).unwrap_or_default();
        cli::note(&format!("error: {Panicked}: {what}{place}"));
        process::exit(1);
    };
    telling(end, work).unwrap_or_else(|_| Err(Failure::running(Panicked)))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_innermost_is_told_of_what_panics_on_its_thread() {
        let (outer, inner) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let counted = |count: &Rc<Cell<u32>>| {
            let count = Rc::clone(count);
            move |_: &PanicHookInfo<'_>| count.set(count.get() + 1)
        };
        let done = telling(counted(&outer), || {
            assert_eq!(telling(counted(&inner), || 7).unwrap(), 7);
            assert!(telling(counted(&inner), || panic!("within")).is_err());
            assert_eq!((outer.get(), inner.get()), (0, 1));
            let elsewhere = thread::spawn(|| telling(|_| {}, || panic!("elsewhere")).is_err());
            assert!(elsewhere.join().unwrap());
            assert_eq!((outer.get(), inner.get()), (0, 1));
            panic!("outside of it");
        });
        assert!(done.is_err());
        assert_eq!((outer.get(), inner.get()), (1, 1));
    }

    /// The process is this test, once more.
    #[test]
    fn a_panic_ends_the_process_before_anything_waits() {
        struct Waits;
        impl Drop for Waits {
            fn drop(&mut self) {
                thread::park();
            }
        }
        const NAME: &str = "cli::serve::panics::tests::a_panic_ends_the_process_before_anything_waits";
        if std::env::var_os("CHANGE_EVENTS_TEST_PANICS").is_some() {
            let done: Result<(), Failure> = ending(|| {
                let _waits = Waits;
                panic!("with\na fault")
            });
            unreachable!("{done:?}");
        }
        let mut again = Command::new(std::env::current_exe().unwrap());
        let ended = again.args(["--exact", NAME]).env("CHANGE_EVENTS_TEST_PANICS", "1").output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        let expected = "change-events: error: it panicked: this program has a fault: with a fault (src/cli/serve/panics.rs:";
        assert!(said.starts_with(expected) && said.lines().count() == 1, "{said}");
    }
}
