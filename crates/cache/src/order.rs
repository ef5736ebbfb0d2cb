//! In which order segments are evicted: CLOCK. The hand goes from the oldest on; what was used again since it came, or since the hand passed, is spared
//! once for each use that counts. Reads close together are one use, so a film watched once is no better than new, however many reads it took.
//!
//! What was copied waits in a queue of its own, oldest first. It goes before all the rest as long as it is more than its share, so that a copy of a whole
//! library takes no more than that from what was played; what is used again later counts as played.

use std::collections::{HashSet, VecDeque};

use crate::entry::Heat;

/// A segment: file and number.
pub(crate) type Key = (u64, u32);

/// The clock, with the hand at the front, and the copies.
#[derive(Debug, Default)]
pub(crate) struct Order {
    clock: VecDeque<Key>,
    copies: VecDeque<Key>,
}

impl Order {
    /// Adds a segment that is not in it.
    pub(crate) fn insert(&mut self, key: Key) {
        self.clock.push_back(key);
    }

    /// Counts `keys` as copied, those that it has.
    pub(crate) fn copied(&mut self, keys: &HashSet<Key>) {
        let copies = &mut self.copies;
        self.clock.retain(|key| {
            let copied = keys.contains(key);
            if copied {
                copies.push_back(*key);
            }
            !copied
        });
    }

    /// Takes the next to be evicted out of it: a copy if there are more than `share`. `heat` tells how each stands, and has to cool what it called hot.
    pub(crate) fn pop(&mut self, share: usize, mut heat: impl FnMut(Key) -> Heat) -> Option<Key> {
        self.pop_copy(share, &mut heat)
            .or_else(|| self.pop_clock(&mut heat))
            .or_else(|| self.pop_copy(0, &mut heat))
    }

    fn pop_copy(&mut self, share: usize, heat: &mut impl FnMut(Key) -> Heat) -> Option<Key> {
        while self.copies.len() > share {
            let key = self.copies.pop_front()?;
            if self.may_go(key, heat) {
                return Some(key);
            }
        }
        None
    }

    fn pop_clock(&mut self, heat: &mut impl FnMut(Key) -> Heat) -> Option<Key> {
        // Every segment comes round until it has cooled; with nothing but pinned ones there is an end, too.
        for _ in 0..self.clock.len() * 5 {
            let key = self.clock.pop_front()?;
            if self.may_go(key, heat) {
                return Some(key);
            }
        }
        None
    }

    /// Whether `key`, which was taken out, is evicted. One that is used or pinned comes to the end of the clock, be it a copy.
    fn may_go(&mut self, key: Key, heat: &mut impl FnMut(Key) -> Heat) -> bool {
        match heat(key) {
            Heat::Gone => false,
            Heat::Pinned | Heat::Hot => {
                self.clock.push_back(key);
                false
            }
            Heat::Cold => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn what_is_used_again_outlives_what_streams_by() {
        let mut order = Order::default();
        let mut uses = HashMap::new();
        for number in 0..10 {
            order.insert((1, number));
        }
        for number in 0..200 {
            order.insert((2, number));
            if number % 5 == 0 {
                // The first file is used again and again.
                for number in 0..10 {
                    uses.insert((1, number), 1);
                }
            }
            if order.clock.len() > 20 {
                let evicted = order.pop(0, |key| match uses.get_mut(&key) {
                    Some(uses) if *uses > 0 => {
                        *uses -= 1;
                        Heat::Hot
                    }
                    _ => Heat::Cold,
                });
                assert_eq!(evicted.unwrap().0, 2);
            }
        }
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut order = Order::default();
        for number in 0..3 {
            order.insert((1, number));
        }
        let taken = [(); 4].map(|()| order.pop(0, |_| Heat::Cold));
        assert_eq!(taken, [Some((1, 0)), Some((1, 1)), Some((1, 2)), None]);
    }

    #[test]
    fn copies_go_first_down_to_their_share_and_last_within_it() {
        let mut order = Order::default();
        for number in 0..6 {
            order.insert((1, number));
        }
        let copied = [1, 3, 4, 5, 9].map(|number| (1, number));
        order.copied(&copied.into());
        // The first of them was used again: it is a copy no more.
        let mut hot = true;
        let first = order.pop(2, |_| match std::mem::take(&mut hot) {
            true => Heat::Hot,
            false => Heat::Cold,
        });
        assert_eq!(first, Some((1, 3)));
        let rest = [(); 6].map(|()| order.pop(2, |_| Heat::Cold));
        let expected = [0, 2, 1, 4, 5].map(|number| Some((1, number)));
        assert_eq!((&rest[..5], rest[5]), (&expected[..], None));
    }

    #[test]
    fn pinned_segments_are_never_taken_and_gone_ones_leave() {
        let mut order = Order::default();
        for number in 0..10 {
            order.insert((1, number));
        }
        assert_eq!(order.pop(0, |_| Heat::Pinned), None);
        assert_eq!(order.clock.len(), 10);
        assert_eq!(order.pop(0, |_| Heat::Gone), None);
        assert_eq!(order.clock.len(), 0);
    }
}
