use std::future::poll_fn;
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::*;
use crate::net::socket;
use crate::net::testing::{End, ending, leg, reset, soon};

#[tokio::test]
async fn d2_a_dropped_leg_is_reset_because_its_listener_was_prepared() {
    let (leg, mut peer) = leg().await;
    let socket = SockRef::from(&*leg.stream);
    assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
    drop(leg);
    assert_eq!(soon(ending(&mut peer)).await.1, End::Rst);
}

#[tokio::test]
async fn k5_a_leg_has_keepalive_once_it_was_told_to() {
    let (leg, _peer) = leg().await;
    let socket = SockRef::from(&*leg.stream);
    assert!(!socket.keepalive().unwrap());
    leg.keep_alive().unwrap();
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_TIME);
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_RETRIES);
}

/// Another thread hears from the kernel while this one accepts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_a_leg_is_accepted_is_read() {
    let socket = socket::bound(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    prepare(&socket).unwrap();
    let listener = socket::listen_for_data(socket, 1).unwrap();
    for _ in 0..1_000 {
        let mut peer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        peer.write_all(b"early").await.unwrap();
        let (stream, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
        let leg = Leg::new(stream);
        let mut buffer = [0; 100];
        let read = soon(poll_fn(|cx| leg.poll_read(cx, &mut buffer))).await;
        assert_eq!(&buffer[..read.unwrap()], b"early");
    }
}

#[tokio::test]
async fn d1_a_leg_that_closing_finishes_ends_in_order() {
    let (leg, mut peer) = leg().await;
    peer.shutdown().await.unwrap();
    assert_eq!(
        soon(poll_fn(|cx| leg.poll_read(cx, &mut [0])))
            .await
            .unwrap(),
        0
    );
    leg.finish_by_closing().unwrap();
    drop(leg);
    assert_eq!(soon(ending(&mut peer)).await.1, End::Fin);
}

#[tokio::test]
async fn d2_a_panic_or_a_cancelled_task_resets_the_leg() {
    let (held, mut peer) = leg().await;
    let cancelled = tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop(held);
    });
    cancelled.abort();
    assert_eq!(soon(ending(&mut peer)).await.1, End::Rst);
}

#[tokio::test]
async fn d2_a_connection_still_queued_is_reset_when_its_listener_closes() {
    let socket = socket::bound(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    prepare(&socket).unwrap();
    let listener = socket::listen_for_data(socket, 1).unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    drop(listener);
    assert_eq!(soon(ending(&mut peer)).await.1, End::Rst);
}

#[tokio::test]
async fn d1_a_finished_leg_ends_in_order_with_all_its_bytes() {
    let (leg, mut peer) = leg().await;
    let written = soon(poll_fn(|cx| leg.poll_write(cx, b"last")))
        .await
        .unwrap();
    assert_eq!(written, 4);
    leg.finish().unwrap();
    drop(leg);
    assert_eq!(soon(ending(&mut peer)).await, (b"last".to_vec(), End::Fin));
}

#[tokio::test]
async fn abort_resets_even_a_finished_leg() {
    let (leg, mut peer) = leg().await;
    leg.finish().unwrap();
    leg.abort();
    // FIN may have been read before the RST came: then the next write finds out.
    let (_, end) = soon(ending(&mut peer)).await;
    if end == End::Fin {
        assert!(peer.write_all(b"x").await.is_err());
    }
}

#[tokio::test]
async fn d3_a_fault_tells_a_reset_from_one_after_the_end() {
    for (finished_first, kind) in [
        (false, io::ErrorKind::ConnectionReset),
        (true, io::ErrorKind::BrokenPipe),
    ] {
        let (mut leg, mut peer) = leg().await;
        peer.write_all(b"unread").await.unwrap();
        if finished_first {
            peer.shutdown().await.unwrap();
        }
        reset(peer);
        let error = soon(poll_fn(|cx| leg.poll_fault(cx))).await;
        assert_eq!(error.kind(), kind);
        if finished_first {
            // What came before the end is still there, and the end too.
            let mut buffer = [0; 100];
            assert_eq!(
                soon(poll_fn(|cx| leg.poll_read(cx, &mut buffer)))
                    .await
                    .unwrap(),
                6
            );
            assert_eq!(
                soon(poll_fn(|cx| leg.poll_read(cx, &mut buffer)))
                    .await
                    .unwrap(),
                0
            );
        }
        assert!(poll_fn(|cx| Poll::Ready(leg.poll_fault(cx).is_pending())).await);
    }
}

#[tokio::test]
async fn d3_finishing_a_leg_tells_the_same() {
    for (finished_first, kind) in [
        (false, io::ErrorKind::ConnectionReset),
        (true, io::ErrorKind::BrokenPipe),
    ] {
        let (leg, mut peer) = leg().await;
        if finished_first {
            peer.shutdown().await.unwrap();
        }
        reset(peer);
        soon(leg.stream.heard(Interest::ERROR)).await.unwrap();
        assert_eq!(leg.finish().unwrap_err().kind(), kind);
    }
}
