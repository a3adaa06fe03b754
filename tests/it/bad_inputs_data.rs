//! Bad inputs of protocol.md §14, numbers 19 to 56 and 89 to 91: PORT, EPRT, EPSV and data connections.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::thread;

use crate::netns::Place;
use crate::process::eventually;
use crate::proxy::Proxy;
use crate::scripted::{Door, Peer, parse_229, parse_six, reply_227, six};
use crate::servers::{Kind, Server};
use crate::table::Table;

/// Where an active client waits for data.
fn client_door() -> Door {
    Door::at(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))
}

#[test]
fn bad_input_19_port_to_a_foreign_address_is_refused() {
    Table::logged_in().refuses("PORT 10,0,0,1,200,10\r\n", 501);
}

#[test]
fn bad_input_20_port_below_1024_is_refused() {
    Table::logged_in().refuses("PORT 127,0,0,1,0,80\r\n", 504);
}

#[test]
fn bad_input_21_to_30_malformed_port_is_refused() {
    let mut table = Table::logged_in();
    for argument in [
        " 127,0,0,1,0,0",
        " 256,0,0,1,1,1",
        " 4294967423,0,0,1,200,10",
        " a,b,c,d,e,f",
        " 127,0,0,1,200",
        " 127,0,0,1,200,10,1",
        " 127,0,0,1,200,10x",
        " +127,0,0,1,200,10",
        " 127, 0, 0, 1, 200, 10",
        "",
    ] {
        table.refuses(format!("PORT{argument}\r\n"), 501);
    }
}

#[test]
fn bad_input_31_and_35_to_39_malformed_eprt_is_refused() {
    let mut table = Table::logged_in();
    for argument in [
        "|1|127.0.0.1|99999|",
        "|1|127.0.0.1|50000",
        "|1|127.0.0.1|50000|x",
        "11127.0.0.1150000",
        "|1|::ffff:1.2.3.4|5000|",
        "|1|127.0.0.1|0|",
    ] {
        table.refuses(format!("EPRT {argument}\r\n"), 501);
    }
}

#[test]
fn bad_input_32_33_and_40_eprt_of_another_family_is_refused_with_the_list() {
    let mut table = Table::logged_in();
    for argument in ["|3|x|1|", "|2|::1|5000|", "|2|::ffff:127.0.0.1|5000|"] {
        table.client.say(&format!("EPRT {argument}"));
        let reply = table.client.reply(522);
        assert!(reply.contains("(1)"), "{reply}");
        table.works();
    }
}

#[test]
fn bad_input_34_eprt_delimiter_is_the_clients_and_the_backend_sees_bars() {
    let mut table = Table::logged_in();
    table.client.say("EPRT !1!127.0.0.1!50000!");
    let heard = String::from_utf8(table.backend.line()).unwrap();
    assert!(
        heard.starts_with("EPRT |1|127.0.0.1|") && heard.ends_with('|'),
        "{heard}"
    );
    table.backend.say("200 Fine.");
    table.client.reply(200);
    table.works();
}

#[test]
fn bad_input_38_eprt_with_a_zone_is_refused() {
    let mut table = Table::logged_in();
    // The family is wrong on IPv4 as well, but what can not be read names none.
    table.refuses("EPRT |2|fe80::1%eth0|5000|\r\n", 501);
}

#[test]
fn bad_input_41_and_42_epsv_of_another_family_is_refused() {
    let mut table = Table::logged_in();
    for (line, code) in [
        ("EPSV 3", 522),
        ("EPSV 99999999999", 522),
        ("EPSV 2", 522),
        ("EPSV x", 501),
    ] {
        table.refuses(format!("{line}\r\n"), code);
    }
}

#[test]
fn bad_input_43_epsv_all_leaves_only_epsv() {
    let mut table = Table::logged_in();
    table.refuses("EPSV ALL\r\n", 200);
    for line in [
        "PORT 127,0,0,1,200,10",
        "EPRT |1|127.0.0.1|50000|",
        "PASV",
        "P@SW",
    ] {
        table.refuses(format!("{line}\r\n"), 503);
    }
    table.client.say("EPSV");
    table.backend.hears("EPSV");
    table
        .backend
        .say("229 Entering Extended Passive Mode (|||50000|)");
    parse_229(&table.client.reply(229));
    table.works();
}

#[test]
fn bad_input_46_a_thousand_pasv_leave_one_lease_and_then_none() {
    let mut table = Table::logged_in();
    let mut backend = table.backend;
    thread::spawn(move || {
        while let Some(line) = backend.next_line() {
            assert_eq!(line, b"PASV");
            backend.say(&reply_227("127.0.0.1:50000".parse().unwrap()));
        }
    });
    table.client.send("PASV\r\n".repeat(1_000));
    for index in 0..1_000 {
        let code = table.client.reply_of(&[227, 425]);
        assert!(index > 0 || code == 227, "the first is granted");
    }
    assert!(table.proxy.metric("ftplb_leases_in_use", &[]) <= 1.0);
    drop(table.client);
    table.proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
}

#[test]
fn bad_input_47_second_connection_to_a_data_port_is_refused() {
    let mut table = Table::logged_in();
    let (address, data) = table.pasv();
    let mut client = Peer::connect(address);
    let mut backend = data.accept();
    let refused = TcpStream::connect(address).expect_err("the port is closed");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(data.accept_now().is_none(), "the backend is dialled once");
    table.transfer("RETR f");
    backend.send("whole");
    drop(backend);
    assert_eq!(client.read_to_end(), b"whole");
}

#[test]
fn bad_input_48_foreign_data_peer_is_reset_and_does_not_use_up_the_port() {
    let mut table = Table::logged_in();
    let (address, data) = table.pasv();
    let foreign: IpAddr = Ipv4Addr::new(127, 0, 0, 99).into();
    Peer::is_reset_from(foreign, address);
    let mut client = Peer::connect(address);
    let mut backend = data.accept();
    table.transfer("RETR f");
    backend.send("for the right one");
    drop(backend);
    assert_eq!(client.read_to_end(), b"for the right one");
    table
        .proxy
        .wait_for_metric("ftplb_peer_check_refusals_total", &[], 1.0);
}

#[test]
fn bad_input_49_port_that_nobody_connects_to_is_given_back() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\ndata_open = \"1s\"\n"));
    table.log_in();
    let (address, _data) = table.pasv();
    table.proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
    eventually("the port is closed", || {
        TcpStream::connect(address).is_err()
    });
    table.works();
}

#[test]
fn bad_input_50_reset_before_the_transfer_reaches_the_backend_as_reset_or_not_at_all() {
    let mut table = Table::logged_in();
    let (address, data) = table.pasv();
    Peer::connect(address).reset();
    table.proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
    table.client.say("STOR f");
    table.backend.hears("STOR f");
    // Never a FIN: that would be an empty file (P17).
    if let Some(mut leg) = data.accept_now() {
        leg.is_reset();
    }
    table.backend.say("425 No data.");
    table.client.reply(425);
}

#[test]
fn bad_input_51_upload_cut_by_reset_is_no_success() {
    for kind in [Kind::Vsftpd, Kind::Proftpd] {
        let server = Server::start(kind);
        let proxy = Proxy::before(&[server.address]);
        let mut client = Peer::log_in(proxy.address, &Place::Host);
        let mut data = Peer::connect(client.pasv());
        client.say("STOR f");
        client.reply(150);
        data.send([b'x'; 500]);
        eventually("500 bytes arrive", || server.size("f") == 500);
        data.reset();
        client.reply(426);
        client.say("NOOP");
        client.reply(200);
    }
}

#[test]
fn bad_input_52_upload_ended_by_fin_is_a_success() {
    for kind in [Kind::Vsftpd, Kind::Proftpd] {
        let server = Server::start(kind);
        let proxy = Proxy::before(&[server.address]);
        let mut client = Peer::log_in(proxy.address, &Place::Host);
        let mut data = Peer::connect(client.pasv());
        client.say("STOR f");
        client.reply(150);
        data.send([b'x'; 500]);
        drop(data);
        client.reply(226);
        assert_eq!(server.size("f"), 500);
    }
}

#[test]
fn bad_input_53_control_connection_cut_by_reset_cuts_the_upload() {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("STOR f");
    client_data.send("half");
    assert_eq!(backend_data.read_exact(4), b"half");
    table.client.reset();
    backend_data.is_reset();
    client_data.is_reset();
    table.backend.is_gone();
}

/// A download that hangs, then `abort`, which must reach the backend as ABOR.
fn aborts_by(abort: impl FnOnce(&mut Peer)) {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    backend_data.send("some");
    assert_eq!(client_data.read_exact(4), b"some");
    abort(&mut table.client);
    let heard = table.backend.line();
    let sent: [&[u8]; 3] = [b"ABOR", b"\xff\xf4\xff\xf2ABOR", b"\xf2ABOR"];
    assert!(sent.contains(&&heard[..]), "{}", heard.escape_ascii());
    drop(client_data);
    backend_data.is_gone();
    table.backend.say("426 Aborted.");
    table.backend.say("226 Abort done.");
    table.client.hears("426 Aborted.");
    table.client.hears("226 Abort done.");
    table.works();
}

#[test]
fn bad_input_54_abort_as_lftp_sends_it() {
    aborts_by(|client| {
        client.send(b"\xff\xf4\xff");
        client.send_urgent(b"\xf2");
        client.say("ABOR");
    });
}

#[test]
fn bad_input_55_abort_as_python_sends_it() {
    aborts_by(|client| client.send_urgent(b"ABOR\r\n"));
}

#[test]
fn bad_input_56_abort_as_bsd_sends_it() {
    aborts_by(|client| {
        client.send(b"\xff\xf4");
        client.send_urgent(b"\xff");
        client.send(b"\xf2ABOR\r\n");
    });
}

/// Active mode is agreed: where the client waits, and where the backend is told to connect.
fn active(table: &mut Table) -> (Door, SocketAddr) {
    let door = client_door();
    table.client.say(&format!("PORT {}", six(door.address())));
    let heard = String::from_utf8(table.backend.line()).unwrap();
    let address = parse_six(
        heard
            .strip_prefix("PORT ")
            .unwrap_or_else(|| panic!("{heard}")),
    );
    assert_eq!(
        address.ip(),
        table.backend.peer().ip(),
        "A5: the backend's view of its client"
    );
    (door, address)
}

#[test]
fn bad_input_89_foreign_peer_of_an_active_backend_is_reset() {
    let mut table = Table::logged_in();
    let (door, address) = active(&mut table);
    table.backend.say("200 Fine.");
    table.client.reply(200);
    Peer::is_reset_from(Ipv4Addr::new(127, 0, 0, 77).into(), address);
    assert!(
        door.accept_now().is_none(),
        "A7: the client is not dialled for a foreigner"
    );
    let mut backend_data = Peer::connect_from(table.door.address().ip(), address);
    let mut client_data = door.accept();
    assert_eq!(
        client_data.peer().ip(),
        table.proxy.address.ip(),
        "A7: from the VIP"
    );
    table.transfer("RETR f");
    backend_data.send("whole");
    drop(backend_data);
    assert_eq!(client_data.read_to_end(), b"whole");
}

#[test]
fn bad_input_90_backend_that_connects_before_it_answers_port_works() {
    let mut table = Table::logged_in();
    let (door, address) = active(&mut table);
    let mut backend_data = Peer::connect_from(table.door.address().ip(), address);
    table.backend.say("200 Fine.");
    table.client.reply(200);
    let mut client_data = door.accept();
    table.transfer("STOR f");
    client_data.send("whole");
    client_data.finish();
    assert_eq!(backend_data.read_to_end(), b"whole");
    drop(backend_data);
    client_data.is_closed();
    table.backend.say("226 Stored.");
    table.client.reply(226);
}

#[test]
fn bad_input_91_download_cut_by_the_backends_reset_is_reset_at_the_client() {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    backend_data.send("half");
    assert_eq!(client_data.read_exact(4), b"half");
    backend_data.reset();
    client_data.is_reset();
    table.backend.say("426 Cut.");
    table.client.hears("426 Cut.");
    table.works();
}
