//! The quorum: what can be had of the weights that are written.

use super::super::Pool;
use super::super::problem::{Mistake, Problems};
use super::pool_key;

/// Judges the quorum of each pool, and lowers one that is more than all the backends: as in keepalived,
/// which would otherwise never come up.
pub(super) fn settle_quorums(pools: &mut [Pool], problems: &Problems<'_>) {
    for (index, pool) in pools.iter_mut().enumerate() {
        let sum = total_weight(pool);
        if pool.quorum.hysteresis >= pool.quorum.weight {
            report_hysteresis(index, pool, problems);
        // What is found by name may weigh anything. That nothing weighs anything is said elsewhere.
        } else if pool.discoveries.is_empty() && sum > 0 {
            settle(index, pool, sum, problems);
        }
    }
}

fn report_hysteresis(index: usize, pool: &Pool, problems: &Problems<'_>) {
    let (weight, hysteresis) = (pool.quorum.weight, pool.quorum.hysteresis);
    let message = format!("{hysteresis} is not less than weight, which is {weight}");
    let hint = format!("at most {}", weight.saturating_sub(1));
    let key = pool_key(index).field("quorum").field("hysteresis");
    problems.error(&key, Mistake::new(message, hint));
}

fn settle(index: usize, pool: &mut Pool, sum: u32, problems: &Problems<'_>) {
    let key = pool_key(index).field("quorum");
    let quorum = &mut pool.quorum;
    if quorum.weight > sum {
        let message = format!(
            "{} is more than all the backends weigh together: {sum} is taken in its place",
            quorum.weight
        );
        let hint = format!("at most {sum}, or give the backends more weight");
        problems.warning(&key.field("weight"), Mistake::new(message, hint));
        quorum.weight = sum;
        quorum.hysteresis = quorum.hysteresis.min(sum - 1);
    }
    let gained_at = quorum.weight.saturating_add(quorum.hysteresis);
    if gained_at > sum {
        let message = format!(
            "the quorum is gained at a weight of {gained_at}, and all the backends together weigh \
             {sum}: it is never gained"
        );
        let hint = format!("at most {}", sum - quorum.weight);
        problems.warning(&key.field("hysteresis"), Mistake::new(message, hint));
    }
}

fn total_weight(pool: &Pool) -> u32 {
    let weights = pool.backends.iter().map(|backend| backend.weight);
    weights.fold(0, u32::saturating_add)
}
