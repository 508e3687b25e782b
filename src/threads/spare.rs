//! A thread that is made before its work is known.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::thread::JoinHandle;

/// A thread that waits for its one work. It ends when this is dropped.
#[derive(Debug)]
pub struct Spare<T> {
    work: mpsc::SyncSender<Box<dyn FnOnce() -> T + Send>>,
    thread: JoinHandle<Option<T>>,
}

impl<T: Send + 'static> Spare<T> {
    /// A thread with this name, of at most 15 bytes.
    pub fn start(name: &str) -> io::Result<Self> {
        let (work, given) = mpsc::sync_channel::<Box<dyn FnOnce() -> T + Send>>(1);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || given.recv().ok().map(|work| work()))?;
        Ok(Self { work, thread })
    }

    /// Gives it its work. What comes of it is never `None`.
    pub fn run(self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<Option<T>> {
        // It takes the work whenever it gets to it.
        self.work.send(Box::new(work)).ok();
        self.thread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_what_it_is_given_and_ends() {
        assert_eq!(Spare::start("test").unwrap().run(|| 7).join().unwrap(), Some(7));
        let Spare { work, thread } = Spare::<()>::start("test").unwrap();
        drop(work);
        assert_eq!(thread.join().unwrap(), None);
    }
}
