//! Real FTP servers, each on an address and a directory of its own.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::netns::Place;
use crate::process::{Process, own_address};

/// The login of every server.
pub(crate) const USER: &str = "ftp";
/// Its password, which must not be seen in any log.
pub(crate) const PASSWORD: &str = "Tr0ub4dor-and-3";

/// The servers that the tests know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Proftpd,
    Pureftpd,
    Pyftpdlib,
    Vsftpd,
}

/// A running FTP server. Its directory goes when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Process,
    home: TempDir,
}

impl Server {
    /// Starts a server on an IPv4 loopback address of its own.
    pub(crate) fn start(kind: Kind) -> Self {
        Self::start_at(kind, own_address(false, 2021), &Place::Host)
    }

    /// Starts a server on `::1`.
    pub(crate) fn start_v6(kind: Kind) -> Self {
        Self::start_at(kind, own_address(true, 2021), &Place::Host)
    }

    /// Starts a server and waits until it accepts connections.
    pub(crate) fn start_at(kind: Kind, address: SocketAddr, place: &Place) -> Self {
        Self::start_with(kind, address, place, "")
    }

    /// Starts a server with more lines of configuration, those of pyftpdlib excepted, which has none.
    pub(crate) fn start_with(kind: Kind, address: SocketAddr, place: &Place, lines: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        for (directory, mode) in [("", 0o755), ("files/pub", 0o777), ("empty", 0o755)] {
            let path = home.path().join(directory);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        let mut command = match kind {
            Kind::Proftpd => proftpd(address, home.path(), place, lines),
            Kind::Pureftpd => pureftpd(address, home.path(), place, lines),
            Kind::Pyftpdlib => pyftpdlib(address, home.path(), place),
            Kind::Vsftpd => vsftpd(address, home.path(), place, lines),
        };
        let said = fs::File::create(home.path().join("said")).unwrap();
        // vsftpd reports a bad configuration to its standard input, where inetd would have a client.
        command
            .stdin(said.try_clone().unwrap())
            .stdout(said.try_clone().unwrap())
            .stderr(said);
        let mut server = Self {
            address,
            process: Process::start(&mut command),
            home,
        };
        place.wait_for_port(address, || {
            if let Some(status) = server.process.ended() {
                let said = fs::read_to_string(server.home.path().join("said")).unwrap_or_default();
                panic!(
                    "{kind:?} ended at its start with {status}: {said}{}",
                    server.log()
                );
            }
        });
        server
    }

    /// The path of a file that clients know as `/pub/name`. vsftpd takes no root that is writable.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join("files/pub").join(name)
    }

    /// Puts a file there, for clients to read, change and delete.
    pub(crate) fn put(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    }

    /// Puts a file of `size` zero bytes there, which takes no space.
    pub(crate) fn put_sparse(&self, name: &str, size: u64) {
        self.put(name, b"");
        fs::OpenOptions::new()
            .write(true)
            .open(self.path(name))
            .unwrap()
            .set_len(size)
            .unwrap();
    }

    /// The size of a file that a client may have stored.
    pub(crate) fn size(&self, name: &str) -> u64 {
        fs::metadata(self.path(name)).map_or(0, |metadata| metadata.len())
    }

    /// What the server has logged: its commands and replies among it.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.home.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The lines of vsftpd's own xferlog.
    pub(crate) fn xferlog(&self) -> Vec<String> {
        let text = fs::read_to_string(self.home.path().join("xferlog")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Freezes the server, or lets it go on. Sessions that have a process of their own do not notice.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Kills the server and all of its sessions.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }
}

fn vsftpd(address: SocketAddr, home: &Path, place: &Place, lines: &str) -> Command {
    let (listen, listen_ipv6, key) = match address {
        SocketAddr::V4(_) => ("YES", "NO", "listen_address"),
        SocketAddr::V6(_) => ("NO", "YES", "listen_address6"),
    };
    let text = format!(
        "listen={listen}\nlisten_ipv6={listen_ipv6}\n{key}={ip}\nlisten_port={port}\n\
         background=NO\nanonymous_enable=YES\nlocal_enable=NO\nwrite_enable=YES\n\
         anon_upload_enable=YES\nanon_mkdir_write_enable=YES\nanon_other_write_enable=YES\n\
         anon_world_readable_only=NO\nanon_umask=022\nanon_root={home}/files\n\
         allow_writeable_chroot=YES\nsecure_chroot_dir={home}/empty\nseccomp_sandbox=NO\n\
         isolate=NO\nisolate_network=NO\n\
         connect_from_port_20=NO\nmax_clients=0\nmax_per_ip=0\nxferlog_enable=YES\n\
         log_ftp_protocol=YES\nvsftpd_log_file={home}/log\n\
         dual_log_enable=YES\nxferlog_file={home}/xferlog\n{lines}\n",
        ip = address.ip(),
        port = address.port(),
        home = home.display(),
    );
    let config = home.join("vsftpd.conf");
    fs::write(&config, text).unwrap();
    let mut command = place.command("/usr/sbin/vsftpd");
    command.arg(config);
    command
}

fn pyftpdlib(address: SocketAddr, home: &Path, place: &Place) -> Command {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/pyftpd.py");
    let mut command = place.command("/usr/bin/python3");
    command
        .arg(script)
        .arg(address.ip().to_string())
        .arg(address.port().to_string());
    command
        .arg(home.join("files"))
        .arg(home.join("log"))
        .args([USER, PASSWORD]);
    command
}

fn pureftpd(address: SocketAddr, home: &Path, place: &Place, lines: &str) -> Command {
    // Unpacked by tests/install.sh, as ProFTPD is.
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/target/servers/pureftpd/usr");
    let program = format!("{directory}/sbin/pure-ftpd");
    assert!(
        Path::new(&program).exists(),
        "no {program}; run tests/install.sh first"
    );
    let users = home.join("users");
    let mut add = Command::new(format!("{directory}/bin/pure-pw"));
    add.args(["useradd", USER, "-u", "nobody", "-g", "nogroup", "-d"]);
    add.arg(home.join("files"))
        .arg("-f")
        .arg(home.join("passwd"));
    add.args(["-m", "-F"]).arg(&users).stdin(Stdio::piped());
    let mut add = add.stdout(Stdio::null()).spawn().unwrap();
    let twice = format!("{PASSWORD}\n{PASSWORD}\n");
    { add.stdin.take().unwrap() }
        .write_all(twice.as_bytes())
        .unwrap();
    assert!(add.wait().unwrap().success(), "pure-pw");
    let text = format!(
        "Bind {ip},{port}\nDaemonize no\nPIDFile {home}/pid\nPureDB {users}\nMinUID 1\n\
         NoAnonymous yes\nChrootEveryone yes\nUmask 133:022\nAltLog clf:{home}/log\n{lines}\n",
        ip = address.ip(),
        port = address.port(),
        home = home.display(),
        users = users.display(),
    );
    let config = home.join("pure-ftpd.conf");
    fs::write(&config, text).unwrap();
    let mut command = place.command(&program);
    command.arg(config);
    command
}

fn proftpd(address: SocketAddr, home: &Path, place: &Place, lines: &str) -> Command {
    // Debian's FTP servers exclude each other as packages: tests/install.sh unpacks this one.
    let program = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/target/servers/proftpd/usr/sbin/proftpd"
    );
    assert!(
        Path::new(program).exists(),
        "no {program}; run tests/install.sh first"
    );
    let text = format!(
        "ServerType standalone\nServerName tests\nDefaultServer on\nDefaultAddress {ip}\n\
         Port {port}\nSocketBindTight on\nUseIPv6 {ipv6}\nUseReverseDNS off\nAuthPAM off\n\
         User nobody\nGroup nogroup\nWtmpLog off\nTransferLog none\nDelayEngine off\n\
         ControlsEngine off\nPidFile {home}/pid\nScoreboardFile {home}/scoreboard\n\
         SystemLog {home}/system\nLogFormat protocol \"%r -> %s %S\"\n\
         ExtendedLog {home}/log ALL protocol\nAllowOverwrite on\nAllowStoreRestart on\n\
         AllowRetrieveRestart on\nUmask 022\n\
         <Anonymous {home}/files>\nUser {USER}\nGroup nogroup\nRequireValidShell off\n\
         AnonRequirePassword off\n<Limit ALL>\nAllowAll\n</Limit>\n</Anonymous>\n{lines}\n",
        ip = address.ip(),
        port = address.port(),
        ipv6 = if address.is_ipv6() { "on" } else { "off" },
        home = home.display(),
    );
    let config = home.join("proftpd.conf");
    fs::write(&config, text).unwrap();
    let mut command = place.command(program);
    command.args(["-n", "-q", "-c"]).arg(config);
    command
}
