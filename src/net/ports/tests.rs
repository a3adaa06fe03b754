use std::collections::HashSet;
use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;
use socket2::{Domain, Type};
use tokio::net::TcpListener as Listener;

use super::*;
use crate::net::testing::{End, accept, connect, ending, soon};

/// A virtual IP of the test's own, so that every port of it is free.
fn vip(test: u8) -> IpAddr {
    IpAddr::from([127, 21, 21, test])
}

fn client(number: u8) -> IpAddr {
    IpAddr::from([127, 0, 1, number])
}

fn ports(range: RangeInclusive<u16>, check: PeerCheck, leases: usize) -> Arc<PassivePorts> {
    Arc::new(PassivePorts::new(range, check, leases))
}

fn strict(range: RangeInclusive<u16>) -> Arc<PassivePorts> {
    ports(range, PeerCheck::Strict, 1000)
}

#[tokio::test]
async fn p11_ports_are_within_the_range_different_for_one_client_and_not_in_order() {
    let ports = strict(20_000..=20_063);
    let leases: Vec<Lease> = (0..64)
        .map(|_| ports.lease(vip(1), client(1), 1).unwrap())
        .collect();
    let drawn: Vec<u16> = leases.iter().map(|lease| lease.address().port()).collect();
    assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 64);
    assert!(drawn.iter().all(|port| (20_000..=20_063).contains(port)));
    assert!(!drawn.is_sorted());
    assert_eq!(ports.in_use(), 64);
}

#[tokio::test]
async fn p5_an_exhausted_range_is_an_error_and_recovers() {
    let ports = strict(20_000..=20_001);
    let first = ports.lease(vip(2), client(1), 1).unwrap();
    let _second = ports.lease(vip(2), client(1), 1).unwrap();
    let refused = ports.lease(vip(2), client(1), 1);
    assert!(matches!(refused, Err(LeaseError::RangeExhausted { .. })));
    let address = first.address();
    drop(first);
    assert_eq!(
        ports.lease(vip(2), client(1), 1).unwrap().address(),
        address
    );
}

#[tokio::test]
async fn p19_a_client_has_a_limited_number_of_leases() {
    let ports = ports(20_000..=20_009, PeerCheck::Strict, 2);
    let first = ports.lease(vip(3), client(1), 1).unwrap();
    let _second = ports.lease(vip(3), client(1), 2).unwrap();
    assert!(matches!(
        ports.lease(vip(3), client(1), 3),
        Err(LeaseError::ClientLimit { limit: 2, .. })
    ));
    let _other = ports.lease(vip(3), client(2), 4).unwrap();
    drop(first);
    let _third = ports.lease(vip(3), client(1), 3).unwrap();
}

#[tokio::test]
async fn an_address_that_the_host_does_not_have_is_an_error_at_once() {
    let ports = strict(20_000..=20_009);
    let refused = ports.lease(IpAddr::from([192, 0, 2, 1]), client(1), 1);
    assert!(matches!(refused, Err(LeaseError::Bind { .. })));
    assert_eq!(ports.in_use(), 0);
}

#[tokio::test]
async fn k1_a_port_that_another_socket_holds_is_passed_over() {
    let _taken = Listener::bind((vip(4), 20_000)).await.unwrap();
    let ports = strict(20_000..=20_001);
    for _ in 0..20 {
        assert_eq!(
            ports.lease(vip(4), client(1), 1).unwrap().address().port(),
            20_001
        );
    }
}

#[tokio::test]
async fn p6_a_leased_port_listens_and_p13_takes_one_connection() {
    let ports = strict(20_000..=20_000);
    let mut lease = ports.lease(vip(5), client(1), 1).unwrap();
    let mut peer = connect(client(1), lease.address()).await.unwrap();
    // This one is queued when the first is accepted, the next comes after.
    let mut queued = connect(client(1), lease.address()).await.unwrap();
    let leg = accept(&mut lease).await.unwrap();
    assert_eq!(soon(ending(&mut queued)).await.1, End::Rst);
    assert!(connect(client(1), lease.address()).await.is_err());
    assert_eq!(ports.in_use(), 0);
    assert!(poll_fn(|cx| Poll::Ready(lease.poll_accept(cx).is_pending())).await);
    leg.finish().unwrap();
    assert_eq!(soon(ending(&mut peer)).await.1, End::Fin);
}

/// Where the kernel's queue is full it drops the SYN, and the next one comes a second later.
#[tokio::test]
async fn p12_hundreds_of_strangers_do_not_keep_the_client_of_a_port_waiting() {
    let ports = strict(20_000..=20_000);
    let mut lease = ports.lease(vip(18), client(1), 1).unwrap();
    let mut strangers = Vec::new();
    for _ in 0..300 {
        strangers.push(connect(client(2), lease.address()).await.unwrap());
    }
    let first_syn = Duration::from_millis(900);
    let own = tokio::time::timeout(first_syn, connect(client(1), lease.address())).await;
    let mut own = own.unwrap().unwrap();
    accept(&mut lease).await.unwrap().finish().unwrap();
    assert_eq!(soon(ending(&mut own)).await.1, End::Fin);
    assert_eq!(ports.refused(), 300);
}

#[tokio::test]
async fn k6_who_is_queued_when_a_client_joins_a_port_is_not_its_connection() {
    let ports = strict(20_000..=20_000);
    let mut first = ports.lease(vip(17), client(1), 1).unwrap();
    let mut stray = connect(client(2), first.address()).await.unwrap();
    let mut own = connect(client(1), first.address()).await.unwrap();
    let mut second = ports.lease(vip(17), client(2), 2).unwrap();
    assert_eq!(soon(ending(&mut stray)).await.1, End::Rst);
    assert_eq!(ports.refused(), 1);
    let mut wanted = connect(client(2), second.address()).await.unwrap();
    accept(&mut second).await.unwrap().finish().unwrap();
    assert_eq!(soon(ending(&mut wanted)).await.1, End::Fin);
    accept(&mut first).await.unwrap().finish().unwrap();
    assert_eq!(soon(ending(&mut own)).await.1, End::Fin);
}

#[tokio::test]
async fn a_client_that_came_before_it_was_asked_for_is_found_at_once_and_one_after_is_told_of() {
    let ports = strict(20_000..=20_000);
    let mut lease = ports.lease(vip(16), client(1), 1).unwrap();
    // The runtime has no turn between these.
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(client(1), 0).into()).unwrap();
    socket.connect(&lease.address().into()).unwrap();
    assert!(poll_fn(|cx| Poll::Ready(lease.poll_accept(cx).is_ready())).await);
    let mut lease = ports.lease(vip(16), client(1), 2).unwrap();
    assert!(poll_fn(|cx| Poll::Ready(lease.poll_accept(cx).is_pending())).await);
    let address = lease.address();
    let late = tokio::spawn(async move { connect(client(1), address).await.unwrap() });
    let _leg = accept(&mut lease).await.unwrap();
    late.await.unwrap();
}

#[tokio::test]
async fn a_dropped_lease_closes_its_port_and_resets_who_is_queued() {
    let ports = strict(20_000..=20_000);
    let lease = ports.lease(vip(6), client(1), 1).unwrap();
    let address = lease.address();
    let mut queued = connect(client(1), address).await.unwrap();
    drop(lease);
    assert_eq!(soon(ending(&mut queued)).await.1, End::Rst);
    assert!(connect(client(1), address).await.is_err());
    assert_eq!(ports.in_use(), 0);
}

#[tokio::test]
async fn p12_a_stranger_is_reset_and_does_not_use_up_the_lease() {
    let ports = strict(20_000..=20_000);
    let mut lease = ports.lease(vip(7), client(1), 1).unwrap();
    let mut stranger = connect(client(9), lease.address()).await.unwrap();
    let _peer = connect(client(1), lease.address()).await.unwrap();
    accept(&mut lease).await.unwrap();
    assert_eq!(soon(ending(&mut stranger)).await.1, End::Rst);
    assert_eq!(ports.refused(), 1);
}

#[tokio::test]
async fn p12_a_flood_of_strangers_is_sorted_out_before_the_client() {
    let ports = strict(20_000..=20_000);
    let mut lease = ports.lease(vip(8), client(1), 1).unwrap();
    let mut strangers = Vec::new();
    for _ in 0..ACCEPTS + 5 {
        strangers.push(connect(client(9), lease.address()).await.unwrap());
    }
    let _peer = connect(client(1), lease.address()).await.unwrap();
    accept(&mut lease).await.unwrap();
    assert_eq!(ports.refused(), ACCEPTS as u64 + 5);
}

/// Accepts in a task of its own, and sends the number of the client as the only byte.
fn serve(mut lease: Lease, number: u8) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let leg = accept(&mut lease).await.unwrap();
        soon(poll_fn(|cx| leg.poll_write(cx, &[number])))
            .await
            .unwrap();
        leg.finish().unwrap();
    })
}

#[tokio::test]
async fn p18_three_clients_share_a_port_and_each_gets_its_own_connection() {
    for order in [[1, 2, 3], [3, 2, 1], [2, 3, 1]] {
        let ports = strict(20_000..=20_000);
        let tasks: Vec<_> = (1..=3)
            .map(|number| serve(ports.lease(vip(9), client(number), 1).unwrap(), number))
            .collect();
        assert_eq!(ports.in_use(), 3);
        // All have been polled, so that each connection wakes tasks that wait.
        tokio::task::yield_now().await;
        for number in order {
            let mut peer = connect(client(number), (vip(9), 20_000).into())
                .await
                .unwrap();
            assert_eq!(soon(ending(&mut peer)).await, (vec![number], End::Fin));
        }
        for task in tasks {
            soon(task).await.unwrap();
        }
        assert_eq!(ports.in_use(), 0);
        assert!(connect(client(1), (vip(9), 20_000).into()).await.is_err());
    }
}

#[tokio::test]
async fn p18_who_accepts_serves_a_lease_that_is_polled_later() {
    let ports = strict(20_000..=20_000);
    let mut first = ports.lease(vip(10), client(1), 1).unwrap();
    let mut second = ports.lease(vip(10), client(2), 2).unwrap();
    let _two = connect(client(2), second.address()).await.unwrap();
    let _one = connect(client(1), second.address()).await.unwrap();
    accept(&mut first).await.unwrap();
    assert_eq!(ports.in_use(), 0, "both connections were sorted");
    assert!(connect(client(2), second.address()).await.is_err());
    accept(&mut second).await.unwrap();
}

#[tokio::test]
async fn p18_a_lease_that_is_dropped_leaves_the_others_waiting() {
    let ports = strict(20_000..=20_000);
    let first = ports.lease(vip(11), client(1), 1).unwrap();
    let mut second = ports.lease(vip(11), client(2), 2).unwrap();
    // The first polls last, so that the kernel's event is known to its waker only.
    assert!(poll_fn(|cx| Poll::Ready(second.poll_accept(cx).is_pending())).await);
    let waiting = serve(second, 2);
    let mut first = first;
    assert!(poll_fn(|cx| Poll::Ready(first.poll_accept(cx).is_pending())).await);
    tokio::task::yield_now().await;
    drop(first);
    let mut peer = connect(client(2), (vip(11), 20_000).into()).await.unwrap();
    assert_eq!(soon(ending(&mut peer)).await, (vec![2], End::Fin));
    soon(waiting).await.unwrap();
}

/// Runtimes of their own, as sessions have, that share the one port of the range; they end together.
#[test]
fn p18_threads_that_share_a_port_never_find_it_taken() {
    let ports = strict(20_000..=20_000);
    let together = tokio::sync::Barrier::new(4);
    let serve = &async |number: u8| {
        for round in 0..150 {
            let lease = ports.lease(vip(43), client(number), number.into());
            let mut lease = lease.unwrap();
            if round % 3 == 0 {
                continue;
            }
            let mut peer = connect(client(number), lease.address()).await.unwrap();
            let leg = accept(&mut lease).await.unwrap();
            soon(poll_fn(|cx| leg.poll_write(cx, &[number])))
                .await
                .unwrap();
            leg.finish().unwrap();
            assert_eq!(soon(ending(&mut peer)).await, (vec![number], End::Fin));
        }
        soon(together.wait()).await;
    };
    std::thread::scope(|scope| {
        for number in 1..=4 {
            let runtime = { tokio::runtime::Builder::new_current_thread() }
                .enable_all()
                .build();
            scope.spawn(move || runtime.unwrap().block_on(serve(number)));
        }
    });
    assert_eq!((ports.in_use(), ports.refused()), (0, 0));
    assert_eq!(ports.table().addresses().count(), 0);
}

#[tokio::test]
async fn p18_ports_are_shared_only_when_the_peer_check_is_strict() {
    for check in [PeerCheck::Prefix { v4: 24, v6: 64 }, PeerCheck::Off] {
        let ports = ports(20_000..=20_000, check, 1000);
        let mut lease = ports.lease(vip(12), client(1), 1).unwrap();
        assert!(matches!(
            ports.lease(vip(12), client(2), 2),
            Err(LeaseError::RangeExhausted { .. })
        ));
        // A neighbour will do.
        let _peer = connect(client(5), lease.address()).await.unwrap();
        accept(&mut lease).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn p11_only_an_unused_port_is_kept_from_the_clients_other_sessions() {
    let ports = strict(20_000..=20_000);
    let mut used = ports.lease(vip(13), client(1), 1).unwrap();
    let _peer = connect(client(1), used.address()).await.unwrap();
    accept(&mut used).await.unwrap();
    drop(used);
    drop(ports.lease(vip(13), client(1), 2).unwrap());
    assert!(ports.lease(vip(13), client(1), 3).is_err());
    drop(ports.lease(vip(13), client(2), 4).unwrap());
    drop(ports.lease(vip(13), client(1), 2).unwrap());
    tokio::time::advance(Duration::from_secs(30)).await;
    drop(ports.lease(vip(13), client(1), 3).unwrap());
}

#[tokio::test]
async fn v2_a_mapped_client_address_is_the_same_client() {
    let ports = strict(20_000..=20_000);
    let mapped = IpAddr::from(Ipv4Addr::new(127, 0, 1, 1).to_ipv6_mapped());
    let mut lease = ports.lease(vip(14), mapped, 1).unwrap();
    let _peer = connect(client(1), lease.address()).await.unwrap();
    accept(&mut lease).await.unwrap();
}

#[tokio::test]
async fn ipv6_clients_are_leased_ports_too() {
    let loopback: IpAddr = "::1".parse().unwrap();
    // The only address of this test that others may use: any free port will do.
    let ports = strict(20_000..=20_999);
    let mut lease = ports.lease(loopback, loopback, 1).unwrap();
    let _peer = connect(loopback, lease.address()).await.unwrap();
    accept(&mut lease).await.unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Lease(u8),
    Release(usize),
    Connect(u8, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..4_u8).prop_map(Step::Lease),
        1 => any::<usize>().prop_map(Step::Release),
        2 => (0..4_u8, any::<usize>()).prop_map(|(who, which)| Step::Connect(who, which)),
    ];
    proptest::collection::vec(step, 1..40)
}

/// The leases that a correct implementation would know of.
struct Model {
    ports: Arc<PassivePorts>,
    waiting: Vec<(u8, Lease)>,
}

impl Model {
    /// Three ports, four clients, two leases each: everything that can collide does.
    fn new() -> Self {
        Self {
            ports: ports(20_000..=20_002, PeerCheck::Strict, 2),
            waiting: Vec::new(),
        }
    }

    async fn apply(&mut self, step: Step) {
        match step {
            Step::Lease(who) => self.lease(who),
            Step::Release(which) if !self.waiting.is_empty() => {
                self.waiting.swap_remove(which % self.waiting.len());
            }
            Step::Connect(who, which) if !self.waiting.is_empty() => {
                self.connect(who, which % self.waiting.len()).await;
            }
            Step::Release(_) | Step::Connect(..) => {}
        }
        assert_eq!(self.ports.in_use(), self.waiting.len());
        let open: HashSet<SocketAddr> = self.waiting.iter().map(|(_, one)| one.address()).collect();
        assert_eq!(
            open,
            self.ports.table().addresses().collect(),
            "open while waited on"
        );
    }

    fn lease(&mut self, who: u8) {
        let mine = self.waiting.iter().filter(|(owner, _)| *owner == who);
        let held: HashSet<SocketAddr> = mine.map(|(_, lease)| lease.address()).collect();
        // One session for all, so that the quarantine has no say.
        match self.ports.lease(vip(15), client(who), 0) {
            Ok(lease) => {
                assert!(held.len() < 2);
                assert!(
                    !held.contains(&lease.address()),
                    "no port twice to a client"
                );
                assert!((20_000..=20_002).contains(&lease.address().port()));
                self.waiting.push((who, lease));
            }
            Err(LeaseError::ClientLimit { .. }) => assert_eq!(held.len(), 2),
            Err(error) => panic!("a third port is always free: {error}"),
        }
    }

    /// A client connects to the port of some lease: its own or another's.
    async fn connect(&mut self, who: u8, which: usize) {
        let address = self.waiting[which].1.address();
        let mut peer = connect(client(who), address).await.unwrap();
        let belongs = |(owner, lease): &(u8, Lease)| *owner == who && lease.address() == address;
        if let Some(owner) = self.waiting.iter().position(belongs) {
            accept(&mut self.waiting.swap_remove(owner).1)
                .await
                .unwrap();
            return;
        }
        let refused = self.ports.refused();
        let lease = &mut self.waiting[which].1;
        soon(poll_fn(|cx| {
            assert!(lease.poll_accept(cx).is_pending());
            if self.ports.refused() > refused {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }))
        .await;
        assert_eq!(soon(ending(&mut peer)).await.1, End::Rst);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sequence_of_leases_releases_and_connections_agrees_with_the_model(steps in steps()) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(async {
                let mut model = Model::new();
                for step in steps {
                    model.apply(step).await;
                }
            });
    }
}

#[tokio::test]
async fn the_client_that_is_worst_off_tells_how_full_the_range_is() {
    let shared = strict(20_000..=20_009);
    assert_eq!((shared.size(), shared.taken()), (10, 0));
    let mut leases: Vec<Lease> = [1, 1, 1, 2, 2, 3]
        .map(|number| shared.lease(vip(40), client(number), 1).unwrap())
        .into();
    assert_eq!(shared.taken(), 3);
    // Another virtual IP has all the ports once more.
    let _elsewhere = shared.lease(vip(41), client(1), 1).unwrap();
    assert_eq!(shared.taken(), 3);
    // What was not used rests for other sessions.
    leases.truncate(2);
    assert_eq!(shared.taken(), 3);
    let own = ports(20_000..=20_009, PeerCheck::Off, 1000);
    let _leases = [1, 2, 3].map(|number| own.lease(vip(42), client(number), 1).unwrap());
    assert_eq!(own.taken(), 3);
}
