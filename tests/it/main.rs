//! The integration tests: ftplb as a program, between real FTP servers and clients, and between
//! scripted ones that say what no real one would.
//!
//! They need the programs that `tests/install.sh` installs, and root for the network namespaces and for
//! the servers. Each test has addresses, directories and processes of its own, and leaves nothing behind.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "what does not hold here fails its test, and these files are tests throughout"
)]

#[expect(dead_code, reason = "the benches use the rest")]
#[path = "../../benches/support/mod.rs"]
mod bench;
mod browser;
mod busy;
mod clients;
mod console;
mod dns;
mod engine;
mod netns;
mod pair;
mod process;
mod proxy;
mod scripted;
mod servers;
mod table;

mod abuse;
mod api;
mod api_orders;
mod api_room;
mod bad_inputs_data;
mod bad_inputs_lines;
mod bad_inputs_replies;
mod container;
mod data_order;
mod descriptors;
mod differential;
mod differential_endpoints;
mod discovery;
mod endings;
mod faults;
mod faults_host;
mod faults_links;
mod faults_peers;
mod flood;
mod health;
mod health_command;
mod health_scripts;
mod health_transfer;
mod import;
mod keepalived;
mod kubernetes;
mod lifecycle;
mod matrix;
mod migration;
mod networks;
mod page;
mod pool;
mod privilege;
mod prometheus;
mod reload;
mod reload_mirror;
mod replicas;
mod servers_page;
mod soak;
mod systemd;
mod top;
mod transfer_log;
mod transfers;
mod upgrade;
mod vrrp;
