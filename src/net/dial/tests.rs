use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpListener;

use super::*;
use crate::net::testing::{End, connect, ending, soon};

async fn leg(mut dial: LegDial) -> io::Result<Leg> {
    soon(poll_fn(|cx| dial.poll(cx))).await
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn p15_control_and_data_come_from_the_same_source() {
    let (listener, address) = listener().await;
    let source = IpAddr::from([127, 0, 0, 9]);
    let control = control(address, Some(source)).await.unwrap();
    assert_eq!(control.socket().local_addr().unwrap().ip(), source);
    assert_eq!(listener.accept().await.unwrap().1.ip(), source);
    let _leg = leg(LegDial::to_backend(address, source)).await.unwrap();
    assert_eq!(listener.accept().await.unwrap().1.ip(), source);
}

#[tokio::test]
async fn ipv6_backends_are_dialled_from_a_given_source() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _leg = leg(LegDial::to_backend(address, address.ip()))
        .await
        .unwrap();
    assert_eq!(listener.accept().await.unwrap().1.ip(), address.ip());
}

#[tokio::test]
async fn a_control_connection_without_a_source_is_the_kernels_choice() {
    let (listener, address) = listener().await;
    let _control = control(address, None).await.unwrap();
    assert_eq!(listener.accept().await.unwrap().1.ip(), Ipv4Addr::LOCALHOST);
}

#[tokio::test]
async fn d2_a_dialled_leg_is_reset_when_it_is_dropped() {
    let (listener, address) = listener().await;
    drop(
        leg(LegDial::to_backend(address, address.ip()))
            .await
            .unwrap(),
    );
    let (mut backend, _) = listener.accept().await.unwrap();
    assert_eq!(soon(ending(&mut backend)).await.1, End::Rst);
}

#[tokio::test]
async fn a_refused_dial_says_so() {
    let (listener, address) = listener().await;
    drop(listener);
    let error = control(address, None).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_dial_that_nobody_answers_times_out() {
    // A full accept queue drops SYNs: the kernel answers nobody.
    let socket = socket::bound(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = socket::listen(socket, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let _queued = tokio::net::TcpStream::connect(address).await.unwrap();
    let error = stream(address, None, Duration::from_millis(50))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
}

/// A port below the range of outgoing connections, on an address of this test's own.
fn source(last: u8) -> SocketAddr {
    SocketAddr::from(([127, 20, 20, last], 2020))
}

#[tokio::test]
async fn a7_a_backend_is_dialled_when_that_is_ordered_and_a_client_when_the_dial_is_polled() {
    let (backend, backend_address) = listener().await;
    let (client, client_address) = listener().await;
    let [backend, client] = [backend, client].map(|one| one.into_std().unwrap());
    let _to_backend = LegDial::to_backend(backend_address, backend_address.ip());
    assert!(backend.accept().is_ok());
    let to_client = LegDial::to_client(client_address, source(5), true);
    let error = client.accept().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let _leg = leg(to_client).await.unwrap();
    assert!(client.accept().is_ok());
}

#[tokio::test]
async fn a7_many_clients_are_connected_from_the_one_port() {
    let (one, one_address) = listener().await;
    let (two, two_address) = listener().await;
    let _first = leg(LegDial::to_client(one_address, source(1), true))
        .await
        .unwrap();
    let _second = leg(LegDial::to_client(two_address, source(1), true))
        .await
        .unwrap();
    assert_eq!(one.accept().await.unwrap().1, source(1));
    assert_eq!(two.accept().await.unwrap().1, source(1));
}

#[tokio::test]
async fn a8_a_second_connection_to_the_same_client_port_comes_from_another_port() {
    let (listener, address) = listener().await;
    let _first = leg(LegDial::to_client(address, source(2), true))
        .await
        .unwrap();
    assert_eq!(listener.accept().await.unwrap().1, source(2));
    assert!(
        leg(LegDial::to_client(address, source(2), true))
            .await
            .is_err()
    );
    let _second = leg(LegDial::to_client(address, source(2), false))
        .await
        .unwrap();
    let (_, peer) = listener.accept().await.unwrap();
    assert_eq!(peer.ip(), source(2).ip());
    assert_ne!(peer.port(), source(2).port());
}

#[tokio::test]
async fn a8_a_port_that_another_socket_listens_on_is_given_up_unless_strict() {
    let (listener, address) = listener().await;
    let _taken = TcpListener::bind(source(3)).await.unwrap();
    let error = leg(LegDial::to_client(address, source(3), true))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let _leg = leg(LegDial::to_client(address, source(3), false))
        .await
        .unwrap();
    assert_eq!(listener.accept().await.unwrap().1.ip(), source(3).ip());
}

#[tokio::test]
async fn a8_a_client_that_refuses_is_not_tried_from_another_port() {
    let (listener, address) = listener().await;
    drop(listener);
    let error = leg(LegDial::to_client(address, source(4), false))
        .await
        .err()
        .unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a6_only_the_backend_is_accepted() {
    let (source, backend) = (IpAddr::from([127, 0, 0, 1]), [127, 0, 0, 7]);
    let refused = Arc::<AtomicU64>::default();
    let mut listener = BackendListener::open(source, backend.into(), Arc::clone(&refused)).unwrap();
    let mut stranger = connect([127, 0, 0, 8], listener.address()).await.unwrap();
    let mut wanted = connect(backend, listener.address()).await.unwrap();
    let leg = soon(poll_fn(|cx| listener.poll_accept(cx))).await.unwrap();
    assert_eq!(refused.load(Ordering::Relaxed), 1);
    assert_eq!(soon(ending(&mut stranger)).await.1, End::Rst);
    leg.finish().unwrap();
    assert_eq!(soon(ending(&mut wanted)).await.1, End::Fin);
}
