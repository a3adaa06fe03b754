//! The simulation by seeds. `FTPLB_SIM_SEED` replays one, `FTPLB_SIM_SEEDS` runs so many,
//! `FTPLB_SIM_STEPS` sets their length.

use std::env;

use super::World;
use super::random::Random;

#[test]
fn what_must_hold_always_holds_whatever_happens() {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    let steps = number("FTPLB_SIM_STEPS").unwrap_or(200);
    let seeds = match number("FTPLB_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FTPLB_SIM_SEEDS").unwrap_or(1_000),
    };
    for seed in seeds.map(|seed| seed as u64) {
        World::new(Random::Seed { state: seed, seed }).run(steps);
    }
}
