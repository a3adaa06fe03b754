//! The instructions that the parts of ftplb take: `cargo bench --bench instructions [-- --accept]
//! [PART-OF-A-NAME]`.
//!
//! Time says little on a machine that is shared, and a regression of a tenth hides in it. The number of
//! instructions is the same on every run to a few in a thousand. valgrind's callgrind counts those of this
//! program, which does a piece of work a few times, and then many times more: the difference is that of the
//! work alone, whatever starting the program took. The counts are compared with those in
//! `benches/instructions.txt`; the exit code is 1 when one has grown by more than [`TOLERANCE`]. `--accept`
//! writes the counts of this run there.

mod work;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use anyhow::{Context as _, ensure};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [REPEAT, name, times] => repeat(name, times).map(|()| true),
        // Cargo says `--bench` in `cargo bench` only: with tests it is enough that all of it can be done.
        _ if !arguments.contains(&"--bench") => {
            for mut work in work::all() {
                (work.run)();
            }
            Ok(true)
        }
        words => {
            let part = words.iter().find(|word| !word.starts_with('-'));
            count(part.unwrap_or(&""), words.contains(&"--accept"))
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            print(&format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Counts all that has `part` in its name, and says whether that is as expected.
fn count(part: &str, accept: bool) -> anyhow::Result<bool> {
    let text = fs::read_to_string(EXPECTED).unwrap_or_default();
    let expected = read(&text)?;
    let (mut is_right, mut counts) = (true, BTreeMap::new());
    print(&format!(
        "{:<40}{:>12}{:>12}",
        "instructions", "expected", "now"
    ));
    for work in work::all() {
        if !work.name.contains(part) {
            counts.extend(expected.get_key_value(work.name));
            continue;
        }
        let once = instructions(work.name)?;
        let before = expected.get(work.name).copied();
        let change = before.map(|before| once / before - 1.0);
        let verdict = match change {
            None => "new",
            Some(change) if change > TOLERANCE => "GROWN",
            Some(change) if change < -TOLERANCE => "better: --accept it",
            Some(_) => "",
        };
        is_right &= matches!(change, Some(change) if change <= TOLERANCE);
        print(
            format!(
                "{:<40}{:>12}{once:>12.0}{:>8}  {verdict}",
                work.name,
                before.map_or("-".into(), |before| format!("{before:.0}")),
                change.map_or(String::new(), |change| format!("{:+.1}%", change * 100.0)),
            )
            .trim_end(),
        );
        counts.insert(work.name, once);
    }
    if accept {
        fs::write(EXPECTED, written(&counts)?)?;
    }
    Ok(is_right || accept)
}

/// Of a piece of work, done once.
fn instructions(name: &str) -> anyhow::Result<f64> {
    let few = under_callgrind(name, FEW)?;
    let many = under_callgrind(name, FEW + MORE)?;
    Ok((many - few) / f64::from(MORE))
}

/// Of a whole process that does a piece of work so many times.
fn under_callgrind(name: &str, times: u32) -> anyhow::Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args([REPEAT, name, &times.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("valgrind can not be started: is the package installed?")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}: {}: {said}", output.status);
    let collected = said
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.with_context(|| format!("no count in: {said}"))?;
    Ok(number.trim().parse()?)
}

fn repeat(name: &str, times: &str) -> anyhow::Result<()> {
    let times: u32 = times.parse()?;
    let mut all = work::all();
    let work = all.iter_mut().find(|work| work.name == name);
    let work = work.context("no such work")?;
    for _ in 0..times {
        (work.run)();
    }
    Ok(())
}

/// Names and counts of a file as [`written`] gives it.
fn read(text: &str) -> anyhow::Result<BTreeMap<&str, f64>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (count, name) = line.trim().split_once(' ').context("no name")?;
            anyhow::Ok((name, count.parse()?))
        })
        .collect::<Result<_, _>>()
        .context(EXPECTED)
}

fn written(counts: &BTreeMap<&str, f64>) -> anyhow::Result<String> {
    let compiler = Command::new("rustc").arg("--version").output()?.stdout;
    let compiler = String::from_utf8_lossy(&compiler);
    let mut text = format!(
        "# Written by `cargo bench --bench instructions -- --accept`.\n# {} {}\n",
        env::consts::ARCH,
        compiler.trim()
    );
    for (name, count) in counts {
        writeln!(text, "{count:>9.0} {name}")?;
    }
    Ok(text)
}

/// Who does not want to read it to its end still gets the exit code.
fn print(text: &str) {
    let mut out = io::stdout();
    let _closed = writeln!(out, "{text}").and_then(|()| out.flush());
}

const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// By how much a count may grow. Between runs of one program it differs by less than a thousandth; the same
/// source in another build, by inlining, by some hundredths.
const TOLERANCE: f64 = 0.05;

/// Done at first, so that what is only done once is done.
const FEW: u32 = 20;

/// What is counted.
const MORE: u32 = 200;

/// The first argument of the process that is counted.
const REPEAT: &str = "--repeat";
