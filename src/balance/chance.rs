//! Numbers that nobody foresees, from a seed: for algorithms that draw lots.
//!
//! They are those of splitmix64: a counter with an odd step, mixed. Drawing one is a single atomic addition,
//! so picks do not wait for each other, and all that there is of randomness is the seed, which comes from
//! outside: the same seed draws the same lots. Good for sharing out load, no good for secrets.

use std::sync::atomic::{AtomicU64, Ordering};

use super::hash::mix;

/// A source of lots.
#[derive(Debug)]
pub(super) struct Chance {
    counter: AtomicU64,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        let counter = AtomicU64::new(seed);
        Self { counter }
    }

    /// A number below `end`, each as likely as the others but for one in 2⁶⁴ / `end`. 0 if `end` is 0.
    pub(super) fn below(&self, end: u64) -> u64 {
        let number = mix(self.counter.fetch_add(STEP, Ordering::Relaxed));
        // The upper half of the product is the place of `number` on the way from 0 to `end`.
        u64::try_from((u128::from(number) * u128::from(end)) >> 64)
            .expect("the product of two u64, without its lower half, is a u64")
    }
}

/// 2⁶⁴ divided by the golden ratio, made odd, so that the counter goes through all numbers.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn a_seed_draws_the_same_lots_and_another_draws_others() {
        let draw = |seed| {
            let chance = Chance::new(seed);
            [0; 20].map(|_| chance.below(1_000))
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn every_number_below_the_end_is_drawn_equally_often_and_no_other() {
        let chance = Chance::new(1);
        let mut times = [0_u32; 7];
        for _ in 0..70_000 {
            times[usize::try_from(chance.below(7)).unwrap()] += 1;
        }
        // 10,000 each; six times the deviation of as many throws, the root of 70,000 · 1/7 · 6/7.
        let bound = 6 * 93;
        assert!(
            times.iter().all(|times| times.abs_diff(10_000) <= bound),
            "{times:?}"
        );
        assert_eq!((chance.below(1), chance.below(0)), (0, 0));
    }
}
