//! A bounded queue of lines of a log, and the thread that writes them.
//!
//! Whoever logs copies its line behind a mutex and goes on. The writer is woken by the first line, waits a
//! moment for those that follow, and writes all of them at once: a busy balancer logs thousands of lines a
//! second, and a wake-up and a write for each would cost more than the lines themselves.
//!
//! A file that was renamed is left when whoever renamed it says so, between two batches: no line is cut, and
//! none is lost.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{mem, thread};

use tracing_subscriber::fmt::MakeWriter;

/// The lines that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// The writer waits for the first line, and must be woken.
    is_asleep: bool,
    /// The lines that come next are for a new file.
    must_reopen: bool,
    life: Life,
}

/// Of the thread that writes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Life {
    #[default]
    Goes,
    /// It writes what is queued.
    Ends,
    Over,
}

/// What lines are written to.
pub(super) trait Output: Write {
    /// Goes on in another file by the same name, if it is one. Whatever comes of it is told, and the old
    /// one is kept if there is no new one.
    fn reopen(&mut self) {}
}

/// What is to be written at once.
struct Batch {
    lines: Vec<u8>,
    /// And then what follows goes elsewhere.
    then_reopen: bool,
}

/// Writes what is queued when it is dropped, if that does not take too long.
#[derive(Debug)]
pub(super) struct Writer(Arc<Queue>);

impl Queue {
    /// A queue whose lines a thread called `name` writes to `to`.
    pub(super) fn start(
        name: &str,
        to: impl Output + Send + 'static,
    ) -> io::Result<(Arc<Self>, Writer)> {
        let queue = Arc::new(Self::default());
        let of_thread = Arc::clone(&queue);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || of_thread.write_all_to(to))?;
        let writer = Writer(Arc::clone(&queue));
        Ok((queue, writer))
    }

    /// Lines that were not written: there was no room for them, or the disk took them not.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The lines that come from now on go to another file by the same name. Those that are queued may go to
    /// either.
    pub(super) fn reopen(&self) {
        let mut state = self.state();
        state.must_reopen = true;
        state.is_asleep = false;
        drop(state);
        self.changed.notify_all();
    }

    /// Takes a line with its end; one for which there is no room is dropped and counted.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.lines.len() + line.len() > QUEUED_BYTES {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.lines.extend_from_slice(line);
        if mem::take(&mut state.is_asleep) {
            drop(state);
            self.changed.notify_all();
        }
    }

    fn write_all_to(&self, mut to: impl Output) {
        let (mut batch, mut is_torn) = (Vec::new(), false);
        while let Some(Batch { lines, then_reopen }) = self.next_batch(batch) {
            // What a full disk cut off does not run into the next line.
            is_torn = is_torn && write(&mut to, b"\n") == 0;
            let written = if is_torn { 0 } else { write(&mut to, &lines) };
            let (before, rest) = lines.split_at(written);
            self.dropped.fetch_add(count_lines(rest), Ordering::Relaxed);
            is_torn |= before.last().is_some_and(|last| *last != b'\n');
            if then_reopen {
                to.reopen();
            }
            batch = lines;
            batch.clear();
            batch.shrink_to(KEPT_BYTES);
        }
        self.state().life = Life::Over;
        self.changed.notify_all();
    }

    /// All lines there are, once there is one or none is to be waited for. `spare` takes the next ones.
    fn next_batch(&self, spare: Vec<u8>) -> Option<Batch> {
        let mut state = self.state();
        while state.lines.is_empty() && !state.must_reopen {
            if state.life != Life::Goes {
                return None;
            }
            state.is_asleep = true;
            state = { self.changed.wait(state) }.unwrap_or_else(PoisonError::into_inner);
        }
        if state.life == Life::Goes && !state.must_reopen {
            let gathered = self.changed.wait_timeout(state, GATHER);
            (state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        }
        Some(Batch {
            then_reopen: mem::take(&mut state.must_reopen),
            lines: mem::replace(&mut state.lines, spare),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.life = Life::Ends;
        state.is_asleep = false;
        self.0.changed.notify_all();
        // Over, or not in time: either way the process ends.
        let _over_or_late = { &self.0.changed }
            .wait_timeout_while(state, LAST_LINES, |state| state.life != Life::Over);
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How much of `lines` could be written.
fn write(to: &mut impl Write, lines: &[u8]) -> usize {
    let mut written = 0;
    while let Some(rest) = lines.get(written..).filter(|rest| !rest.is_empty()) {
        match to.write(rest) {
            Ok(0) => break,
            Ok(bytes) => written += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    // What is not buffered has nothing to flush.
    let _flushed_or_full = to.flush();
    written
}

fn count_lines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).map(|_| 1).sum()
}

/// Some seconds of a busy balancer.
const QUEUED_BYTES: usize = 4 << 20;

/// What a buffer keeps when a burst is over.
const KEPT_BYTES: usize = 64 << 10;

/// How long the first line waits for others.
const GATHER: Duration = Duration::from_millis(2);

/// How long the last lines may take when the process ends: a disk that hangs keeps nobody.
const LAST_LINES: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Hands what is written to the test; takes nothing more once the test is gone.
    struct Told(mpsc::SyncSender<Vec<u8>>);

    impl Write for Told {
        fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
            let gone = |_| io::ErrorKind::StorageFull;
            self.0.send(lines.to_vec()).map_err(gone)?;
            Ok(lines.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output for Told {}

    fn log(mut queue: &Queue, line: &str) {
        queue.write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn every_line_arrives_in_order_and_the_last_ones_at_the_end() {
        let (tell, told) = mpsc::sync_channel(100);
        let (queue, writer) = Queue::start("log", Told(tell)).unwrap();
        let lines: Vec<_> = (0..1_000).map(|number| format!("{number}\n")).collect();
        for line in &lines {
            log(&queue, line);
        }
        drop(writer);
        let batches: Vec<_> = told.iter().collect();
        assert_eq!(batches.concat(), lines.concat().into_bytes());
        assert!(batches.len() < lines.len() / 2, "{}", batches.len());
        assert_eq!(queue.dropped(), 0);
    }

    #[test]
    fn lines_beyond_the_bound_are_dropped_and_counted_and_nobody_waits() {
        // Nothing is taken: the writer hangs in its first write.
        let (tell, told) = mpsc::sync_channel(0);
        let (queue, _writer) = Queue::start("log", Told(tell)).unwrap();
        let line = "x".repeat(1 << 20) + "\n";
        for _ in 0..12 {
            log(&queue, &line);
        }
        // One or two batches of three are on their way; what came on top of them is not.
        assert!((6..=9).contains(&queue.dropped()), "{}", queue.dropped());
        drop(told);
    }

    /// Takes so many bytes, until there is room again.
    #[derive(Clone)]
    struct Disk(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (room, written) = &mut *self.0.lock().unwrap();
            let count = bytes.len().min(*room);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *room -= count;
            written.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output for Disk {}

    #[test]
    fn lines_that_find_a_full_disk_are_counted_and_those_after_them_are_whole() {
        let disk = Disk(Arc::new(Mutex::new((9, Vec::new()))));
        let (queue, writer) = Queue::start("log", disk.clone()).unwrap();
        for line in ["first\n", "second\n", "third\n"] {
            log(&queue, line);
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while queue.dropped() < 2 {
            assert!(std::time::Instant::now() < deadline);
            thread::yield_now();
        }
        disk.0.lock().unwrap().0 = 100;
        log(&queue, "fourth\n");
        log(&queue, "fifth\n");
        drop(writer);
        assert_eq!(disk.0.lock().unwrap().1, b"first\nsec\nfourth\nfifth\n");
        assert_eq!(queue.dropped(), 2);
    }

    /// Files by one name, the last of which is written to.
    #[derive(Clone, Default)]
    struct Files(Arc<Mutex<Vec<String>>>);

    impl Write for Files {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = std::str::from_utf8(bytes).unwrap();
            let mut files = self.0.lock().unwrap();
            if files.is_empty() {
                files.push(String::new());
            }
            files.last_mut().unwrap().push_str(text);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output for Files {
        fn reopen(&mut self) {
            self.0.lock().unwrap().push(String::new());
        }
    }

    #[test]
    fn a_file_is_left_between_two_lines_and_no_line_is_lost() {
        let files = Files::default();
        let (queue, writer) = Queue::start("log", files.clone()).unwrap();
        let lines: Vec<_> = (0..1_000).map(|number| format!("{number}\n")).collect();
        for (number, line) in lines.iter().enumerate() {
            log(&queue, line);
            if number % 100 == 99 {
                queue.reopen();
            }
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while files.0.lock().unwrap().len() < 2 {
            assert!(std::time::Instant::now() < deadline, "nothing is reopened");
            thread::yield_now();
        }
        drop(writer);
        let files = files.0.lock().unwrap();
        assert_eq!(files.concat(), lines.concat());
        let is_whole = |file: &String| file.is_empty() || file.ends_with('\n');
        assert!(files.iter().all(is_whole), "{files:?}");
    }

    #[test]
    fn a_file_is_left_though_nobody_says_a_word() {
        let files = Files::default();
        let (queue, _writer) = Queue::start("log", files.clone()).unwrap();
        queue.reopen();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while files.0.lock().unwrap().is_empty() {
            assert!(std::time::Instant::now() < deadline);
            thread::yield_now();
        }
    }
}
