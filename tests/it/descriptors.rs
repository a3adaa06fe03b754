//! What a session costs in descriptors: how many sessions fit a host follows from it (O1).

use std::thread;

use crate::proxy::Proxy;
use crate::scripted::Peer;
use crate::table::Table;

const OPEN: &str = "process_open_fds";

/// Sessions at a time: one descriptor too many in each can not hide among the others.
const SESSIONS: u8 = 10;

/// More than all buffers between two parties hold.
const LONG: usize = 64 << 20;

/// Descriptors open now. The connection of an earlier look may still be among them in one look, not in all.
fn open(proxy: &Proxy) -> f64 {
    let looks = (0..5).map(|_| proxy.metric(OPEN, &[]));
    looks.fold(f64::INFINITY, f64::min)
}

#[test]
fn an_idle_session_costs_two_descriptors() {
    let table = Table::logged_in();
    let before = open(&table.proxy);
    let sessions: Vec<_> = (0..SESSIONS).map(|_| table.another()).collect();
    let expected = before + 2.0 * f64::from(SESSIONS);
    table.proxy.wait_for_metric(OPEN, &[], expected);
    drop(sessions);
    table.proxy.wait_for_metric(OPEN, &[], before);
}

#[test]
fn a_spliced_transfer_costs_four_descriptors() {
    let mut table = Table::logged_in();
    let idle = open(&table.proxy);
    let (address, door) = table.pasv();
    // The listener of the lease.
    table.proxy.wait_for_metric(OPEN, &[], idle + 1.0);
    let mut client_data = Peer::connect(address);
    let mut backend_data = door.accept();
    // The legs. Nobody listens for anybody any more.
    table.proxy.wait_for_metric(OPEN, &[], idle + 2.0);
    table.transfer("RETR f");
    let sending = thread::spawn(move || backend_data.send(vec![0; LONG]));
    // The pipe: there, and full, as long as the client does not read.
    table.proxy.wait_for_metric(OPEN, &[], idle + 4.0);
    assert_eq!(client_data.read_to_end().len(), LONG);
    sending.join().unwrap();
    drop(client_data);
    table.backend.say("226 Done.");
    table.client.hears("226 Done.");
    // The pipe waits for the next transfer.
    table.proxy.wait_for_metric(OPEN, &[], idle + 2.0);
}
