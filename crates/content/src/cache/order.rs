//! In which order segments are evicted: CLOCK. The hand goes from the oldest on; what was used again since it came, or since the hand passed, is spared
//! once for each use that counts. Reads close together are one use, so a film watched once is no better than new, however many reads it took.

use std::collections::VecDeque;

use super::entry::Heat;

/// A segment: file and number.
pub(crate) type Key = (u64, u32);

/// The clock; the hand is at the front.
#[derive(Debug, Default)]
pub(crate) struct Order {
    clock: VecDeque<Key>,
}

impl Order {
    /// Adds a segment that is not in it.
    pub(crate) fn insert(&mut self, key: Key) {
        self.clock.push_back(key);
    }

    /// Takes the next to be evicted out of it. `heat` tells how each stands, and has to cool what it called hot.
    pub(crate) fn pop(&mut self, mut heat: impl FnMut(Key) -> Heat) -> Option<Key> {
        // Every segment comes round until it has cooled; with nothing but pinned ones there is an end, too.
        for _ in 0..self.clock.len() * 5 {
            let key = self.clock.pop_front()?;
            match heat(key) {
                Heat::Gone => {}
                Heat::Pinned | Heat::Hot => self.clock.push_back(key),
                Heat::Cold => return Some(key),
            }
        }
        None
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
                let evicted = order.pop(|key| match uses.get_mut(&key) {
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
        let taken = [(); 4].map(|()| order.pop(|_| Heat::Cold));
        assert_eq!(taken, [Some((1, 0)), Some((1, 1)), Some((1, 2)), None]);
    }

    #[test]
    fn pinned_segments_are_never_taken_and_gone_ones_leave() {
        let mut order = Order::default();
        for number in 0..10 {
            order.insert((1, number));
        }
        assert_eq!(order.pop(|_| Heat::Pinned), None);
        assert_eq!(order.clock.len(), 10);
        assert_eq!(order.pop(|_| Heat::Gone), None);
        assert_eq!(order.clock.len(), 0);
    }
}
