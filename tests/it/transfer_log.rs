//! The log of transfers, beside what a real server writes of the same ones; rotated while it is written.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::User;
use serde_json::Value;
use tempfile::TempDir;

use crate::clients::{Mode, lftp};
use crate::netns::Place;
use crate::process::{Process, SOON, eventually, run};
use crate::proxy::{Proxy, Setup};
use crate::scripted::{Door, Peer};
use crate::servers::{Kind, PASSWORD, Server, USER as FTP_USER};

/// A directory for logs that ftplb may write to as [`USER`].
struct Logs(TempDir);

/// A user of every Debian-like host that owns nothing here.
const USER: &str = "daemon";

impl Logs {
    fn new() -> Self {
        let logs = Self(tempfile::tempdir().unwrap());
        let user = User::from_name(USER).unwrap().expect("the user exists");
        chown(
            logs.path(),
            Some(user.uid.as_raw()),
            Some(user.gid.as_raw()),
        )
        .unwrap();
        fs::set_permissions(logs.path(), Permissions::from_mode(0o750)).unwrap();
        logs
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The lines of `file`.
    fn lines(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits for so many lines in `file`, and gives them.
    fn wait_for(&self, file: &str, count: usize) -> Vec<String> {
        eventually(
            &format!("{file} has {count} lines: {:#?}", self.lines(file)),
            || self.lines(file).len() >= count,
        );
        self.lines(file)
    }

    /// The tables of a balancer that has no right any more when it opens its logs.
    fn tables(&self, format: &str) -> String {
        let path = self.path().display();
        format!(
            "file = \"{path}/ftplb.log\"\n[transfer_log]\nfile = \"{path}/transfers\"\nformat = \"{format}\"\n\
             [process]\nuser = \"{USER}\"\n"
        )
    }

    fn proxy(&self, server: &Server, format: &str) -> Proxy {
        { Setup::new(&[server.address]) }
            .tables(&self.tables(format))
            .start()
    }
}

fn curl(proxy: &Proxy, arguments: &[&str], path: &str) -> Command {
    let mut command = Command::new("curl");
    let login = format!("{FTP_USER}:{PASSWORD}");
    command.args(["-sS", "-u", &login]).args(arguments);
    command.arg(format!("ftp://{}/pub/{path}", proxy.address));
    command
}

/// A client stores, fetches, asks for what is not there, and is killed in the middle of an upload.
/// A balancer that watches for its death long enough for a busy host, which closes its data first.
fn this_and_that_transferred(logs: &Logs, server: &Server, format: &str) -> Proxy {
    let tables = logs.tables(format) + "[timeouts]\nupload_end = \"300ms\"\n";
    let proxy = { Setup::new(&[server.address]) }.tables(&tables).start();
    server.put("odd name.txt", b"down and out");
    // Of the last time.
    server.put("part.bin", b"");
    let directory = tempfile::tempdir().unwrap();
    let up = directory.path().join("up.bin");
    fs::write(&up, vec![7; 70_001]).unwrap();
    let up = up.to_str().unwrap();
    let out = ["-o", "/dev/null"];
    run(&mut curl(&proxy, &["-T", up], "a%20b.bin"), SOON).expect_success("curl -T");
    run(&mut curl(&proxy, &out, "odd%20name.txt"), SOON).expect_success("curl");
    run(&mut curl(&proxy, &out, "odd%20name.txt;type=a"), SOON).expect_success("curl");
    run(&mut curl(&proxy, &["--list-only"], ""), SOON).expect_success("curl -l");
    // Else curl asks for the size first, and then for nothing.
    let blind = ["--ignore-content-length", "-o", "/dev/null"];
    let refused = run(&mut curl(&proxy, &blind, "none"), SOON);
    assert_eq!(refused.code(), 78, "{refused:?}");
    let mut slow = curl(&proxy, &["--limit-rate", "50k", "-T", "-"], "part.bin");
    let mut feed = Command::new("head");
    feed.args(["-c", "10000000", "/dev/zero"])
        .stdout(Stdio::piped());
    let mut feed = feed.spawn().unwrap();
    slow.stdin(feed.stdout.take().unwrap());
    let mut slow = Process::start(&mut slow);
    eventually("a part has arrived", || server.size("part.bin") > 0);
    slow.kill();
    drop(slow);
    feed.kill().unwrap();
    feed.wait().unwrap();
    proxy
}

#[test]
fn an_xferlog_says_of_each_transfer_what_vsftpd_says_of_it() {
    let server = Server::start(Kind::Vsftpd);
    let logs = Logs::new();
    let _proxy = this_and_that_transferred(&logs, &server, "xferlog");
    let ours = logs.wait_for("transfers", 5);
    eventually("vsftpd has written its own", || server.xferlog().len() >= 5);
    let theirs = server.xferlog();
    assert_eq!((ours.len(), theirs.len()), (5, 5), "{ours:#?}{theirs:#?}");
    for (one, other) in ours.iter().zip(&theirs) {
        let what = format!("\n{one}\n{other}");
        let [ours, theirs] = [one, other].map(|line| line.split(' ').collect::<Vec<_>>());
        // A day below 10 stands behind two spaces.
        let at = usize::from(ours.get(2) == Some(&""));
        assert_eq!(ours.len(), 18 + at, "{what}");
        assert_eq!(theirs.len(), 18 + at, "{what}");
        // The time may be another second's. The address is ftplb's, to vsftpd.
        assert_eq!(ours[..3 + at], theirs[..3 + at], "{what}");
        assert_eq!(ours[4 + at], theirs[4 + at], "{what}");
        let [is_cut, file] = [ours[17 + at] == "i", ours[8 + at] == "/pub/part.bin"];
        if is_cut && file {
            let [sent, taken] = [&ours, &theirs].map(|of| of[7 + at].parse::<u64>().unwrap());
            assert!(taken > 0 && taken <= sent && sent < 10_000_000, "{what}");
        } else {
            assert_eq!(ours[7 + at], theirs[7 + at], "{what}");
        }
        assert_eq!(ours[8 + at..13 + at], theirs[8 + at..13 + at], "{what}");
        // vsftpd has the password here, which ftplb does not keep.
        assert_eq!(ours[13 + at], FTP_USER, "{what}");
        assert_eq!(ours[14 + at..], theirs[14 + at..], "{what}");
    }
    let words = |line: &String| {
        line.split_whitespace()
            .skip(8)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        ours.iter().map(words).collect::<Vec<_>>(),
        [
            "/pub/a_b.bin b _ i a ftp ftp 0 * c",
            "/pub/odd_name.txt b _ o a ftp ftp 0 * c",
            "/pub/odd_name.txt a _ o a ftp ftp 0 * c",
            "/pub/none b _ o a ftp ftp 0 * i",
            "/pub/part.bin b _ i a ftp ftp 0 * i",
        ]
    );
}

#[test]
fn a_line_of_json_says_who_what_where_how_much_and_how_it_ended() {
    let server = Server::start(Kind::Vsftpd);
    let logs = Logs::new();
    let proxy = this_and_that_transferred(&logs, &server, "json");
    let lines = logs.wait_for("transfers", 6);
    let lines: Vec<Value> = { lines.iter() }
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let all = |name: &str| {
        lines
            .iter()
            .map(|line| line[name].clone())
            .collect::<Vec<_>>()
    };
    let expected = ["STOR", "RETR", "RETR", "NLST", "RETR", "STOR"];
    assert_eq!(all("verb"), expected);
    let expected = [
        "a b.bin",
        "odd name.txt",
        "odd name.txt",
        "",
        "none",
        "part.bin",
    ];
    assert_eq!(all("path"), expected);
    let expected = [
        "/pub/a b.bin",
        "/pub/odd name.txt",
        "/pub/odd name.txt",
        "/pub",
        "/pub/none",
        "/pub/part.bin",
    ];
    assert_eq!(all("file"), expected);
    assert_eq!(all("type"), ["I", "I", "A", "A", "I", "I"]);
    assert_eq!(all("complete"), [true, true, true, true, false, false]);
    assert_eq!(lines[0]["bytes"], 70_001);
    assert_eq!(
        (&lines[4]["cause"], &lines[4]["reply"]),
        (&"refused".into(), &550.into())
    );
    let part = &lines[5];
    assert_eq!(part["side"], "client");
    assert!(part["bytes"].as_u64().unwrap() > 0, "{part}");
    for line in &lines {
        assert_eq!(line["user"], FTP_USER);
        assert_eq!(
            (&line["pool"], &line["backend"]),
            (&"p".into(), &"b0".into())
        );
        let address = server.address.to_string();
        assert_eq!(line["backend_address"], address.as_str());
        assert_eq!(line["vip"], proxy.address.to_string().as_str());
        assert_eq!(line["client"], "127.0.0.1");
        assert_eq!(line["mode"], "passive");
    }
}

#[test]
fn each_question_of_the_page_is_answered_by_its_command() {
    let server = Server::start(Kind::Vsftpd);
    let logs = Logs::new();
    let home = tempfile::tempdir().unwrap();
    for (format, name, count) in [("json", "transfers.log", 6), ("xferlog", "xferlog", 5)] {
        let _proxy = this_and_that_transferred(&logs, &server, format);
        logs.wait_for("transfers", count);
        fs::rename(logs.path().join("transfers"), home.path().join(name)).unwrap();
    }
    let page = fs::read_to_string(PAGE).unwrap();
    let blocks = page.split("```sh\n").skip(1);
    let commands: Vec<&str> = blocks
        .map(|block| block.split("```").next().unwrap())
        .collect();
    assert!(commands.len() > 8, "{commands:#?}");
    for command in commands {
        let mut shell = Command::new("sh");
        shell.args(["-euc", command]).current_dir(home.path());
        let done = run(&mut shell, SOON).expect_success(command);
        assert!(!done.stdout.is_empty(), "{command}{done:?}");
        eprintln!("{command}{}", done.stdout);
    }
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/transfer-log.md");

#[test]
fn times_of_an_xferlog_are_local_ones() {
    let server = Server::start(Kind::Pyftpdlib);
    let logs = Logs::new();
    let setup = Setup::new(&[server.address]).after("export TZ=XST-13:37");
    let proxy = setup.tables(&logs.tables("xferlog")).start();
    server.put("f", b"1");
    let date = || {
        let mut date = Command::new("date");
        date.args(["+%a %b %e %H:%M:"])
            .env("TZ", "XST-13:37")
            .env("LC_ALL", "C");
        run(&mut date, SOON).stdout.trim().to_owned()
    };
    let before = date();
    run(&mut curl(&proxy, &["-o", "/dev/null"], "f"), SOON).expect_success("curl");
    let line = logs.wait_for("transfers", 1).remove(0);
    let around = [before, date()];
    assert!(
        around.iter().any(|date| line.starts_with(date)),
        "{line} {around:?}"
    );
}

#[test]
fn logs_are_rotated_under_load_and_no_line_is_lost_or_cut() {
    const FILES: usize = 300;
    let server = Server::start(Kind::Pyftpdlib);
    let logs = Logs::new();
    let mut proxy = logs.proxy(&server, "json");
    let directory = tempfile::tempdir().unwrap();
    let up = directory.path().join("up");
    fs::create_dir(&up).unwrap();
    for index in 0..FILES {
        fs::write(up.join(format!("file-{index}")), [1; 100]).unwrap();
    }
    let script = "mirror -R --parallel=8 up there\n";
    let mut client = lftp(&Place::Host, proxy.address, Mode::Pasv, script);
    client.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = Process::start(client.current_dir(directory.path()));
    let mut rotations = 0;
    while client.ended().is_none() {
        for log in ["transfers", "ftplb.log"] {
            let name = logs.path().join(log);
            fs::rename(&name, logs.path().join(format!("{log}.{rotations}"))).unwrap();
        }
        rotations += 1;
        proxy.signal(Signal::SIGUSR1);
        eventually("both are opened anew", || {
            let is_there = |log| logs.path().join(log).exists();
            is_there("transfers") && is_there("ftplb.log")
        });
    }
    client.finish(SOON).expect_success("lftp mirror");
    assert!(rotations > 3, "{rotations}");
    let all = |log: &str| {
        let names = (0..rotations).map(|number| format!("{log}.{number}"));
        let files = names.chain([log.to_owned()]);
        let text = files.map(|file| fs::read_to_string(logs.path().join(file)).unwrap());
        text.collect::<String>()
    };
    eventually("all are written down", || {
        all("transfers").matches("\"STOR\"").count() >= FILES
    });
    let text = all("transfers");
    let stored: Vec<Value> = { text.lines() }
        .map(|line| serde_json::from_str(line).expect("a whole line"))
        .filter(|line: &Value| line["verb"] == "STOR")
        .collect();
    let names: BTreeSet<&str> = { stored.iter() }
        .map(|line| line["path"].as_str().unwrap())
        .collect();
    assert_eq!((stored.len(), names.len()), (FILES, FILES));
    let whole = |line: &str| serde_json::from_str::<Value>(line).is_ok();
    assert!(all("ftplb.log").lines().all(whole));
    let mode = fs::metadata(logs.path().join("transfers"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o640);
}

#[test]
fn the_file_for_logrotate_rotates_both_logs_for_real() {
    let server = Server::start(Kind::Pyftpdlib);
    let logs = Logs::new();
    let proxy = logs.proxy(&server, "xferlog");
    server.put("f", b"1");
    let fetch = || {
        run(&mut curl(&proxy, &["-o", "/dev/null"], "f"), SOON).expect_success("curl");
    };
    fetch();
    logs.wait_for("transfers", 1);
    // There is no systemd here: what is asked of it is done, and nothing else.
    let home = tempfile::tempdir().unwrap();
    let systemctl = home.path().join("systemctl");
    let text = format!(
        "#!/bin/sh\n[ \"$*\" = 'kill --kill-whom=main --signal=SIGUSR1 ftplb@*.service' ] && kill -USR1 {}\n",
        proxy.id()
    );
    fs::write(&systemctl, text).unwrap();
    fs::set_permissions(&systemctl, Permissions::from_mode(0o755)).unwrap();
    let file = fs::read_to_string(DEPLOYED).unwrap();
    let of_test = { file.replace("/var/log/ftplb/xferlog", "/var/log/ftplb/transfers") }
        .replace("/var/log/ftplb", &logs.path().display().to_string())
        .replace("su ftplb ftplb", &format!("su {USER} {USER}"));
    let config = home.path().join("ftplb");
    fs::write(&config, of_test).unwrap();
    let mut rotate = Command::new("/usr/sbin/logrotate");
    rotate.args(["--verbose", "--force", "--state"]);
    rotate.arg(home.path().join("state")).arg(&config);
    let path = std::env::var("PATH").unwrap();
    rotate.env("PATH", format!("{}:{path}", home.path().display()));
    run(&mut rotate, SOON).expect_success("logrotate");
    eventually("the logs are opened anew", || {
        let is_there = |log| logs.path().join(log).exists();
        is_there("transfers") && is_there("ftplb.log")
    });
    fetch();
    assert_eq!(logs.wait_for("transfers", 1).len(), 1);
    assert_eq!(logs.lines("transfers.1").len(), 1);
    assert!(logs.lines("ftplb.log.1").len() > 3);
}

/// What packages and operators install.
const DEPLOYED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/logrotate/ftplb");

#[test]
fn a_full_disk_under_the_transfer_log_stops_nothing_and_lost_lines_are_counted() {
    let server = Server::start(Kind::Pyftpdlib);
    server.put("f", b"1");
    let setup = Setup::new(&[server.address]);
    let proxy = setup
        .tables("[transfer_log]\nfile = \"/dev/full\"\n")
        .start();
    for _ in 0..3 {
        run(&mut curl(&proxy, &["-o", "/dev/null"], "f"), SOON).expect_success("curl");
    }
    proxy.wait_for_metric("ftplb_transfer_log_lines_dropped_total", &[], 3.0);
}

#[test]
fn a_transfer_log_that_can_not_be_written_is_a_mistake_at_the_start() {
    let setup = Setup::new(&[Door::new().address()]);
    let done = setup
        .tables("[transfer_log]\nfile = \"/nowhere/x\"\n")
        .run_to_end();
    assert_ne!(done.code(), 0);
    let said = "transfer_log.file: /nowhere/x cannot be opened for writing at its end";
    assert!(done.stderr.contains(said), "{done:?}");
}

#[test]
fn a_file_that_can_not_be_opened_anew_is_told_of_and_the_old_one_goes_on() {
    let logs = Logs::new();
    let inner = logs.path().join("inner");
    fs::create_dir(&inner).unwrap();
    let door = Door::new();
    let table = format!("[transfer_log]\nfile = \"{}/x\"\n", inner.display());
    let mut proxy = Setup::new(&[door.address()]).tables(&table).start();
    let elsewhere = logs.path().join("elsewhere");
    fs::rename(&inner, &elsewhere).unwrap();
    proxy.signal(Signal::SIGUSR1);
    proxy.wait_for_log("transfer_log.file: cannot be opened anew", 1);
    let mut client = Peer::connect(proxy.address);
    let mut backend = door.accept();
    backend.say("220 Scripted.");
    client.hears("220 Scripted.");
    client.say("RETR f");
    backend.hears("RETR f");
    backend.say("550 No.");
    client.hears("550 No.");
    eventually("the line is in the old file", || {
        fs::read_to_string(elsewhere.join("x")).is_ok_and(|text| text.contains("\"RETR\""))
    });
}
