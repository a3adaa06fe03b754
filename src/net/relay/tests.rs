use std::future::poll_fn;
use std::mem::size_of;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::net::testing::{End, ending, event, leg, reset, soon};

const IDLE: Duration = Duration::from_mins(5);

const EVERY_WAY: [Splicing; 3] = [Splicing::WhenLong, Splicing::Never, Splicing::Always];

/// A relay and the two parties.
struct Scene {
    relay: Relay,
    client: TcpStream,
    backend: TcpStream,
}

impl Scene {
    async fn new(splicing: Splicing) -> Self {
        let ((client_leg, client), (backend_leg, backend)) = (leg().await, leg().await);
        let relay = Relay::with(client_leg, backend_leg, IDLE, splicing);
        Self {
            relay,
            client,
            backend,
        }
    }

    /// The party that sends in `direction`, and the one that receives.
    fn parties(self, direction: Direction) -> (Relay, TcpStream, TcpStream) {
        match direction {
            Direction::ToBackend => (self.relay, self.client, self.backend),
            Direction::ToClient => (self.relay, self.backend, self.client),
        }
    }

    fn sender(&mut self, direction: Direction) -> &mut TcpStream {
        match direction {
            Direction::ToBackend => &mut self.client,
            Direction::ToClient => &mut self.backend,
        }
    }

    fn receiver(&mut self, direction: Direction) -> &mut TcpStream {
        self.sender(reverse(direction))
    }

    /// Sends `count` bytes in `direction` and sees them arrive.
    async fn pass(&mut self, direction: Direction, count: usize) {
        soon(self.sender(direction).write_all(&vec![7; count]))
            .await
            .unwrap();
        let mut bytes = vec![0; count];
        let receiver = match direction {
            Direction::ToBackend => &mut self.backend,
            Direction::ToClient => &mut self.client,
        };
        let arrived = receiver.read_exact(&mut bytes);
        soon(async {
            tokio::select! {
                _ = event(&mut self.relay) => panic!("nothing ended"),
                arrived = arrived => arrived.unwrap(),
            }
        })
        .await;
    }

    /// Sends in `direction`, where nobody reads, until nothing moves any more.
    async fn block(&mut self, direction: Direction) {
        let mut still = 0;
        while still < 100 {
            let before = self.relay.moved();
            let sent = self.sender(direction).try_write(&vec![7; 65_536]);
            assert!(poll_fn(|cx| Poll::Ready(self.relay.poll_event(cx).is_pending())).await);
            tokio::task::yield_now().await;
            let moving = sent.is_ok() || self.relay.moved() != before;
            still = if moving { 0 } else { still + 1 };
        }
    }

    /// Ends `direction` in order, with nothing more to send; the other direction goes on.
    async fn finish(&mut self, direction: Direction) {
        self.sender(direction).shutdown().await.unwrap();
        assert_eq!(
            soon(event(&mut self.relay)).await,
            RelayEvent::Finished(direction)
        );
        self.expect_fin(direction).await;
    }

    /// The same for the direction that ends last. What the relay came to.
    async fn finish_last(&mut self, direction: Direction) -> Outcome {
        self.sender(direction).shutdown().await.unwrap();
        let (finished, outcome) = run(&mut self.relay).await;
        assert_eq!(finished, []);
        self.expect_fin(direction).await;
        outcome
    }

    async fn expect_fin(&mut self, direction: Direction) {
        let read = soon(self.receiver(direction).read(&mut [0])).await;
        assert_eq!(read.unwrap(), 0);
    }
}

/// Runs to the end: what finished, in order, and the outcome.
async fn run(relay: &mut Relay) -> (Vec<Direction>, Outcome) {
    let mut finished = Vec::new();
    loop {
        match soon(event(relay)).await {
            RelayEvent::Finished(direction) => finished.push(direction),
            RelayEvent::Ended(outcome) => return (finished, outcome),
            RelayEvent::AtClientEnd => panic!("nobody wanted to be asked"),
        }
    }
}

fn spawn(mut relay: Relay) -> tokio::task::JoinHandle<(Vec<Direction>, Outcome)> {
    tokio::spawn(async move { run(&mut relay).await })
}

const fn idle_by(side: Side) -> Result<(), Cut> {
    Err(Cut {
        side,
        cause: Cause::Idle,
    })
}

const fn reset_by(side: Side) -> Result<(), Cut> {
    Err(Cut {
        side,
        cause: Cause::Reset,
    })
}

/// The test's stream: any window of it, repeated after a length that divides no buffer's.
struct Pattern(Vec<u8>);

impl Pattern {
    const PERIOD: usize = 1_000_003;

    fn new() -> Self {
        let mut random = StdRng::seed_from_u64(0);
        let period: Vec<u8> = (0..Self::PERIOD).map(|_| random.random()).collect();
        Self(period.repeat(2))
    }

    /// At most one period.
    fn at(&self, offset: usize, length: usize) -> &[u8] {
        let begin = offset % Self::PERIOD;
        &self.0[begin..begin + length]
    }
}

async fn send(mut socket: impl AsyncWriteExt + Unpin, pattern: &Pattern, total: usize, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut offset = 0;
    while offset < total {
        let length = chunk(&mut random).min(total - offset);
        socket.write_all(pattern.at(offset, length)).await.unwrap();
        offset += length;
    }
    socket.shutdown().await.unwrap();
}

async fn receive(
    mut socket: impl AsyncReadExt + Unpin,
    pattern: &Pattern,
    total: usize,
    seed: u64,
) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut buffer = vec![0; 1 << 18];
    let mut offset = 0;
    loop {
        let length = chunk(&mut random);
        let read = socket.read(&mut buffer[..length]).await.unwrap();
        if read == 0 {
            break;
        }
        assert_eq!(buffer[..read], *pattern.at(offset, read));
        offset += read;
        for _ in 0..random.random_range(0..4) {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(offset, total);
}

/// From one byte to more than a pipe holds.
fn chunk(random: &mut StdRng) -> usize {
    1 << random.random_range(0..=18)
}

#[tokio::test]
async fn every_byte_arrives_in_order_both_ways_at_once() {
    let pattern = Pattern::new();
    for (splicing, seed) in EVERY_WAY.into_iter().zip(1..) {
        let Scene {
            relay,
            client,
            backend,
        } = Scene::new(splicing).await;
        let relay = spawn(relay);
        let ((from_client, to_client), (from_backend, to_backend)) =
            (client.into_split(), backend.into_split());
        let (up, down) = (24 << 20, 20 << 20);
        soon(async {
            tokio::join!(
                send(to_client, &pattern, up, seed),
                send(to_backend, &pattern, down, seed + 1),
                receive(from_client, &pattern, down, seed + 2),
                receive(from_backend, &pattern, up, seed + 3),
            )
        })
        .await;
        let (_, outcome) = relay.await.unwrap();
        let moved = Moved {
            to_backend: up as u64,
            to_client: down as u64,
        };
        assert_eq!(
            outcome,
            Outcome {
                moved,
                result: Ok(())
            }
        );
    }
}

#[tokio::test]
async fn d5_an_upload_ends_when_the_backend_has_closed_too() {
    for splicing in EVERY_WAY {
        let Scene {
            relay,
            mut client,
            mut backend,
        } = Scene::new(splicing).await;
        let relay = spawn(relay);
        client.write_all(b"file").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(
            soon(ending(&mut backend)).await,
            (b"file".to_vec(), End::Fin)
        );
        assert!(!relay.is_finished());
        drop(backend);
        assert_eq!(soon(ending(&mut client)).await, (vec![], End::Fin));
        let (finished, outcome) = relay.await.unwrap();
        assert_eq!(finished, [Direction::ToBackend]);
        assert_eq!(outcome.result, Ok(()));
    }
}

#[tokio::test]
async fn d1_after_a_half_close_the_other_direction_goes_on() {
    for splicing in EVERY_WAY {
        for direction in DIRECTIONS {
            let mut scene = Scene::new(splicing).await;
            scene.finish(direction).await;
            scene.pass(reverse(direction), 1 << 20).await;
            let outcome = scene.finish_last(reverse(direction)).await;
            assert_eq!(outcome.result, Ok(()));
        }
    }
}

#[tokio::test]
async fn s7_a_connection_without_a_byte_is_reproduced() {
    let mut scene = Scene::new(Splicing::WhenLong).await;
    scene.finish(Direction::ToBackend).await;
    let outcome = Outcome {
        moved: Moved::default(),
        result: Ok(()),
    };
    assert_eq!(scene.finish_last(Direction::ToClient).await, outcome);
    assert_eq!(
        event(&mut scene.relay).await,
        RelayEvent::Ended(outcome),
        "told again"
    );
}

#[tokio::test]
async fn d4_a_slow_client_gets_all_of_a_download_though_the_relay_is_gone() {
    for splicing in EVERY_WAY {
        let Scene {
            mut relay,
            mut client,
            mut backend,
        } = Scene::new(splicing).await;
        backend.write_all(&vec![7; 100_000]).await.unwrap();
        drop(backend);
        assert_eq!(
            soon(event(&mut relay)).await,
            RelayEvent::Finished(Direction::ToClient)
        );
        drop(relay);
        let (bytes, end) = soon(ending(&mut client)).await;
        assert_eq!((bytes.len(), end), (100_000, End::Fin));
    }
}

#[tokio::test]
async fn d4_the_end_of_a_small_file_waits_for_a_client_that_does_not_read() {
    let ((client_leg, mut client), (backend_leg, mut backend)) = (leg().await, leg().await);
    let mut before = 0;
    while let Poll::Ready(count) =
        poll_fn(|cx| Poll::Ready(client_leg.poll_write(cx, &vec![7; 65_536]))).await
    {
        before += count.unwrap();
    }
    backend.write_all(&vec![7; 5_000]).await.unwrap();
    drop(backend);
    let mut relay = Relay::new(client_leg, backend_leg, IDLE);
    assert!(poll_fn(|cx| Poll::Ready(relay.poll_event(cx).is_pending())).await);
    let relay = spawn(relay);
    let (bytes, end) = soon(ending(&mut client)).await;
    assert_eq!((bytes.len(), end), (before + 5_000, End::Fin));
    drop(client);
    assert_eq!(soon(relay).await.unwrap().1.result, Ok(()));
}

/// When a reset comes.
#[derive(Clone, Copy, Debug)]
enum Moment {
    AfterHalfClose,
    BeforeAnyByte,
    Midway,
    ReceiverDoesNotRead,
}

const MOMENTS: [Moment; 4] = [
    Moment::AfterHalfClose,
    Moment::BeforeAnyByte,
    Moment::Midway,
    Moment::ReceiverDoesNotRead,
];

#[tokio::test]
async fn d1_a_reset_of_the_sender_is_a_reset_for_the_receiver() {
    for splicing in EVERY_WAY {
        for direction in DIRECTIONS {
            for moment in MOMENTS {
                let mut scene = at(moment, direction, splicing).await;
                scene.sender(direction).set_zero_linger().unwrap();
                let (mut relay, sender, mut receiver) = scene.parties(direction);
                drop(sender);
                let (_, outcome) = run(&mut relay).await;
                assert_eq!(
                    outcome.result,
                    reset_by(source(direction)),
                    "{moment:?} {splicing:?}"
                );
                assert_eq!(soon(ending(&mut receiver)).await.1, End::Rst, "{moment:?}");
            }
        }
    }
}

#[tokio::test]
async fn d1_a_reset_of_the_receiver_is_a_reset_for_the_sender() {
    for splicing in EVERY_WAY {
        for direction in DIRECTIONS {
            for moment in MOMENTS {
                let scene = at(moment, direction, splicing).await;
                let (mut relay, mut sender, receiver) = scene.parties(direction);
                reset(receiver);
                let (_, outcome) = run(&mut relay).await;
                let side = source(reverse(direction));
                assert_eq!(outcome.result, reset_by(side), "{moment:?} {splicing:?}");
                if matches!(moment, Moment::AfterHalfClose) {
                    // It has read its FIN already, and learns by writing.
                    assert!(sender.write_all(b"x").await.is_err());
                } else {
                    assert_eq!(soon(ending(&mut sender)).await.1, End::Rst, "{moment:?}");
                }
            }
        }
    }
}

/// A relay at `moment` of a transfer in `direction`. The half-close is the receiver's.
async fn at(moment: Moment, direction: Direction, splicing: Splicing) -> Scene {
    let mut scene = Scene::new(splicing).await;
    match moment {
        Moment::AfterHalfClose => {
            scene.finish(reverse(direction)).await;
            scene.pass(direction, 1000).await;
        }
        Moment::BeforeAnyByte => {}
        Moment::Midway => scene.pass(direction, 300_000).await,
        Moment::ReceiverDoesNotRead => scene.block(direction).await,
    }
    scene
}

#[tokio::test]
async fn p17_a_client_that_was_reset_before_the_relay_began_is_no_empty_file() {
    let Scene {
        mut relay,
        client,
        mut backend,
    } = Scene::new(Splicing::WhenLong).await;
    reset(client);
    assert_eq!(run(&mut relay).await.1.result, reset_by(Side::Client));
    assert_eq!(soon(ending(&mut backend)).await, (vec![], End::Rst));
}

#[tokio::test]
async fn d3_an_upload_that_ended_in_order_is_whole_though_the_client_was_reset_after_it() {
    for splicing in EVERY_WAY {
        for stray in [false, true] {
            let Scene {
                relay,
                mut client,
                mut backend,
            } = Scene::new(splicing).await;
            // No more than one window: what is still the client's kernel's would go with the reset.
            client.write_all(&vec![7; 50_000]).await.unwrap();
            client.shutdown().await.unwrap();
            reset(client);
            let relay = spawn(relay);
            let (bytes, end) = soon(ending(&mut backend)).await;
            assert_eq!((bytes.len(), end), (50_000, End::Fin));
            if stray {
                // Nobody is there for it, and it is not what the client wanted.
                backend.write_all(&vec![1; 100_000]).await.unwrap();
            }
            drop(backend);
            let (_, outcome) = soon(relay).await.unwrap();
            assert_eq!(outcome.result, Ok(()));
            assert_eq!(
                outcome.moved,
                Moved {
                    to_backend: 50_000,
                    to_client: 0
                }
            );
        }
    }
}

#[tokio::test]
async fn d3_the_same_while_the_backend_does_not_read() {
    let ((client_leg, mut client), (backend_leg, mut backend)) = (leg().await, leg().await);
    let bytes = vec![7; 65_536];
    // The kernel has to say first that it takes anything.
    let wrote = poll_fn(|cx| backend_leg.poll_write(cx, &bytes));
    let mut before = soon(wrote).await.unwrap();
    while let Poll::Ready(count) =
        poll_fn(|cx| Poll::Ready(backend_leg.poll_write(cx, &bytes))).await
    {
        before += count.unwrap();
    }
    client.write_all(&vec![7; 50_000]).await.unwrap();
    client.shutdown().await.unwrap();
    reset(client);
    let mut relay = Relay::new(client_leg, backend_leg, IDLE);
    for _ in 0..100 {
        assert!(poll_fn(|cx| Poll::Ready(relay.poll_event(cx).is_pending())).await);
        tokio::task::yield_now().await;
    }
    let relay = spawn(relay);
    let (bytes, end) = soon(ending(&mut backend)).await;
    assert_eq!((bytes.len(), end), (before + 50_000, End::Fin));
    drop(backend);
    assert_eq!(soon(relay).await.unwrap().1.result, Ok(()));
}

#[tokio::test]
async fn d3_a_reset_client_that_had_finished_before_is_reset_if_it_was_to_receive() {
    for (moved, more) in [(1000, 0), (1000, 1000), (0, 1000)] {
        let mut scene = Scene::new(Splicing::WhenLong).await;
        scene.finish(Direction::ToBackend).await;
        if moved > 0 {
            scene.pass(Direction::ToClient, moved).await;
        }
        let Scene {
            mut relay,
            client,
            mut backend,
        } = scene;
        reset(client);
        if more > 0 {
            backend.write_all(&vec![7; more]).await.unwrap();
        }
        assert_eq!(
            run(&mut relay).await.1.result,
            reset_by(Side::Client),
            "{moved} {more}"
        );
        // The backend has read its FIN; writing tells.
        assert!(backend.write_all(b"x").await.is_err());
    }
}

#[tokio::test]
async fn d5_a_backend_that_closes_in_mid_upload_is_a_reset_for_the_client() {
    let mut scene = Scene::new(Splicing::WhenLong).await;
    scene.pass(Direction::ToBackend, 1000).await;
    let Scene {
        relay,
        mut client,
        backend,
    } = scene;
    drop(backend);
    let relay = spawn(relay);
    let writing = async { while client.write_all(&[7; 1000]).await.is_ok() {} };
    soon(writing).await;
    let (_, outcome) = soon(relay).await.unwrap();
    assert_eq!(outcome.result, reset_by(Side::Backend));
}

#[tokio::test(start_paused = true)]
async fn o3_an_idle_relay_is_reset_on_both_legs() {
    for direction in DIRECTIONS {
        let mut scene = Scene::new(Splicing::WhenLong).await;
        scene.pass(direction, 1000).await;
        let begin = Instant::now();
        let (_, outcome) = idle_out(&mut scene.relay).await;
        assert_eq!(begin.elapsed().as_secs(), IDLE.as_secs());
        // Who had sent and sends no more.
        assert_eq!(outcome.result, idle_by(source(direction)));
        assert_eq!(ending(&mut scene.client).await.1, End::Rst);
        assert_eq!(ending(&mut scene.backend).await.1, End::Rst);
    }
}

/// As [`run`], with no deadline of the test's own: the clock is paused.
async fn idle_out(relay: &mut Relay) -> (Vec<Direction>, Outcome) {
    let mut finished = Vec::new();
    loop {
        match event(relay).await {
            RelayEvent::Finished(direction) => finished.push(direction),
            RelayEvent::Ended(outcome) => return (finished, outcome),
            RelayEvent::AtClientEnd => panic!("nobody wanted to be asked"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn o3_a_relay_whose_receiver_does_not_read_is_idle_too() {
    let mut scene = Scene::new(Splicing::WhenLong).await;
    scene.block(Direction::ToClient).await;
    let (_, outcome) = idle_out(&mut scene.relay).await;
    assert_eq!(outcome.result, idle_by(Side::Client));
}

#[tokio::test(start_paused = true)]
async fn o3_every_byte_puts_the_idle_limit_off() {
    let mut scene = Scene::new(Splicing::WhenLong).await;
    let begin = Instant::now();
    for _ in 0..3 {
        tokio::time::advance(IDLE / 2).await;
        scene.pass(Direction::ToClient, 1).await;
    }
    idle_out(&mut scene.relay).await;
    assert_eq!(begin.elapsed().as_secs(), (IDLE / 2 * 3 + IDLE).as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_a_finished_download_open_is_waited_for_a_while() {
    let mut scene = Scene::new(Splicing::WhenLong).await;
    scene.pass(Direction::ToClient, 1000).await;
    scene.finish(Direction::ToClient).await;
    let begin = Instant::now();
    let (finished, outcome) = idle_out(&mut scene.relay).await;
    assert_eq!(begin.elapsed().as_secs(), LINGER.as_secs());
    assert_eq!((finished, outcome.result), (vec![], Ok(())));
    assert_eq!(ending(&mut scene.backend).await.1, End::Fin);
}

#[tokio::test(start_paused = true)]
async fn d1_client_that_is_to_upload_is_waited_for_though_the_backend_has_spoken_and_finished() {
    let mut scene = Scene::new(Splicing::WhenLong).await;
    scene.relay.expect_upload(true);
    scene.pass(Direction::ToClient, 2).await;
    scene.finish(Direction::ToClient).await;
    let begin = Instant::now();
    let (_, outcome) = idle_out(&mut scene.relay).await;
    assert_eq!(begin.elapsed().as_secs(), IDLE.as_secs());
    assert_eq!(outcome.result, idle_by(Side::Client));
    assert_eq!(ending(&mut scene.backend).await.1, End::Rst);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_close_after_an_upload_is_idle() {
    let mut scene = Scene::new(Splicing::WhenLong).await;
    scene.pass(Direction::ToBackend, 1000).await;
    scene.finish(Direction::ToBackend).await;
    let (_, outcome) = idle_out(&mut scene.relay).await;
    assert_eq!(outcome.result, idle_by(Side::Backend));
    assert_eq!(ending(&mut scene.client).await.1, End::Rst);
}

#[tokio::test]
async fn s14_a_dropped_relay_resets_both_legs() {
    for moment in [
        Moment::BeforeAnyByte,
        Moment::Midway,
        Moment::ReceiverDoesNotRead,
    ] {
        let mut scene = at(moment, Direction::ToBackend, Splicing::WhenLong).await;
        drop(scene.relay);
        assert_eq!(soon(ending(&mut scene.client)).await.1, End::Rst);
        assert_eq!(soon(ending(&mut scene.backend)).await.1, End::Rst);
    }
}

#[test]
fn a_relay_is_small_and_can_move_between_threads() {
    fn sendable<T: Send>() -> usize {
        size_of::<T>()
    }
    // Within a session's future, whose size is asserted (design decision 11).
    assert!(sendable::<Relay>() <= 400, "{} bytes", size_of::<Relay>());
}

/// An upload whose client has sent FIN, and is asked about.
async fn ended_upload() -> Scene {
    let mut scene = Scene::new(Splicing::WhenLong).await;
    scene.relay.ask_at_client_end();
    scene.pass(Direction::ToBackend, 1000).await;
    scene.client.shutdown().await.unwrap();
    assert_eq!(soon(event(&mut scene.relay)).await, RelayEvent::AtClientEnd);
    // Until it is answered nothing reaches the backend.
    assert!(poll_fn(|cx| Poll::Ready(scene.relay.poll_event(cx).is_pending())).await);
    assert!(scene.backend.try_read(&mut [0]).is_err());
    scene
}

#[tokio::test]
async fn decision_5_a_fin_that_is_trusted_is_passed_on() {
    let mut scene = ended_upload().await;
    scene.relay.trust_client_end();
    let finished = RelayEvent::Finished(Direction::ToBackend);
    assert_eq!(soon(event(&mut scene.relay)).await, finished);
    assert_eq!(soon(scene.backend.read(&mut [0])).await.unwrap(), 0);
}

#[tokio::test]
async fn decision_5_a_fin_that_is_distrusted_resets_the_backend() {
    let mut scene = ended_upload().await;
    scene.relay.distrust_client_end();
    scene.relay.trust_client_end();
    let (finished, outcome) = run(&mut scene.relay).await;
    let cut = Cut {
        side: Side::Client,
        cause: Cause::Close,
    };
    assert_eq!((finished, outcome.result), (vec![], Err(cut)));
    assert_eq!(ending(&mut scene.backend).await.1, End::Rst);
}

#[tokio::test]
async fn decision_5_after_a_download_the_fin_of_the_client_is_not_asked_about() {
    let mut scene = Scene::new(Splicing::WhenLong).await;
    scene.relay.ask_at_client_end();
    scene.pass(Direction::ToClient, 1000).await;
    scene.finish(Direction::ToClient).await;
    let outcome = scene.finish_last(Direction::ToBackend).await;
    assert_eq!(outcome.result, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn k5_the_legs_of_a_relay_get_keepalive_when_it_has_lived_for_some_seconds() {
    let mut scene = Scene::new(Splicing::WhenLong).await;
    let is_kept_alive = |scene: &Scene| {
        let legs = scene.relay.legs.as_ref().unwrap();
        [&legs.client, &legs.backend].map(Leg::is_kept_alive)
    };
    scene.pass(Direction::ToClient, 1000).await;
    tokio::time::advance(YOUTH / 2).await;
    scene.pass(Direction::ToClient, 1000).await;
    assert_eq!(is_kept_alive(&scene), [false; 2]);
    tokio::time::advance(YOUTH / 2).await;
    scene.pass(Direction::ToClient, 1000).await;
    assert_eq!(is_kept_alive(&scene), [true; 2]);
}
