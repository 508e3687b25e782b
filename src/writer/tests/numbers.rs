//! Numbers of events are the positions of records in the log.

use super::world::World;
use super::*;
use crate::store::EventView;
use std::collections::BTreeMap;

/// Whether the record at the position that is the event's number first put it, or brought an edge of it.
fn is_from_its_record(world: &World, organization: &str, event: &EventView) -> bool {
    let record = world.server.records.iter().find(|(position, ..)| position.0 == event.number);
    let tenant = world.server.memory.store.tenant(organization).unwrap();
    let edge = match record.map(|(.., command)| command) {
        Some(Command::Change(Change::Put(put))) => {
            return put.start.organization.as_ref() == organization && put.id == event.id && put.number.is_none();
        }
        Some(Command::Edge(edge)) => edge,
        Some(Command::Change(Change::Describe(describe))) => describe.stop.as_ref().unwrap(),
        _ => return false,
    };
    !event.own_id && tenant.event(&edge.id().to_string()).is_some_and(|of| of.id == event.id)
}

/// Of events that are put again too, and when settings, claims and what is known already are in the same commit.
#[test]
fn an_event_has_the_position_of_the_record_that_brought_its_first_edge_or_first_put_it() {
    let (mut put_again, mut others) = (0, 0);
    for seed in 0..6 {
        let mut world = World::new(seed);
        let mut own = BTreeMap::new();
        for step in 0..120 {
            let records = world.server.records.len();
            if step % 4 == 0 {
                world.step_of_senders();
            } else {
                world.change();
            }
            let mut before = std::mem::take(&mut own);
            for (.., command) in &world.server.records[records..] {
                if let Command::Change(Change::Delete(delete)) = command {
                    before.remove(&(Arc::clone(&delete.organization), delete.id.clone()));
                }
            }
            for (organization, event) in world.events() {
                assert!(is_from_its_record(&world, &organization, &event), "{event:?}");
                let tenant = world.server.memory.store.tenant(&organization).unwrap();
                assert_eq!(tenant.event_by_number(event.number).map(|found| found.id), Some(event.id.clone()));
                if !event.own_id {
                    others += 1;
                    continue;
                }
                let was = before.get(&(Arc::clone(&organization), event.id.clone()));
                assert!(was.is_none_or(|(number, _)| *number == event.number), "it had {was:?}: {event:?}");
                put_again += usize::from(was.is_some_and(|(_, version)| *version != event.version));
                own.insert((organization, event.id), (event.number, event.version));
            }
        }
    }
    assert!(put_again > 10 && others > 100, "{put_again} {others}");
}
