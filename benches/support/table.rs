//! Medians and ratios of interleaved rounds, and how they are shown.

use super::load::Done;

/// One piece of work in one round.
pub(crate) struct Measured {
    pub(crate) done: Done,
    /// Seconds of processor time, of the balancer, and of load and sink.
    pub(crate) balancer_cpu: f64,
    pub(crate) load_cpu: f64,
}

/// The same work in the same round, with and without the balancer.
pub(crate) struct Round {
    pub(crate) direct: Measured,
    pub(crate) balanced: Measured,
}

pub(crate) const HEADER: &str = "\
work                                     direct        ftplb    ratio  ftplb CPU    load CPU
                                                                                    (direct)
----------------------------------------------------------------------------------------------";

/// The rows of bulk work: gigabytes a second, and seconds of processor time for each.
pub(crate) fn bulk(name: &str, rounds: &[Round]) -> String {
    let cpu = |seconds| format!("{seconds:.3} s/GB");
    row(
        name,
        rounds,
        |m| m.done.units / m.done.seconds,
        |rate| format!("{rate:.2} GB/s"),
    ) + &used(rounds, cpu)
}

/// The row of work that is counted: units a second, and microseconds of processor time for each.
pub(crate) fn counted(name: &str, rounds: &[Round]) -> String {
    let cpu = |seconds: f64| format!("{:.0} us", seconds * 1e6);
    row(
        name,
        rounds,
        |m| m.done.units / m.done.seconds,
        |rate| format!("{rate:.0} /s"),
    ) + &used(rounds, cpu)
}

/// The row of a latency: the value below which `percent` of a round's units stayed.
pub(crate) fn latency(name: &str, rounds: &[Round], percent: usize) -> String {
    row(
        name,
        rounds,
        |m| percentile(&m.done.latencies, percent),
        |time| format!("{time:.0} us"),
    )
}

/// The row of a single figure of the balancer.
pub(crate) fn alone(name: &str, value: &str) -> String {
    format!("{name:<32} {:>14} {value:>12}", "")
}

fn row(
    name: &str,
    rounds: &[Round],
    value: impl Fn(&Measured) -> f64,
    show: impl Fn(f64) -> String,
) -> String {
    let direct = median(rounds.iter().map(|round| value(&round.direct)));
    let balanced = median(rounds.iter().map(|round| value(&round.balanced)));
    let ratio = median(
        rounds
            .iter()
            .map(|round| value(&round.balanced) / value(&round.direct)),
    );
    let (direct, balanced) = (show(direct), show(balanced));
    format!("{name:<32} {direct:>14} {balanced:>12} {ratio:>8.2}")
}

fn used(rounds: &[Round], show: impl Fn(f64) -> String) -> String {
    let balancer = median(
        rounds
            .iter()
            .map(|round| round.balanced.balancer_cpu / round.balanced.done.units),
    );
    let load = median(
        rounds
            .iter()
            .map(|round| round.direct.load_cpu / round.direct.done.units),
    );
    format!(" {:>10} {:>11}", show(balancer), show(load))
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    percentile(&values, 50)
}

/// Of sorted values, by the nearest rank.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}
