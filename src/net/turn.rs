//! Whose turn it is on a processor: a thread that has moved much lets others run before it waits.
//!
//! A thread that waits for more of a long transfer is woken by its first segment, and where processors are scarce it
//! takes the place of whoever is sending. So it moves little at a time, and is woken often. If it lets the others run
//! first, it finds much more when its turn comes: a third less processor time for a gigabyte, and a command beside four
//! transfers waits no longer (docs/performance.md). Where nobody else wants the processor it is one call that returns at
//! once.

use std::cell::Cell;
use std::thread;

/// So many bytes were read at once.
pub(super) fn note_read(bytes: usize) {
    if bytes >= MUCH {
        MOVED_MUCH.set(true);
    }
}

/// Before a thread waits for the kernel.
pub fn give_way() {
    if MOVED_MUCH.take() {
        thread::yield_now();
    }
}

thread_local! {
    /// Whether this thread has moved much since it last gave way.
    static MOVED_MUCH: Cell<bool> = const { Cell::new(false) };
}

/// Bytes. A segment is rarely larger, even on loopback: what came is more than what woke the thread.
const MUCH: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_gives_way_once_after_it_has_moved_much() {
        for (reads, expected) in [
            (&[][..], false),
            (&[MUCH - 1, 1], false),
            (&[MUCH, 1], true),
        ] {
            reads.iter().copied().for_each(note_read);
            assert_eq!(MOVED_MUCH.get(), expected, "{reads:?}");
            give_way();
            assert!(!MOVED_MUCH.get());
        }
    }
}
