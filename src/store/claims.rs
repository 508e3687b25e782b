//! The `Idempotency-Key`s of a tenant that were used within a day.

use super::pieces::Pieces;
use super::sizes::tree;
use crate::event::Claim;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long an `Idempotency-Key` is remembered.
pub const CLAIM_AGE: Duration = Duration::from_hours(24);

/// Most keys that are forgotten at once; those that are too old and still there count as forgotten.
const FORGOTTEN_AT_ONCE: usize = 64;

/// What became of an `Idempotency-Key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// First use.
    New,
    /// Used before with the same body, at this time.
    Again {
        /// When it was first used: what an absent timestamp means.
        at: Timestamp,
    },
    /// Used before with another body.
    OtherBody,
}

#[derive(Debug, Default)]
pub(super) struct Claims {
    by_key: BTreeMap<u128, Bound>,
    /// The same in order of their last uses.
    by_use: Pieces<(Timestamp, u128)>,
    /// What was last used before this is forgotten.
    oldest: Timestamp,
}

/// What a key is bound to.
#[derive(Clone, Copy, Debug)]
struct Bound {
    body: u128,
    at: Timestamp,
    /// When it was last used as far as the log has it. Only logs of the first format have any use but the first.
    used: Timestamp,
}

impl Claims {
    /// What is bound at `now`, in lines. What was bound before goes when somebody asks.
    #[cfg(test)]
    pub(super) fn state(&self, now: Timestamp) -> impl Iterator<Item = String> {
        let Self { by_key, by_use: _, oldest: _ } = self;
        let bound = by_key.iter().filter(move |(_, bound)| bound.used.plus(CLAIM_AGE) >= now);
        bound.map(|(key, bound)| format!("key {key:x}: {bound:?}"))
    }

    /// How many keys are remembered at `now`, which never decreases.
    pub(super) fn len(&mut self, now: Timestamp) -> usize {
        self.expire(now);
        self.by_key.len() - self.by_use.count(|(used, _)| *used < self.oldest)
    }

    /// How long after `now` the first of them lapses.
    pub(super) fn until_first_lapses(&self, now: Timestamp) -> Duration {
        let first = self.by_use.after(|(used, _)| *used < self.oldest);
        first.map_or(Duration::ZERO, |(used, _)| used.plus(CLAIM_AGE).since(now))
    }

    fn bound(&self, key: u128) -> Option<&Bound> {
        self.by_key.get(&key).filter(|bound| bound.used >= self.oldest)
    }

    /// The bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        tree(self.by_key.len(), size_of::<(u128, Bound)>()) + self.by_use.len() * size_of::<(Timestamp, u128)>()
    }

    /// What a use of the key comes to, if it is remembered.
    pub(super) fn find(&self, claim: &Claim) -> Option<Claimed> {
        let again = |bound: &Bound, body| if bound.body == body { Claimed::Again { at: bound.at } } else { Claimed::OtherBody };
        let now = self.bound(claim.key).map(|bound| again(bound, claim.body));
        now.or_else(|| claim.former.and_then(|(key, body)| self.bound(key).map(|bound| again(bound, body))))
    }

    pub(super) fn remembers(&self, key: u128) -> bool {
        self.bound(key).is_some()
    }

    /// Folds in a use that the log has.
    pub(super) fn claim(&mut self, received: Timestamp, claim: &Claim) -> Claimed {
        self.expire(received);
        let claimed = self.find(claim);
        let known = self.bound(claim.key).map(|bound| (bound.body, bound.at));
        let (body, at) = known.unwrap_or((claim.body, claim.at));
        if let Some(before) = self.by_key.insert(claim.key, Bound { body, at, used: received }) {
            let use_before = (before.used, claim.key);
            self.by_use.remove(|other| *other <= use_before, |other| *other == use_before);
        }
        let new = (received, claim.key);
        self.by_use.insert(new, |other| *other < new);
        claimed.unwrap_or(Claimed::New)
    }

    /// What is bound at `now`: each key, its body, and what an absent timestamp means.
    #[cfg(test)]
    pub(super) fn bound_at(&self, now: Timestamp) -> std::collections::BTreeMap<u128, (u128, Timestamp)> {
        let bound = self.by_key.iter().filter(|(_, bound)| bound.used >= now.minus(CLAIM_AGE));
        bound.map(|(key, bound)| (*key, (bound.body, bound.at))).collect()
    }

    fn expire(&mut self, now: Timestamp) {
        self.oldest = now.minus(CLAIM_AGE);
        for (_, key) in self.by_use.take_first(FORGOTTEN_AT_ONCE, |(used, _)| *used < self.oldest) {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3_600_000;

    /// One key is used at each of these times, as logs of the first format have it: whether it is bound to its first body when
    /// another key is used.
    #[track_caller]
    fn check(uses: &[i64], now: i64, bound: bool) {
        let mut claims = Claims::default();
        let claim = |key, time| Claim { organization: "acme".into(), key, body: 7, at: Timestamp::from_millis(time), former: None };
        for &time in uses {
            claims.claim(Timestamp::from_millis(time), &claim(1, time));
        }
        claims.claim(Timestamp::from_millis(now), &claim(2, now));
        let expected = bound.then(|| Claimed::Again { at: Timestamp::from_millis(uses[0]) });
        assert_eq!((claims.remembers(1), claims.find(&claim(1, now))), (bound, expected), "{uses:?} at {now}");
        assert_eq!(claims.len(Timestamp::from_millis(now)), if bound { 2 } else { 1 });
    }

    #[test]
    fn a_key_is_kept_a_day_after_its_last_use_and_not_longer() {
        check(&[5], 5 + DAY, true);
        check(&[5], 6 + DAY, false);
        check(&[5, DAY], 2 * DAY, true);
        check(&[5, DAY], 1 + 2 * DAY, false);
        check(&[5, 6], 6 + DAY, true);
        check(&[5, 6, 6], 7 + DAY, false);
    }
}
