//! Real clients that do more than one thing at a time: mirrors of many files, and aborted transfers.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::clients::{Mode, curl, ftplib, lftp, noise, tnftp};
use crate::netns::Place;
use crate::process::{SOON, eventually, run};
use crate::proxy::Proxy;
use crate::servers::{Kind, Server};

#[test]
fn two_hundred_files_are_mirrored_in_parallel_both_ways() {
    for (kind, mode) in [(Kind::Pyftpdlib, Mode::Pasv), (Kind::Vsftpd, Mode::Port)] {
        let server = Server::start(kind);
        let proxy = Proxy::before(&[server.address]);
        let directory = tempfile::tempdir().unwrap();
        let up = directory.path().join("up");
        fs::create_dir(&up).unwrap();
        for index in 0..200_u16 {
            let content = noise(usize::from(index) * 97, u64::from(index));
            fs::write(up.join(format!("file-{index}.bin")), content).unwrap();
        }
        let script = "mirror -R --parallel=8 up there\nmirror --parallel=8 there down\n";
        let mut command = lftp(&Place::Host, proxy.address, mode, script);
        run(command.current_dir(directory.path()), 3 * SOON).expect_success("lftp mirror");
        let mut compare = Command::new("diff");
        compare
            .args(["-r", "up", "down"])
            .current_dir(directory.path());
        run(&mut compare, SOON).expect_success("diff");
        assert_eq!(
            fs::read_dir(directory.path().join("down")).unwrap().count(),
            200
        );
    }
}

/// A server with a file that takes long, and one to see afterwards that the session still works;
/// ftplb before it; an empty directory for the client.
struct Scene {
    _server: Server,
    proxy: Proxy,
    directory: tempfile::TempDir,
}

impl Scene {
    fn new(kind: Kind) -> Self {
        let server = Server::start(kind);
        server.put_sparse("big.bin", 300 << 20);
        server.put("who.txt", b"still here");
        let proxy = Proxy::before(&[server.address]);
        Self {
            _server: server,
            proxy,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The client has aborted one download and completed another in the same session.
    fn ends_well(&self, said: &str) {
        let got = fs::read(self.path().join("who.txt")).unwrap_or_default();
        assert_eq!(
            String::from_utf8_lossy(&got),
            "still here",
            "{said}{}",
            self.proxy.log()
        );
        self.proxy.wait_for_metric("ftplb_leases_in_use", &[], 0.0);
    }
}

#[test]
fn ftplib_aborts_with_urgent_data_and_goes_on() {
    for (kind, mode) in [(Kind::Pyftpdlib, Mode::Port), (Kind::Vsftpd, Mode::Pasv)] {
        let scene = Scene::new(kind);
        let done = ftplib(
            &Place::Host,
            scene.proxy.address,
            mode,
            scene.path(),
            "abort",
        );
        scene.ends_well(&done.expect_success("ftplib").stdout);
    }
}

#[test]
fn tnftp_aborts_as_bsd_does_and_goes_on() {
    for (kind, mode) in [(Kind::Pyftpdlib, Mode::Epsv), (Kind::Vsftpd, Mode::Eprt)] {
        let scene = Scene::new(kind);
        let script = "rate get 1000000\nget big.bin big.bin\nget who.txt\n";
        let mut client = tnftp(
            &Place::Host,
            scene.proxy.address,
            mode,
            scene.path(),
            script,
        );
        let big = scene.path().join("big.bin");
        let begins = || fs::metadata(&big).is_ok_and(|file| file.len() > 0);
        eventually("the download begins", begins);
        client.signal(Signal::SIGINT);
        let done = client.finish(SOON);
        scene.ends_well(&(done.stdout + &done.stderr));
        assert!(fs::metadata(&big).unwrap().len() < 300 << 20);
    }
}

#[test]
fn lftp_aborts_as_telnet_wants_it_and_goes_on() {
    let scene = Scene::new(Kind::Pyftpdlib);
    let script = "set net:limit-rate 1M\nget big.bin &\nsleep 1\nkill all\n\
                  set net:limit-rate 0\nget who.txt\n";
    let mut command = lftp(&Place::Host, scene.proxy.address, Mode::Pasv, script);
    let done = run(command.current_dir(scene.path()), SOON);
    assert!(done.stderr.contains("ABOR"), "{done:#?}");
    scene.ends_well(&done.stderr);
}

#[test]
fn curl_takes_a_range_and_aborts() {
    let scene = Scene::new(Kind::Vsftpd);
    let mut command = curl(&Place::Host, &["-r", "0-999", "-o", "range.bin"]);
    command
        .arg(format!("ftp://{}/pub/big.bin", scene.proxy.address))
        .current_dir(scene.path());
    run(&mut command, SOON).expect_success("curl -r");
    assert_eq!(
        fs::metadata(scene.path().join("range.bin")).unwrap().len(),
        1_000
    );
    let mut command = curl(&Place::Host, &["-o", "who.txt"]);
    command
        .arg(format!("ftp://{}/pub/who.txt", scene.proxy.address))
        .current_dir(scene.path());
    let done = run(command.stdin(Stdio::null()), SOON).expect_success("curl");
    scene.ends_well(&done.stderr);
}
