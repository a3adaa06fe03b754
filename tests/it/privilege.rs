//! What ftplb gives up when root starts it, what it can do afterwards, and whom the admin address tells of it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, User};
use tempfile::TempDir;

use crate::netns::Place;
use crate::process::{SOON, eventually, own_address, run};
use crate::proxy::{PROGRAM, Proxy, Setup, field};
use crate::scripted::{Door, Peer, six};
use crate::servers::{Kind, Server};

/// A user of every Debian-like host that owns nothing here.
const USER: &str = "daemon";

fn ids() -> (u32, u32) {
    let user = User::from_name(USER).unwrap().expect("the user exists");
    (user.uid.as_raw(), user.gid.as_raw())
}

/// Real, effective, saved and that of files: all the same.
fn four(id: u32) -> String {
    format!("{id} {id} {id} {id}")
}

/// The line of `/proc/PID/task/TID/status` that begins so, of each task of the process.
fn of_every_task(pid: Pid, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let value = |task: std::io::Result<fs::DirEntry>| {
        // A thread may end meanwhile.
        let status = fs::read_to_string(task.unwrap().path().join("status")).ok()?;
        let line = { status.lines() }.find(|line| line.split(':').next() == Some(name));
        let words = line.unwrap().split_whitespace().skip(1);
        Some(words.collect::<Vec<_>>().join(" "))
    };
    tasks.filter_map(value).collect()
}

#[track_caller]
fn assert_every_task(pid: Pid, name: &str, expected: &str) {
    let found = of_every_task(pid, name);
    assert!(found.len() > 2, "the runtime and the log have threads");
    assert!(
        found.iter().all(|value| value == expected),
        "{name}: {found:?}"
    );
}

/// A listener on a privileged port, beside the configuration that `process` is.
fn privileged(process: &str) -> Setup {
    let address = SocketAddr::new(own_address(false, 0).ip(), 21);
    let admin = SocketAddr::new(address.ip(), 9121);
    let setup = Setup::new(&[Door::new().address()]).at(address, &Place::Host);
    setup
        .admin(admin)
        .tables(&format!("[process]\n{process}\n"))
}

#[test]
fn root_becomes_the_user_that_is_wanted_in_every_thread() {
    let (uid, gid) = ids();
    for (lines, capabilities) in [("", BIND), ("privileged_ports = false", NONE)] {
        let proxy = privileged(&format!("user = \"{USER}\"\n{lines}")).start();
        let pid = proxy.pid();
        assert_every_task(pid, "Uid", &four(uid));
        assert_every_task(pid, "Gid", &four(gid));
        assert_every_task(pid, "Groups", "");
        assert_every_task(pid, "CapEff", capabilities);
        assert_every_task(pid, "CapPrm", capabilities);
        for set in ["CapInh", "CapBnd", "CapAmb"] {
            assert_every_task(pid, set, NONE);
        }
        assert_every_task(pid, "NoNewPrivs", "1");
        let memory = fs::metadata(format!("/proc/{pid}/mem")).unwrap();
        assert_eq!(
            memory.uid(),
            0,
            "other processes of the user may not read it"
        );
        assert!(
            proxy.metric("process_open_fds", &[]) > 3.0,
            "it may look at itself"
        );
        // Port 21 is bound all the same.
        let mut client = Peer::connect(proxy.address);
        client.say("QUIT");
        let line = proxy.wait_for_log("privileges given up", 1).remove(0);
        assert_eq!(field(&line, "user"), USER);
        assert_eq!(field(&line, "no_new_privileges"), "true");
    }
}

/// `CAP_NET_BIND_SERVICE`.
const BIND: &str = "0000000000000400";
const NONE: &str = "0000000000000000";

#[test]
fn root_without_a_user_is_warned_of_and_nothing_is_given_up() {
    let proxy = Setup::new(&[Door::new().address()]).start();
    let pid = proxy.pid();
    assert_every_task(pid, "Uid", "0 0 0 0");
    assert_every_task(pid, "NoNewPrivs", "0");
    proxy.wait_for_log("ftplb runs as root: set process.user", 1);
    let proxy = privileged("user = \"root\"").start();
    assert_every_task(proxy.pid(), "Uid", "0 0 0 0");
    assert!(!proxy.log().contains("runs as root"), "{}", proxy.log());
}

#[test]
fn a_user_that_does_not_exist_is_a_mistake_before_anything_is_served() {
    for (user, said) in [
        (
            "no-such-user",
            "there is no user \"no-such-user\" on this host",
        ),
        (
            "daemon:no-such-group",
            "there is no group \"no-such-group\" on this host",
        ),
    ] {
        let done = privileged(&format!("user = \"{user}\"")).run_to_end();
        assert_eq!(done.code(), 71, "{done:?}");
        assert!(done.stderr.contains(said), "{done:?}");
    }
}

#[test]
fn who_is_not_root_stays_who_it_is_and_is_warned() {
    let address = own_address(false, 2121);
    let home = home(&toml(address, "user = \"nobody\"\nsandbox = false", ""));
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", PROGRAM]);
    let proxy = start(command, address, home);
    assert_every_task(proxy.pid(), "Uid", &four(ids().0));
    assert_every_task(proxy.pid(), "NoNewPrivs", "0");
    proxy.wait_for_log("process.user changes nothing", 1);
}

#[test]
fn a_reload_adds_a_privileged_port_while_the_right_is_kept() {
    for (lines, is_taken) in [("", true), ("privileged_ports = false", false)] {
        let address = own_address(false, 2121);
        let config = toml(address, &format!("user = \"{USER}\"\n{lines}"), "");
        let mut proxy = start(Command::new(PROGRAM), address, home(&config));
        let more = SocketAddr::new(address.ip(), 21);
        let config = format!("[[listener]]\naddress = \"{more}\"\n{config}");
        assert_eq!(proxy.reload(&config), is_taken, "{}", proxy.log());
        if is_taken {
            Peer::connect(more).say("QUIT");
        } else {
            let said = "process.privileged_ports = false gives both up";
            proxy.wait_for_log(said, 1);
        }
        assert!(
            !proxy.log().contains("a reload will fail"),
            "it may read its configuration: {}",
            proxy.log()
        );
    }
}

#[test]
fn a_configuration_that_only_root_may_read_is_warned_of() {
    let address = own_address(false, 2121);
    let home = home(&toml(address, &format!("user = \"{USER}\""), ""));
    let file = home.path().join("ftplb.toml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let proxy = start(Command::new(PROGRAM), address, home);
    let said = "a reload will fail, for ftplb is another user's now";
    let line = proxy.wait_for_log(said, 1).remove(0);
    let file = file.display();
    assert!(line.contains(&format!("{file}: cannot be read")), "{line}");
}

#[test]
fn active_data_comes_from_port_20_while_the_right_is_kept() {
    let server = Server::start(Kind::Vsftpd);
    for (lines, is_20) in [("", true), ("privileged_ports = false", false)] {
        let address = SocketAddr::new(own_address(false, 0).ip(), 21);
        let process = format!("user = \"{USER}\"\n{lines}");
        let config = toml(address, &process, "").replace(NOBODY, &server.address.to_string());
        let proxy = start(Command::new(PROGRAM), address, home(&config));
        let mut client = Peer::log_in(address, &Place::Host);
        let door = Door::at("127.0.0.1:0".parse().unwrap());
        client.say(&format!("PORT {}", six(door.address())));
        client.reply(200);
        client.say("LIST");
        client.reply(150);
        let mut data = door.accept();
        assert_eq!(data.peer().ip(), address.ip());
        assert_eq!(data.peer().port() == 20, is_20, "{}", proxy.log());
        data.is_closed();
        client.reply(226);
    }
}

#[test]
fn in_the_sandbox_the_log_and_the_socket_go_on_and_nothing_new_is_run() {
    let address = own_address(false, 2121);
    let home = home("");
    let place = |name: &str| home.path().join(name).display().to_string();
    let process = format!("user = \"{USER}\"");
    let config = |api: &str, pool: &str| {
        let log = place("own.log");
        toml(address, &process, &format!("api = \"{api}\"\n"))
            .replace("health = false\n", &format!("health = false\n{pool}"))
            .replace("[log]\n", &format!("[log]\nfile = \"{log}\"\n"))
    };
    let (socket, elsewhere) = (place("api.sock"), place("sub/api.sock"));
    fs::create_dir(home.path().join("sub")).unwrap();
    own(&home.path().join("sub"));
    let log = home.path().join("own.log");
    let path = home.path().join("ftplb.toml");
    fs::write(&path, config(&socket, "")).unwrap();
    let refused = [
        (
            config(&socket, "on_up = \"true\"\n"),
            "pool[0].on_up: no program can be run any more",
        ),
        (
            config(&elsewhere, ""),
            "admin.api: no socket can be made in",
        ),
    ];
    let mut proxy = start(Command::new(PROGRAM), address, home);
    let said = |text: &str| fs::read_to_string(&log).unwrap().contains(text);
    eventually("the log says what is given up", || said("\"files\":\""));
    if said("this kernel has no Landlock") {
        return eprintln!("nothing is tested of the sandbox: this kernel has no Landlock");
    }
    assert!(
        said("\"files\":\"restricted"),
        "{:?}",
        fs::read_to_string(&log)
    );
    // The socket is bound before its mode is set.
    eventually("the socket is there", || said("taking orders"));
    let metadata = fs::metadata(&socket).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), ids());
    assert_eq!(metadata.mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&log).unwrap().uid(), ids().0);
    for (config, why) in refused {
        fs::write(&path, config).unwrap();
        let mut command = Command::new(PROGRAM);
        let done = run(command.args(["reload", "--api", &socket]), SOON);
        assert_eq!(done.code(), 78, "{done:?}");
        assert!(done.stderr.contains(why), "{done:?}");
    }
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.finish().code(), 0);
    assert!(said("stopped"));
    assert!(!Path::new(&socket).exists(), "it could be removed");
}

#[test]
fn scripts_of_a_balancer_without_root_have_neither_root_nor_its_right() {
    let address = own_address(false, 2121);
    let home = home("");
    let seen = home.path().join("seen");
    let script = format!("sh -c 'cat /proc/self/status > {}; exit 0'", seen.display());
    let check = format!("health = {{ probe = \"script\", command = \"{script}\" }}\n");
    let config =
        toml(address, &format!("user = \"{USER}\""), "").replace("health = false\n", &check);
    fs::write(home.path().join("ftplb.toml"), config).unwrap();
    let proxy = start(Command::new(PROGRAM), address, home);
    let status = || fs::read_to_string(&seen).unwrap_or_default();
    // The last line of the file.
    eventually("the script has run", || {
        status().contains("nonvoluntary_ctxt_switches")
    });
    let value = |name: &str| {
        let status = status();
        let line = { status.lines() }.find(|line| line.split(':').next() == Some(name));
        let words: Vec<_> = line.unwrap().split_whitespace().skip(1).collect();
        words.join(" ")
    };
    assert_eq!(value("Uid"), four(ids().0));
    assert_eq!(value("Groups"), "");
    for set in ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"] {
        assert_eq!(value(set), NONE, "{set}");
    }
    assert_eq!(value("NoNewPrivs"), "1");
    let line = proxy.wait_for_log("privileges given up", 1).remove(0);
    assert_eq!(field(&line, "files"), "unrestricted: scripts are run");
}

#[test]
fn a_password_is_taken_from_a_file_and_read_again_by_a_reload() {
    let door = Door::new();
    let address = own_address(false, 2121);
    let home = home("");
    let (file, path) = (home.path().join("password"), home.path().join("ftplb.toml"));
    let write = |text: &str| {
        fs::write(&file, text).unwrap();
        own(&file);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    };
    let health = format!(
        "health = {{ probe = \"login\", user = \"u\", password_file = \"{}\", interval = \"1h\", \
         warmup = \"0s\" }}\n",
        file.display()
    );
    let config = toml(address, &format!("user = \"{USER}\""), "")
        .replace(NOBODY, &door.address().to_string())
        .replace("health = false\n", &health);
    fs::write(&path, &config).unwrap();
    write("hunter2\n");
    let shown = run(
        Command::new(PROGRAM).args(["show-config", "-c"]).arg(&path),
        SOON,
    );
    let shown = shown.expect_success("show-config");
    assert!(shown.stdout.contains("password_file = "), "{shown:?}");
    assert!(!shown.stdout.contains("hunter2"), "{shown:?}");
    let logs_in_by = |password: &str| {
        let mut backend = door.accept();
        backend.say("220 Hello.");
        backend.hears("USER u");
        backend.say("331 Password.");
        backend.hears(format!("PASS {password}"));
        backend.say("230 Welcome.");
        backend.hears("QUIT");
    };
    let mut proxy = start(Command::new(PROGRAM), address, home);
    logs_in_by("hunter2");
    write("tr0ub4dor\n");
    assert!(proxy.reload(&config), "{}", proxy.log());
    logs_in_by("tr0ub4dor");
    proxy.wait_for_log("health: another password", 1);
    write("two\nlines\n");
    assert!(!proxy.reload(&config));
    let line = proxy.wait_for_log("holds no password", 1).remove(0);
    assert!(line.contains(&file.display().to_string()), "{line}");
    for word in ["hunter2", "tr0ub4dor", "two"] {
        assert!(!proxy.log().contains(word), "{word}: {}", proxy.log());
    }
}

#[test]
fn metrics_are_told_to_prometheus_and_not_to_a_page_in_a_browser() {
    let proxy = Setup::new(&[Door::new().address()]).start();
    let own = format!("Host: {}\r\n", proxy.admin);
    for (headers, expected) in [
        (own.clone(), 200),
        ("Host: localhost:1234\r\n".into(), 200),
        ("Host: rebound.example:9121\r\n".into(), 403),
        (format!("{own}Origin: http://evil.example\r\n"), 403),
    ] {
        for path in ["/metrics", "/readyz", "/healthz"] {
            assert_eq!(
                status_of(proxy.admin, path, &headers),
                expected,
                "{path} {headers}"
            );
        }
    }
}

/// The status of the answer to `GET` with these headers, each a whole line.
fn status_of(address: SocketAddr, path: &str, headers: &str) -> u16 {
    let mut peer = Peer::connect(address);
    peer.send(format!(
        "GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"
    ));
    let answer = String::from_utf8(peer.read_to_end()).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// A configuration with a listener at `address`, and lines of `[process]` and `[admin]`.
fn toml(address: SocketAddr, process: &str, admin: &str) -> String {
    let ip = address.ip();
    format!(
        "[[listener]]\naddress = \"{address}\"\n[[pool]]\nhealth = false\n\
         [[pool.backend]]\naddress = \"{NOBODY}\"\n[log]\nformat = \"json\"\n\
         [process]\n{process}\n[admin]\naddress = \"{ip}:9121\"\n{admin}"
    )
}

/// A backend that nobody serves.
const NOBODY: &str = "127.0.0.1:9";

/// A directory of the user's own with this configuration in it.
fn home(config: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    own(home.path());
    fs::write(home.path().join("ftplb.toml"), config).unwrap();
    home
}

fn own(path: &Path) {
    let (uid, gid) = ids();
    chown(path, Some(uid), Some(gid)).unwrap();
}

/// Starts ftplb, which `command` begins, with the configuration that is in `home`.
fn start(mut command: Command, address: SocketAddr, home: TempDir) -> Proxy {
    command
        .args(["run", "-c"])
        .arg(home.path().join("ftplb.toml"));
    let admin = SocketAddr::new(address.ip(), 9121);
    Proxy::start(command, address, admin, &Place::Host, home)
}
