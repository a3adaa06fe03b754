//! Where log lines end: a writer that may fail for a while, as on a full disk, and goes on when it works again.
//!
//! A line that can not be written is lost and counted, never tried again: those that follow it are newer. What
//! a failure cut off does not run into the next line.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing_appender::non_blocking::ErrorCounter;

/// Counts the log lines that nobody will read.
#[derive(Clone, Debug)]
pub struct LostLines {
    /// Those that found the queue full.
    queue: ErrorCounter,
    /// Those that could not be written.
    sink: Arc<AtomicUsize>,
}

impl LostLines {
    /// The lines that `queue` dropped, and those that `sink` counts.
    pub fn new(queue: ErrorCounter, sink: Arc<AtomicUsize>) -> Self {
        Self { queue, sink }
    }

    /// How many were lost in all.
    pub fn total(&self) -> usize {
        self.queue
            .dropped_lines()
            .saturating_add(self.sink.load(Ordering::Relaxed))
    }
}

/// Writes whole lines, and never says that it failed.
pub(super) struct Sink<W> {
    writer: W,
    lost: Arc<AtomicUsize>,
    /// A part of a line was written, and not its end.
    is_torn: bool,
}

impl<W: Write> Sink<W> {
    pub(super) fn new(writer: W) -> Self {
        Self {
            writer,
            lost: Arc::default(),
            is_torn: false,
        }
    }

    pub(super) fn lost(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.lost)
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.writer.write_all(b"\n")?;
            self.is_torn = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            let count = match self.writer.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(error),
            };
            rest = rest.get(count..).unwrap_or_default();
            self.is_torn = !rest.is_empty();
        }
        Ok(())
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.write_line(line).is_err() {
            // There is no place left to say so, but the metrics.
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, until there is room again.
    struct Disk {
        room: usize,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_find_a_full_disk_are_counted_and_those_after_them_are_whole() {
        let mut sink = Sink::new(Disk {
            room: 9,
            written: Vec::new(),
        });
        for line in ["first\n", "second\n", "third\n"] {
            sink.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(sink.lost().load(Ordering::Relaxed), 2);
        sink.writer.room = 100;
        sink.write_all(b"fourth\n").unwrap();
        sink.write_all(b"fifth\n").unwrap();
        assert_eq!(sink.writer.written, b"first\nsec\nfourth\nfifth\n");
        assert_eq!(sink.lost().load(Ordering::Relaxed), 2);
    }
}
