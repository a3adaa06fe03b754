//! The proof that a reload costs nobody anything: clients copy hundreds of files while the configuration
//! changes under them, and none of the files fails.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::clients::{Mode, lftp};
use crate::netns::Place;
use crate::process::{Process, eventually, own_address, own_ip};
use crate::proxy::Proxy;
use crate::scripted::Peer;
use crate::servers::{Kind, PASSWORD, Server, USER};

/// Files of 1 to 64 KiB on each server.
const FILES: u32 = 200;

/// One more, which takes a client some seconds: its session is there before a reload and after it.
const LARGE: &str = "large";

/// Much more than sockets hold, so that it is in transfer while the client reads it.
const LARGE_BYTES: usize = 24 << 20;

/// For all of it. The clients are done soon after the last reload.
const LIMIT: Duration = Duration::from_secs(50);

/// What the configuration says at one time.
#[derive(Clone, Copy)]
struct Stage {
    /// The lines of the pool.
    pool: &'static str,
    /// Which servers are in the pool, under which name and with which weight.
    backends: &'static [(usize, &'static str, u32)],
    /// The lines of the first listener.
    listener: &'static str,
    has_second_listener: bool,
}

const BASE: Stage = Stage {
    pool: "algorithm = \"rr\"",
    backends: &[(0, "a", 1), (1, "b", 1)],
    listener: "",
    has_second_listener: false,
};

const STAGES: [Stage; 9] = [
    Stage {
        backends: &[(0, "a", 3), (1, "b", 1)],
        ..BASE
    },
    Stage {
        pool: "algorithm = \"wlc\"",
        ..BASE
    },
    Stage {
        backends: &[(0, "a", 1)],
        ..BASE
    },
    Stage {
        backends: &[(0, "a", 1), (2, "c", 2)],
        has_second_listener: true,
        ..BASE
    },
    Stage {
        backends: &[(2, "c", 1), (1, "b", 1)],
        listener: "passive_ports = \"10000-10999\"",
        has_second_listener: true,
        ..BASE
    },
    Stage {
        pool: "algorithm = \"mh\"\naffinity = true",
        backends: &[(0, "back", 1), (1, "b", 1), (2, "c", 1)],
        ..BASE
    },
    Stage {
        pool: "algorithm = \"wrr\"\nslow_start = \"1s\"\nwaiting = true",
        backends: &[(1, "b", 1), (2, "c", 5)],
        listener: "passive_ports = \"11000-11999\"",
        ..BASE
    },
    Stage {
        backends: &[(0, "a", 1)],
        ..BASE
    },
    BASE,
];

/// Two addresses that clients connect to, the admin address, and the servers.
struct Scene {
    address: SocketAddr,
    second: SocketAddr,
    admin: SocketAddr,
    servers: [Server; 3],
}

impl Scene {
    fn config(&self, stage: Stage) -> String {
        let Self {
            address,
            second,
            admin,
            servers,
        } = self;
        let Stage {
            pool,
            backends,
            listener,
            has_second_listener,
        } = stage;
        let mut text = format!("[[listener]]\naddress = \"{address}\"\n{listener}\n");
        if has_second_listener {
            writeln!(text, "[[listener]]\naddress = \"{second}\"").unwrap();
        }
        write!(
            text,
            "[admin]\naddress = \"{admin}\"\n[log]\nformat = \"json\"\n"
        )
        .unwrap();
        let health = "health = { interval = \"300ms\", timeout = \"2s\" }";
        write!(text, "[[pool]]\nname = \"p\"\n{health}\n{pool}\n").unwrap();
        for (server, name, weight) in backends {
            let address = servers[*server].address;
            let table = "[[pool.backend]]";
            writeln!(
                text,
                "{table}\nname = \"{name}\"\naddress = \"{address}\"\nweight = {weight}"
            )
            .unwrap();
        }
        text
    }
}

#[test]
fn a_mirror_of_hundreds_of_files_loses_none_over_reloads() {
    let [small, large] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let servers = [(); 3].map(|()| Server::start(Kind::Vsftpd));
    for number in 0..FILES {
        let (name, content) = file(number);
        fs::write(small.path().join(&name), &content).unwrap();
        for server in &servers {
            server.put(&name, &content);
        }
    }
    fs::write(large.path().join(LARGE), vec![0; LARGE_BYTES]).unwrap();
    for server in &servers {
        server.put_sparse(LARGE, LARGE_BYTES.try_into().unwrap());
    }
    let address = own_address(false, 2121);
    let scene = Scene {
        address,
        second: SocketAddr::new(own_ip().into(), 2121),
        admin: SocketAddr::new(address.ip(), 9121),
        servers,
    };
    let mut proxy = Proxy::with(&scene.config(BASE), address, scene.admin);
    proxy.wait_until_ready();
    let mut mirror = Mirror::start(address);
    let enough = large.path().with_extension("enough");
    let mut clients = [(&small, "0"), (&large, "0.008"), (&large, "0.008")]
        .map(|(originals, pace)| fetch(address, originals.path(), &enough, pace));
    for stage in STAGES {
        wait_for_sessions(&proxy, 20.0);
        // There is one all along, however long the stages take here.
        if mirror.lftp.ended().is_some() {
            std::mem::replace(&mut mirror, Mirror::start(address)).check();
        }
        assert!(proxy.reload(&scene.config(stage)));
        if stage.has_second_listener {
            Peer::log_in(scene.second, &Place::Host);
        }
        assert!(!proxy.reload("[[listener]]\naddress = \"nowhere\"\n"));
    }
    wait_for_sessions(&proxy, 20.0);
    fs::write(&enough, "").unwrap();
    let done = clients.each_mut().map(|client| client.finish(LIMIT));
    fs::remove_file(&enough).unwrap();
    for done in done {
        let done = done.expect_success("a client without retries");
        assert!(done.stdout.contains("no file failed"), "{done:#?}");
    }
    mirror.check();
    let said = proxy.log();
    assert!(!said.contains("no backend could take a session"), "{said}");
}

/// Waits until so many sessions more have ended: the configuration in effect has been used.
fn wait_for_sessions(proxy: &Proxy, more: f64) {
    let ended = || proxy.metric("ftplb_sessions_total", &["cause="]);
    let (mut last, mut seen) = (ended(), 0.0);
    eventually("sessions begin and end", || {
        let now = ended();
        // The series of a backend that is gone are gone as well, so the sum may fall.
        seen += (now - last).max(0.0);
        last = now;
        seen >= more
    });
}

/// A name, and bytes that no other file has.
fn file(number: u32) -> (String, Vec<u8>) {
    let length = 1024 + (usize::try_from(number).unwrap() * 7_919) % (63 << 10);
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    let byte = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    let content = std::iter::repeat_with(byte).take(length).collect();
    (format!("file{number:03}.bin"), content)
}

/// lftp as its users mirror, but for a rate that makes it last: some files at a time, one retry each.
struct Mirror {
    lftp: Process,
    copies: TempDir,
}

impl Mirror {
    fn start(address: SocketAddr) -> Self {
        let copies = tempfile::tempdir().unwrap();
        let script = format!(
            "set net:limit-total-rate 250K\nset net:limit-total-max 16K\nset net:connection-limit 3\nset net:max-retries 3\n\
             set net:reconnect-interval-base 0\nmirror --exclude large --parallel=3 . {}\n",
            copies.path().display()
        );
        let mut command = lftp(&Place::Host, address, Mode::Pasv, &script);
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let lftp = Process::start(&mut command);
        Self { lftp, copies }
    }

    /// It has every file as it is on the servers.
    fn check(mut self) {
        self.lftp.finish(LIMIT).expect_success("lftp");
        for number in 0..FILES {
            let (name, content) = file(number);
            let copy = fs::read(self.copies.path().join(&name)).unwrap_or_default();
            assert!(copy == content, "{name} differs");
        }
    }
}

/// Python's ftplib: a session for each file and no second try, until there is enough.
fn fetch(address: SocketAddr, originals: &Path, enough: &Path, pace: &str) -> Process {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fetch_each.py");
    let mut command = Command::new("/usr/bin/python3");
    command
        .arg(script)
        .args([address.ip().to_string(), address.port().to_string()])
        .args([USER, PASSWORD])
        .args([originals, enough])
        .arg(pace);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::start(&mut command)
}
