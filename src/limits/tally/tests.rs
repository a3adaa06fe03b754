//! Which limit refuses whom, and that every count comes back to nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// No limit but those that a test sets.
fn open() -> Limits {
    Limits {
        sessions: usize::MAX,
        sessions_per_client: usize::MAX,
        sessions_per_network: usize::MAX,
        sessions_before_login: usize::MAX,
        sessions_before_login_per_client: usize::MAX,
        ..Limits::default()
    }
}

#[test]
fn o1_each_limit_refuses_those_whom_it_concerns_and_nobody_else() {
    let two = 2;
    for (limits, refusal, same, other) in [
        (
            Limits {
                sessions_per_client: two,
                ..open()
            },
            Refusal::ClientLimit,
            "192.0.2.1",
            "192.0.2.2",
        ),
        (
            Limits {
                sessions_before_login_per_client: two,
                ..open()
            },
            Refusal::ClientBeforeLoginLimit,
            "192.0.2.1",
            "192.0.2.2",
        ),
        (
            Limits {
                sessions_per_network: two,
                ..open()
            },
            Refusal::NetworkLimit,
            "192.0.2.255",
            "192.0.3.1",
        ),
    ] {
        let mut tally = Tally::default();
        let _places = [0; 2].map(|_| tally.enter(ip("192.0.2.1"), &limits).unwrap());
        assert_eq!(tally.enter(ip(same), &limits).unwrap_err(), refusal);
        let place = tally.enter(ip(other), &limits).unwrap();
        tally.leave(ip(other), &place);
    }
}

#[test]
fn o1_whoever_comes_when_all_places_are_taken_is_refused_until_one_is_given_back() {
    let two = 2;
    for (limits, refusal) in [
        (
            Limits {
                sessions: two,
                ..open()
            },
            Refusal::Limit,
        ),
        (
            Limits {
                sessions_before_login: two,
                ..open()
            },
            Refusal::BeforeLoginLimit,
        ),
    ] {
        let mut tally = Tally::default();
        let clients = ["192.0.2.1", "2001:db8::1"].map(ip);
        let places = clients.map(|client| tally.enter(client, &limits).unwrap());
        let third = ip("198.51.100.1");
        assert_eq!(tally.enter(third, &limits).unwrap_err(), refusal);
        tally.leave(clients[0], &places[0]);
        assert!(
            tally.enter(third, &limits).is_ok(),
            "a place was given back"
        );
    }
}

#[test]
fn a_whole_ipv6_network_counts_as_one_however_many_addresses_it_uses() {
    let limits = Limits {
        sessions_per_network: 3,
        ..open()
    };
    let mut tally = Tally::default();
    let own = |host: u64| IpAddr::from(Ipv6Addr::from_bits(7_u128 << 64 | u128::from(host)));
    let _places = [1, 2, u64::MAX].map(|host| tally.enter(own(host), &limits).unwrap());
    assert_eq!(
        tally.enter(own(4), &limits).unwrap_err(),
        Refusal::NetworkLimit
    );
    assert!(tally.enter(ip("2001:db8::1"), &limits).is_ok());
}

#[test]
fn whoever_has_logged_in_leaves_room_for_the_next_and_rein_takes_it_again() {
    let limits = Limits {
        sessions_before_login: 1,
        ..open()
    };
    let (client, next) = (ip("192.0.2.1"), ip("192.0.2.2"));
    let mut tally = Tally::default();
    let mut place = tally.enter(client, &limits).unwrap();
    assert_eq!(
        tally.enter(next, &limits).unwrap_err(),
        Refusal::BeforeLoginLimit
    );
    for _ in 0..2 {
        tally.set_logged_in(client, &mut place, true);
    }
    let other = tally.enter(next, &limits).unwrap();
    tally.set_logged_in(client, &mut place, false);
    assert_eq!(
        (tally.sessions(), tally.before_login()),
        (2, 2),
        "no limit undoes a session"
    );
    tally.leave(next, &other);
    tally.leave(client, &place);
    assert_eq!((tally.sessions(), tally.before_login()), (0, 0));
}

#[test]
fn ftplbs_own_checks_take_a_place_and_need_none() {
    let limits = Limits {
        sessions: 1,
        ..open()
    };
    let (client, check) = (ip("192.0.2.1"), ip("127.0.0.1"));
    let mut tally = Tally::default();
    let _place = tally.enter(client, &limits).unwrap();
    let place = tally.enter_anyway(check, &limits);
    assert_eq!(tally.sessions(), 2);
    tally.leave(check, &place);
    assert_eq!(tally.sessions(), 1);
}

#[test]
fn a_prefix_that_is_changed_while_sessions_live_loses_no_count() {
    let (narrow, wide) = (
        open(),
        Limits {
            prefix_v4: 8,
            ..open()
        },
    );
    let client = ip("10.1.2.3");
    let mut tally = Tally::default();
    let first = tally.enter(client, &narrow).unwrap();
    let second = tally.enter(client, &wide).unwrap();
    tally.leave(client, &first);
    tally.leave(client, &second);
    assert!(tally.clients.is_empty() && tally.networks.is_empty());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Enter(u8),
    Leave(usize),
    LogIn(usize, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_u8..20).prop_map(Step::Enter),
        2 => (0_usize..30).prop_map(Step::Leave),
        2 => (0_usize..30, any::<bool>()).prop_map(|(which, is)| Step::LogIn(which, is)),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    /// Counted anew after every step, no limit is ever exceeded, and refusals are true.
    #[test]
    fn the_counts_are_those_of_the_sessions_that_live(steps in steps()) {
        let limits = Limits {
            sessions: 12,
            sessions_per_client: 4,
            sessions_per_network: 8,
            sessions_before_login: 8,
            sessions_before_login_per_client: 3,
            prefix_v4: 28,
            ..Limits::default()
        };
        let mut tally = Tally::default();
        let mut live: Vec<(IpAddr, Place)> = Vec::new();
        for step in steps {
            match step {
                Step::Enter(host) => {
                    let client = IpAddr::from(Ipv4Addr::new(10, 0, 0, host));
                    let own = live.iter().filter(|(of, _)| *of == client);
                    let own = own.map(|(_, place)| !place.has_logged_in).collect::<Vec<_>>();
                    let near = live.iter().filter(|(of, _)| limits.network(*of) == limits.network(client)).count();
                    let waiting = live.iter().filter(|(_, place)| !place.has_logged_in).count();
                    let fits = own.len() < 4 && own.iter().filter(|waits| **waits).count() < 3
                        && near < 8 && live.len() < 12 && waiting < 8;
                    let entered = tally.enter(client, &limits);
                    prop_assert_eq!(entered.is_ok(), fits);
                    live.extend(entered.map(|place| (client, place)));
                }
                Step::Leave(which) if which < live.len() => {
                    let (client, place) = live.swap_remove(which);
                    tally.leave(client, &place);
                }
                Step::LogIn(which, is) => {
                    if let Some((client, place)) = live.get_mut(which) {
                        tally.set_logged_in(*client, place, is);
                    }
                }
                Step::Leave(_) => {}
            }
            prop_assert_eq!(tally.sessions(), live.len());
            let waiting = live.iter().filter(|(_, place)| !place.has_logged_in).count();
            prop_assert_eq!(tally.before_login(), waiting);
        }
        for (client, place) in live {
            tally.leave(client, &place);
        }
        prop_assert!(tally.clients.is_empty() && tally.networks.is_empty());
        prop_assert_eq!(tally.all, Count::default());
    }
}
