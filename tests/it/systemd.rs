//! What `deploy/systemd` has, and what ftplb and systemd say to each other.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::thread;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::netns::Place;
use crate::process::{SOON, eventually, own_address, run};
use crate::proxy::{PROGRAM, Proxy};
use crate::scripted::{Door, Peer};

/// `systemd-analyze security` counts from 0, the safest, to 100. What is left is the network and the socket
/// of the API.
const EXPOSURE: &str = "20";

/// The units as they are deployed, but for the place of the program.
fn units() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let deployed = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd");
    for name in [
        "ftplb@.service",
        "ftplb.socket",
        "ftplb@.service.d/socket.conf",
    ] {
        let text = fs::read_to_string(deployed.join(name)).unwrap();
        let file = home.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text.replace("/usr/local/bin/ftplb", PROGRAM)).unwrap();
    }
    home
}

fn analyze(units: &TempDir, arguments: &[&str]) {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).current_dir(units.path());
    let done = run(&mut command, SOON).expect_success("systemd-analyze");
    assert!(!done.stderr.contains("ftplb"), "it warns: {done:#?}");
}

#[test]
fn the_units_are_what_systemd_understands() {
    let units = units();
    let verify = ["verify", "--man=no", "./ftplb@a.service", "./ftplb.socket"];
    analyze(&units, &verify);
}

#[test]
fn the_service_is_as_shut_in_as_it_can_be() {
    let units = units();
    let threshold = format!("--threshold={EXPOSURE}");
    let security = ["security", "--offline=true", "--no-pager", &threshold];
    analyze(&units, &[&security[..], &["./ftplb@.service"]].concat());
}

/// A configuration for `address` and `backend`, and where it listens for operators.
fn config(address: SocketAddr, backend: SocketAddr, more: &str) -> (String, SocketAddr) {
    let admin = SocketAddr::new(address.ip(), 9121);
    let text = format!(
        "[[listener]]\naddress = \"{address}\"\n[[pool]]\nhealth = false\n[[pool.backend]]\n\
         address = \"{backend}\"\n[admin]\naddress = \"{admin}\"\n[log]\nformat = \"json\"\n{more}"
    );
    (text, admin)
}

fn start(mut command: Command, address: SocketAddr, text: &str, admin: SocketAddr) -> Proxy {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("ftplb.toml");
    fs::write(&file, text).unwrap();
    command.args(["run", "-c"]).arg(file);
    Proxy::start(command, address, admin, &Place::Host, home)
}

#[test]
fn a_listener_that_systemd_holds_is_served() {
    let door = Door::new();
    let address = own_address(false, 2121);
    let (text, admin) = config(address, door.address(), "");
    let home = tempfile::tempdir().unwrap();
    let command = activated(address, &text, &home);
    // It is the first client that has ftplb started.
    let connecting = thread::spawn(move || connect_soon(address));
    let _proxy = Proxy::start(command, address, admin, &Place::Host, home);
    let mut client = Peer::new(connecting.join().unwrap());
    let mut backend = door.accept();
    backend.say("220 Scripted.");
    client.hears("220 Scripted.");
}

/// ftplb with this configuration, which systemd starts for the first client at `address`.
fn activated(address: SocketAddr, text: &str, home: &TempDir) -> Command {
    let file = home.path().join("ftplb.toml");
    fs::write(&file, text).unwrap();
    let mut command = Command::new("systemd-socket-activate");
    command.args(["-l", &address.to_string(), PROGRAM, "run", "-c"]);
    command.arg(file);
    command
}

/// Connects as soon as somebody listens.
fn connect_soon(address: SocketAddr) -> TcpStream {
    let mut connected = None;
    eventually("systemd listens", || {
        connected = TcpStream::connect(address).ok();
        connected.is_some()
    });
    connected.unwrap()
}

#[test]
fn a_socket_of_systemd_that_no_listener_has_is_a_mistake() {
    let door = Door::new();
    let [address, other] = [(); 2].map(|()| own_address(false, 2121));
    let (text, _) = config(address, door.address(), "");
    let home = tempfile::tempdir().unwrap();
    let mut command = activated(other, &text, &home);
    let connecting = thread::spawn(move || connect_soon(other));
    let done = run(&mut command, SOON);
    drop(connecting.join().unwrap());
    assert_eq!(done.code(), 71, "{done:?}");
    let said = format!("systemd passes a socket at {other}, where the configuration has nothing");
    assert!(done.stderr.contains(&said), "{done:?}");
}

#[test]
fn systemd_hears_of_the_start_of_reloads_of_sessions_of_life_and_of_the_end() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let door = Door::new();
    let address = own_address(false, 2121);
    let (text, admin) = config(address, door.address(), "");
    let mut command = Command::new(PROGRAM);
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000");
    let mut proxy = start(command, address, &text, admin);
    let mut heard = BTreeSet::new();
    let mut hear = |wanted: &str| {
        while !heard.iter().any(|line: &String| line.starts_with(wanted)) {
            let mut bytes = [0; 512];
            let count = socket.recv(&mut bytes).expect("systemd hears of it");
            let text = String::from_utf8_lossy(&bytes[..count]).into_owned();
            heard.extend(text.lines().map(String::from));
        }
        heard.clear();
    };
    hear("READY=1");
    hear("STATUS=serving, sessions: 0");
    let _client = Peer::connect(address);
    hear("STATUS=serving, sessions: 1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    assert!(proxy.reload(&text));
    hear("RELOADING=1");
    hear("READY=1");
    proxy.signal(Signal::SIGTERM);
    hear("STOPPING=1");
    assert_eq!(proxy.finish().code(), 0);
}
