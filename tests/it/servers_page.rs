//! The settings that docs/servers.md recommends, taken from the page and run.

use std::fs;

use crate::clients::{Mode, Story, Tool};
use crate::netns::Place;
use crate::process::own_address;
use crate::proxy::Proxy;
use crate::scripted::Peer;
use crate::servers::{Kind, PASSWORD, Server, USER};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/servers.md");

/// The first block of settings under the heading.
fn settings(heading: &str) -> String {
    let page = fs::read_to_string(PAGE).unwrap();
    let (_, section) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    let block = section.split("```").nth(1).unwrap();
    block.split_once('\n').unwrap().1.to_owned()
}

/// A server as it is recommended does all that clients want, for more of them at a time than most servers
/// allow one address.
fn serves_everybody(kind: Kind, heading: &str) {
    let address = own_address(false, 2021);
    let server = Server::start_with(kind, address, &Place::Host, &settings(heading));
    let proxy = Proxy::before(&[server.address]);
    for (tool, mode) in [
        (Tool::Curl, Mode::Epsv),
        (Tool::Curl, Mode::Port),
        (Tool::Lftp, Mode::Pasv),
    ] {
        Story::new(tool, mode, proxy.address, &Place::Host).run(&server);
    }
    let clients: Vec<Peer> = { 0..SESSIONS }
        .map(|_| {
            let mut client = Peer::connect(proxy.address);
            client.reply(220);
            client.say(&format!("USER {USER}"));
            client.reply(331);
            client.say(&format!("PASS {PASSWORD}"));
            client.reply(230);
            client
        })
        .collect();
    assert_eq!(clients.len(), SESSIONS);
    let log = proxy.log();
    assert!(!log.contains("\"diagnosis\""), "{log}");
}

/// Above the only limit for one address that these servers come with, Pure-FTPd's 8. It takes its time for each
/// password.
const SESSIONS: usize = 10;

#[test]
fn vsftpd_as_the_page_has_it_serves_everybody() {
    serves_everybody(Kind::Vsftpd, "vsftpd");
}

#[test]
fn proftpd_as_the_page_has_it_serves_everybody() {
    serves_everybody(Kind::Proftpd, "ProFTPD");
}

#[test]
fn pureftpd_as_the_page_has_it_serves_everybody() {
    serves_everybody(Kind::Pureftpd, "Pure-FTPd");
}
