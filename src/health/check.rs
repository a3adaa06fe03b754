//! One check of one address: what its results say.
//!
//! ```text
//!                    first ok                `fall` failures in a row
//!          Unknown ────────────────▶ Up ──────────────────────────────▶ Down
//!             │                      ▲                                   │ ▲
//!             │                      └──────── `rise` oks in a row ──────┘ │
//!             └──────────────────────────── first failure ────────────────┘
//! ```
//!
//! Invariant: the verdict changes only after `rise` or `fall` results in a row that contradict it, the
//! first result excepted.

/// How many check results in a row change the verdict. 0 counts as 1.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Thresholds {
    /// Successes in a row that bring a backend up.
    pub rise: u32,
    /// Failures in a row that take a backend down.
    pub fall: u32,
}

impl Default for Thresholds {
    /// One lost check is noise, and a server that starts may answer once before it is ready for good.
    fn default() -> Self {
        Self { rise: 2, fall: 3 }
    }
}

/// What a check says of a backend.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Verdict {
    /// It does not serve.
    Down,
    /// There was no result yet.
    #[default]
    Unknown,
    /// It serves.
    Up,
}

/// The results of one check so far.
#[derive(Clone, Debug)]
pub struct CheckState {
    thresholds: Thresholds,
    verdict: Verdict,
    /// Results in a row that contradict the verdict.
    contradictions: u32,
}

impl CheckState {
    /// A check that has not run yet, of a backend of which `verdict` is known otherwise.
    pub const fn new(thresholds: Thresholds, verdict: Verdict) -> Self {
        Self {
            thresholds,
            verdict,
            contradictions: 0,
        }
    }

    /// Takes the result of one run. Returns the verdict if it is news: after the first result, and after
    /// every change.
    pub fn on_result(&mut self, ok: bool) -> Option<Verdict> {
        let needed = match (self.verdict, ok) {
            (Verdict::Unknown, _) => 1,
            (Verdict::Down, true) => self.thresholds.rise,
            (Verdict::Up, false) => self.thresholds.fall,
            (Verdict::Down, false) | (Verdict::Up, true) => {
                self.contradictions = 0;
                return None;
            }
        };
        self.contradictions = self.contradictions.saturating_add(1);
        if self.contradictions < needed {
            return None;
        }
        self.contradictions = 0;
        self.verdict = if ok { Verdict::Up } else { Verdict::Down };
        Some(self.verdict)
    }

    /// What it says now.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the last result contradicts the verdict, which may change soon.
    pub const fn is_doubted(&self) -> bool {
        self.contradictions > 0
    }
}

#[cfg(test)]
mod tests {
    use super::{CheckState, Thresholds, Verdict};

    /// Feeds `+` and `-` and spells what comes back: `u`p, `d`own, or `.` for no news.
    fn spell(check: &mut CheckState, results: &str) -> String {
        let news = |result| match check.on_result(result == '+') {
            Some(Verdict::Up) => 'u',
            Some(Verdict::Down) => 'd',
            Some(Verdict::Unknown) => '?',
            None => '.',
        };
        results.chars().map(news).collect()
    }

    #[test]
    fn h9_checks_change_the_verdict_at_their_thresholds() {
        let table = [
            (2, 3, "+", "u", "the first result decides: ok"),
            (2, 3, "-", "d", "the first result decides: failed"),
            (
                2,
                3,
                "+--+--+",
                "u......",
                "fewer failures than `fall` in a row",
            ),
            (2, 3, "+---", "u..d", "`fall` failures in a row"),
            (2, 3, "-+-+-", "d....", "fewer oks than `rise` in a row"),
            (2, 3, "-++", "d.u", "`rise` oks in a row"),
            (2, 3, "+---++---", "u..d.u..d", "down, up and down again"),
            (
                1,
                2,
                "+--+",
                "u.du",
                "keepalived: retry 1, up at the first ok",
            ),
            (0, 0, "+-+", "udu", "0 counts as 1"),
        ];
        for (rise, fall, results, news, fact) in table {
            let mut check = CheckState::new(Thresholds { rise, fall }, Verdict::Unknown);
            assert_eq!(spell(&mut check, results), news, "{fact}");
        }
    }

    #[test]
    fn a_verdict_is_doubted_from_the_first_contradiction_to_the_last() {
        let mut check = CheckState::new(Thresholds { rise: 2, fall: 2 }, Verdict::Unknown);
        let doubts = [true, false, false, true, true].map(|ok| {
            check.on_result(ok);
            check.is_doubted()
        });
        assert_eq!(doubts, [false, true, false, true, false]);
    }

    #[test]
    fn a_check_that_begins_with_what_is_known_needs_as_many_results_as_any_other() {
        let thresholds = Thresholds { rise: 2, fall: 3 };
        for (known, results, news) in [
            (Verdict::Up, "+---", "...d"),
            (Verdict::Down, "-++", "..u"),
            (Verdict::Unknown, "-++", "d.u"),
        ] {
            let mut check = CheckState::new(thresholds, known);
            assert_eq!(spell(&mut check, results), news, "{known:?}");
        }
    }
}
