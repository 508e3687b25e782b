//! Wrong tokens: how many of them an address may send before it is told to wait. A right token is never held up by that, since
//! tokens are looked at first.
//!
//! Addresses are remembered while they have sent more than they may; beyond [`ADDRESSES_MAX`] of them all others share one
//! allowance, so that the table stays small whoever sends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// How many wrong tokens an address may send at once.
const BURST: u32 = 100;
/// In which time it may send one more.
const INTERVAL: Duration = Duration::from_millis(100);
/// How many addresses are told apart.
const ADDRESSES_MAX: usize = 16 * 1024;
/// How often those are looked through that may be forgotten.
const SWEEP: Duration = Duration::from_secs(1);

/// What became of a wrong token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its sender is told that it is wrong.
    Refused,
    /// Its sender has sent too many of them, and is told after which time it may send the next one.
    Throttled(Duration),
}

impl Outcome {
    /// The value of the label `outcome`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Throttled(_) => "throttled",
        }
    }
}

/// Who has sent how many wrong tokens.
#[derive(Debug, Default)]
pub(crate) struct WrongTokens(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    /// When the allowance of an address will be whole again, in the time of a clock that never goes back.
    whole_at: HashMap<Arc<str>, Duration>,
    others_whole_at: Duration,
    swept: Duration,
}

impl WrongTokens {
    /// Counts one that came from `address`; `now` is of a clock that never goes back.
    pub(crate) fn count(&self, address: &Arc<str>, now: Duration) -> Outcome {
        let mut counts = self.0.lock();
        if let Some(whole_at) = counts.whole_at.get_mut(address) {
            return count(whole_at, now);
        }
        if counts.whole_at.len() >= ADDRESSES_MAX && now >= counts.swept + SWEEP {
            counts.swept = now;
            counts.whole_at.retain(|_, whole_at| *whole_at > now);
        }
        if counts.whole_at.len() >= ADDRESSES_MAX {
            return count(&mut counts.others_whole_at, now);
        }
        count(counts.whole_at.entry(Arc::clone(address)).or_default(), now)
    }
}

/// Takes one from an allowance, where there is one.
fn count(whole_at: &mut Duration, now: Duration) -> Outcome {
    let then = (*whole_at).max(now) + INTERVAL;
    let most = now + BURST * INTERVAL;
    match then.checked_sub(most) {
        None | Some(Duration::ZERO) => {
            *whole_at = then;
            Outcome::Refused
        }
        Some(wait) => Outcome::Throttled(wait),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_address_may_send_some_at_once_and_ten_a_second() {
        let wrong = WrongTokens::default();
        let (one, another): (Arc<str>, Arc<str>) = ("192.0.2.1".into(), "192.0.2.2".into());
        let refused = |address, now| (0..1000).filter(|_| wrong.count(address, now) == Outcome::Refused).count();
        assert_eq!(refused(&one, SECOND), 100);
        assert_eq!(wrong.count(&one, SECOND), Outcome::Throttled(INTERVAL), "what was throttled costs nothing");
        assert_eq!(refused(&another, SECOND), 100);
        assert_eq!(refused(&one, 2 * SECOND), 10);
        assert_eq!(refused(&one, 100 * SECOND), 100);
    }

    #[test]
    fn however_many_addresses_there_are_the_table_stays_small() {
        let wrong = WrongTokens::default();
        let address = |number: usize| -> Arc<str> { format!("2001:db8:{number:x}::").into() };
        let refused =
            |numbers: std::ops::Range<usize>, now| numbers.filter(|number| wrong.count(&address(*number), now) == Outcome::Refused).count();
        assert_eq!(refused(0..ADDRESSES_MAX, SECOND), ADDRESSES_MAX);
        assert_eq!(refused(ADDRESSES_MAX..2 * ADDRESSES_MAX, SECOND), 100, "the others have one allowance together");
        assert_eq!(wrong.0.lock().whole_at.len(), ADDRESSES_MAX);
        assert_eq!(refused(0..ADDRESSES_MAX, SECOND), ADDRESSES_MAX, "those that are told apart have their own");
        // What is whole again is forgotten.
        assert_eq!(refused(ADDRESSES_MAX..2 * ADDRESSES_MAX, 3 * SECOND), ADDRESSES_MAX);
        assert_eq!(wrong.0.lock().whole_at.len(), ADDRESSES_MAX);
    }
}
