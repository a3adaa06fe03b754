//! The balancer under test as its operator sees it: `/metrics`, memory, descriptors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};

/// A running ftplb.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    /// Of its process.
    pub(crate) id: u32,
    pub(crate) admin: Admin,
}

/// The admin address of a balancer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admin(pub(crate) SocketAddr);

/// The gauges of one look at `/metrics`, by name and labels as they stand there.
pub(crate) type Gauges = BTreeMap<String, f64>;

/// What a process has at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Bytes, resident.
    pub(crate) memory: f64,
    /// Descriptors that are no pipes: sockets, and a few of the process itself.
    pub(crate) sockets: usize,
    /// Descriptors of pipes, two each, those that are kept for the next transfer among them.
    pub(crate) pipes: usize,
}

impl Subject {
    /// Memory and descriptors now.
    pub(crate) fn sample(self) -> anyhow::Result<Sample> {
        let mut sample = Sample {
            memory: self.admin.sum("process_resident_memory_bytes")?,
            ..Sample::default()
        };
        for entry in fs::read_dir(format!("/proc/{}/fd", self.id))? {
            // It may be closed by now.
            match fs::read_link(entry?.path()) {
                Ok(place) if place.to_string_lossy().starts_with("pipe:") => sample.pipes += 1,
                Ok(_) => sample.sockets += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sample)
    }
}

impl Sample {
    pub(crate) fn descriptors(self) -> usize {
        self.sockets + self.pipes
    }

    /// As part of a line.
    pub(crate) fn text(self) -> String {
        format!(
            "{:>7.1} MiB {:>6} descriptors",
            self.memory / MIB,
            self.descriptors()
        )
    }

    fn largest(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            sockets: self.sockets.max(other.sockets),
            pipes: self.pipes.max(other.pipes),
        }
    }
}

/// Takes samples in a thread of its own.
pub(crate) struct Watch {
    thread: JoinHandle<anyhow::Result<Sample>>,
    stop: Arc<AtomicBool>,
}

impl Watch {
    pub(crate) fn start(subject: Subject) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut largest = Sample::default();
            while !stopped.load(Ordering::Relaxed) {
                largest = largest.largest(subject.sample()?);
                thread::sleep(BETWEEN_SAMPLES);
            }
            Ok(largest)
        });
        Self { thread, stop }
    }

    /// The most that was seen of each.
    pub(crate) fn stop(self) -> anyhow::Result<Sample> {
        self.stop.store(true, Ordering::Relaxed);
        let largest = self.thread.join();
        largest.map_err(|_| anyhow!("the watch has ended early"))?
    }
}

impl Admin {
    /// Every gauge.
    pub(crate) fn gauges(self) -> anyhow::Result<Gauges> {
        let text = self.get("/metrics")?;
        let gauges: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" gauge"))
            .collect();
        samples(&text)
            .filter(|(series, _)| gauges.contains(name(series)))
            .map(|(series, value)| Ok((series.to_owned(), value.parse()?)))
            .collect()
    }

    /// The sum of all series of a metric.
    pub(crate) fn sum(self, metric: &str) -> anyhow::Result<f64> {
        self.sum_of(metric, "")
    }

    /// The sum of the series of a metric that have a label, as it stands there.
    pub(crate) fn sum_of(self, metric: &str, label: &str) -> anyhow::Result<f64> {
        let text = self.get("/metrics")?;
        let values =
            samples(&text).filter(|(series, _)| name(series) == metric && series.contains(label));
        Ok(values
            .map(|(_, value)| value.parse::<f64>())
            .sum::<Result<f64, _>>()?)
    }

    /// The page behind `path`. An error unless the status is 200.
    pub(crate) fn get(self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.0, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.0
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        Ok(body.to_owned())
    }
}

/// Series and values.
fn samples(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(' '))
}

fn name(series: &str) -> &str {
    series.split('{').next().unwrap_or_default()
}

pub(crate) const MIB: f64 = 1_048_576.0;

/// Of a look at an admin page. Beside full load it waits its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// A look costs the subject some milliseconds when it has many descriptors.
const BETWEEN_SAMPLES: Duration = Duration::from_millis(100);
