use super::*;
use crate::config::Record::{Address, Srv};

fn ip(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn six(last: u16) -> IpAddr {
    [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn records<T: Clone>(records: &[T]) -> Answer<T> {
    let (records, ttl) = (records.to_vec(), seconds(30));
    Answer::Records { records, ttl }
}

fn none<T>() -> Answer<T> {
    Answer::None { ttl: None }
}

fn failed<T>() -> Answer<T> {
    Answer::Failed("SERVFAIL".to_owned())
}

fn service(priority: u16, weight: u16, port: u16, host: &str) -> Service {
    Service {
        priority,
        weight,
        port,
        host: host.to_owned(),
    }
}

fn backend(last: u8, port: u16, weight: u16) -> Found {
    Found::Service(SocketAddr::new(ip(last), port), weight)
}

/// The last bytes of the IPv4 addresses that are known after each of these answers: digits are addresses,
/// `-` is none, `!` is no answer. An upper case `D` follows an answer that is in doubt.
fn story(answers: &str) -> String {
    let mut known = Known::default();
    let told = answers.split(' ').map(|answer| {
        let mut look = Look::default();
        let answer = match answer {
            "-" => none(),
            "!" => failed(),
            digits => records(
                &digits
                    .bytes()
                    .map(|digit| ip(digit - b'0'))
                    .collect::<Vec<_>>(),
            ),
        };
        known.take_addresses("h", [answer, none()], &mut look);
        let found = known.found(Address);
        let digit = |found: &Found| match found {
            Found::Host(IpAddr::V4(ip)) => char::from(b'0' + ip.octets()[3]),
            other => panic!("{other:?}"),
        };
        let mut text: String = found.iter().map(digit).collect();
        text.extend(look.is_doubted.then_some('D'));
        text
    });
    told.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_pool_is_emptied_by_two_answers_in_a_row_and_by_no_failure() {
    for (answers, known, fact) in [
        ("12 13 3", "12 13 3", "each answer replaces the one before"),
        ("12 - 12", "12 12D 12", "one that says nothing is doubted"),
        ("12 - - 1", "12 12D  1", "two of them are believed"),
        ("12 - 1 - 1", "12 12D 1 1D 1", "if they follow each other"),
        ("12 ! ! ! 1", "12 12 12 12 1", "failures say nothing"),
        (
            "12 - ! - -",
            "12 12D 12 12D ",
            "and nothing between two others",
        ),
        ("- 1 - -", " 1 1D ", "at first there is nothing to doubt"),
        ("! - 1", "  1", "nor after a failure"),
    ] {
        assert_eq!(story(answers), known, "{fact}");
    }
}

#[test]
fn addresses_of_both_families_are_backends_in_order_and_once() {
    let (mut known, mut look) = (Known::default(), Look::default());
    let answers = [records(&[ip(3), ip(1), ip(3)]), records(&[six(1)])];
    known.take_addresses("h", answers, &mut look);
    let found = [ip(1), ip(3), six(1)].map(Found::Host);
    assert_eq!(known.found(Address), found);
    // A name server that has no idea of AAAA takes nothing from the other family.
    known.take_addresses("h", [records(&[ip(1)]), failed()], &mut look);
    assert_eq!(known.found(Address), [ip(1), six(1)].map(Found::Host));
}

#[test]
fn of_services_the_most_wanted_priority_that_has_an_address_is_used() {
    let (mut known, mut look) = (Known::default(), Look::default());
    let services = [
        service(20, 1, 2121, "spare"),
        service(10, 5, 21, "a"),
        service(10, 0, 2121, "a"),
        service(10, 7, 21, "b"),
    ];
    known.take_services(records(&services), &mut look);
    let classes: Vec<_> = known.classes().into_values().collect();
    assert_eq!(
        classes,
        [
            vec!["a".to_owned(), "b".to_owned()],
            vec!["spare".to_owned()]
        ]
    );
    assert_eq!(known.found(Srv), []);
    known.take_addresses("spare", [records(&[ip(9)]), none()], &mut look);
    assert_eq!(
        known.found(Srv),
        [backend(9, 2121, 1)],
        "nobody else has any"
    );
    known.take_addresses("a", [records(&[ip(2), ip(1)]), none()], &mut look);
    let of_a = [
        backend(1, 21, 5),
        backend(1, 2121, 1),
        backend(2, 21, 5),
        backend(2, 2121, 1),
    ];
    assert_eq!(known.found(Srv), of_a, "weight 0 counts as 1");
    known.take_addresses("b", [records(&[ip(2), ip(3)]), none()], &mut look);
    let of_both = [
        backend(1, 21, 5),
        backend(1, 2121, 1),
        backend(2, 21, 7),
        backend(2, 2121, 1),
        backend(3, 21, 7),
    ];
    assert_eq!(
        known.found(Srv),
        of_both,
        "the greater weight of two counts"
    );
}

#[test]
fn a_host_is_known_while_a_service_names_it() {
    let (mut known, mut look) = (Known::default(), Look::default());
    for host in ["a", "b"] {
        known.take_services(records(&[service(0, 1, 21, host)]), &mut look);
        known.take_addresses(host, [records(&[ip(1)]), none()], &mut look);
        known.forget_hosts();
        assert_eq!(known.hosts.len(), 1, "{host}");
    }
    assert_eq!(known.found(Srv), [backend(1, 21, 1)]);
    for _ in 0..2 {
        known.take_services(none(), &mut look);
        known.forget_hosts();
    }
    assert_eq!((known.found(Srv), known.hosts.len()), (Vec::new(), 0));
}

#[test]
fn the_pause_is_the_shortest_ttl_within_its_bounds() {
    let pace = Pace {
        min: seconds(5),
        max: seconds(60),
    };
    let after = |answers: &[Answer<IpAddr>]| {
        let (mut known, mut look) = (Known::default(), Look::default());
        for (host, answer) in ["a", "b", "c"].iter().zip(answers) {
            known.take_addresses(host, [answer.clone(), none()], &mut look);
        }
        pace.pause(&look).as_secs()
    };
    let valid = |ttl| Answer::Records {
        records: vec![ip(1)],
        ttl: seconds(ttl),
    };
    let nothing = |ttl| Answer::None {
        ttl: Some(seconds(ttl)),
    };
    for (answers, pause, fact) in [
        (&[valid(0)][..], 5, "never shorter than the minimum"),
        (&[valid(5)], 5, "the minimum"),
        (&[valid(6)], 6, "within"),
        (&[valid(60)], 60, "the maximum"),
        (&[valid(86_400)], 60, "never longer than the maximum"),
        (&[valid(40), valid(20), valid(30)], 20, "the shortest"),
        (
            &[valid(40), nothing(10)],
            10,
            "that of nothing counts as well",
        ),
        (&[nothing(3_600)], 60, "and has the same bounds"),
        (&[none()], 5, "without any it is the minimum"),
        (
            &[valid(40), failed()],
            5,
            "what failed is asked for again soon",
        ),
    ] {
        assert_eq!(after(answers), pause, "{fact}");
    }
    let doubted = Look {
        is_doubted: true,
        ttl: Some(seconds(40)),
        ..Look::default()
    };
    assert_eq!(pace.pause(&doubted).as_secs(), 5, "a doubt is settled soon");
}

#[test]
fn a_pace_that_suits_two_is_the_quicker() {
    let pace = |min, max| Pace {
        min: seconds(min),
        max: seconds(max),
    };
    assert_eq!(pace(5, 60).quicker(pace(10, 30)), pace(5, 30));
}
