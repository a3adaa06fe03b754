//! How long the sessions of a backend may stay that is to have none.
//!
//! ```text
//!   Draining, Removed:  Retire ──── half of backend_drain ───▶ Drain ──── backend_drain ───▶ Kill
//!   Disabled:           Kill at once
//! ```

use std::time::Duration;

use crate::balance::Standing;
use crate::session::Order;

/// What the sessions of a backend are told that has not served for `since`, of the `limit` that they have.
pub(super) fn order_of(standing: Standing, since: Duration, limit: Duration) -> Order {
    if standing == Standing::Disabled || since >= limit {
        Order::Kill
    } else if since >= limit / 2 {
        Order::Drain
    } else {
        Order::Retire
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_of_a_leaving_backend_are_pressed_harder_as_time_goes_by() {
        use Standing::{Disabled, Draining, Removed};
        for (standing, seconds, limit, order) in [
            (Draining, 0, 10, Order::Retire),
            (Removed, 4, 10, Order::Retire),
            (Draining, 5, 10, Order::Drain),
            (Removed, 9, 10, Order::Drain),
            (Draining, 10, 10, Order::Kill),
            (Removed, 0, 0, Order::Kill),
            (Disabled, 0, 10, Order::Kill),
        ] {
            let [since, limit] = [seconds, limit].map(Duration::from_secs);
            assert_eq!(
                order_of(standing, since, limit),
                order,
                "{standing:?} {since:?}"
            );
        }
    }
}
