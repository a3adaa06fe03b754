//! Which backend a session gets: in turn, another when one is dead, none when all are.

use crate::clients::{Mode, Story, Tool, curl};
use crate::netns::Place;
use crate::process::{SOON, eventually, run};
use crate::proxy::{Proxy, Setup};
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, PASSWORD, Server, USER};

#[test]
fn sessions_are_spread_in_turn() {
    let doors = [Door::new(), Door::new()];
    let proxy = Proxy::before(&doors.each_ref().map(Door::address));
    let mut clients: Vec<Peer> = (0..6).map(|_| Peer::connect(proxy.address)).collect();
    let mut backends = Vec::new();
    for (door, name) in doors.iter().zip(["a", "b"]) {
        for _ in 0..3 {
            let mut backend = door.accept();
            backend.say(&format!("220 {name}"));
            backends.push(backend);
        }
    }
    let mut greetings: Vec<String> = clients.iter_mut().map(|client| client.reply(220)).collect();
    greetings.sort();
    assert_eq!(
        greetings,
        ["220 a", "220 a", "220 a", "220 b", "220 b", "220 b"]
    );
}

#[test]
fn session_stays_on_its_backend_with_all_its_data_connections() {
    let servers = [Server::start(Kind::Vsftpd), Server::start(Kind::Vsftpd)];
    servers[0].put("who.txt", b"first ");
    servers[1].put("who.txt", b"second ");
    let proxy = Proxy::before(&servers.each_ref().map(|server| server.address));
    let mut said = Vec::new();
    for options in [&[][..], &["-P", "-"]] {
        for _ in 0..2 {
            let mut command = curl(&Place::Host, options);
            // One session, five data connections.
            command.args(vec![format!("ftp://{}/pub/who.txt", proxy.address); 5]);
            said.push(run(&mut command, SOON).expect_success("curl").stdout);
        }
    }
    said.sort();
    let [first, second] = ["first ".repeat(5), "second ".repeat(5)];
    assert_eq!(said, [first.clone(), first, second.clone(), second]);
}

#[test]
fn dead_backend_is_passed_over_and_the_client_sees_nothing_of_it() {
    let dead = Door::new().address();
    let door = Door::new();
    let proxy = Proxy::before(&[dead, door.address()]);
    for _ in 0..4 {
        let mut client = Peer::connect(proxy.address);
        door.accept().say("220 Alive.");
        client.hears("220 Alive.");
    }
}

#[test]
fn silent_backend_is_passed_over() {
    let [silent, good] = [Door::new(), Door::new()];
    let proxy = Setup::new(&[silent.address(), good.address()])
        .tables("[timeouts]\ngreeting = \"300ms\"\n")
        .start();
    for _ in 0..2 {
        let mut client = Peer::connect(proxy.address);
        good.accept().say("220 Good.");
        client.hears("220 Good.");
    }
}

#[test]
fn backend_that_greets_with_421_is_passed_over() {
    let doors = [Door::new(), Door::new()];
    let proxy = Proxy::before(&doors.each_ref().map(Door::address));
    let [refusing, good] = doors;
    std::thread::spawn(move || {
        loop {
            refusing.accept().say("421 Full.");
        }
    });
    for _ in 0..2 {
        let mut client = Peer::connect(proxy.address);
        good.accept().say("220 Good.");
        client.hears("220 Good.");
    }
}

#[test]
fn client_is_told_421_when_all_backends_are_dead() {
    let dead = [Door::new().address(), Door::new().address()];
    let mut proxy = Proxy::before(&dead);
    for _ in 0..3 {
        let mut client = Peer::connect(proxy.address);
        client.reply(421);
        client.is_closed();
    }
    assert!(proxy.runs());
}

#[test]
fn health_checks_find_a_dead_backend_and_its_return() {
    let mut server = Server::start(Kind::Pyftpdlib);
    let health = "health = { probe = \"greeting\", interval = \"200ms\", timeout = \"1s\", \
                  rise = 1, fall = 1 }\nejection = false\n";
    let proxy = Setup::new(&[server.address]).pool(health).start();
    proxy.wait_for_metric("ftplb_backend_up", &["pool=\"p\"", "backend=\"b0\""], 1.0);
    server.kill();
    proxy.wait_for_metric("ftplb_backend_up", &["backend=\"b0\""], 0.0);
    assert_eq!(proxy.get("/readyz").0, 503);
    assert_eq!(proxy.get("/healthz").0, 200);
    Peer::connect(proxy.address).reply(421);
    let server = Server::start_at(Kind::Pyftpdlib, server.address, &Place::Host);
    proxy.wait_until_ready();
    Peer::log_in(proxy.address, &Place::Host);
    drop(server);
}

/// Connects from `source` and says which of the doors the session went to.
fn backend_of(proxy: &Proxy, doors: &[Door], source: [u8; 4]) -> usize {
    let mut client = Peer::connect_from(source.into(), proxy.address);
    let mut reached = None;
    eventually("a backend is reached", || {
        reached = doors
            .iter()
            .enumerate()
            .find_map(|(index, door)| Some((index, door.accept_now()?)));
        reached.is_some()
    });
    let (index, mut backend) = reached.unwrap();
    backend.say("220 Hello.");
    client.reply(220);
    index
}

fn doors_behind(pool: &str) -> (Vec<Door>, Proxy) {
    let doors: Vec<Door> = (0..3).map(|_| Door::new()).collect();
    let addresses: Vec<_> = doors.iter().map(Door::address).collect();
    let proxy = Setup::new(&addresses)
        .pool(&format!("health = false\nejection = false\n{pool}\n"))
        .start();
    (doors, proxy)
}

#[test]
fn affinity_brings_a_client_back_and_a_network_counts_as_one() {
    let (doors, proxy) =
        doors_behind("algorithm = \"rr\"\naffinity = { timeout = \"1m\", prefix_v4 = 31 }");
    let first = backend_of(&proxy, &doors, [127, 0, 0, 2]);
    let other = backend_of(&proxy, &doors, [127, 0, 0, 4]);
    assert_ne!(first, other);
    for _ in 0..3 {
        assert_eq!(backend_of(&proxy, &doors, [127, 0, 0, 2]), first);
        assert_eq!(backend_of(&proxy, &doors, [127, 0, 0, 3]), first);
        assert_eq!(backend_of(&proxy, &doors, [127, 0, 0, 4]), other);
    }
}

#[test]
fn every_algorithm_can_be_chosen_and_does_what_its_name_says() {
    for (algorithm, clients, expected) in [
        ("rr", [2, 3, 4, 5, 6, 7], Some([0, 1, 2, 0, 1, 2])),
        ("wrr", [2, 3, 4, 5, 6, 7], Some([0, 1, 2, 0, 1, 2])),
        // Of equally loaded ones the first, as ipvs has it: no session lasts here.
        ("lc", [2, 3, 4, 5, 6, 7], Some([0; 6])),
        ("wlc", [2, 3, 4, 5, 6, 7], Some([0; 6])),
        ("sed", [2, 3, 4, 5, 6, 7], Some([0; 6])),
        ("nq", [2, 3, 4, 5, 6, 7], Some([0; 6])),
        ("fo", [2, 3, 4, 5, 6, 7], Some([0; 6])),
        ("ovf", [2, 3, 4, 5, 6, 7], Some([0; 6])),
        ("lblc", [2, 3, 4, 5, 6, 7], Some([0; 6])),
        ("lblcr", [2, 3, 4, 5, 6, 7], Some([0; 6])),
        // Slots 252, 94, 192, 33, 131, 229 of the kernel's hash, each of the backend "modulo three".
        ("sh", [2, 3, 4, 5, 6, 7], Some([0, 1, 0, 0, 2, 1])),
        ("mh", [2, 3, 4, 2, 3, 4], None),
        // One VIP, one backend, whoever comes.
        ("dh", [2, 3, 4, 5, 6, 7], None),
    ] {
        let (doors, proxy) = doors_behind(&format!("algorithm = \"{algorithm}\""));
        let reached = clients.map(|client| {
            let index = backend_of(&proxy, &doors, [127, 0, 0, client]);
            proxy.wait_for_metric("ftplb_sessions_active", &[], 0.0);
            index
        });
        match expected {
            Some(expected) => assert_eq!(reached, expected, "{algorithm}"),
            None => assert_eq!(reached[..3], reached[3..], "{algorithm}"),
        }
    }
}

#[test]
fn backend_that_fails_in_live_traffic_is_left_out() {
    let dead = Door::new().address();
    let good = Door::new();
    let proxy = Setup::new(&[dead, good.address()])
        .pool(
            "algorithm = \"rr\"\nhealth = false\n\
             ejection = { failures = 2, time = \"10m\" }\n",
        )
        .start();
    for _ in 0..6 {
        let mut client = Peer::connect(proxy.address);
        good.accept().say("220 Good.");
        client.hears("220 Good.");
    }
    proxy.wait_for_metric("ftplb_backend_up", &["backend=\"b0\""], 0.0);
    proxy.wait_for_metric("ftplb_backend_ejections_total", &["backend=\"b0\""], 1.0);
    assert_eq!(proxy.get("/readyz").0, 200);
}

#[test]
fn login_check_tells_a_server_that_takes_the_password_from_one_that_does_not() {
    let server = Server::start(Kind::Pyftpdlib);
    for (password, up) in [(PASSWORD, 1.0), ("wrong", 0.0)] {
        let health = format!(
            "health = {{ probe = \"login\", user = \"{USER}\", password = \"{password}\", \
             interval = \"200ms\", timeout = \"10s\", rise = 1, fall = 1 }}\nejection = false\n"
        );
        let proxy = Setup::new(&[server.address]).pool(&health).start_unready();
        let result = if up > 0.5 {
            "result=\"ok\""
        } else {
            "result=\"failed\""
        };
        eventually("a check has ended", || {
            proxy.metric("ftplb_backend_checks_total", &[result]) >= 1.0
        });
        proxy.wait_for_metric("ftplb_backend_up", &[], up);
        assert!(!proxy.log().contains(password), "{}", proxy.log());
    }
}

#[test]
fn user_s_name_decides_which_backend_it_meets() {
    let (doors, proxy) = doors_behind("algorithm = \"user_hash\"");
    let backend_of = |user: &str, source: [u8; 4]| {
        let mut client = Peer::connect_from(source.into(), proxy.address);
        client.hears("220 FTP server ready.");
        client.say(&format!("USER {user}"));
        let mut reached = None;
        eventually("a backend is reached", || {
            reached = doors
                .iter()
                .enumerate()
                .find_map(|(index, door)| Some((index, door.accept_now()?)));
            reached.is_some()
        });
        let (index, mut backend) = reached.unwrap();
        backend.say("220 Never seen.");
        backend.hears(format!("USER {user}"));
        backend.say("331 Password please.");
        client.hears("331 Password please.");
        index
    };
    let users: Vec<String> = (0..40).map(|n| format!("user{n}")).collect();
    let first: Vec<_> = { users.iter() }
        .map(|user| backend_of(user, [127, 0, 0, 2]))
        .collect();
    let again: Vec<_> = { users.iter() }
        .map(|user| backend_of(user, [127, 0, 0, 3]))
        .collect();
    assert_eq!(first, again, "from wherever they come");
    for index in 0..3 {
        assert!(first.contains(&index), "{first:?}");
    }
}

#[test]
fn real_clients_work_where_the_user_s_name_decides() {
    let server = Server::start(Kind::Vsftpd);
    let proxy = Setup::new(&[server.address])
        .pool("algorithm = \"user_hash\"\n")
        .start();
    for tool in [Tool::Curl, Tool::Ftplib, Tool::Lftp, Tool::Tnftp] {
        Story::new(tool, Mode::Pasv, proxy.address, &Place::Host).run(&server);
    }
}
