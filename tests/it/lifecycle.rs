//! The command line: starting from a file, flags or the environment, refusing what is wrong, stopping.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::netns::Place;
use crate::process::{Finished, SOON, eventually, own_address, run};
use crate::proxy::{PROGRAM, Proxy, Setup};
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, Server};
use crate::table::Table;

fn ftplb(arguments: &[&str], directory: &Path) -> Finished {
    run(
        Command::new(PROGRAM).args(arguments).current_dir(directory),
        SOON,
    )
}

#[test]
fn sigterm_lets_a_transfer_finish_and_ends_the_idle() {
    let mut table = Table::logged_in();
    let (mut idle, mut idle_backend) = table.another();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    backend_data.send("half");
    assert_eq!(client_data.read_exact(4), b"half");

    table.proxy.signal(Signal::SIGTERM);
    idle.reply(421);
    idle.is_closed();
    idle_backend.is_gone();
    let refuses_new = || match TcpStream::connect(table.proxy.address) {
        Ok(stream) => {
            let mut first = [0; 3];
            stream.set_read_timeout(Some(SOON)).unwrap();
            let count = std::io::Read::read(&mut &stream, &mut first).unwrap_or(0);
            count == 0 || first == *b"421"
        }
        Err(_) => true,
    };
    eventually("no new session", refuses_new);
    let (status, _) = table.proxy.get("/readyz");
    assert!(status == 503 || status == 0, "{status}");

    assert!(table.proxy.runs(), "a transfer is under way");
    backend_data.send("rest");
    drop(backend_data);
    assert_eq!(client_data.read_to_end(), b"rest");
    drop(client_data);
    table.backend.say("226 Done.");
    table.client.hears("226 Done.");
    table.client.reply(421);
    table.client.is_closed();
    let done = table.proxy.finish();
    assert_eq!(done.code(), 0);
}

#[test]
fn transfer_that_outlives_the_drain_is_reset() {
    let mut table = Table::with(|setup| setup.tables("[timeouts]\ndrain = \"500ms\"\n"));
    table.log_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("STOR f");
    client_data.send("half");
    assert_eq!(backend_data.read_exact(4), b"half");
    table.proxy.signal(Signal::SIGTERM);
    backend_data.is_reset();
    client_data.is_reset();
    table.client.reply(421);
    assert_eq!(table.proxy.finish().code(), 0);
}

#[test]
fn idle_balancer_stops_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut proxy = Proxy::before(&[Door::new().address()]);
        proxy.signal(signal);
        assert_eq!(proxy.finish().code(), 0);
    }
}

#[test]
fn flags_and_environment_are_enough_to_run() {
    let server = Server::start(Kind::Pyftpdlib);
    let backend = server.address.to_string();
    for by_flags in [true, false] {
        let address = own_address(false, 2121);
        let admin = SocketAddr::new(address.ip(), 9121);
        let mut command = Command::new(PROGRAM);
        command.arg("run");
        for (flag, variable, value) in [
            ("--listen", "FTPLB_LISTEN", address.to_string()),
            ("--backend", "FTPLB_BACKENDS", backend.clone()),
            (
                "--passive-ports",
                "FTPLB_PASSIVE_PORTS",
                "12000-12009".into(),
            ),
            ("--admin", "FTPLB_ADMIN", admin.to_string()),
        ] {
            if by_flags {
                command.arg(flag).arg(value);
            } else {
                command.env(variable, value);
            }
        }
        let home = tempfile::tempdir().unwrap();
        let proxy = Proxy::start(command, address, admin, &Place::Host, home);
        proxy.wait_until_ready();
        let mut client = Peer::log_in(proxy.address, &Place::Host);
        let port = client.pasv().port();
        assert!((12_000..=12_009).contains(&port), "{port}");
    }
}

const MISTAKES: &str = r#"
[[listener]]
address = "everywhere"
passive_ports = "20000-10000"
[[listener]]
adress = "127.0.0.1:2121"
[[pool]]
name = "p"
algorithm = "fastest"
[[pool.backend]]
address = "127.0.0.1:2101"
weight = -1
[timeouts]
idle = "soon"
"#;

#[test]
fn check_reports_every_mistake_and_exits_78() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("ftplb.toml"), MISTAKES).unwrap();
    for command in ["check", "run"] {
        let done = ftplb(&[command, "-c", "ftplb.toml"], directory.path());
        assert_eq!(done.code(), 78, "{done:#?}");
        let said = done.stdout + &done.stderr;
        for key in [
            "address",
            "passive_ports",
            "adress",
            "algorithm",
            "weight",
            "idle",
        ] {
            assert!(
                said.contains(key),
                "{command} says nothing of {key}: {said}"
            );
        }
        for line in [3, 4, 6, 9, 12, 14] {
            assert!(
                said.contains(&format!(":{line}")),
                "{command}: no line {line}: {said}"
            );
        }
    }
}

#[test]
fn check_accepts_what_show_config_prints() {
    let directory = tempfile::tempdir().unwrap();
    let minimal = "[[listener]]\naddress = \"127.0.0.1:2121\"\n[[pool]]\nname = \"p\"\n\
                   [[pool.backend]]\naddress = \"127.0.0.1:2101\"\n";
    fs::write(directory.path().join("minimal.toml"), minimal).unwrap();
    ftplb(&["check", "-c", "minimal.toml"], directory.path()).expect_success("check");
    let shown = ftplb(&["show-config", "-c", "minimal.toml"], directory.path());
    let shown = shown.expect_success("show-config").stdout;
    assert!(shown.contains("10000-20000"), "the default range: {shown}");
    fs::write(directory.path().join("shown.toml"), &shown).unwrap();
    ftplb(&["check", "-c", "shown.toml"], directory.path()).expect_success("check of its output");
    let again = ftplb(&["show-config", "-c", "shown.toml"], directory.path());
    assert_eq!(again.stdout, shown);
}

#[test]
fn missing_file_and_missing_backend_are_configuration_errors() {
    let directory = tempfile::tempdir().unwrap();
    let done = ftplb(&["check", "-c", "nowhere.toml"], directory.path());
    assert_ne!(done.code(), 0);
    assert!((done.stdout + &done.stderr).contains("nowhere.toml"));
    let done = ftplb(&["run", "--listen", "127.0.0.1:2121"], directory.path());
    assert_ne!(done.code(), 0);
    assert!((done.stdout + &done.stderr).contains("backend"));
}

#[test]
fn address_in_use_is_named() {
    let taken = TcpListener::bind(own_address(false, 2121)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let done = ftplb(
        &["run", "--listen", &address, "--backend", "127.0.0.1:9"],
        directory.path(),
    );
    assert_ne!(done.code(), 0);
    let said = done.stdout + &done.stderr;
    assert!(said.contains(&address), "{said}");
}

#[test]
fn o1_sessions_over_a_limit_get_421_and_a_place_that_is_left_is_free() {
    for (limits, reason) in [
        ("sessions_per_client = 2", "client_limit"),
        ("sessions = 2", "limit"),
    ] {
        let door = Door::new();
        let proxy = Setup::new(&[door.address()])
            .tables(&format!("[limits]\n{limits}\n"))
            .start();
        let admitted: Vec<_> = (0..2)
            .map(|_| {
                let mut client = Peer::connect(proxy.address);
                let mut backend = door.accept();
                backend.say("220 Hello.");
                client.reply(220);
                (client, backend)
            })
            .collect();
        let mut third = Peer::connect(proxy.address);
        third.reply(421);
        third.is_gone();
        proxy.wait_for_metric("ftplb_sessions_refused_total", &[reason], 1.0);
        drop(admitted);
        std::thread::spawn(move || {
            loop {
                door.accept().say("220 Hello.");
            }
        });
        eventually("a place is free", || {
            Peer::connect(proxy.address).line().starts_with(b"220")
        });
    }
}

#[test]
fn o7_refused_logins_are_counted() {
    let mut table = Table::greeted();
    table.exchange("USER eve", "331 Password?");
    table.exchange("PASS guess", "530 No.");
    table
        .proxy
        .wait_for_metric("ftplb_login_failures_total", &[], 1.0);
}

#[test]
fn mistyped_variable_is_named() {
    let mut command = Command::new(PROGRAM);
    command
        .args([
            "check",
            "--listen",
            "127.0.0.1:2121",
            "--backend",
            "127.0.0.1:21",
        ])
        .env("FTPLB_PASSIVEPORTS", "1-2");
    let done = run(&mut command, SOON);
    assert_eq!(done.code(), 0, "{done:?}");
    assert!(done.stderr.contains("FTPLB_PASSIVEPORTS"), "{done:?}");
}

#[test]
fn backend_of_weight_0_gets_no_new_session() {
    let [quiesced, serving] = [Door::new(), Door::new()];
    let address = own_address(false, 2121);
    let admin = SocketAddr::new(address.ip(), 9121);
    let mut command = Command::new(PROGRAM);
    command.args(["run", "--algorithm", "rr", "--listen", &address.to_string()]);
    command.args(["--backend", &format!("{},weight=0", quiesced.address())]);
    command.args(["--backend", &serving.address().to_string()]);
    command.args(["--admin", &admin.to_string()]);
    let home = tempfile::tempdir().unwrap();
    // A health check may come; it is no session, for it never says a word.
    let proxy = Proxy::start(command, address, admin, &Place::Host, home);
    std::thread::spawn(move || {
        loop {
            serving.accept().say("220 Serving.");
        }
    });
    std::thread::spawn(move || {
        loop {
            quiesced.accept().say("220 Quiesced.");
        }
    });
    for _ in 0..4 {
        Peer::connect(proxy.address).hears("220 Serving.");
    }
}

#[test]
fn second_sigterm_ends_what_is_left() {
    let mut table = Table::logged_in();
    let (mut client_data, mut backend_data) = table.passive_data();
    table.transfer("RETR f");
    backend_data.send("half");
    assert_eq!(client_data.read_exact(4), b"half");
    table.proxy.signal(Signal::SIGTERM);
    table
        .proxy
        .wait_for_log("stopping: no new sessions, transfers may finish", 1);
    table.proxy.signal(Signal::SIGTERM);
    client_data.is_reset();
    backend_data.is_reset();
    table.client.reply(421);
    drop(table.client);
    assert_eq!(table.proxy.finish().code(), 0);
}
