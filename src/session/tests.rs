//! Conversations with the session, by theme. Their names begin with the requirements they show.

mod active;
mod by_user;
mod control;
mod diagnoses;
mod ending;
mod hold;
mod login;
mod pace;
mod passive;
mod replies;
mod retire;
mod talk;
mod transfer;
mod whereabouts;
mod workspace;
