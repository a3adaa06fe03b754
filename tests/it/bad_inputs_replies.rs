//! Bad inputs of protocol.md §14, numbers 73 to 88 as far as they need no TLS: what a backend may say.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::proxy::{Proxy, field};
use crate::scripted::{Door, Peer, parse_227, parse_229, reply_227};
use crate::table::Table;

/// The client asks by `verb`, the backend answers `reply`, the client is told `code`.
#[track_caller]
fn asks(table: &mut Table, verb: &str, reply: &str, code: u16) -> String {
    table.client.say(verb);
    table.backend.hears(verb);
    table.backend.say(reply);
    table.client.reply(code)
}

/// A file crosses between a client that connects to `address` and a backend that accepts at `data`.
#[track_caller]
fn carries_data(table: &mut Table, address: SocketAddr, data: &Door) {
    let mut client = Peer::connect(address);
    let mut backend = data.accept();
    table.transfer("RETR f");
    backend.send("whole");
    drop(backend);
    assert_eq!(client.read_to_end(), b"whole");
    table.backend.say("226 Done.");
    table.client.reply(226);
}

/// A door on port 25610 of the backend: 100 times 256 and 10.
fn door_25610(table: &Table) -> Door {
    Door::at(SocketAddr::new(table.door.address().ip(), 25_610))
}

#[test]
fn bad_input_73_and_76_unusable_227_is_425() {
    let mut table = Table::logged_in();
    for reply in [
        "227 Entering (256,1,1,1,1,1)",
        "227 Entering (1,2,3)",
        "227 Entering (0,0,0,0,0,0)",
        "227 Entering (169,254,169,254,0,80)",
        "227 nothing",
    ] {
        asks(&mut table, "PASV", reply, 425);
        table.works();
    }
    table.proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
}

#[test]
fn bad_input_74_75_and_76_odd_227_becomes_canonical_and_only_its_port_is_used() {
    for reply in [
        "227 ok 12 (127,0,0,1,100,10)",
        "227 =1,2,3,4,100,10",
        "227 1,2,3,4,100,10",
        "227 Passive (1, 2, 3, 4, 100, 10).",
        "227-x\r\n227 (1,2,3,4,100,10)",
        "227 (169,254,169,254,100,10)",
    ] {
        let mut table = Table::logged_in();
        let data = door_25610(&table);
        let canonical = asks(&mut table, "PASV", reply, 227);
        assert!(
            canonical.starts_with("227 Entering Passive Mode ("),
            "{canonical}"
        );
        assert!(canonical.ends_with(')'), "{canonical}");
        let address = parse_227(&canonical);
        assert_eq!(address.ip(), table.proxy.address.ip());
        carries_data(&mut table, address, &data);
    }
}

#[test]
fn bad_input_77_odd_229_becomes_canonical() {
    for reply in [
        "229 (!!!25610!)",
        "229 ok (|||25610|).",
        "229 |||25610|",
        "229 (|||25610|",
    ] {
        let mut table = Table::logged_in();
        let data = door_25610(&table);
        let port = parse_229(&asks(&mut table, "EPSV", reply, 229));
        let address = SocketAddr::new(table.proxy.address.ip(), port);
        carries_data(&mut table, address, &data);
    }
}

#[test]
fn bad_input_77_unusable_229_is_425() {
    let mut table = Table::logged_in();
    for reply in ["229 (|||0|)", "229 (|||65536|)", "229 (||6446|)"] {
        asks(&mut table, "EPSV", reply, 425);
        table.works();
    }
}

#[test]
fn bad_input_78_replies_are_read_by_code_and_answered_by_command() {
    let mut table = Table::logged_in();
    let data = door_25610(&table);
    let port = parse_229(&asks(&mut table, "EPSV", "227 ok (127,0,0,1,100,10)", 229));
    let address = SocketAddr::new(table.proxy.address.ip(), port);
    carries_data(&mut table, address, &data);
    let address = parse_227(&asks(&mut table, "PASV", "229 ok (|||25610|)", 227));
    carries_data(&mut table, address, &data);
}

#[test]
fn bad_input_79_unsolicited_227_ends_the_session() {
    let mut table = Table::logged_in();
    table.client.say("NLST");
    table.backend.hears("NLST");
    table.backend.say("227 Entering Passive Mode (9,9,9,9,9,9)");
    table.client.reply(421);
    table.client.is_closed();
    table.proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
}

#[test]
fn bad_input_80_inner_line_that_looks_like_227_is_indented() {
    let mut table = Table::greeted();
    table.client.say("PASS x");
    table.backend.hears("PASS x");
    table
        .backend
        .say("230-hi\r\n227 Entering Passive Mode (9,9,9,9,9,9)\r\n230 ok");
    table.client.hears("230-hi");
    table
        .client
        .hears(" 227 Entering Passive Mode (9,9,9,9,9,9)");
    table.client.hears("230 ok");
    table.works();
    assert!(table.proxy.metric("ftplb_leases_in_use", &[]) < 0.5);
}

/// The backend answers STAT with `reply`, which ends the session: the client gets 421 in the end.
fn floods(reply: &[u8]) {
    let mut table = Table::logged_in();
    let memory = |proxy: &Proxy| proxy.metric("process_resident_memory_bytes", &[]);
    let before = memory(&table.proxy);
    table.client.say("STAT");
    table.backend.hears("STAT");
    let mut backend = table.backend;
    thread::scope(|scope| {
        scope.spawn(|| {
            backend.send_until_closed(reply);
            backend.is_gone();
        });
        let said = table.client.is_gone();
        let last = said
            .split(|&byte| byte == b'\n')
            .rev()
            .find(|line| !line.is_empty());
        assert!(
            last.is_some_and(|line| line.starts_with(b"421 ")),
            "{:?}",
            last.map(<[u8]>::len)
        );
    });
    drop(table.client);
    let grown = memory(&table.proxy) - before;
    assert!(grown < 10e6, "{grown} bytes more");
    let (mut client, mut backend) = greet_again(&table.proxy, &table.door);
    client.say("NOOP");
    backend.hears("NOOP");
}

fn greet_again(proxy: &Proxy, door: &Door) -> (Peer, Peer) {
    let mut client = Peer::connect(proxy.address);
    let mut backend = door.accept();
    backend.say("220 Scripted.");
    client.reply(220);
    (client, backend)
}

#[test]
fn bad_input_81_reply_that_never_ends_ends_the_session() {
    let mut reply = b"211-Status\r\n".to_vec();
    reply.extend(b"and so on\r\n".repeat(20_000));
    floods(&reply);
}

#[test]
fn bad_input_81_reply_without_any_line_end_ends_the_session() {
    floods(&vec![b'x'; 40 << 20]);
}

#[test]
fn bad_input_81_reply_line_of_a_megabyte_ends_the_session() {
    floods(&[b"211 ".to_vec(), vec![b'x'; 1 << 20]].concat());
}

#[test]
fn bad_input_82_what_is_no_reply_ends_the_session() {
    for reply in ["hello", "99 x", "2x0 x", "700 x"] {
        let mut table = Table::logged_in();
        table.client.say("STAT");
        table.backend.hears("STAT");
        table.backend.say(reply);
        table.client.reply(421);
        table.client.is_closed();
        let (mut client, mut backend) = table.another();
        client.say("NOOP");
        backend.hears("NOOP");
    }
}

#[test]
fn bad_input_82_blank_line_between_replies_is_dropped() {
    let mut table = Table::logged_in();
    table.client.say("STAT");
    table.backend.hears("STAT");
    table.backend.say("");
    table.backend.say("211 Fine.");
    table.client.hears("211 Fine.");
    table.works();
}

#[test]
fn bad_input_83_nul_is_removed_from_replies() {
    let mut table = Table::logged_in();
    table.client.say("STAT");
    table.backend.hears("STAT");
    table.backend.send(b"211 a\0b\n");
    table.client.hears("211 ab");
    table.works();
}

#[test]
fn bad_input_84_421_in_a_transfer_is_relayed() {
    let mut table = Table::logged_in();
    let (mut client_data, backend_data) = table.passive_data();
    table.transfer("RETR f");
    table.backend.say("421 Shutting down.");
    drop((backend_data, table.backend));
    client_data.is_gone();
    table.client.hears("421 Shutting down.");
    table.client.is_closed();
}

#[test]
fn bad_input_85_120_comes_before_220() {
    let table = Table::greeted();
    let mut client = Peer::connect(table.proxy.address);
    let mut backend = table.door.accept();
    backend.say("120 Wait.");
    backend.say("220 Now.");
    // The 120 is kept back: until the greeting, another backend can take the session (S16).
    client.hears("220 Now.");
    client.say("NOOP");
    backend.hears("NOOP");
}

#[test]
fn bad_input_86_backend_that_closes_after_150_is_421_after_the_data() {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    backend_data.send("part");
    drop(table.backend);
    assert_eq!(client_data.read_exact(4), b"part");
    backend_data.send("rest");
    drop(backend_data);
    assert_eq!(client_data.read_to_end(), b"rest");
    table.client.reply(421);
    table.client.is_closed();
}

#[test]
fn bad_input_87_reply_234_that_nobody_asked_for_ends_the_session() {
    let mut table = Table::logged_in();
    table.client.say("SYST");
    table.backend.hears("SYST");
    table.backend.send("234 ok\r\n220 injected\r\n");
    table.client.reply(421);
    table.client.is_closed();
    assert_eq!(table.backend.is_gone(), b"", "nobody begins TLS");
    let ended = table.proxy.wait_for_log("session ended", 1);
    assert_eq!(field(&ended[0], "side"), "backend");
    assert_eq!(field(&ended[0], "cause"), "protocol");
}

#[test]
fn bad_input_88_refusal_is_relayed_while_the_data_connection_hangs() {
    let mut table = Table::logged_in();
    let (address, data) = table.pasv();
    // As long as its backlog is full, further connections hang.
    data.set_backlog(0);
    let _waiting = TcpStream::connect(data.address()).unwrap();
    let mut client_data = Peer::connect(address);
    table.proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
    table.client.say("RETR f");
    table.backend.hears("RETR f");
    table.backend.say("550 No such file.");
    table.client.hears("550 No such file.");
    table.works();
    // Who hangs up on the client's data connection is the backend, or its deadline.
    client_data.is_silent(Duration::from_millis(100));
}

#[test]
fn telnet_bytes_before_a_reply_are_removed() {
    let mut table = Table::logged_in();
    table.client.say("STAT");
    table.backend.hears("STAT");
    table.backend.send(b"\xff\xfe\x01211 fine\r\n");
    table.client.hears("211 fine");
    table.works();
}

#[test]
fn refused_pasv_is_relayed_and_leaves_no_lease() {
    let mut table = Table::logged_in();
    asks(&mut table, "PASV", "502 No.", 502);
    table.proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
    let data = Door::at(SocketAddr::new(table.door.address().ip(), 0));
    let reply = reply_227(data.address());
    let address = parse_227(&asks(&mut table, "PASV", &reply, 227));
    carries_data(&mut table, address, &data);
}
