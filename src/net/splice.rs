//! Pipes: how bytes pass between two sockets without visiting userspace (`splice(2)`, D13).
//!
//! A pipe is filled only when it is empty and emptied before it is filled again. So `EAGAIN` while
//! filling means that the source has nothing, and while draining that the destination takes nothing;
//! it never means that the pipe is full. How much one `splice` moves is the kernel's affair: a pipe
//! counts buffers, and one buffer may be a small segment or several pages, so occupancy is only ever what
//! the calls returned.
//!
//! Pipes are kept in one pool of the process, because making one costs more than moving a small file. Only
//! empty ones go back; one that holds bytes of a broken transfer is closed with them.
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
use tokio::io::Interest;

use super::leg::Leg;

/// A kernel buffer between two sockets.
pub(super) struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
    /// Bytes in it.
    filled: usize,
    /// Bytes by which it was enlarged: its share of [`GROWN`].
    grown: usize,
}

impl Pipe {
    /// An empty pipe, pooled or new.
    pub(super) fn take() -> io::Result<Self> {
        let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        pooled.map_or_else(Self::open, Ok)
    }

    fn open() -> io::Result<Self> {
        let (reader, writer) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        if fcntl(&writer, FcntlArg::F_GETPIPE_SZ)? < MIN_CAPACITY {
            // Over fs.pipe-user-pages-soft a new pipe has two pages: copying is quicker.
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(Self {
            reader,
            writer,
            filled: 0,
            grown: 0,
        })
    }

    /// Returns it to the pool, if it is empty and the pool has room; else it is closed.
    pub(super) fn give_back(self) {
        if self.is_empty() {
            let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
            if pool.len() < POOLED {
                pool.push(self);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Enlarges the pipe for a transfer that has moved `moved` bytes. When the kernel or the budget does
    /// not grant it, the size stays.
    pub(super) fn grow(&mut self, moved: u64) {
        if moved < GROW_AFTER || self.grown > 0 {
            return;
        }
        let fits = |grown: usize| Some(grown + GROWTH).filter(|total| *total <= GROWN_BUDGET);
        if GROWN
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_err()
        {
            return;
        }
        // Refused (EPERM) to a user that is over fs.pipe-user-pages-soft. Not asked again for this pipe.
        self.grown = GROWTH;
        if let Err(error) = fcntl(&self.writer, FcntlArg::F_SETPIPE_SZ(GROWN_CAPACITY)) {
            tracing::debug!(%error, "a pipe keeps its size");
        }
    }

    /// Fills the empty pipe from `leg`. Ready with 0 at the peer's FIN.
    pub(super) fn poll_fill(&mut self, leg: &Leg, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        debug_assert!(self.is_empty(), "EAGAIN could mean that the pipe is full");
        let filled = ready!(leg.poll_readable(cx, |stream| {
            stream.try_io(Interest::READABLE, || {
                Ok(splice(stream, None, &self.writer, None, FILL, flags())?)
            })
        }))?;
        self.filled = filled;
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
            stream.try_io(Interest::WRITABLE, || {
                Ok(splice(
                    &self.reader,
                    None,
                    stream,
                    None,
                    self.filled,
                    flags(),
                )?)
            })
        }))?;
        self.filled -= drained;
        Poll::Ready(Ok(drained))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        GROWN.fetch_sub(self.grown, Ordering::Relaxed);
    }
}

/// `NONBLOCK` is for the pipe's end; the socket has its own flag. No `MORE`: it would hold back the last
/// segment before a pause.
fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}

static POOL: Mutex<Vec<Pipe>> = Mutex::new(Vec::new());

/// Bytes by which the pipes of the process exceed the default, pooled ones included.
static GROWN: AtomicUsize = AtomicUsize::new(0);

/// Pipes kept for reuse: 128 descriptors, for the transfers that run at the same moment on a busy host.
const POOLED: usize = 64;

/// What Linux gives to a new pipe: 16 pages.
const MIN_CAPACITY: i32 = 64 << 10;

/// Asked of one `splice`; the pipe takes what it can.
const FILL: usize = 1 << 20;

/// A long transfer's pipe. Measured on loopback, processor time of the relay per GiB: copied 490 ms, spliced
/// through 64 KiB 300 ms, 256 KiB 230 ms, 1 MiB 200 ms. The last step would cost four times the budget.
const GROWN_CAPACITY: i32 = 256 << 10;

/// What a grown pipe has more than a new one.
const GROWTH: usize = (GROWN_CAPACITY - MIN_CAPACITY) as usize;

/// Bytes after which a transfer is long enough to be worth a larger pipe.
const GROW_AFTER: u64 = 4 << 20;

/// A quarter of fs.pipe-user-pages-soft (16384 pages), so that a few long transfers do not leave the
/// others with pipes of two pages.
const GROWN_BUDGET: usize = 16 << 20;
