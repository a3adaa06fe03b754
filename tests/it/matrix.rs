//! Every client, in every mode that it can be made to use, through ftplb to every server; and directly,
//! so that a failure here and not there is ftplb's.

use std::net::SocketAddr;

use crate::clients::{Mode, Story, Tool};
use crate::netns::Place;
use crate::proxy::{Proxy, Setup, field};
use crate::servers::{Kind, Server};

const KINDS: [Kind; 3] = [Kind::Proftpd, Kind::Pyftpdlib, Kind::Vsftpd];

/// `tool` lives through its story in every mode, talking to `address`, behind which is `server`.
fn every_mode(tool: Tool, address: SocketAddr, server: &Server) {
    for &mode in tool.modes(address.ip()) {
        Story::new(tool, mode, address, &Place::Host).run(server);
    }
}

fn through_ftplb(tool: Tool) {
    for kind in KINDS {
        let server = Server::start(kind);
        let proxy = Proxy::before(&[server.address]);
        every_mode(tool, proxy.address, &server);
        let log = server.log();
        for mode in tool.modes(proxy.address.ip()) {
            // P8: the client's own verb is the backend's.
            assert!(
                log.contains(mode.verb()),
                "{kind:?} has not seen {mode:?}: {log}"
            );
        }
        proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
    }
}

#[test]
fn curl_through_ftplb_to_every_server() {
    through_ftplb(Tool::Curl);
}

#[test]
fn ftplib_through_ftplb_to_every_server() {
    through_ftplb(Tool::Ftplib);
}

#[test]
fn lftp_through_ftplb_to_every_server() {
    through_ftplb(Tool::Lftp);
}

#[test]
fn tnftp_through_ftplb_to_every_server() {
    through_ftplb(Tool::Tnftp);
}

#[test]
fn clients_and_servers_work_without_ftplb() {
    for kind in KINDS {
        let server = Server::start(kind);
        every_mode(Tool::Ftplib, server.address, &server);
        every_mode(Tool::Lftp, server.address, &server);
    }
}

#[test]
fn ipv6_clients_and_servers() {
    let server = Server::start_v6(Kind::Vsftpd);
    let proxy = Setup::new_v6(&[server.address]).start();
    for tool in [Tool::Curl, Tool::Ftplib, Tool::Lftp, Tool::Tnftp] {
        every_mode(tool, proxy.address, &server);
    }
}

#[test]
fn v1_ipv6_clients_of_an_ipv4_server() {
    for kind in [Kind::Pyftpdlib, Kind::Vsftpd] {
        let server = Server::start(kind);
        let proxy = Setup::new_v6(&[server.address]).start();
        every_mode(Tool::Curl, proxy.address, &server);
        every_mode(Tool::Ftplib, proxy.address, &server);
        let log = server.log();
        for (verb, seen) in [
            ("PASV", true),
            ("PORT", true),
            ("EPSV", false),
            ("EPRT", false),
        ] {
            // FEAT of pyftpdlib names EPRT and EPSV: only quoted or sent verbs count.
            let sent = log.contains(&format!("\"{verb}")) || log.contains(&format!("<- {verb}"));
            assert_eq!(sent, seen, "{verb} at {kind:?}: {log}");
        }
    }
}

#[test]
fn v1_ipv4_clients_of_an_ipv6_server() {
    for kind in [Kind::Pyftpdlib, Kind::Vsftpd] {
        let server = Server::start_v6(kind);
        let proxy = Setup::new(&[server.address]).start();
        every_mode(Tool::Curl, proxy.address, &server);
        every_mode(Tool::Ftplib, proxy.address, &server);
    }
}

#[test]
fn backend_passive_is_the_operators_choice() {
    for (setting, verb) in [("pasv", "PASV"), ("epsv", "EPSV")] {
        let server = Server::start(Kind::Vsftpd);
        let pool = format!("health = false\nbackend_passive = \"{setting}\"\n");
        let proxy = Setup::new(&[server.address]).pool(&pool).start();
        for mode in [Mode::Pasv, Mode::Epsv] {
            Story::new(Tool::Curl, mode, proxy.address, &Place::Host).run(&server);
        }
        for other in ["PASV", "EPSV"] {
            assert_eq!(
                server.log().contains(&format!("\"{other}\"")),
                other == verb,
                "{other}"
            );
        }
    }
}

#[test]
fn active_clients_can_be_served_by_passive_backends() {
    let server = Server::start(Kind::Vsftpd);
    let pool = "health = false\nbackend_active = \"passive\"\n";
    let proxy = Setup::new(&[server.address]).pool(pool).start();
    for mode in [Mode::Port, Mode::Eprt] {
        Story::new(Tool::Curl, mode, proxy.address, &Place::Host).run(&server);
    }
    let log = server.log();
    assert!(!log.contains("\"PORT") && !log.contains("\"EPRT"), "{log}");
    for line in proxy.wait_for_log("transfer ended", 14) {
        assert_eq!(field(&line, "cause"), "complete", "{line}");
    }
}
