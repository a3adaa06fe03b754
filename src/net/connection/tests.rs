use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream as Peer;

use super::*;
use crate::net::socket::{self, listen_for_data, send_urgent};
use crate::net::testing::soon;

/// A connection as clients make them, and its far end.
async fn pair() -> (Connection, Peer) {
    let bound = socket::bound((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    bound.set_out_of_band_inline(true).unwrap();
    let listener = listen_for_data(bound, 1).unwrap();
    let peer = Peer::connect(listener.local_addr().unwrap()).await.unwrap();
    peer.set_nodelay(true).unwrap();
    let (connection, _) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    (connection, peer)
}

/// What one read brings.
async fn read(connection: &Connection) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let read = soon(poll_fn(|cx| connection.poll_read(cx, &mut buffer))).await;
    buffer[..read.unwrap()].to_vec()
}

/// The kernel's news may come before, between and after the reads: another thread hears them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t1_what_is_behind_an_urgent_byte_is_read_without_more_coming() {
    let (connection, mut peer) = pair().await;
    for _ in 0..2_000 {
        peer.write_all(b"NOOP\r\n").await.unwrap();
        send_urgent(&peer, 0xf2).unwrap();
        peer.write_all(b"ABOR\r\n").await.unwrap();
        let mut bytes = Vec::new();
        while bytes.len() < 13 {
            bytes.extend(read(&connection).await);
        }
        assert_eq!(bytes, b"NOOP\r\n\xf2ABOR\r\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_urgent_bytes_and_a_pause_between_them_keep_nothing_back() {
    let (connection, mut peer) = pair().await;
    for round in 0..500 {
        send_urgent(&peer, 1).unwrap();
        if round % 2 == 0 {
            assert_eq!(read(&connection).await, [1]);
        }
        peer.write_all(&[2]).await.unwrap();
        send_urgent(&peer, 3).unwrap();
        peer.write_all(&[4]).await.unwrap();
        let mut last = 0;
        while last != 4 {
            last = *read(&connection).await.last().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_is_missed_whenever_it_comes() {
    let (connection, peer) = pair().await;
    let (mut hears, mut says) = peer.into_split();
    let answers = tokio::spawn(async move {
        for number in 0..5_000_u32 {
            says.write_all(&number.to_be_bytes()).await.unwrap();
            if number % 3 == 0 {
                let mut answer = [0];
                soon(hears.read_exact(&mut answer)).await.unwrap();
            }
        }
    });
    let (mut bytes, mut seen) = (Vec::new(), 0_u32);
    while seen < 5_000 {
        bytes.extend(read(&connection).await);
        while bytes.len() >= 4 {
            let number: Vec<u8> = bytes.drain(..4).collect();
            assert_eq!(number, seen.to_be_bytes());
            if seen % 3 == 0 {
                let wrote = poll_fn(|cx| connection.poll_write(cx, b"."));
                assert_eq!(soon(wrote).await.unwrap(), 1);
            }
            seen += 1;
        }
    }
    soon(answers).await.unwrap();
}

#[tokio::test]
async fn the_last_bytes_are_read_before_the_end_and_the_end_is_told() {
    let (connection, mut peer) = pair().await;
    peer.write_all(b"221 Bye\r\n").await.unwrap();
    drop(peer);
    assert_eq!(read(&connection).await, b"221 Bye\r\n");
    assert_eq!(read(&connection).await, b"");
}

#[tokio::test]
async fn a_reset_is_told_behind_a_short_read() {
    let (connection, mut peer) = pair().await;
    peer.write_all(b"x").await.unwrap();
    assert_eq!(read(&connection).await, b"x");
    SockRef::from(&peer)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(peer);
    let mut buffer = [0; 8];
    let read = soon(poll_fn(|cx| connection.poll_read(cx, &mut buffer))).await;
    assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn who_waits_in_the_backlog_is_accepted_without_the_runtime_knowing() {
    let listener =
        listen_for_data(socket::bound((Ipv4Addr::LOCALHOST, 0).into()).unwrap(), 1).unwrap();
    let none = listener.accept_now().unwrap_err();
    assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_, address) = listener.accept_now().unwrap();
    assert_eq!(address, peer.local_addr().unwrap());
}
