//! Whether enough of a pool is alive: keepalived's quorum.
//!
//! ```text
//!            live weight ≥ weight + hysteresis
//!      Lost ──────────────────────────────────▶ Held
//!       ▲                                         │
//!       └─── live weight < weight − hysteresis, ──┘
//!            or nothing is alive
//! ```

/// How much must be alive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QuorumRule {
    /// The sum of weights of the backends that are up. More than all backends have together counts as that.
    pub weight: u32,
    /// How far the live weight must be off on either side before the quorum changes hands.
    pub hysteresis: u32,
}

impl Default for QuorumRule {
    /// keepalived's: anything alive is enough.
    fn default() -> Self {
        Self {
            weight: 1,
            hysteresis: 0,
        }
    }
}

impl QuorumRule {
    /// Whether the quorum is held, from whether it `was` (`None` at the beginning), the weight that is
    /// alive and the weight of all backends.
    pub(super) fn is_held(self, was: Option<bool>, live: u64, all: u64) -> bool {
        let weight = u64::from(self.weight).min(all).max(1);
        let hysteresis = u64::from(self.hysteresis).min(weight - 1);
        if was == Some(true) {
            live > 0 && live >= weight - hysteresis
        } else {
            live >= (weight + hysteresis).min(all).max(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QuorumRule;

    #[test]
    fn the_quorum_changes_hands_by_keepalived_s_rules() {
        let table = [
            // weight, hysteresis, live weights with what follows from each: + held, - lost
            (1, 0, &[0, 1, 5, 0][..], "-++-", "anything alive is enough"),
            (4, 1, &[4, 5, 4, 3, 2, 4, 5], "-+++--+", "between, it stays"),
            (9, 0, &[5, 6, 5], "-+-", "more than there is means all"),
            (
                2,
                9,
                &[2, 3, 1, 0],
                "-++-",
                "hysteresis is below the weight",
            ),
        ];
        for (weight, hysteresis, live, expected, fact) in table {
            let rule = QuorumRule { weight, hysteresis };
            let mut was = None;
            let held: String = { live.iter() }
                .map(|live| {
                    let is_held = rule.is_held(was, *live, 6);
                    was = Some(is_held);
                    if is_held { '+' } else { '-' }
                })
                .collect();
            assert_eq!(held, expected, "{fact}");
        }
    }
}
