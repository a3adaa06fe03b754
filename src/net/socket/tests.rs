use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::net::testing::soon;

fn listening(address: SocketAddr) -> io::Result<TcpListener> {
    listen_for_control(bound(address)?, 1, KEEPALIVE)
}

async fn control_pair() -> (TcpStream, TcpStream) {
    let listener = listening(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    (stream, client)
}

#[tokio::test]
async fn t1_urgent_bytes_stay_in_the_stream() {
    let (mut stream, mut client) = control_pair().await;
    // lftp's abort: IAC IP IAC, then the data mark as urgent byte, then the command.
    client.write_all(b"\xff\xf4\xff").await.unwrap();
    send_urgent(&client, 0xf2).unwrap();
    client.write_all(b"ABOR\r\n").await.unwrap();
    let mut bytes = [0; 10];
    soon(stream.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"\xff\xf4\xff\xf2ABOR\r\n");
}

#[tokio::test]
async fn k5_r11_control_connections_are_born_with_keepalive_and_no_delay() {
    let (stream, _client) = control_pair().await;
    let socket = SockRef::from(&stream);
    assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
    assert!(socket.out_of_band_inline().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_mins(1));
    assert_eq!(
        socket.tcp_keepalive_interval().unwrap(),
        Duration::from_secs(6)
    );
    assert_eq!(
        socket.tcp_user_timeout().unwrap(),
        Some(Duration::from_secs(90))
    );
    assert_eq!(
        socket.linger().unwrap(),
        None,
        "a control connection closes with FIN (R8)"
    );
}

#[tokio::test]
async fn the_shortest_keepalive_is_one_second() {
    let (stream, _client) = control_pair().await;
    prepare_control(&stream, Duration::from_millis(1)).unwrap();
    assert_eq!(
        SockRef::from(&stream).tcp_keepalive_time().unwrap(),
        Duration::from_secs(1)
    );
}

#[tokio::test]
async fn v2_an_ipv6_wildcard_leaves_ipv4_to_another_listener() {
    // The port of one try may be taken for IPv4 by another process.
    let both = || {
        let six = listening("[::]:0".parse().unwrap()).unwrap();
        let port = six.local_addr().unwrap().port();
        listening(SocketAddr::from(([0, 0, 0, 0], port))).is_ok()
    };
    assert!((0..10).any(|_| both()));
}

#[tokio::test]
async fn k2_a_port_in_time_wait_can_be_listened_on_again() {
    let listener = listening(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    // Who closes first keeps the TIME_WAIT.
    drop(stream);
    soon(client.read_to_end(&mut Vec::new())).await.unwrap();
    drop((client, listener));
    listening(address).unwrap();
}

#[test]
fn v2_mapped_addresses_are_ipv4() {
    for (given, expected) in [
        ("[::ffff:192.0.2.1]:21", "192.0.2.1:21"),
        ("192.0.2.1:21", "192.0.2.1:21"),
        ("[2001:db8::1]:21", "[2001:db8::1]:21"),
        ("[fe80::1%3]:21", "[fe80::1%3]:21"),
        ("[::1]:21", "[::1]:21"),
    ] {
        let (given, expected): (SocketAddr, SocketAddr) =
            (given.parse().unwrap(), expected.parse().unwrap());
        assert_eq!(normalise_socket(given), expected);
        assert_eq!(normalise(given.ip()), expected.ip());
    }
}

/// Of the listeners here.
const KEEPALIVE: Duration = Duration::from_mins(1);
