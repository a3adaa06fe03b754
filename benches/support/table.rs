//! Medians and ratios of interleaved rounds, and how they are shown.

use super::load::Done;
use super::system::System;

/// What one system came to in one round.
pub(crate) struct Measured {
    pub(crate) done: Done,
    /// Seconds of processor time, of the system, and of load and servers.
    pub(crate) cpu: f64,
    pub(crate) load_cpu: f64,
    /// The same of the whole host: what the kernel does beside its processes is in it.
    pub(crate) host_cpu: f64,
}

impl Measured {
    /// Units a second.
    pub(crate) fn rate(&self) -> f64 {
        self.done.units / self.done.seconds
    }

    /// Seconds a unit.
    pub(crate) fn load_cpu_each(&self) -> f64 {
        self.load_cpu / self.done.units
    }

    /// Seconds a unit.
    pub(crate) fn host_cpu_each(&self) -> f64 {
        self.host_cpu / self.done.units
    }
}

/// The same work in the same round, by the number of each system. None when that is not installed.
pub(crate) type Round<T> = [Option<T>; System::ALL.len()];

#[derive(Clone, Copy)]
enum Better {
    Lower,
    Higher,
}

/// What is to be reached.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    None,
    /// A ratio of ftplb to direct, or to the better of the two ways of HAProxy.
    ToDirect(f64),
    ToHaproxy(f64),
    /// The figure of ftplb itself.
    Of(f64),
}

/// One line of the table.
pub(crate) struct Row<'a> {
    name: &'a str,
    better: Better,
    goal: Goal,
}

/// The names of the columns.
pub(crate) fn header() -> String {
    let systems = System::ALL.map(|system| format!("{:>8}", system.name()));
    format!(
        "{:34}{}   ftplb to: {}\n{:34}{:48}{RATIOS}   goal\n{}",
        "",
        systems.concat(),
        "",
        "",
        "",
        "-".repeat(WIDTH)
    )
}

impl<'a> Row<'a> {
    pub(crate) fn lower(name: &'a str, goal: Goal) -> Self {
        let better = Better::Lower;
        Self { name, better, goal }
    }

    pub(crate) fn higher(name: &'a str, goal: Goal) -> Self {
        let better = Better::Higher;
        Self { name, better, goal }
    }

    /// Medians of `value`, which is in the name's unit, and ratios of the same round.
    pub(crate) fn text<T>(
        &self,
        rounds: &[Round<T>],
        value: impl Fn(&T, System, &Round<T>) -> Option<f64>,
    ) -> String {
        let of = |system: System, round: &Round<T>| {
            let measured = round.get(usize::from(system.number()))?.as_ref()?;
            value(measured, system, round)
        };
        let figure = |system| median(rounds.iter().filter_map(|round| of(system, round)));
        let ratio = |system| {
            median(
                rounds
                    .iter()
                    .filter_map(|round| Some(of(System::Ftplb, round)? / of(system, round)?)),
            )
        };
        let best = self.best(figure);
        let figures = System::ALL.map(|system| cell(figure(system), 8));
        let ratios = [
            ratio(System::Direct),
            ratio(System::Nginx),
            ratio(System::Haproxy),
            ratio(System::HaproxySplice),
            best.and_then(ratio),
            ratio(System::Nat),
        ];
        let shown = ratios.map(|ratio| cell(ratio, 8));
        let goal = self.verdict(ratios[0], ratios[4], figure(System::Ftplb));
        let text = format!(
            "{:34}{}{}   {goal}",
            self.name,
            figures.concat(),
            shown.concat()
        );
        text.trim_end().to_owned()
    }

    /// The way of HAProxy that does this better.
    fn best(&self, figure: impl Fn(System) -> Option<f64>) -> Option<System> {
        let (copied, spliced) = (figure(System::Haproxy)?, figure(System::HaproxySplice)?);
        let copies_better = match self.better {
            Better::Lower => copied < spliced,
            Better::Higher => copied > spliced,
        };
        Some(if copies_better {
            System::Haproxy
        } else {
            System::HaproxySplice
        })
    }

    fn verdict(&self, direct: Option<f64>, best: Option<f64>, own: Option<f64>) -> String {
        let (what, value, limit) = match self.goal {
            Goal::None => return String::new(),
            Goal::ToDirect(limit) => ("direct ", direct, limit),
            Goal::ToHaproxy(limit) => ("best ", best, limit),
            Goal::Of(limit) => ("", own, limit),
        };
        let (sign, met) = match self.better {
            Better::Lower => ("<=", value.map(|value| value <= limit)),
            Better::Higher => (">=", value.map(|value| value >= limit)),
        };
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "?",
        };
        format!("{what}{sign} {limit:.2} {verdict}")
    }
}

/// Three digits that count.
fn cell(value: Option<f64>, width: usize) -> String {
    let Some(value) = value else {
        return format!("{:>width$}", "-");
    };
    match value.abs() {
        100.0.. => format!("{value:>width$.0}"),
        10.0.. => format!("{value:>width$.1}"),
        1.0.. => format!("{value:>width$.2}"),
        _ => format!("{value:>width$.3}"),
    }
}

/// None of no values.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    percentile(&values, 50)
}

/// Of sorted values, by the nearest rank.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

const RATIOS: &str = "  direct   nginx haproxy  splice    best     nat";

const WIDTH: usize = 152;
