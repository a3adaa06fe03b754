//! The API and the listings over it: what they tell, whom they refuse, and where they are served.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::console::{Console, ask_tcp, is_served};
use crate::process::{SOON, eventually, own_address, run};
use crate::proxy::{PROGRAM, Setup, field};
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, Server, USER};

#[test]
fn status_is_listed_as_ipvsadm_lists_it() {
    let doors = [Door::new(), Door::new()];
    let [first, second] = doors.each_ref().map(Door::address);
    let pool = "algorithm = \"rr\"\nhealth = false\nejection = false\n\
                affinity = { timeout = \"6m\", prefix_v4 = 24 }\n";
    let console = Console::start(Setup::new(&[first, second]).pool(pool));
    let mut client = Peer::connect(console.proxy.address);
    let mut backend = doors[0].accept();
    backend.say("220 Hello.");
    client.reply(220);
    let vip = console.proxy.address;
    let version = env!("CARGO_PKG_VERSION");
    let columns = |address: SocketAddr, active| {
        let address = address.to_string();
        format!("  -> {address:<28} Masq    1      {active:<10} 0         \n")
    };
    let expected = format!(
        "ftplb {version} (sessions=1)\n\
         Prot LocalAddress:Port Scheduler Flags\n\
         \x20 -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n\
         TCP  {vip} rr persistent 360 mask 255.255.255.0\n{}{}",
        columns(first, 1),
        columns(second, 0),
    );
    assert_eq!(console.ok("status"), expected);
    let connections = console.ok("status -c");
    let of_session = connections.lines().nth(2).unwrap();
    let words: Vec<_> = of_session.split_whitespace().skip(2).collect();
    let [vip_text, backend_text] = [vip, first].map(|address| address.to_string());
    let source = words[1];
    assert_eq!(words, ["ESTABLISHED", source, &vip_text, &backend_text]);
    let template = connections.lines().nth(3).unwrap();
    assert!(
        template.contains(" NONE ") && template.contains(".0:0 "),
        "{template}"
    );
    assert!(
        template.ends_with(&format!(" {}:0", first.ip())),
        "{template}"
    );
    assert!(console.ok("status --timeout").ends_with(": 600 10 0\n"));
    let persistent = console.ok("status --persistent-conn");
    let row = persistent.lines().nth(4).unwrap();
    assert_eq!(row.split_whitespace().nth(3), Some("1"), "{row}");
    let json: serde_json::Value = serde_json::from_str(&console.ok("status --json")).unwrap();
    assert_eq!(json["listeners"][0]["sessions"], 1);
    assert_eq!(json["pools"][0]["affinity"]["entries"], 1);
}

#[test]
fn a_running_transfer_is_seen_as_it_goes() {
    let server = Server::start(Kind::Vsftpd);
    server.put_sparse("big", BIG);
    let console = Console::start(Setup::new(&[server.address]));
    let mut client = Peer::log_in(console.proxy.address, &crate::netns::Place::Host);
    let idle = &console.sessions("")[0];
    assert_eq!(idle["user"], USER);
    assert_eq!(idle["phase"], "command");
    assert!(
        idle["idle_left_seconds"].as_f64().unwrap() > 500.0,
        "{idle}"
    );
    let data = client.pasv();
    let mut data = Peer::connect(data);
    client.say("RETR big");
    client.reply(150);
    data.read_exact(1 << 20);
    let transfer = || console.sessions("")[0]["transfer"].clone();
    eventually("the transfer is seen", || {
        transfer()["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes >= 1 << 20)
    });
    assert_eq!(transfer()["verb"], "RETR");
    assert_eq!(transfer()["direction"], "to_client");
    let session = &console.sessions("")[0];
    assert_eq!(session["phase"], "transfer");
    assert!(session["idle_left_seconds"].is_null(), "{session}");
    let backend = console.backend("b0");
    assert_eq!(backend["transfers"], 1);
    assert!(backend["to_client_bytes"].as_u64().unwrap() >= 1 << 20);
    // What is counted while it moves is not counted again when it has ended.
    assert_eq!(
        data.read_to_end().len(),
        usize::try_from(BIG).unwrap() - (1 << 20)
    );
    client.reply(226);
    console.wait_for("b0", "transfers", 0);
    assert_eq!(console.backend("b0")["to_client_bytes"], BIG);
    let session = &console.sessions("")[0];
    assert_eq!(
        (&session["transfers"], &session["to_client_bytes"]),
        (&1.into(), &BIG.into())
    );
    let stats = console.ok("status --stats --exact");
    assert!(
        stats.lines().nth(4).unwrap().ends_with(&format!(" {BIG}")),
        "{stats}"
    );
}

/// More than fits into the buffers of the sockets on the way.
const BIG: u64 = 64 << 20;

#[test]
fn sessions_are_listed_by_backend_and_client() {
    let doors = [Door::new(), Door::new()];
    let console = Console::start(Setup::new(&doors.each_ref().map(Door::address)));
    let sources = [[127, 0, 0, 2], [127, 0, 0, 3]];
    let mut peers = Vec::new();
    for (door, source) in doors.iter().zip(sources) {
        let mut client = Peer::connect_from(source.into(), console.proxy.address);
        let mut backend = door.accept();
        backend.say("220 Hello.");
        client.reply(220);
        peers.push((client, backend));
    }
    let ids = |query: &str| -> Vec<_> {
        let sessions = console.sessions(query);
        sessions
            .iter()
            .map(|session| session["id"].as_u64().unwrap())
            .collect()
    };
    let all = ids("");
    assert_eq!(all.len(), 2);
    assert!(all.is_sorted(), "the oldest first: {all:?}");
    assert_eq!(ids("?backend=b1"), all[1..]);
    assert_eq!(ids(&format!("?backend={}", doors[0].address())), all[..1]);
    assert_eq!(ids("?client=127.0.0.2"), all[..1]);
    assert!(ids("?client=127.0.0.0/31").is_empty());
    assert_eq!(ids("?client=127.0.0.2/31&limit=1"), all[..1]);
    let limited = console.get("/v1/sessions?limit=1");
    assert_eq!(
        (&limited["total"], ids("?limit=1")),
        (&2.into(), all[..1].to_vec())
    );
    let table = console.ok("session list --backend b1");
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains(" 127.0.0.3:"), "{table}");
    let cut = console.run("session list --limit 1");
    assert_eq!(
        (cut.code(), cut.stderr.as_str()),
        (0, "1 of 2 sessions are shown\n")
    );
    for wrong in [
        "?limit=10001",
        "?limit=x",
        "?clint=127.0.0.1",
        "?client=here",
    ] {
        let (status, answer) = console.ask("GET", &format!("/v1/sessions{wrong}"), "", "");
        assert_eq!(status, 400, "{wrong}");
        assert!(answer["error"].is_string(), "{wrong}: {answer}");
    }
}

#[test]
fn whatever_is_asked_wrongly_is_answered_by_what_would_be_right() {
    let console = Console::start(Setup::new(&[Door::new().address()]));
    let json = "Content-Type: application/json\r\n";
    let long = format!("{{\"weight\": {}1}}", " ".repeat(5_000));
    let b0 = "/v1/pools/p/backends/b0";
    for (method, path, headers, body, expected) in [
        ("GET", "/", "", "", 404),
        ("GET", "/v2/status", "", "", 404),
        ("POST", "/v1/status", "", "", 405),
        ("GET", "/v1/reload", "", "", 405),
        ("POST", &format!("{b0}/explode"), "", "", 404),
        ("POST", "/v1/pools/q/backends/b0/drain", "", "", 404),
        ("POST", "/v1/pools/p/backends/b7/drain", "", "", 404),
        ("POST", &format!("{b0}/weight"), "", "", 400),
        ("POST", &format!("{b0}/weight"), "", "{\"weight\": 1}", 415),
        ("POST", &format!("{b0}/weight"), json, "{}", 400),
        (
            "POST",
            &format!("{b0}/weight"),
            json,
            "{\"weight\": -1}",
            400,
        ),
        (
            "POST",
            &format!("{b0}/weight"),
            json,
            "{\"weight\": 65536}",
            400,
        ),
        (
            "POST",
            &format!("{b0}/weight"),
            json,
            "{\"weight\": 1, \"x\": 1}",
            400,
        ),
        ("POST", &format!("{b0}/weight"), json, &long, 413),
        ("DELETE", "/v1/sessions/7", "", "", 404),
        ("DELETE", "/v1/sessions/x", "", "", 404),
        ("DELETE", "/v1/sessions/7?softly", "", "", 400),
    ] {
        let (status, answer) = console.ask(method, path, headers, body);
        assert_eq!(status, expected, "{method} {path} {body:.30}: {answer}");
        let is_told = answer["error"].is_string() || expected == 413;
        assert!(is_told, "{method} {path}: {answer}");
    }
    assert!(!console.proxy.log().contains("order taken"));
}

#[test]
fn an_order_over_http_is_answered_by_the_names_there_are_or_by_what_it_did() {
    let console = Console::start(Setup::new(&[Door::new().address()]));
    let names = |path: &str| console.ask("POST", path, "", "").1["details"].clone();
    assert_eq!(
        names("/v1/pools/q/backends/b0/drain"),
        serde_json::json!(["p"])
    );
    assert_eq!(
        names("/v1/pools/p/backends/b7/drain"),
        serde_json::json!(["b0"])
    );
    let weight = "/v1/pools/p/backends/b0/weight";
    let json = "Content-Type: application/json\r\n";
    for (body, expected) in [("{\"weight\": 7}", 7), ("{\"weight\": null}", 1)] {
        let (status, answer) = console.ask("POST", weight, json, body);
        assert_eq!(
            (status, &answer["weight"]),
            (200, &expected.into()),
            "{answer}"
        );
    }
}

#[test]
fn pages_of_other_origins_and_rebound_names_are_refused_on_a_loopback_address() {
    let address = own_address(false, 9122);
    let door = Door::new();
    let proxy = { Setup::new(&[door.address()]).api(&address.to_string()) }.start();
    let own = format!("Host: {address}\r\n");
    let drain = "/v1/pools/p/backends/b0/drain";
    for (method, path, headers, expected) in [
        ("GET", "/v1/status", own.clone(), 200),
        ("GET", "/v1/status", "Host: localhost:9122\r\n".into(), 200),
        (
            "GET",
            "/v1/status",
            "Host: rebound.example:9122\r\n".into(),
            403,
        ),
        (
            "GET",
            "/v1/status",
            format!("Host: {}\r\n", address.ip()),
            403,
        ),
        (
            "POST",
            drain,
            format!("{own}Origin: http://evil.example\r\n"),
            403,
        ),
        ("POST", drain, format!("{own}Origin: null\r\n"), 403),
        (
            "POST",
            drain,
            format!("{own}Origin: http://{address}\r\n"),
            200,
        ),
    ] {
        let (status, answer) = ask_tcp(address, method, path, &headers, "");
        assert_eq!(status, expected, "{path} {headers}: {answer}");
    }
    let weight = "/v1/pools/p/backends/b0/weight";
    let form = format!("{own}Content-Type: text/plain\r\n");
    assert_eq!(
        ask_tcp(address, "POST", weight, &form, "{\"weight\": 0}").0,
        415
    );
    let mut command = Command::new(PROGRAM);
    command.args(["backend", "resume", "b0", "--api", &address.to_string()]);
    run(&mut command, SOON).expect_success("the command line over TCP");
    let orders = proxy.wait_for_log("\"message\":\"order taken\"", 2);
    assert!(field(&orders[1], "by").starts_with("127."), "{orders:?}");
}

#[test]
fn the_socket_is_its_owner_s_alone_and_goes_with_ftplb() {
    let mut console = Console::start(Setup::new(&[Door::new().address()]));
    let mode = fs::metadata(&console.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A second ftplb finds it taken, says so, and leaves it alone.
    let second = Setup::new(&[Door::new().address()]).api(&console.socket.display().to_string());
    let refused = second.run_to_end();
    assert_eq!(refused.code(), 71, "{refused:?}");
    assert!(refused.stderr.contains("answers at"), "{refused:?}");
    assert!(is_served(&console.socket));
    console.proxy.signal(Signal::SIGTERM);
    assert_eq!(console.proxy.finish().code(), 0);
    assert!(!console.socket.exists());
    let nobody = console.run("status");
    assert_eq!(nobody.code(), 69);
    let expected = format!(
        "no ftplb answers at {}: is it running",
        console.socket.display()
    );
    assert!(nobody.stderr.starts_with(&expected), "{nobody:?}");
}

#[test]
fn the_socket_of_a_killed_ftplb_is_replaced() {
    let mut console = Console::start(Setup::new(&[Door::new().address()]));
    console.proxy.signal(Signal::SIGKILL);
    console.proxy.finish();
    assert!(console.socket.exists(), "nobody was there to remove it");
    let next = Setup::new(&[Door::new().address()]).api(&console.socket.display().to_string());
    let _next = next.start();
    console.ok("status");
}

#[test]
fn a_stopping_ftplb_still_says_what_it_waits_for() {
    let door = Door::new();
    let mut console = Console::start(Setup::new(&[door.address()]));
    let mut client = Peer::connect(console.proxy.address);
    let mut backend = door.accept();
    backend.say("220 Hello.");
    client.reply(220);
    client.say("NOOP");
    backend.hears("NOOP");
    console.proxy.signal(Signal::SIGTERM);
    eventually("the status says so", || {
        console.get("/v1/status")["draining"] == true
    });
    let heading = console.ok("status");
    assert!(heading.contains("(sessions=1, draining)"), "{heading}");
    backend.say("200 Zzz.");
    client.reply(200);
    client.reply(421);
    drop(client);
    assert_eq!(console.proxy.finish().code(), 0);
}

#[test]
fn a_reload_by_order_takes_the_file_as_it_is_or_says_every_mistake() {
    let doors = [Door::new(), Door::new()];
    let [first, second] = doors.each_ref().map(Door::address);
    let console = Console::start(Setup::new(&[first]));
    let config = console.proxy.config();
    let before = fs::read_to_string(&config).unwrap();
    let backend = format!("\n[[pool.backend]]\nname = \"b1\"\naddress = \"{second}\"\n[admin]\n");
    fs::write(&config, before.replace("\n[admin]\n", &backend)).unwrap();
    let said = console.ok("reload");
    assert!(
        said.contains(&second.to_string()) && said.ends_with("reloaded\n"),
        "{said}"
    );
    assert_eq!(console.backend("b1")["address"], second.to_string());
    fs::write(
        &config,
        before.replace("[admin]", "[amin]\nx = 1\n[pool]\n[admin]"),
    )
    .unwrap();
    let refused = console.run("reload");
    assert_eq!(refused.code(), 78, "{refused:?}");
    assert!(
        refused.stderr.contains("nothing has changed"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("amin"), "{refused:?}");
    assert!(console.backend("b1").is_object(), "nothing has changed");
    fs::write(&config, before).unwrap();
    console.ok("reload");
    eventually("the backend is gone", || {
        console.get("/v1/status")["pools"][0]["backends"]
            .as_array()
            .unwrap()
            .len()
            == 1
    });
}
