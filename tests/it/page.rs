//! The status page: in a real browser, and what it tells to whom. docs/status.md.

use std::net::{SocketAddr, TcpListener};

use nix::sys::signal::Signal;

use crate::browser::Browser;
use crate::console::ask_tcp;
use crate::health::checked_by;
use crate::netns::Place;
use crate::process::{eventually, own_address};
use crate::proxy::{Proxy, Setup};
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, Server, USER};

#[test]
fn a_browser_shows_what_runs_and_keeps_up_with_it() {
    let server = Server::start(Kind::Vsftpd);
    server.put_sparse("big", BIG);
    // Nobody listens there.
    let gone = own_address(false, 2121);
    let setup = Setup::new(&[server.address, gone]).pool(&checked_by("probe = \"tcp\""));
    let mut proxy = setup.start();
    proxy.wait_for_metric("ftplb_backend_up", &["backend=\"b1\""], 0.0);
    let mut client = Peer::log_in(proxy.address, &Place::Host);
    let mut data = Peer::connect(client.pasv());
    client.say("RETR big");
    client.reply(150);
    data.read_exact(1 << 20);
    let browser = Browser::start();
    browser.shown(1280, 900, "light");
    browser.open(&format!("http://{}/", proxy.admin));

    let rows = "[...document.querySelectorAll('tbody tr')].map(row => row.innerText)";
    let row = |of: &str, what: &str| {
        format!("{rows}.some(row => /{of}/.test(row) && /{what}/.test(row))")
    };
    browser.wait(&row("b0", "● up"));
    browser.wait(&row("b1", "✕ down[^]*✕ failed .* ago: .*refused"));
    browser.wait(&row(
        &proxy.address.to_string().replace('.', "\\."),
        ", \\d of 10,001 ports",
    ));
    browser.wait(&row(
        USER,
        "b0[^]*RETR[^]*big[^]*download for .*% of 67.1 MB",
    ));
    assert_eq!(
        browser.text("document.title"),
        "▲ ready, 1 backend not up · ftplb"
    );
    assert_eq!(
        browser.text("document.getElementById('state').innerText"),
        "▲ ready, 1 backend not up"
    );

    // It goes on by itself: what moves grows, and has a speed.
    let moved = "[...document.querySelectorAll('#sessions td')].find(cell => cell.dataset.label === 'Moved').innerText";
    let before = browser.text(moved);
    data.read_exact(16 << 20);
    browser.wait(&format!("{moved} !== '{before}'"));
    browser.wait("/[1-9].* [kM]?B\\/s/.test(document.getElementById('tiles').innerText)");

    // A telephone: nothing is wider than it.
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = browser.text(ground);
    browser.shown(360, 740, "dark");
    browser.wait(&format!("{ground} !== '{light}'"));
    browser.wait("innerWidth === 360 && document.documentElement.scrollWidth <= 360");
    browser.wait(&row("b1", "✕ down"));

    // A balancer that does not answer, and answers again.
    proxy.signal(Signal::SIGSTOP);
    browser.wait("/has not answered since/.test(document.getElementById('trouble').innerText)");
    assert_eq!(
        browser.text("document.getElementById('state').innerText"),
        "✕ no answer"
    );
    proxy.signal(Signal::SIGCONT);
    browser.wait("document.getElementById('trouble').hidden");
    browser.wait(&row("b0", "● up"));
    let complaints = browser.complaints();
    let foreign = complaints
        .iter()
        .filter(|line| !line.contains("status.json"));
    assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// More than fits into the buffers of the sockets on the way.
const BIG: u64 = 64 << 20;

#[test]
fn text_of_peers_is_never_markup_of_the_page() {
    let door = Door::new();
    let proxy = Proxy::before(&[door.address()]);
    let hostile = "<img src=x onerror=document.title='owned'>";
    let mut client = Peer::connect(proxy.address);
    let mut backend = door.accept();
    backend.say("220 Hello.");
    client.reply(220);
    client.say(&format!("USER {hostile}"));
    backend.line();
    backend.say("230 Welcome.");
    client.reply(230);
    let browser = Browser::start();
    browser.open(&format!("http://{}/", proxy.admin));
    let cell = "[...document.querySelectorAll('#sessions td')].find(cell => cell.dataset.label === 'User')?.innerText";
    browser.wait(&format!("{cell} === \"{hostile}\""));
    assert_eq!(browser.text("document.images.length"), "0");
    assert_eq!(browser.text("document.title"), "ftplb");
    // Were it markup, it would not run either.
    let markup = "<img src=\\'data:,\\' onerror=\\'document.title=1\\'>";
    browser.run(&format!(
        "document.body.insertAdjacentHTML('beforeend', '{markup}')"
    ));
    eventually("the policy has kept it from running", || {
        browser
            .complaints()
            .iter()
            .any(|line| line.contains("Content Security Policy"))
    });
    assert_eq!(browser.text("document.title"), "ftplb");
}

#[test]
fn sessions_are_told_where_the_configuration_says_so_and_to_no_name() {
    let door = Door::new();
    let everywhere = |port| SocketAddr::from(([0, 0, 0, 0], port));
    for (page, by_address, by_name) in [
        ("page = \"full\"\n", Some(true), Some(false)),
        ("", Some(false), Some(false)),
        ("page = \"off\"\n", None, None),
    ] {
        let free = TcpListener::bind(everywhere(0)).unwrap().local_addr();
        let admin = everywhere(free.unwrap().port());
        let setup = Setup::new(&[door.address()]).admin(admin).in_admin(page);
        let proxy = setup.start();
        let mut client = Peer::connect(proxy.address);
        let mut backend = door.accept();
        backend.say("220 Hello.");
        client.reply(220);
        for (host, shown) in [("127.0.0.1", by_address), ("ftplb.example", by_name)] {
            let host = format!("Host: {host}:{}\r\n", admin.port());
            let at = SocketAddr::from(([127, 0, 0, 1], admin.port()));
            let (status, told) = ask_tcp(at, "GET", "/status.json", &host, "");
            let Some(shown) = shown else {
                assert_eq!(status, 404, "{page}");
                assert_eq!(proxy.get("/").0, 404, "{page}");
                assert_eq!(proxy.get("/metrics").0, 200, "{page}");
                continue;
            };
            assert_eq!(status, 200, "{page} {host}");
            assert_eq!(told["pools"][0]["backends"][0]["name"], "b0");
            let sessions = &told["live"]["sessions"];
            assert_eq!(sessions.is_array(), shown, "{page} {host}: {told}");
            assert_eq!(told["hidden"].is_null(), shown, "{page} {host}: {told}");
            let client = client.own().to_string();
            assert_eq!(told.to_string().contains(&client), shown, "{page} {host}");
        }
    }
}

#[test]
fn a_page_on_a_loopback_address_tells_everything_to_this_host_and_nothing_to_other_pages() {
    let proxy = Proxy::before(&[Door::new().address()]);
    let own = format!("Host: {}\r\n", proxy.admin);
    let (status, told) = ask_tcp(proxy.admin, "GET", "/status.json", &own, "");
    assert_eq!((status, told["live"]["total"].as_u64()), (200, Some(0)));
    let foreign = format!("{own}Origin: http://evil.example\r\n");
    for headers in ["Host: evil.example\r\n", &foreign] {
        for path in ["/", "/status.json"] {
            let (status, _) = ask_tcp(proxy.admin, "GET", path, headers, "");
            assert_eq!(status, 403, "{path} {headers}");
        }
    }
    let (status, page) = proxy.get("/");
    assert_eq!(status, 200);
    let page = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http://", "https://", "src=", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}
