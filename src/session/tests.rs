//! Conversations with the session, by theme. Their names begin with the requirements they show.

mod active;
mod control;
mod ending;
mod hold;
mod passive;
mod replies;
pub(super) mod talk;
