//! ftplb: a userspace, FTP-aware load balancer.
//!
//! One address in front of a pool of FTP servers: each session is given to one backend, its control
//! connection is relayed, and every data connection of it, passive or active, goes to that same backend.
//!
//! The house has floors; a file uses its own floor and those below, and a test keeps it so:
//!
//! ```text
//! 6  main              exit codes
//! 5  cli               commands, flags
//! 4  app               the only wiring
//! 3  proxy, ops        sessions' drivers; checks, admin address
//! 2  session           the FTP session, without input or output
//!    config, net, telemetry, privilege
//! 1  ftp, balance, health, limits, ending, diagnosis     pure
//! ```
//! ARCHITECTURE.md tells the rest. What fuzz targets do not try is not built for them.

#[cfg(not(fuzzing))]
pub mod app;
pub mod balance;
#[cfg(not(fuzzing))]
pub mod cli;
pub mod config;
pub mod diagnosis;
pub mod ending;
pub mod ftp;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
pub mod health;
pub mod limits;
#[cfg(not(fuzzing))]
pub mod net;
#[cfg(not(fuzzing))]
pub mod ops;
#[cfg(not(fuzzing))]
pub mod privilege;
#[cfg(not(fuzzing))]
pub mod proxy;
pub mod session;
#[cfg(not(fuzzing))]
pub mod telemetry;
