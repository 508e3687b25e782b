//! Any program of what senders, time, retention and restarts do: the store shows what the plain model says, and a log of what it
//! remembers folds to the same.

use super::bytes::Bytes;
use super::world::World;

/// More steps make an input slow, and find nothing that fewer do not.
const STEPS_MAX: usize = 32;

pub(crate) fn run(input: &[u8]) {
    let mut input = Bytes::new(input);
    let mut world = World::new(World::skew_of(&mut input));
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.end(&mut input);
}
