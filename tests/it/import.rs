//! A `keepalived.conf` or the rules of ipvsadm in place of a configuration of ftplb's own.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::netns::Place;
use crate::process::{Finished, Process, SOON, own_address, run};
use crate::proxy::{PROGRAM, Proxy};
use crate::scripted::{Door, Peer};

#[test]
fn run_serves_the_ftp_of_a_keepalived_conf() {
    let doors = [Door::new(), Door::new()];
    let [first, second] = doors.each_ref().map(|door| {
        let address = door.address();
        format!("real_server {} {} {{ }}\n", address.ip(), address.port())
    });
    let address = own_address(false, 2121);
    let admin = std::net::SocketAddr::new(address.ip(), 9121);
    let home = directory(&[
        (
            "keepalived.conf",
            "vrrp_instance VI_1 {\n  interface eth0\n}\ninclude conf.d/*.conf\n",
        ),
        (
            "conf.d/ftp.conf",
            "virtual_server $VIP 2121 {\n lb_algo rr\n inhibit_on_failure\n protocol TCP\n \
             include ../servers\n}\n",
        ),
        (
            "conf.d/0-vip.conf",
            &format!("$VIP={}\nvirtual_server $VIP 80 {{\n}}\n", address.ip()),
        ),
        ("servers", &format!("{first}{second}")),
    ]);
    let mut command = Command::new(PROGRAM);
    command.args(["run", "--ftp-port", "2121", "--admin", &admin.to_string()]);
    command
        .arg("--keepalived")
        .arg(home.path().join("keepalived.conf"));
    let proxy = Proxy::start(command, address, admin, &Place::Host, home);
    proxy.wait_until_ready();
    for door in &doors {
        let mut client = Peer::connect(proxy.address);
        door.accept().say("220 Ready.");
        client.hears("220 Ready.");
    }
    let log = proxy.log();
    assert!(
        log.contains("with a difference  inhibit_on_failure"),
        "{log}"
    );
    assert!(
        !log.contains("VI_1") && !log.contains("taken over"),
        "{log}"
    );
}

#[test]
fn import_prints_what_run_would_run() {
    let home = directory(&[(
        "k.conf",
        "virtual_server fwmark 21 {\n lb_algo lc\n persistence_timeout 50\n real_server 10.0.0.1 21 {\n \
         TCP_CHECK { connect_timeout 3 }\n }\n}\n",
    )]);
    let flags = ["--fwmark", "21=192.0.2.10:21", "--advertise", "203.0.113.1"];
    let with = |command: &[&str]| {
        let words: Vec<_> = command.iter().chain(&flags).copied().collect();
        ftplb(&words, home.path()).expect_success("ftplb")
    };
    let imported = with(&["import", "k.conf"]);
    assert!(
        imported.stderr.contains("k.conf:3  taken over"),
        "{imported:#?}"
    );
    assert!(
        imported.stderr.ends_with("0 not applicable\n"),
        "{imported:#?}"
    );
    fs::write(home.path().join("ftplb.toml"), imported.stdout).unwrap();
    let from_toml = ftplb(&["show-config", "-c", "ftplb.toml"], home.path());
    let from_conf = with(&["show-config", "--keepalived", "k.conf"]);
    assert_eq!(
        from_toml.expect_success("show-config").stdout,
        from_conf.stdout
    );
    with(&["check", "--keepalived", "k.conf"]);
}

#[test]
fn rules_of_ipvsadm_come_from_a_pipe() {
    let home = directory(&[(
        "rules",
        "-A -t 192.0.2.10:21 -s wlc -p 360\n-a -t 192.0.2.10:21 -r 10.0.0.1:21 -m -w 3\n",
    )]);
    let rules = fs::File::open(home.path().join("rules")).unwrap();
    let mut command = Command::new(PROGRAM);
    command
        .args(["import", "--ipvsadm", "-"])
        .stdin(rules)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let done = Process::start(&mut command).finish(SOON);
    let done = done.expect_success("import");
    assert!(
        done.stdout.contains("address = \"10.0.0.1:21\""),
        "{done:#?}"
    );
    assert!(done.stdout.contains("weight = 3"), "{done:#?}");
}

#[test]
fn mistakes_of_a_keepalived_conf_are_reported_at_its_lines_with_78() {
    let home = directory(&[
        (
            "k.conf",
            "include i.conf\nvirtual_server 192.0.2.1 21 {\n protocol TCP\n quorum x\n real_server 10.0.0 21 {\n }\n}\n",
        ),
        (
            "i.conf",
            "virtual_server 192.0.2.2 21 {\n protocol TPC\n real_server 10.0.0.1 21 {\n }\n}\n",
        ),
    ]);
    for command in [
        &["import", "k.conf"][..],
        &["run", "--keepalived", "k.conf"],
        &["check", "--keepalived", "k.conf"],
    ] {
        let done = ftplb(command, home.path());
        assert_eq!(done.code(), 78, "{done:#?}");
        assert_eq!(done.stdout, "", "{done:#?}");
        for start in [
            "i.conf:2: protocol: ",
            "k.conf:4: quorum: ",
            "k.conf:5: real_server: ",
        ] {
            assert!(done.stderr.contains(start), "{start}: {done:#?}");
        }
    }
    assert_eq!(ftplb(&["import", "none.conf"], home.path()).code(), 78);
}

#[test]
fn flags_that_say_the_same_twice_are_refused() {
    let home = directory(&[]);
    for flags in [
        &["--keepalived", "k.conf", "-c", "x.toml"][..],
        &["--keepalived", "k.conf", "--backend", "10.0.0.1"],
        &["--keepalived", "k.conf", "--algorithm", "rr"],
        &["--listen", "0.0.0.0", "--fwmark", "21=192.0.2.1"],
        &["-c", "x.toml", "--ftp-port", "2121"],
    ] {
        let words: Vec<_> = ["check"].iter().chain(flags).copied().collect();
        let done = ftplb(&words, home.path());
        assert_eq!(done.code(), 64, "{done:#?}");
    }
}

fn directory(files: &[(&str, &str)]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    home
}

fn ftplb(arguments: &[&str], directory: &Path) -> Finished {
    let mut command = Command::new(PROGRAM);
    run(command.args(arguments).current_dir(directory), SOON)
}
