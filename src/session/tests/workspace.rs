//! What sessions that work hand on to each other, so that idle ones hold nothing.

use super::talk::Talk;

#[test]
fn design_11_a_session_that_waits_for_nothing_keeps_no_place_to_wait_in() {
    let (mut t, mut other) = (Talk::logged_in(), Talk::logged_in());
    t.forwards("NOOP");
    // The thread's workspace goes around: it comes to the first one with a place for a command, and that one has its own.
    drop(t.session.rest());
    t.session.resume(other.session.rest());
    t.relays_reply("200 ok");
    let workspace = t.session.rest();
    for session in [&t.session, &other.session] {
        assert!(session.is_at_rest());
        assert_eq!(format!("{:?}", session.pending), "Pending(None)");
    }
    let left = format!("{workspace:?}");
    assert!(left.contains("asked: Some(Asked { queue: []"), "{left}");
    // The next one waits there.
    other.session.resume(workspace);
    other.exchange("NOOP", "200 ok");
}

#[test]
fn design_11_a_session_keeps_the_place_in_which_it_waits() {
    let mut t = Talk::logged_in();
    t.forwards("NOOP");
    let workspace = t.session.rest();
    assert_eq!(t.session.pending.len(), 1);
    t.session.resume(workspace);
    t.relays_reply("200 ok");
}
