//! The thread that talks to the server while the job runs: what earlier runs left, then the start, then the stop.
//!
//! It tries for as long as the process lives; how long that is, is for the main thread to say.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::inbox::Wake;
use super::spool::Kept;
use super::spool::Spool;
use crate::cli;
use crate::client::Accepted;
use crate::client::Client;
use crate::client::ClientError;
use crate::client::Delivery;
use crate::client::State;
use crate::client::retry;

/// An edge to deliver, and its copy in the spool.
pub(super) struct Parcel {
    delivery: Delivery,
    kept: Option<Kept>,
}

impl Parcel {
    pub(super) fn new(delivery: Delivery) -> Self {
        Self { delivery, kept: None }
    }

    /// Puts a copy into the spool before anything is sent, so that not even a kill in the middle of sending loses it; where it is.
    pub(super) fn keep(&mut self, spool: &Spool, state: State) -> io::Result<PathBuf> {
        let kept = spool.put(state, &self.delivery)?;
        let place = kept.place();
        self.kept = Some(kept);
        Ok(place)
    }

    /// The copy has served when the server has the edge, or will never take it.
    fn settle(self, result: &Result<Accepted, ClientError>) {
        let done = match result {
            Ok(_) => true,
            Err(error) => !error.is_transient() && !error.minds_the_sender(),
        };
        if let Some(kept) = self.kept.filter(|_| done) {
            kept.remove();
        }
    }
}

/// Keeps the start, delivers what is in the spool, then the start; the stop is sent to what is returned. An error where the system
/// has no room for the thread that does.
pub(super) fn spawn(client: Client, spool: Option<Spool>, start: Delivery, wakes: Sender<Wake>) -> io::Result<Sender<Parcel>> {
    let (stops, incoming) = mpsc::channel::<Parcel>();
    let report = move || {
        let mut start = Parcel::new(start);
        if let Some(spool) = &spool {
            wakes.send(Wake::StartKept(start.keep(spool, State::Start))).ok();
            for line in spool.flush(&client) {
                wakes.send(Wake::Note(line)).ok();
            }
        }
        let mut stop = None;
        let until_stop = |pause: Duration| match (&stop, incoming.recv_timeout(pause)) {
            // The job has ended: no use in waiting longer with the start.
            (None, Ok(parcel)) => {
                stop = Some(parcel);
                true
            }
            (_, Err(RecvTimeoutError::Timeout)) => true,
            (_, Ok(_) | Err(RecvTimeoutError::Disconnected)) => false,
        };
        let result = deliver(&client, &start, State::Start, &wakes, until_stop);
        start.settle(&result);
        wakes.send(Wake::Start(result)).ok();
        let Some(stop) = stop.or_else(|| incoming.recv().ok()) else { return };
        let result = deliver(&client, &stop, State::Stop, &wakes, |pause| {
            thread::sleep(pause);
            true
        });
        stop.settle(&result);
        wakes.send(Wake::Stop(result)).ok();
    };
    thread::Builder::new().name("reporter".to_owned()).spawn(report)?;
    Ok(stops)
}

fn deliver(
    client: &Client,
    parcel: &Parcel,
    end: State,
    wakes: &Sender<Wake>,
    mut wait: impl FnMut(Duration) -> bool,
) -> Result<Accepted, ClientError> {
    retry::until_done(
        || client.put(&parcel.delivery),
        |error, pause| {
            let trouble = Wake::Trouble { end, reason: cli::with_causes(error), next_try: Instant::now() + pause };
            wakes.send(trouble).is_ok() && wait(pause)
        },
    )
}
