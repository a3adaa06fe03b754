//! The sessions' drivers: sockets on one side, the session machine on the other.
//!
//! `listener` accepts and admits, `gate` knows who comes too often; sessions run on the threads of `workers`. `control`
//! drives one session: `wait` says what happens next to it, `dialling` finds its backend, `legs` does what is ordered of its data
//! connections, each of which is a `data`. A `party` is a control connection; `record` tells what happened, `view` what a
//! live session does. While every backend is full, sessions wait in a `room`.

mod control;
mod data;
mod dialling;
pub mod gate;
mod legs;
pub mod listener;
mod outbox;
mod party;
pub mod pins;
mod record;
pub mod room;
pub mod service;
pub mod sessions;
pub mod view;
mod wait;
pub mod workers;
