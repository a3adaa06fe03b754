//! The hash by which replicas agree without talking (design decision 16).
//!
//! Its values are a promise: the same bytes give the same number in every version, on every platform.
//! Neither the standard library's hasher nor a crate's promises that. It is no defence against someone who
//! chooses addresses to meet one backend; nothing is gained by that.

/// Hashes `bytes`, differently for each `seed`: FNV-1a, which is defined byte by byte and so has no byte
/// order, and then the finalizer of splitmix64, because the upper bits of FNV hardly depend on the last
/// bytes, where client addresses differ.
pub(super) fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let absorb = |state: u64, byte: &u8| (state ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
    let state = seed
        .to_le_bytes()
        .iter()
        .chain(bytes)
        .fold(FNV_OFFSET, absorb);
    mix(state)
}

/// Lets every bit count for every bit: the finalizer of splitmix64.
pub(super) fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn the_hash_is_the_same_for_ever() {
        let golden: [(u64, &[u8], u64); 5] = [
            (0, b"", 0x813f_0174_a236_7c13),
            (1, b"", 0x5ca6_bbcb_b1e8_5355),
            (1, b"a", 0xb2a8_1edc_870f_611d),
            (1, b"10.0.0.1:21", 0x4cc2_a4c3_de47_27a5),
            (u64::MAX, b"[2001:db8::1]:21", 0xb96e_ddab_1b49_cff4),
        ];
        for (seed, bytes, value) in golden {
            assert_eq!(hash(seed, bytes), value, "{seed} {bytes:?}");
        }
    }
}
