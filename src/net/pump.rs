//! One direction of a relay: reads one leg, writes the other, and hands the end on.
//!
//! ```text
//!            ┌── nothing to write ──┐                                ┌─ the reader is gone, its bytes were stray
//!            ▼                      │                                │
//!         Moving: fill ─▶ store ─▶ flush ─▶ … EOF ─▶ Ended ─FIN sent─▶ Done ◀─ EOF ─ Discarding ◀─┘
//! ```
//! Nothing is read while bytes are stored (D12), so the store is one buffer or one pipe, and there is
//! none while the source is silent (design decision 11). A small transfer is copied through a buffer that
//! the thread's relays share: what is there to read, then one write, and where the end was there too the
//! last byte and FIN are one segment. A longer one is spliced (decision 12).
//!
//! What it deliberately does not do: it never looks at the bytes (D15) and does not judge errors; the
//! relay knows both directions and does.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, ready};

use super::leg::Leg;
use super::splice::Pipe;

/// The state of one direction.
pub(super) struct Pump {
    stage: Stage,
    store: Store,
    /// Whether a pipe may be used.
    splicing: Splicing,
    /// Bytes handed to the destination's kernel.
    moved: u64,
    /// What the source's FIN means.
    end: SourceEnd,
}

/// What the FIN of a pump's source means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum SourceEnd {
    /// The end of what it had to send.
    Trusted,
    /// That is to be asked first.
    Ask,
    /// It has been asked.
    Asked,
    /// A cut.
    Distrusted,
}

/// How far a pump has come with its source's FIN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PumpEvent {
    /// It was read and nothing is stored; whether it can be believed is to be said.
    AtEnd,
    /// It was handed on.
    Finished,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Stage {
    Moving,
    /// The source's FIN was read and not handed on. The last bytes may be stored.
    Ended,
    Discarding,
    Done,
}

/// Bytes that were read and not yet written.
enum Store {
    Nothing,
    Bytes { bytes: Vec<u8>, written: usize },
    Pipe(Pipe),
}

/// When bytes go through a pipe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Splicing {
    /// Once the transfer has proved to be longer than one buffer.
    WhenLong,
    /// The kernel does not support it here, or has no pipes to give.
    Never,
    /// From the first byte.
    #[cfg(test)]
    Always,
}

/// What reading came to.
enum Filled {
    /// Something was read.
    More,
    /// The source's FIN was read, behind what else was.
    End,
}

/// Which of its two legs stopped a pump.
#[derive(Debug)]
pub(super) enum Broken {
    /// The source ended in order, and is not believed.
    End,
    Read(io::Error),
    Write(io::Error),
}

impl Pump {
    pub(super) const fn new(splicing: Splicing) -> Self {
        Self {
            stage: Stage::Moving,
            store: Store::Nothing,
            splicing,
            moved: 0,
            end: SourceEnd::Trusted,
        }
    }

    /// The source's FIN is not handed on before it is trusted.
    pub(super) fn ask_at_end(&mut self) {
        self.end = SourceEnd::Ask;
    }

    /// The source's FIN is the end of what it had to send, unless it was distrusted before.
    pub(super) fn trust_end(&mut self) {
        if self.end != SourceEnd::Distrusted {
            self.end = SourceEnd::Trusted;
        }
    }

    /// From now on the source's FIN counts as a cut.
    pub(super) fn distrust_end(&mut self) {
        self.end = SourceEnd::Distrusted;
    }

    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether the source's end has been read and nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Whether it waits for its source to say more, and so hears of the source's failure.
    pub(super) fn is_reading(&self) -> bool {
        match self.stage {
            Stage::Moving => !self.holds_bytes(),
            Stage::Discarding => true,
            Stage::Ended | Stage::Done => false,
        }
    }

    /// Whether bytes wait for the destination.
    pub(super) fn holds_bytes(&self) -> bool {
        match &self.store {
            Store::Nothing => false,
            Store::Bytes { bytes, written } => *written < bytes.len(),
            Store::Pipe(pipe) => !pipe.is_empty(),
        }
    }

    /// Whether the destination has got nothing and is to get nothing by now.
    pub(super) fn owes_nothing(&self) -> bool {
        self.moved == 0 && !self.holds_bytes()
    }

    /// Throws away what is stored and what the source still sends.
    pub(super) fn discard(&mut self) {
        self.store = Store::Nothing;
        self.stage = Stage::Discarding;
    }

    /// Moves bytes until a leg is to be waited for, or it is another task's turn. Ready once, when the
    /// source has ended and the destination has got every byte and FIN. In the `last` direction that
    /// FIN may be left to the closing of the leg, which is to follow.
    pub(super) fn poll(
        &mut self,
        from: &Leg,
        to: &Leg,
        last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<PumpEvent, Broken>> {
        if self.stage == Stage::Moving {
            ready!(self.poll_move(from, to, cx))?;
            self.stage = Stage::Ended;
        }
        match self.stage {
            Stage::Ended => {
                ready!(self.poll_flush(to, cx)).map_err(Broken::Write)?;
                self.release();
                self.end(to, last)
            }
            Stage::Discarding => self.poll_discard(from, cx),
            Stage::Moving | Stage::Done => Poll::Pending,
        }
    }

    /// Ready when the source has ended.
    fn poll_move(
        &mut self,
        from: &Leg,
        to: &Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        for _ in 0..TURNS {
            ready!(self.poll_flush(to, cx)).map_err(Broken::Write)?;
            match self.poll_fill(from, to, cx)? {
                Poll::Pending => {
                    self.release();
                    return Poll::Pending;
                }
                Poll::Ready(Filled::End) => return Poll::Ready(Ok(())),
                Poll::Ready(Filled::More) => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The source's FIN was read, and nothing is stored.
    fn end(&mut self, to: &Leg, last: bool) -> Poll<Result<PumpEvent, Broken>> {
        match self.end {
            SourceEnd::Distrusted => Poll::Ready(Err(Broken::End)),
            SourceEnd::Ask => {
                self.end = SourceEnd::Asked;
                Poll::Ready(Ok(PumpEvent::AtEnd))
            }
            SourceEnd::Asked => Poll::Pending,
            SourceEnd::Trusted => {
                self.stage = Stage::Done;
                let finished = if last && self.moved == 0 {
                    to.finish_by_closing()
                } else {
                    self.finish(to)
                };
                Poll::Ready(match finished {
                    Ok(()) => Ok(PumpEvent::Finished),
                    Err(error) => Err(Broken::Write(error)),
                })
            }
        }
    }

    /// Writes what is stored.
    fn poll_flush(&mut self, to: &Leg, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.holds_bytes() {
            let count = match &mut self.store {
                Store::Nothing => 0,
                Store::Bytes { bytes, written } => {
                    let rest = bytes.get(*written..).unwrap_or_default();
                    let count = ready!(to.poll_write(cx, rest))?;
                    *written += count;
                    count
                }
                Store::Pipe(pipe) => ready!(pipe.poll_drain(to, cx))?,
            };
            self.moved += count as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads more; nothing is stored.
    fn poll_fill(
        &mut self,
        from: &Leg,
        to: &Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Filled, Broken>> {
        if !self.wants_pipe() {
            return self.poll_copy(from, to, cx);
        }
        if !matches!(self.store, Store::Pipe(_)) {
            match Pipe::take(self.moved) {
                Ok(pipe) => self.store = Store::Pipe(pipe),
                Err(error) => return self.fall_back(&error, from, to, cx),
            }
        }
        let Store::Pipe(pipe) = &mut self.store else {
            return Poll::Pending;
        };
        pipe.grow(self.moved);
        match ready!(pipe.poll_fill(from, cx)) {
            Ok(0) => Poll::Ready(Ok(Filled::End)),
            Ok(_) => Poll::Ready(Ok(Filled::More)),
            // EINVAL: the sockets can not be spliced; ENOSYS: nothing can. The pipe is empty: no
            // byte is lost by going on without.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) =>
            {
                self.fall_back(&error, from, to, cx)
            }
            Err(error) => Poll::Ready(Err(Broken::Read(error))),
        }
    }

    fn wants_pipe(&self) -> bool {
        match self.splicing {
            Splicing::WhenLong => self.moved >= SPLICE_AFTER,
            Splicing::Never => false,
            #[cfg(test)]
            Splicing::Always => true,
        }
    }

    fn fall_back(
        &mut self,
        error: &io::Error,
        from: &Leg,
        to: &Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Filled, Broken>> {
        tracing::debug!(%error, "no splice for this transfer, its bytes are copied");
        self.splicing = Splicing::Never;
        self.release();
        self.poll_copy(from, to, cx)
    }

    /// Reads what is there and, at once, writes it. What the destination does not take is kept.
    fn poll_copy(
        &mut self,
        from: &Leg,
        to: &Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Filled, Broken>> {
        BUFFER.with_borrow_mut(|buffer| {
            let (read, filled) = ready!(poll_gather(from, buffer, cx)).map_err(Broken::Read)?;
            let bytes = buffer.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Poll::Ready(Ok(filled));
            }
            let wrote = match filled {
                // FIN follows in this very poll, and takes the rest with it.
                Filled::End if self.end == SourceEnd::Trusted => to.poll_write_last(cx, bytes),
                _ => to.poll_write(cx, bytes),
            };
            let (written, failure) = match wrote {
                Poll::Ready(Ok(written)) => (written, None),
                Poll::Ready(Err(error)) => (0, Some(error)),
                Poll::Pending => (0, None),
            };
            self.moved += written as u64;
            if written < read {
                let rest = bytes.get(written..).unwrap_or_default().to_vec();
                self.store = Store::Bytes {
                    bytes: rest,
                    written: 0,
                };
            }
            failure.map_or(Poll::Ready(Ok(filled)), |error| {
                Poll::Ready(Err(Broken::Write(error)))
            })
        })
    }

    fn poll_discard(
        &mut self,
        from: &Leg,
        cx: &mut Context<'_>,
    ) -> Poll<Result<PumpEvent, Broken>> {
        for _ in 0..TURNS {
            let read = BUFFER.with_borrow_mut(|buffer| from.poll_read(cx, buffer));
            if ready!(read).map_err(Broken::Read)? == 0 {
                // No Ready: nothing was finished. The relay sees that this direction is done.
                self.stage = Stage::Done;
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Hands the source's FIN on. A peer that had finished, is gone, and was owed nothing, does not
    /// miss it (D3).
    fn finish(&self, to: &Leg) -> io::Result<()> {
        match to.finish() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.moved == 0 => Ok(()),
            result => result,
        }
    }

    /// Gives the empty store away.
    fn release(&mut self) {
        if let Store::Pipe(pipe) = std::mem::replace(&mut self.store, Store::Nothing) {
            pipe.give_back();
        }
    }
}

/// Reads until there is no more, the buffer is full, or the source has ended.
fn poll_gather(
    from: &Leg,
    buffer: &mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<(usize, Filled)>> {
    let mut read = 0;
    while let Some(free) = buffer.get_mut(read..).filter(|free| !free.is_empty()) {
        match from.poll_read(cx, free) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Ok((read, Filled::End))),
            Poll::Ready(Ok(count)) => read += count,
            // What came before it is lost with the connection (D13).
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending if read == 0 => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok((read, Filled::More)))
}

thread_local! {
    /// Shared by the pumps of a thread: it holds bytes only within one poll.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER_BYTES].into_boxed_slice());
}

/// One write. What a client's or a backend's first window commonly holds.
const BUFFER_BYTES: usize = 64 << 10;

/// Bytes after which a transfer is long: most files and listings end before, and save the pipe.
const SPLICE_AFTER: u64 = 64 << 10;

/// Reads in one poll, so that the control connection of the same task has its turn: about 16 MiB through
/// the largest pipe, some two milliseconds.
const TURNS: usize = 16;

#[cfg(test)]
mod tests;
