//! The sessions' drivers: sockets on one side, the session machine on the other.
//!
//! `listener` accepts and admits, `control` drives one session, `data` one data connection of it,
//! `party` is a control connection, `record` tells what happened.

mod control;
mod data;
pub mod listener;
mod outbox;
mod party;
mod record;
pub mod service;
pub mod sessions;
