//! Whatever clients, backends, data connections and time do in whatever order, what the simulation checks
//! holds: each command is answered once, no port without a lease, no transfer untold, an end to each wait.

/// Tries the events that the bytes of `input` decide.
pub fn check(input: &[u8]) {
    crate::session::simulate(input);
}
