//! How tables hash: in the same way for everything that comes from one log, and unknown to whoever sends.

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use std::hash::BuildHasher as _;
use std::hash::Hash;
use std::hash::Hasher as _;
use std::hash::RandomState;
use std::sync::Arc;

/// A seed that the tables of a store share; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Seed(Arc<SharedSeed>);

impl Seed {
    /// The seed of all that comes from a log with this id.
    pub(super) fn of_log(id: u64) -> Self {
        Self(Arc::new(SharedSeed::from_u64(id)))
    }

    pub(super) fn hash(&self, value: impl Hash) -> u64 {
        let mut hasher = FoldHasher::with_seed(0, &self.0);
        value.hash(&mut hasher);
        hasher.finish()
    }
}

/// Another one each time, for what comes from no log.
impl Default for Seed {
    fn default() -> Self {
        Self::of_log(RandomState::new().hash_one(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_its_own() {
        let hash = |seed: &Seed| (0..100).map(|number| seed.hash((number, "text"))).collect::<Vec<_>>();
        let one = hash(&Seed::of_log(1));
        assert_eq!(one, hash(&Seed::of_log(1)));
        for other in [Seed::of_log(2), Seed::default(), Seed::default()] {
            assert!(one.iter().zip(hash(&other)).all(|(one, other)| *one != other));
        }
    }
}
