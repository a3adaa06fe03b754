//! Pipes: how bytes pass between two sockets without visiting userspace (`splice(2)`, D13).
//!
//! A pipe is filled only when it is empty and emptied before it is filled again. So `EAGAIN` while
//! filling means that the source has nothing, and while draining that the destination takes nothing;
//! it never means that the pipe is full. How much one `splice` moves is the kernel's affair: a pipe
//! counts buffers, and one buffer may be a small segment or several pages, so occupancy is only ever what
//! the calls returned.
//!
//! Pipes are kept in one pool of the process, because making one costs more than moving a small file. Only
//! empty ones go back; one that holds bytes of a broken transfer is closed with them. A pipe grows with
//! what its transfer has moved, as far as the budget of the process and the kernel let it.
//!
//! `splice` can not be told `MSG_NOSIGNAL`. Rust's runtime ignores `SIGPIPE` before `main`; who starts
//! ftplb's code by other means must do so too.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;

use super::leg::Leg;
use super::turn;

/// A kernel buffer between two sockets.
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    /// Bytes in it.
    filled: usize,
    /// How large it is. What exceeds [`Size::Usual`] is its share of [`GROWN`].
    size: Size,
    /// How large it was tried to make.
    asked: Size,
}

/// How large a pipe is, or is to be.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Size {
    /// As the kernel makes it.
    Usual,
    Large,
    Huge,
}

impl Size {
    /// What a transfer that has moved `moved` bytes is worth. Measured on loopback, processor time of the
    /// relay per GiB: copied 490 ms, spliced through 64 KiB 300 ms, 256 KiB 230 ms, 1 MiB 200 ms.
    const fn for_transfer(moved: u64) -> Self {
        match moved {
            ..LARGE_AFTER => Self::Usual,
            LARGE_AFTER..HUGE_AFTER => Self::Large,
            HUGE_AFTER.. => Self::Huge,
        }
    }

    /// In bytes.
    const fn capacity(self) -> usize {
        match self {
            Self::Usual => 64 << 10,
            Self::Large => 256 << 10,
            Self::Huge => 1 << 20,
        }
    }

    /// Bytes of the budget that one pipe of this size takes.
    const fn growth(self) -> usize {
        self.capacity() - Self::Usual.capacity()
    }

    /// What [`GROWN`] may come to when a pipe gets this size. The huge ones have half of it, so that a few
    /// transfers do not leave the others without.
    const fn budget(self) -> usize {
        match self {
            Self::Huge => GROWN_BUDGET / 2,
            _ => GROWN_BUDGET,
        }
    }
}

impl Pipe {
    /// An empty pipe, pooled or new, for a transfer that has moved `moved` bytes.
    pub(super) fn take(moved: u64) -> io::Result<Self> {
        let pooled = from_pool(
            &mut POOL.lock().unwrap_or_else(PoisonError::into_inner),
            Size::for_transfer(moved),
        );
        pooled.map_or_else(Self::open, Ok)
    }

    fn open() -> io::Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        let capacity = fcntl(&writer, FcntlArg::F_GETPIPE_SZ)?;
        if usize::try_from(capacity).is_ok_and(|bytes| bytes < Size::Usual.capacity()) {
            // Over fs.pipe-user-pages-soft a new pipe has two pages: copying is quicker.
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(Self {
            reader,
            writer,
            filled: 0,
            size: Size::Usual,
            asked: Size::Usual,
        })
    }

    /// Returns it to the pool, if it is empty and the pool has room; else it is closed.
    pub(super) fn give_back(mut self) {
        if self.is_empty() {
            // The next transfer may have what was refused to this one.
            self.asked = self.size;
            let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
            if pool.len() < POOLED {
                pool.push(self);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Enlarges the empty pipe for a transfer that has moved `moved` bytes. When the budget or the kernel
    /// does not grant it, the size stays; each size is asked for once.
    pub(super) fn grow(&mut self, moved: u64) {
        let wanted = Size::for_transfer(moved);
        if self.asked >= wanted {
            return;
        }
        self.asked = wanted;
        if self.size < wanted {
            self.resize(wanted, |writer, capacity| {
                fcntl(writer, FcntlArg::F_SETPIPE_SZ(capacity))
            });
        }
    }

    /// Within the budget `set` is asked.
    fn resize(&mut self, wanted: Size, set: impl FnOnce(&OwnedFd, i32) -> nix::Result<i32>) {
        let more = wanted.growth() - self.size.growth();
        let fits = |grown: usize| Some(grown + more).filter(|total| *total <= wanted.budget());
        let counted = GROWN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        let Ok(capacity) = i32::try_from(wanted.capacity()) else {
            return;
        };
        if counted.is_err() {
            return;
        }
        match set(&self.writer, capacity) {
            Ok(_) => self.size = wanted,
            // EPERM: the user is over fs.pipe-user-pages-soft, or the size over fs.pipe-max-size. ENOMEM.
            Err(error) => {
                GROWN.fetch_sub(more, Ordering::Relaxed);
                tracing::debug!(%error, "a pipe keeps its size");
            }
        }
    }

    /// Fills the empty pipe from `leg`. Ready with 0 at the peer's FIN.
    pub(super) fn poll_fill(&mut self, leg: &Leg, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        debug_assert!(self.is_empty(), "EAGAIN could mean that the pipe is full");
        let filled = ready!(leg.poll_readable(cx, |stream| {
            Ok(splice(stream, None, &self.writer, None, FILL, flags())?)
        }))?;
        self.filled = filled;
        turn::note_read(filled);
        Poll::Ready(Ok(filled))
    }

    /// Moves bytes of the pipe to `leg`, and says how many.
    pub(super) fn poll_drain(
        &mut self,
        leg: &Leg,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(!self.is_empty(), "EAGAIN could mean that the pipe is empty");
        let drained = ready!(leg.poll_writable(cx, |stream| {
            Ok(splice(
                &self.reader,
                None,
                stream,
                None,
                self.filled,
                flags(),
            )?)
        }))?;
        self.filled -= drained;
        Poll::Ready(Ok(drained))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        GROWN.fetch_sub(self.size.growth(), Ordering::Relaxed);
    }
}

/// `NONBLOCK` is for the pipe's end; the socket has its own flag. No `MORE`: it would hold back the last
/// segment before a pause.
fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}

/// A pooled pipe, of the size that is `wanted` if there is one.
fn from_pool(pool: &mut Vec<Pipe>, wanted: Size) -> Option<Pipe> {
    match pool.iter().rposition(|pipe| pipe.size == wanted) {
        Some(place) => Some(pool.swap_remove(place)),
        None => pool.pop(),
    }
}

static POOL: Mutex<Vec<Pipe>> = Mutex::new(Vec::new());

/// Bytes by which the pipes of the process exceed the usual size, pooled ones included.
static GROWN: AtomicUsize = AtomicUsize::new(0);

/// Pipes kept for reuse: 128 descriptors, for the transfers that run at the same moment on a busy host.
const POOLED: usize = 64;

/// Asked of one `splice`; the pipe takes what it can.
const FILL: usize = 1 << 20;

/// Bytes after which a transfer is long enough to be worth a larger pipe.
const LARGE_AFTER: u64 = 1 << 20;

/// Bytes after which it is worth one of 1 MiB, the most that Linux gives to anybody (`fs.pipe-max-size`).
const HUGE_AFTER: u64 = 16 << 20;

/// Half of `fs.pipe-user-pages-soft` (16384 pages): the other half is for 500 pipes of the usual size.
const GROWN_BUDGET: usize = 32 << 20;

#[cfg(test)]
mod tests;
