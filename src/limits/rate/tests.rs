//! What a bucket lets through in any time, and what becomes of the table when everybody comes.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const TEN: Rate = Rate {
    events: 10,
    per: Duration::from_secs(1),
    burst: 3,
};

fn v4(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(number).into()
}

#[test]
fn a_burst_passes_and_then_one_token_comes_back_at_a_time() {
    let now = Instant::now();
    let mut bucket = Bucket::new(now);
    let after = |millis| now + Duration::from_millis(millis);
    for (millis, taken) in [
        (0, Ok(())),
        (0, Ok(())),
        (0, Ok(())),
        (0, Err(100)),
        (60, Err(40)),
        (99, Err(1)),
        // What was refused took nothing.
        (100, Ok(())),
        (100, Err(100)),
        // The burst is back after a pause, and no more than that.
        (900, Ok(())),
        (900, Ok(())),
        (900, Ok(())),
        (900, Err(100)),
    ] {
        let expected = taken.map_err(Duration::from_millis);
        assert_eq!(bucket.take(TEN, after(millis)), expected, "at {millis} ms");
    }
}

#[test]
fn a_changed_rate_holds_at_once() {
    let now = Instant::now();
    let hour = Rate {
        events: 1,
        per: Duration::from_hours(1),
        burst: 50,
    };
    let mut bucket = Bucket::new(now);
    for _ in 0..50 {
        bucket.take(hour, now).unwrap();
    }
    assert!(bucket.take(hour, now).is_err());
    // The debt of 50 hours is forgotten down to what the new rate knows.
    assert_eq!(bucket.take(TEN, now), Err(Duration::from_millis(100)));
    assert_eq!(bucket.take(TEN, now + Duration::from_millis(100)), Ok(()));
}

#[test]
fn clients_have_tokens_of_their_own_and_only_those() {
    let now = Instant::now();
    let mut buckets = Buckets::default();
    for client in [v4(1), v4(2), Ipv6Addr::from_bits(1).into()] {
        for _ in 0..3 {
            assert_eq!(buckets.take(client, TEN, now), Ok(()), "{client}");
        }
        assert!(buckets.take(client, TEN, now).is_err(), "{client}");
    }
}

#[test]
fn whoever_comes_the_table_does_not_grow_and_nobody_pays_for_others() {
    let now = Instant::now();
    let mut buckets = Buckets::default();
    for number in 0..200_000_u32 {
        let six = Ipv6Addr::from_bits(u128::from(number) << 64);
        for client in [v4(number), six.into()] {
            assert_eq!(buckets.take(client, TEN, now), Ok(()), "{client}");
        }
    }
    assert_eq!((buckets.sets.len(), buckets.sets.capacity()), (SETS, SETS));
}

#[test]
fn a_client_in_debt_is_kept_while_buckets_are_full_again() {
    let now = Instant::now();
    let mut buckets = Buckets::default();
    let busy = v4(0);
    let mut now = { 0..3 }.fold(now, |now, _| {
        buckets.take(busy, TEN, now).unwrap();
        now
    });
    // Each newcomer is full again before the next one comes.
    for number in 1..100_000 {
        now += Duration::from_micros(101);
        let slow = Rate { burst: 1, ..TEN };
        let fast = Rate {
            events: 10_000,
            ..slow
        };
        assert_eq!(buckets.take(v4(number), fast, now), Ok(()));
        if number % 100 == 0 {
            // It spends what comes back, and gets no more than that.
            let spent = (0..3).take_while(|_| buckets.take(busy, TEN, now).is_ok());
            assert!(spent.count() <= 1, "{number}");
        }
    }
}

proptest! {
    /// In any stretch of time no more than the burst and what comes back in it, and whoever keeps to the
    /// rate is never refused.
    #[test]
    fn no_stretch_of_time_sees_more_than_its_share(
        events in 1_u32..2_000,
        burst in 1_u32..50,
        pauses in prop::collection::vec(0_u64..5_000_000, 1..300),
    ) {
        let rate = Rate { events, per: Duration::from_secs(1), burst };
        let begin = Instant::now();
        let (mut now, mut bucket) = (begin, Bucket::new(begin));
        let mut taken = Vec::new();
        for pause in pauses {
            now += Duration::from_nanos(pause);
            match bucket.take(rate, now) {
                Ok(()) => taken.push(now),
                Err(wait) => {
                    let (early, due) = (wait.saturating_sub(Duration::from_nanos(1)), wait);
                    let (mut one, mut other) = (bucket, bucket);
                    prop_assert!(one.take(rate, now + early).is_err());
                    prop_assert!(other.take(rate, now + due).is_ok());
                }
            }
        }
        for (first, from) in taken.iter().enumerate() {
            for (last, to) in taken.iter().enumerate().skip(first) {
                let back = (*to - *from).as_nanos() / rate.interval().as_nanos();
                let share = u128::from(burst) + back;
                prop_assert!(((last - first + 1) as u128) <= share);
            }
        }
        let (mut steady, mut at) = (Bucket::new(begin), begin);
        for _ in 0..100 {
            prop_assert_eq!(steady.take(rate, at), Ok(()));
            at += rate.interval();
        }
    }
}
