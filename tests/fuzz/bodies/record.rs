//! Any bytes as records of the log: they decode or they do not; what does keeps a stable form, and the store takes it in.

use change_events::event::Command;
use change_events::event::record::Decoder;
use change_events::event::record::Record as _;
use change_events::event::record::stamp;
use change_events::store::Arrival;
use change_events::store::ClusterId;
use change_events::store::Options;
use change_events::store::Order;
use change_events::store::Query;
use change_events::store::Store;
use change_events::time::Timestamp;

use super::bytes::Bytes;

pub(crate) fn run(input: &[u8]) {
    let mut input = Bytes::new(input);
    let mut decoder = Decoder::default();
    let store = Store::new(Options::default());
    let (mut last, mut position) = (Timestamp::MIN, 0);
    while !input.is_empty() {
        let length = input.wide();
        let bytes = input.take(length);
        let Ok((received, command)) = decoder.decode(bytes) else { continue };
        let record = written(received, &command);
        assert_eq!(record.get(1..9), bytes.get(1..9), "the time of receipt");
        let (again, same) = Decoder::default().decode(&record).unwrap_or_else(|error| panic!("{error}: {command:?}"));
        assert_eq!(again, received);
        // Not the commands themselves: no value that is no number equals itself.
        assert_eq!(written(again, &same), record, "{command:?}");
        assert_eq!(same.edge_id(), command.edge_id());
        last = last.max(received);
        position += 1;
        store.apply_record(Arrival { position, received: last }, &command);
        assert!(store.remembers_record(last, &command) || !matches!(command, Command::Edge(_)), "{command:?} was forgotten at once");
    }
    look(&store, last);
}

fn written(received: Timestamp, command: &Command) -> Vec<u8> {
    let mut record = Vec::new();
    command.encode(&mut record);
    stamp(&mut record, received);
    record
}

/// Whatever was folded in, it can be read.
fn look(store: &Store, now: Timestamp) {
    let mut events = 0;
    for tenant in store.tenants() {
        for order in [Order::Start, Order::End, Order::EndStart, Order::Update] {
            let all = tenant.select(&Query { order, limit: usize::MAX, ..Query::default() }).events;
            events += if order == Order::Start { all.len() } else { 0 };
            for event in all {
                // An id of its own is found by the identity of that id, which bytes need not have.
                assert!(event.own_id || tenant.event(&event.id).is_some(), "no event {}", event.id);
            }
        }
        tenant.open_gauges(ClusterId(0), now, &mut |_| {});
        tenant.next_change(now);
    }
    assert_eq!(store.stats(now).events, events);
}
