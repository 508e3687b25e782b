//! The writer on a disk that fails and by a clock that is set, against a model that knows only what was answered, and against
//! the fold of every record that was ever written.

mod clock;
mod edges;
mod faults;
mod numbers;
mod older;
mod retention;
mod room;
mod seam;
mod server;
mod simulation;
mod world;

use super::*;
use crate::event::Command;
use crate::event::Delete;
use crate::event::Describe;
use crate::event::Details;
use crate::event::Edge;
use crate::event::EdgeId;
use crate::event::EdgeState;
use crate::event::Identity;
use crate::event::Put;
use crate::event::Version;
use crate::exposition::Exposure;
use crate::exposition::Format;
use crate::exposition::PageRequest;
use crate::exposition::Pages;
use crate::labels::LabelSet;
use crate::log::faulty::Call;
use crate::log::faulty::Fault;
use crate::log::faulty::FaultyDisk;
use crate::store::Store;
use crate::time::ManualClock;
use crate::time::Timestamp;

/// The label of an edge that cannot be folded.
const PLANTED: &str = "cannot_be_folded";

/// A fault of the fold, for those who want one.
pub(super) fn panic_if_planted<'e>(mut edges: impl Iterator<Item = &'e Edge>) {
    assert!(edges.all(|edge| edge.labels.value(PLANTED).is_none()), "planted");
}

pub(super) fn memory() -> Memory {
    memory_with(crate::store::Options::default())
}

fn memory_with(options: crate::store::Options) -> Memory {
    let (store, pages) = (Store::new(options), Pages::new(&crate::exposition::Options::default()));
    Memory { store: Arc::new(store), pages: Arc::new(pages) }
}

/// A writer on an empty disk, for the tests of those who send.
pub(crate) fn started(memory: &Memory, clock: Arc<dyn Clock>, telemetry: Arc<Telemetry>) -> Writer {
    let opened = open(FaultyDisk::new(), crate::log::Options::default(), memory).unwrap();
    Writer::start(opened, Options::default(), clock, telemetry, Vec::new()).unwrap().0
}

/// Small files, so that a test has many of them.
fn log_options() -> crate::log::Options {
    crate::log::Options { segment_bytes: 16 << 10, hwm_bytes: 2 << 10, ..crate::log::Options::default() }
}
