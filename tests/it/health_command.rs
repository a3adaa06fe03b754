//! `ftplb health`, as a container's engine runs it beside a running ftplb.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use nix::sys::signal::Signal;

use crate::netns::{Networks, Place};
use crate::process::{Finished, SOON, eventually, own_address, run};
use crate::proxy::{PROGRAM, Proxy, Setup};
use crate::scripted::Door;

fn health(place: &Place, words: &[&str]) -> Finished {
    let mut command = place.command(PROGRAM);
    run(command.arg("health").args(words), SOON)
}

#[test]
fn health_is_asked_where_the_configuration_says_it_is_served() {
    let proxy = Proxy::before(&[Door::new().address()]);
    let file = proxy.config().display().to_string();
    let admin = proxy.admin.to_string();
    for (words, answer) in [
        (&["-c", &file][..], "alive\n"),
        (&["-c", &file, "--ready"], "ready\n"),
        (&["--admin", &admin], "alive\n"),
        // 9121 is its port unless another is said.
        (&["--admin", &proxy.admin.ip().to_string()], "alive\n"),
    ] {
        let done = health(&Place::Host, words);
        assert_eq!(
            (done.code(), done.stdout.as_str()),
            (0, answer),
            "{words:?}"
        );
    }
    let mut command = Command::new(PROGRAM);
    let by_environment = run(command.arg("health").env("FTPLB_CONFIG", &file), SOON);
    assert_eq!(by_environment.code(), 0, "{by_environment:?}");
}

#[test]
fn who_serves_nobody_is_alive_and_not_ready() {
    let closed = own_address(false, 2021);
    let pool = "health = { probe = \"tcp\", interval = \"200ms\", warmup = \"0s\" }\n";
    let proxy = Setup::new(&[closed]).pool(pool).start_unready();
    let admin = proxy.admin.to_string();
    let is_ready = || health(&Place::Host, &["--ready", "--admin", &admin]);
    eventually("it is not ready", || is_ready().code() == 1);
    let said = is_ready().stderr;
    let expected =
        format!("{admin} answers 503 Service Unavailable: pool p has no backend that is up\n");
    assert_eq!(said, expected);
    assert_eq!(health(&Place::Host, &["--admin", &admin]).code(), 0);
}

#[test]
fn who_does_not_answer_is_not_well() {
    let mut proxy = Proxy::before(&[Door::new().address()]);
    let admin = proxy.admin.to_string();
    proxy.signal(Signal::SIGSTOP);
    let frozen = health(&Place::Host, &["--admin", &admin]);
    assert_eq!(frozen.code(), 1, "{frozen:?}");
    assert!(frozen.stderr.contains("nothing within 3 s"), "{frozen:?}");
    proxy.signal(Signal::SIGCONT);
    proxy.signal(Signal::SIGTERM);
    proxy.finish();
    let gone = health(&Place::Host, &["--admin", &admin]);
    assert_eq!(gone.code(), 1, "{gone:?}");
    let said = format!("no ftplb answers at {admin}: Connection refused");
    assert!(gone.stderr.starts_with(&said), "{gone:?}");
}

#[test]
fn without_an_admin_address_nobody_can_be_asked() {
    let words = ["--listen", "127.0.0.1:2121", "--backend", "127.0.0.1:2021"];
    let done = health(&Place::Host, &words);
    assert_eq!(done.code(), 1, "{done:?}");
    assert!(done.stderr.contains("has no admin address"), "{done:?}");
}

#[test]
fn a_file_that_somebody_is_editing_makes_nobody_sick() {
    let networks = Networks::new();
    let place = &networks.balancer;
    let at = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let setup = Setup::new(&[at(2021)]).at(at(2121), place);
    let proxy = setup.admin(at(9121)).start();
    let file = proxy.config().display().to_string();
    fs::write(&file, "[[listener]]\naddress =").unwrap();
    let done = health(place, &["-c", &file]);
    assert_eq!(done.code(), 0, "{done:?}");
    assert!(done.stderr.contains("ftplb.toml:2:"), "{done:?}");
    let other = at(9122).to_string();
    assert_eq!(health(place, &["--admin", &other]).code(), 1);
}
