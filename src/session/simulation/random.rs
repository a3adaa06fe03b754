//! What decides what happens next.

use std::fmt;

use bytes::{Buf, Bytes};

/// Decisions: of a seed, without end, or of a fuzzer's input.
pub(super) enum Random {
    /// What is left of an input. Each decision takes a byte or two, so that a change to one byte changes
    /// one decision.
    Input(Bytes),
    /// SplitMix64, and the seed that it began with.
    #[cfg_attr(fuzzing, expect(dead_code, reason = "only tests begin with a seed"))]
    Seed { state: u64, seed: u64 },
}

impl Random {
    pub(super) fn of_input(input: &[u8]) -> Self {
        Self::Input(Bytes::copy_from_slice(input))
    }

    pub(super) fn is_input(&self) -> bool {
        matches!(self, Self::Input(_))
    }

    /// Whether nothing is left to decide by.
    pub(super) fn is_spent(&self) -> bool {
        matches!(self, Self::Input(rest) if rest.is_empty())
    }

    /// Up to `most` bytes of the input. A seed has none.
    pub(super) fn bytes(&mut self, most: usize) -> Bytes {
        let count = usize::try_from(self.below(most as u64 + 1)).expect("a small number");
        match self {
            Self::Input(rest) => rest.split_to(count.min(rest.len())),
            Self::Seed { .. } => Bytes::new(),
        }
    }

    /// A number below `bound`, which is at most 65,536. When the input is spent it is the highest: chance
    /// favours the usual.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        match self {
            Self::Input(rest) if rest.is_empty() => bound - 1,
            Self::Input(rest) if bound > 256 && rest.len() > 1 => u64::from(rest.get_u16()) % bound,
            Self::Input(rest) => u64::from(rest.get_u8()) % bound,
            Self::Seed { state, .. } => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = *state;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (z ^ (z >> 31)) % bound
            }
        }
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let index = usize::try_from(self.below(of.len() as u64)).expect("a small number");
        *of.get(index).expect("below the length")
    }

    pub(super) fn pick_of<T, const N: usize>(&mut self, of: [T; N]) -> T {
        let index = usize::try_from(self.below(N as u64)).expect("a small number");
        of.into_iter().nth(index).expect("below the length")
    }
}

/// How to see it again.
impl fmt::Display for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(rest) => write!(f, "{} bytes of the input are left", rest.len()),
            Self::Seed { seed, .. } => write!(f, "FTPLB_SIM_SEED={seed}"),
        }
    }
}
