use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{EXPIRATION, VIPS};
use crate::balance::tests::{CLIENT, VIP, session_of, snapshot, targets};
use crate::balance::{Algorithm, Entered, Memory, Target};
use crate::health::Availability;

const KEEP: Algorithm = Algorithm::LocalityLeastConnections;
const REPLICATE: Algorithm = Algorithm::LocalityLeastConnectionsReplicated;

/// A pool of backends whose sessions stay until they are taken away.
struct World {
    algorithm: Algorithm,
    targets: Vec<Target>,
    memory: Memory,
    now: Instant,
    sessions: Vec<Vec<Entered>>,
}

impl World {
    fn new(algorithm: Algorithm, weights: &[u32]) -> Self {
        Self {
            algorithm,
            targets: targets(weights),
            memory: Memory::new(1),
            now: Instant::now(),
            sessions: weights.iter().map(|_| Vec::new()).collect(),
        }
    }

    /// The pick for a session that is over at once.
    fn pick(&self, vip: IpAddr) -> Option<usize> {
        let mut request = session_of(CLIENT);
        request.vip.set_ip(vip);
        let snapshot = snapshot(self.algorithm, self.targets.clone());
        snapshot.pick(&request, &[], &self.memory, self.now)
    }

    /// The picks for sessions that stay, as letters.
    fn fill(&mut self, picks: usize) -> String {
        let mut letters = String::new();
        for _ in 0..picks {
            let index = self.pick(VIP).unwrap();
            self.sessions[index].extend(self.targets[index].load.enter());
            letters.push(char::from(b'A' + u8::try_from(index).unwrap()));
        }
        letters
    }

    fn empty(&mut self, index: usize, sessions: usize) {
        self.sessions[index].truncate(sessions);
    }
}

#[test]
fn lblc_keeps_a_vip_until_its_backend_is_overloaded_and_another_is_not() {
    let mut world = World::new(KEEP, &[2, 3, 1]);
    // A until it has more than 2; then B, idle and first of the idle ones, until it has more than 3; then C.
    assert_eq!(world.fill(3 + 4 + 2), "AAABBBBCC");
    // Now all have as many as half of their weight: the last one keeps the VIP.
    assert_eq!(world.fill(3), "CCC");
    world.empty(0, 1);
    assert_eq!(world.fill(2), "CC", "1 of 2 is not less than half");
    world.empty(0, 0);
    assert_eq!(world.fill(2), "AA");
}

#[test]
fn lblcr_spreads_a_vip_over_a_set_that_grows_when_all_of_it_are_overloaded() {
    let mut world = World::new(REPLICATE, &[2, 4, 2]);
    // A has more than its weight: B joins, and has the least until it has 6 for its 4, as A has 3 for its 2.
    assert_eq!(world.fill(3), "AAA");
    assert_eq!(world.fill(5), "BBBBB");
    // B is overloaded as well, and C is idle.
    assert_eq!(world.fill(1), "C");
    assert_eq!(world.fill(2), "CC", "the least busy of the set");
    assert_eq!(world.fill(1), "B", "5 for its 4");
    // 3/2, 6/4 and 3/2 are equal. The one that joined last comes first.
    assert_eq!(world.fill(1), "C");
}

#[test]
fn a_backend_that_cannot_take_sessions_is_passed_over() {
    type Leave = fn(&mut Target);
    let leave: [Leave; 2] = [
        |target| target.state = Availability::Down,
        |target| target.weight = 0,
    ];
    for (algorithm, leave) in [KEEP, REPLICATE].into_iter().zip(leave) {
        let mut world = World::new(algorithm, &[5, 5]);
        assert_eq!(world.pick(VIP), Some(0));
        leave(&mut world.targets[0]);
        assert_eq!(world.pick(VIP), Some(1));
        leave(&mut world.targets[1]);
        assert_eq!(world.pick(VIP), None);
    }
}

#[test]
fn vips_are_kept_apart_and_mapped_addresses_together() {
    for algorithm in [KEEP, REPLICATE] {
        let mut world = World::new(algorithm, &[1, 1]);
        assert_eq!(world.fill(2), "AA");
        let other = Ipv4Addr::new(198, 51, 100, 22);
        assert_eq!(
            world.pick(other.into()),
            Some(1),
            "the least busy for a new one"
        );
        world.empty(0, 0);
        assert_eq!(world.pick(VIP), Some(0));
        assert_eq!(
            world.pick(other.to_ipv6_mapped().into()),
            Some(1),
            "though both are idle"
        );
    }
}

#[test]
fn a_vip_without_sessions_for_a_day_is_forgotten() {
    for algorithm in [KEEP, REPLICATE] {
        let mut world = World::new(algorithm, &[9, 9]);
        world.targets[0].state = Availability::Down;
        assert_eq!(world.pick(VIP), Some(1));
        world.targets[0].state = Availability::Up;
        let almost = EXPIRATION.saturating_sub(Duration::from_nanos(1));
        for _ in 0..3 {
            world.now += almost;
            assert_eq!(world.pick(VIP), Some(1));
        }
        world.now += EXPIRATION;
        assert_eq!(world.pick(VIP), Some(0));
    }
}

#[test]
fn lblcr_lets_the_busiest_of_a_set_go_when_nothing_changed_for_a_day() {
    let mut world = World::new(REPLICATE, &[1, 1, 1]);
    assert_eq!(world.fill(6), "AABBCC");
    let set = |world: &World| {
        let vips = world.memory.localities.vips.lock().unwrap();
        vips[&VIP].backends.clone()
    };
    let address = |world: &World, index: usize| world.targets[index].address;
    assert_eq!(
        set(&world),
        [2, 1, 0].map(|index| address(&world, index)),
        "the last one that came is first"
    );
    world.empty(0, 0);
    world.empty(1, 1);
    let start = world.now;
    world.now = start + EXPIRATION / 2;
    assert_eq!(world.pick(VIP), Some(0), "used, but not changed");
    world.now = start + EXPIRATION;
    assert_eq!(world.pick(VIP), Some(0));
    assert_eq!(set(&world).len(), 3, "not for longer than a day");
    world.now += Duration::from_secs(1);
    assert_eq!(world.pick(VIP), Some(0));
    assert_eq!(
        set(&world),
        [1, 0].map(|index| address(&world, index)),
        "C had most"
    );
    assert_eq!(world.pick(VIP), Some(0));
    assert_eq!(set(&world).len(), 2, "one a day");
}

#[test]
fn a_set_does_not_keep_backends_that_the_pool_has_no_more() {
    let mut world = World::new(REPLICATE, &[1, 1, 1]);
    assert_eq!(world.fill(4), "AABB");
    world.targets.remove(0);
    world.sessions.remove(0);
    // What was C is B now.
    assert_eq!(world.fill(1), "B");
    let vips = world.memory.localities.vips.lock().unwrap();
    let kept = [1, 0].map(|index: usize| world.targets[index].address);
    assert_eq!(vips[&VIP].backends, kept);
}

#[test]
fn the_number_of_vips_is_bounded_and_the_one_unused_for_longest_goes() {
    let mut world = World::new(KEEP, &[1, 1]);
    for n in 0..2_000 {
        world.now += Duration::from_millis(1);
        world.pick(Ipv4Addr::from_bits(0x0a00_0000 + n).into());
    }
    let vips = world.memory.localities.vips.lock().unwrap();
    assert_eq!(vips.len(), VIPS);
    for n in [2_000 - 1_024, 1_999] {
        assert!(vips.contains_key(&IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n))));
    }
}

/// What the kernel's page says of `lblc` and `lblcr`, as plainly as can be: sets of indexes, fractions.
struct Model {
    set: Vec<usize>,
    replicate: bool,
}

impl Model {
    fn pick(&mut self, weights: &[u32], sessions: &[u32]) -> usize {
        let cost = |index: &usize| f64::from(sessions[*index]) / f64::from(weights[*index]);
        let first_least = |of: &[usize]| {
            let least = of.iter().map(cost).reduce(f64::min)?;
            of.iter().copied().find(|index| cost(index) <= least)
        };
        let all: Vec<usize> = (0..weights.len()).collect();
        let is_overloaded = |index: usize| {
            sessions[index] > weights[index]
                && all
                    .iter()
                    .any(|other| f64::from(sessions[*other]) < f64::from(weights[*other]) / 2.0)
        };
        match first_least(&self.set) {
            Some(index) if !is_overloaded(index) => index,
            _ => {
                let index = first_least(&all).unwrap();
                if !self.replicate {
                    self.set.clear();
                }
                if !self.set.contains(&index) {
                    self.set.insert(0, index);
                }
                index
            }
        }
    }
}

proptest! {
    #[test]
    fn any_sequence_of_sessions_goes_where_the_rule_says(
        replicate in any::<bool>(),
        weights in proptest::collection::vec(1..6u32, 1..5),
        events in proptest::collection::vec((any::<prop::sample::Index>(), 0..4u8), 0..60),
    ) {
        let mut world = World::new(if replicate { REPLICATE } else { KEEP }, &weights);
        let mut model = Model { set: Vec::new(), replicate };
        for (whose, kind) in events {
            if kind == 0 {
                let sessions = &mut world.sessions[whose.index(weights.len())];
                sessions.pop();
                continue;
            }
            let sessions: Vec<u32> = world.targets.iter().map(|target| target.load.active()).collect();
            let expected = model.pick(&weights, &sessions);
            let letter = char::from(b'A' + u8::try_from(expected).unwrap());
            prop_assert_eq!(world.fill(1), letter.to_string());
        }
    }
}
