//! Conversations with the session, by theme. Their names begin with the requirements they show.

mod active;
mod control;
mod ending;
mod hold;
mod login;
mod passive;
mod replies;
pub(super) mod talk;
mod transfer;
