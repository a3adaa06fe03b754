//! What goes on beside the sessions: health checks, and what operators and Prometheus ask.
//!
//! `fleet` is what runs: listeners, and the `members` of each pool with their `checks` (each a `probe` from
//! time to time), those that are found by name (`discover`), and the scripts that hear of changes
//! (`notify`). `admin` answers over HTTP, with a `page` for people; so does `api`, which takes orders. What both
//! tell is `status`, made by a `survey` of what runs and of what the `journal` of each pool remembers. `systemd`
//! hears of it all, where it started the process.

pub mod admin;
pub mod api;
mod bounded;
mod browsers;
pub mod checks;
pub mod discover;
pub mod fleet;
pub mod journal;
pub mod members;
pub mod notify;
mod page;
pub mod probe;
pub mod script;
pub mod status;
mod survey;
pub mod systemd;
