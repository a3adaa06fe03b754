//! A listener for the admin address and the API that bounds how many connections there are and how long a silent one
//! stays: its descriptors are those of the sessions.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Accepts no more connections than there are places.
pub(super) struct Bounded<L> {
    listener: L,
    places: Arc<Semaphore>,
}

/// A connection that keeps its place while it lives, and fails when nothing comes for too long.
pub(super) struct Guest<S> {
    stream: S,
    silence: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<L> Bounded<L> {
    pub(super) fn new(listener: L) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }
}

impl<S> Guest<S> {
    pub(super) fn stream(&self) -> &S {
        &self.stream
    }
}

impl<L: Listener> Listener for Bounded<L> {
    type Io = Guest<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Guest<L::Io>, L::Addr) {
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        let silence = Box::pin(tokio::time::sleep(SILENCE));
        (
            Guest {
                stream,
                silence,
                _place: place,
            },
            peer,
        )
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guest<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                self.silence.as_mut().reset(Instant::now() + SILENCE);
                Poll::Ready(result)
            }
            Poll::Pending => self
                .silence
                .as_mut()
                .poll(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guest<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Prometheus, an orchestrator's probes and some people at a time.
const PLACES: usize = 64;

/// Longer than the usual minute between two scrapes, so that Prometheus keeps its connection.
const SILENCE: Duration = Duration::from_secs(75);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_connection_more_than_there_are_places_waits_for_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut bounded = Bounded::new(listener);
        let mut peers = Vec::new();
        let mut guests = Vec::new();
        for _ in 0..PLACES {
            peers.push(TcpStream::connect(address).await.unwrap());
            guests.push(bounded.accept().await);
        }
        peers.push(TcpStream::connect(address).await.unwrap());
        {
            let mut more = std::pin::pin!(bounded.accept());
            assert!(
                std::future::poll_fn(|cx| Poll::Ready(more.as_mut().poll(cx).is_pending())).await
            );
            guests.pop();
            more.await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut bounded = Bounded::new(listener);
        let _peer = TcpStream::connect(bounded.local_addr().unwrap())
            .await
            .unwrap();
        let (mut guest, _) = bounded.accept().await;
        let begin = Instant::now();
        let failure = guest.read(&mut [0]).await.unwrap_err();
        assert_eq!(failure.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begin.elapsed().as_secs(), SILENCE.as_secs());
    }
}
