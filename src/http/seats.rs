//! Seats for what takes a processor for a while: pages, questions, look-ups. Who asks has half of them at most, so there is always
//! one for somebody else, and those who wait are called in turns: between those who ask, and between the senders of each.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::account::Taker;
use crate::writer::Source;

/// Some seats; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Seats(Arc<Mutex<Shared>>);

/// So many of one who asks wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crowded(pub(crate) usize);

#[derive(Debug)]
struct Shared {
    seats: usize,
    /// Most that one who asks may have.
    most: usize,
    /// Most of one that may wait.
    waiting_max: usize,
    taken: usize,
    asking: HashMap<u64, Asking>,
    /// Those who wait for a seat, the next first, each of them once.
    order: VecDeque<u64>,
}

/// One who asks: an organization, or an address.
#[derive(Debug, Default)]
struct Asking {
    taken: usize,
    waiting: usize,
    /// Whether it stands in the order, which it may while nobody of it waits any more.
    is_in_order: bool,
    /// By sender, the next first; none is empty.
    senders: VecDeque<(u64, VecDeque<oneshot::Sender<Seat>>)>,
}

impl Seats {
    /// So many, of which one who asks may have half; of each `waiting_max` may wait.
    pub(crate) fn new(seats: usize, waiting_max: usize) -> Self {
        let most = seats.div_ceil(2);
        let (asking, order) = Default::default();
        Self(Arc::new(Mutex::new(Shared { seats, most, waiting_max, taken: 0, asking, order })))
    }

    /// A seat for who asks; waits until there is one.
    pub(crate) async fn take(&self, source: &Source) -> Result<Seat, Crowded> {
        let Taker { organization: asker, sender } = source.taker();
        let called = {
            let mut shared = self.0.lock();
            let Shared { seats, most, waiting_max, taken, asking, order } = &mut *shared;
            let one = asking.entry(asker).or_default();
            if *taken < *seats && one.taken < *most {
                (*taken, one.taken) = (*taken + 1, one.taken + 1);
                return Ok(Seat { asker, of: Some(Arc::clone(&self.0)) });
            }
            if one.waiting >= *waiting_max {
                one.forget_gone();
            }
            if one.waiting >= *waiting_max {
                return Err(Crowded(one.waiting));
            }
            let (call, called) = oneshot::channel();
            if !one.is_in_order {
                one.is_in_order = true;
                order.push_back(asker);
            }
            one.push(sender, call);
            called
        };
        // Whoever waits is called when a seat comes free, or after those before have been.
        called.await.map_err(|_| Crowded(0))
    }

    /// How many are taken, and how many wait for one.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let shared = self.0.lock();
        (shared.taken, shared.asking.values().map(|asking| asking.waiting).sum())
    }
}

impl Asking {
    fn push(&mut self, sender: u64, call: oneshot::Sender<Seat>) {
        self.waiting += 1;
        match self.senders.iter_mut().find(|(known, _)| *known == sender) {
            Some((_, calls)) => calls.push_back(call),
            None => self.senders.push_back((sender, VecDeque::from([call]))),
        }
    }

    fn pop(&mut self) -> Option<oneshot::Sender<Seat>> {
        let (sender, mut calls) = self.senders.pop_front()?;
        let call = calls.pop_front();
        self.waiting -= usize::from(call.is_some());
        if !calls.is_empty() {
            self.senders.push_back((sender, calls));
        }
        call
    }

    /// Forgets those that went away while they waited.
    fn forget_gone(&mut self) {
        for (_, calls) in &mut self.senders {
            calls.retain(|call| !call.is_closed());
        }
        self.senders.retain(|(_, calls)| !calls.is_empty());
        self.waiting = self.senders.iter().map(|(_, calls)| calls.len()).sum();
    }
}

impl Shared {
    fn give_back(&mut self, asker: u64) {
        self.taken -= 1;
        if let Some(one) = self.asking.get_mut(&asker) {
            one.taken -= 1;
            if one.taken == 0 && one.waiting == 0 {
                self.asking.remove(&asker);
                self.order.retain(|waits| *waits != asker);
            }
        }
    }

    /// The next who is called, and who asked; the seat is theirs.
    fn next(&mut self) -> Option<(u64, oneshot::Sender<Seat>)> {
        let mut place = 0;
        while self.taken < self.seats {
            let asker = *self.order.get(place)?;
            let Some(one) = self.asking.get_mut(&asker) else {
                self.order.remove(place);
                continue;
            };
            if one.taken >= self.most {
                // Has half of them already, so there are few of these.
                place += 1;
                continue;
            }
            self.order.remove(place);
            let call = one.pop();
            one.is_in_order = one.waiting > 0;
            if one.is_in_order {
                self.order.push_back(asker);
            } else if call.is_none() && one.taken == 0 {
                self.asking.remove(&asker);
                continue;
            }
            let Some(call) = call else { continue };
            (self.taken, one.taken) = (self.taken + 1, one.taken + 1);
            return Some((asker, call));
        }
        None
    }
}

/// A seat that is given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    asker: u64,
    of: Option<Arc<Mutex<Shared>>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some(seats) = self.of.take() else { return };
        seats.lock().give_back(self.asker);
        loop {
            let Some((asker, call)) = seats.lock().next() else { return };
            if let Err(mut unwanted) = call.send(Self { asker, of: Some(Arc::clone(&seats)) }) {
                // Nobody waits there any more.
                unwanted.of = None;
                seats.lock().give_back(asker);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use futures_util::poll;
    use proptest::prelude::*;

    use super::*;

    type Wait<'a> = Pin<Box<dyn Future<Output = Result<Seat, Crowded>> + 'a>>;

    fn source(asker: &str, sender: &str) -> Source {
        Source::new(asker, sender, 0)
    }

    async fn has(wait: &mut Wait<'_>) -> Option<Seat> {
        match poll!(wait) {
            std::task::Poll::Ready(seat) => Some(seat.unwrap()),
            std::task::Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn one_who_asks_has_half_and_leaves_the_rest_to_others() {
        let seats = Seats::new(4, 3);
        let (a, b) = (source("a", "1"), source("b", "1"));
        let mut of_a = vec![seats.take(&a).await.unwrap(), seats.take(&a).await.unwrap()];
        let mut waiting: Vec<Wait<'_>> = (0..3).map(|_| Box::pin(seats.take(&a)) as Wait<'_>).collect();
        for wait in &mut waiting {
            assert!(has(wait).await.is_none());
        }
        assert_eq!(seats.take(&a).await.unwrap_err(), Crowded(3));
        let of_b = [seats.take(&b).await.unwrap(), seats.take(&b).await.unwrap()];
        assert_eq!(seats.counts(), (4, 3));
        // One that went away while it waited makes room for another.
        drop(waiting.remove(1));
        waiting.push(Box::pin(seats.take(&a)));
        assert!(has(&mut waiting[2]).await.is_none());
        // What `b` gives back is not for `a`, which has its half.
        drop(of_b);
        assert!(has(&mut waiting[0]).await.is_none());
        of_a.pop();
        let first = has(&mut waiting[0]).await.unwrap();
        assert!(has(&mut waiting[1]).await.is_none());
        drop((first, of_a));
        let _seats = (has(&mut waiting[1]).await.unwrap(), has(&mut waiting[2]).await.unwrap());
        assert_eq!(seats.counts(), (2, 0));
    }

    #[tokio::test]
    async fn turns_are_between_those_who_ask_and_then_between_senders() {
        let seats = Seats::new(1, 99);
        let first = seats.take(&source("a", "1")).await.unwrap();
        let asked = [("a", "1"), ("a", "1"), ("a", "2"), ("b", "1"), ("a", "1"), ("b", "1"), ("c", "1")];
        let sources = asked.map(|(asker, sender)| source(asker, sender));
        let mut waiting: Vec<Wait<'_>> = sources.iter().map(|source| Box::pin(seats.take(source)) as Wait<'_>).collect();
        for wait in &mut waiting {
            assert!(has(wait).await.is_none());
        }
        let (mut seat, mut order) = (Some(first), Vec::new());
        let mut called = [false; 7];
        while order.len() < asked.len() {
            drop(seat.take());
            for (place, wait) in waiting.iter_mut().enumerate() {
                if !called[place]
                    && let Some(next) = has(wait).await
                {
                    (seat, called[place]) = (Some(next), true);
                    order.push(place);
                    break;
                }
            }
        }
        assert_eq!(order, [0, 3, 6, 2, 5, 1, 4]);
        drop(seat);
        assert_eq!(seats.counts(), (0, 0));
        assert!(seats.0.lock().asking.is_empty() && seats.0.lock().order.is_empty());
    }

    /// Each who waits stands in the order, and nobody twice.
    fn check_order(seats: &Seats) {
        let shared = seats.0.lock();
        let mut order: Vec<u64> = shared.order.iter().copied().collect();
        order.sort_unstable();
        let mut expected: Vec<u64> = shared.asking.iter().filter(|(_, one)| one.is_in_order).map(|(asker, _)| *asker).collect();
        expected.sort_unstable();
        assert_eq!(order, expected);
        assert!(shared.asking.values().all(|one| one.is_in_order || one.waiting == 0));
    }

    #[tokio::test]
    async fn waves_that_go_away_give_no_further_turn() {
        let seats = Seats::new(1, 3);
        let (a, b) = (source("a", "1"), source("b", "1"));
        let mut seat = Some(seats.take(&b).await.unwrap());
        for _ in 0..10 {
            for _ in 0..3 {
                assert!(has(&mut (Box::pin(seats.take(&a)) as Wait<'_>)).await.is_none());
            }
            check_order(&seats);
        }
        let mut waiting: Vec<Wait<'_>> = [&a, &a, &b, &b].map(|source| Box::pin(seats.take(source)) as Wait<'_>).into();
        for wait in &mut waiting {
            assert!(has(wait).await.is_none());
        }
        for next in [0, 2, 1, 3] {
            drop(seat.take());
            seat = has(&mut waiting[next]).await;
            assert!(seat.is_some());
            check_order(&seats);
        }
        drop(seat);
        assert!(seats.0.lock().asking.is_empty() && seats.0.lock().order.is_empty());
    }

    proptest! {
        /// Nobody has more than half, none is lost, and nobody waits beside a seat that is free for it.
        #[test]
        fn seats_are_neither_lost_nor_left_free(steps in prop::collection::vec((0usize..5, 0usize..3, 0usize..8), 0..80)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let seats = Seats::new(4, 3);
                let sources: Vec<Source> = (0..3).map(|asker| source(&asker.to_string(), "1")).collect();
                let mut waiting: Vec<(usize, Wait<'_>)> = Vec::new();
                let mut taken: Vec<(usize, Seat)> = Vec::new();
                for (what, asker, which) in steps {
                    match what {
                        0 | 1 => waiting.push((asker, Box::pin(seats.take(&sources[asker])))),
                        2 if which < taken.len() => drop(taken.swap_remove(which)),
                        3 if which < waiting.len() => drop(waiting.swap_remove(which)),
                        4 => waiting.retain(|(of, _)| *of != asker),
                        _ => {}
                    }
                    let mut still = Vec::new();
                    for (asker, mut wait) in waiting {
                        match poll!(&mut wait) {
                            std::task::Poll::Ready(Ok(seat)) => taken.push((asker, seat)),
                            std::task::Poll::Ready(Err(_)) => {}
                            std::task::Poll::Pending => still.push((asker, wait)),
                        }
                    }
                    waiting = still;
                    check_order(&seats);
                    assert_eq!(seats.counts().0, taken.len());
                    let of = |asker: usize| taken.iter().filter(|(of, _)| *of == asker).count();
                    assert!((0..3).all(|asker| of(asker) <= 2));
                    assert!(taken.len() == 4 || waiting.iter().all(|(asker, _)| of(*asker) == 2));
                }
                drop((waiting, taken));
                check_order(&seats);
                assert_eq!(seats.counts().0, 0);
            });
        }
    }
}
