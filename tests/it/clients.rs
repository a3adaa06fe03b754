//! Real FTP clients, and the story that each of them lives through in one session: store a file, make
//! a directory, store, append, rename, list, fetch, resume, delete.

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::netns::Place;
use crate::process::{Finished, Process, run};
use crate::servers::{PASSWORD, Server, USER};

/// The clients that the tests know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tool {
    Curl,
    Ftplib,
    Lftp,
    Tnftp,
}

/// How a data connection is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mode {
    Eprt,
    Epsv,
    Pasv,
    Port,
}

/// A client's side of a story: its files, and what became of them.
pub(crate) struct Story {
    tool: Tool,
    mode: Mode,
    address: SocketAddr,
    place: Place,
    directory: TempDir,
}

/// How long a client may take for a whole story.
const LIMIT: Duration = Duration::from_mins(1);

impl Tool {
    /// The modes in which this client can be made to ask for data connections to `ip`.
    pub(crate) fn modes(self, ip: IpAddr) -> &'static [Mode] {
        match self {
            // lftp 4.9.2 names the address `::` in its EPRT.
            Self::Lftp if ip.is_ipv6() => &[Mode::Epsv],
            _ if ip.is_ipv6() => &[Mode::Epsv, Mode::Eprt],
            Self::Curl | Self::Tnftp => &[Mode::Pasv, Mode::Epsv, Mode::Port, Mode::Eprt],
            Self::Lftp => &[Mode::Pasv, Mode::Epsv, Mode::Port],
            Self::Ftplib => &[Mode::Pasv, Mode::Port],
        }
    }
}

impl Mode {
    /// The command, as clients send it and `transfer ended` names it.
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Eprt => "EPRT",
            Self::Epsv => "EPSV",
            Self::Pasv => "PASV",
            Self::Port => "PORT",
        }
    }

    fn is_passive(self) -> bool {
        matches!(self, Self::Pasv | Self::Epsv)
    }
}

impl Story {
    /// A client with a file of 1,000,003 bytes to store and one to append to it.
    pub(crate) fn new(tool: Tool, mode: Mode, address: SocketAddr, place: &Place) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let whole = [noise(1_000_003, 1), noise(20_011, 2)].concat();
        fs::write(path.join("up.bin"), &whole[..1_000_003]).unwrap();
        fs::write(path.join("tail.bin"), &whole[1_000_003..]).unwrap();
        fs::write(path.join("whole.bin"), &whole).unwrap();
        fs::write(path.join("part.bin"), &whole[..500_000]).unwrap();
        Self {
            tool,
            mode,
            address,
            place: place.clone(),
            directory,
        }
    }

    /// Lives through the story and checks its end on both sides: what the client has got, and what is
    /// left on `server`, which is the one that it has been talking to.
    pub(crate) fn run(&self, server: &Server) {
        let who = format!("{:?} by {:?} to {}", self.tool, self.mode, self.address);
        server.put("who.txt", b"the only one");
        let done = match self.tool {
            Tool::Curl => self.curl(),
            Tool::Ftplib => self.ftplib("story"),
            Tool::Lftp => self.lftp(),
            Tool::Tnftp => self.tnftp(),
        };
        let said = format!("{who}: {}{}\n{}", done.stdout, done.stderr, server.log());
        assert!(done.status.success(), "{}: {said}", done.status);
        let read = |name: &str| fs::read(self.path().join(name)).unwrap_or_default();
        assert!(
            String::from_utf8_lossy(&read("list.txt")).contains("moved.bin"),
            "LIST: {said}"
        );
        assert!(
            read("down.bin") == read("whole.bin"),
            "download differs: {said}"
        );
        assert!(
            read("part.bin") == read("whole.bin"),
            "resumed download differs: {said}"
        );
        assert_eq!(read("who.txt"), b"the only one", "{said}");
        assert!(
            fs::read(server.path("keep.bin")).unwrap() == read("up.bin"),
            "upload: {said}"
        );
        assert!(!server.path("story").exists(), "not deleted: {said}");
        fs::remove_file(server.path("keep.bin")).unwrap();
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn curl(&self) -> Finished {
        let url = |name: &str| format!("ftp://{}/pub/{name}", self.address);
        let mut common = vec!["-v", "-sS", "--max-time", "30", "-u"];
        let login = format!("{USER}:{PASSWORD}");
        common.push(&login);
        common.extend(match self.mode {
            Mode::Epsv => &[][..],
            Mode::Pasv => &["--disable-epsv"],
            Mode::Eprt => &["-P", "-"],
            Mode::Port => &["-P", "-", "--disable-eprt"],
        });
        let rename = [
            "-Q",
            "RNFR /pub/story/up.bin",
            "-Q",
            "RNTO /pub/story/moved.bin",
        ];
        let clean = [
            "-Q",
            "-CWD /",
            "-Q",
            "-DELE pub/story/moved.bin",
            "-Q",
            "-RMD pub/story",
        ];
        let steps: [(&[&str], &str); 7] = [
            (&["-T", "up.bin"], "keep.bin"),
            (&["-T", "up.bin", "-Q", "MKD /pub/story"], "story/up.bin"),
            (&["-T", "tail.bin", "--append"], "story/up.bin"),
            (
                &["-o", "list.txt", rename[0], rename[1], rename[2], rename[3]],
                "story/",
            ),
            (&["-o", "down.bin"], "story/moved.bin"),
            (&["-o", "part.bin", "-C", "-"], "story/moved.bin"),
            (&[&["-o", "who.txt"], &clean[..]].concat(), "who.txt"),
        ];
        let mut command = self.place.command("curl");
        for (index, (options, name)) in steps.iter().enumerate() {
            // --next keeps the session: all steps go to one backend.
            command.args((index > 0).then_some("--next")).args(&common);
            command.args(*options).arg(url(name));
        }
        run(command.current_dir(self.path()), LIMIT)
    }

    fn lftp(&self) -> Finished {
        let script = "put up.bin -o keep.bin\nmkdir story\nput up.bin -o story/up.bin\n\
            set ftp:rest-stor no\nput -c whole.bin -o story/up.bin\nset ftp:rest-stor yes\n\
            mv story/up.bin story/moved.bin\nls story > list.txt\n\
            get story/moved.bin -o down.bin\nget -c story/moved.bin -o part.bin\nget who.txt\n\
            rm story/moved.bin\nrmdir story\n";
        let mut command = lftp(&self.place, self.address, self.mode, script);
        run(command.current_dir(self.path()), LIMIT)
    }

    fn tnftp(&self) -> Finished {
        let mut tnftp = tnftp(
            &self.place,
            self.address,
            self.mode,
            self.path(),
            "put up.bin keep.bin\nmkdir story\nput up.bin story/up.bin\n\
             append tail.bin story/up.bin\nrename story/up.bin story/moved.bin\n\
             ls story list.txt\nget story/moved.bin down.bin\n\
             reget story/moved.bin part.bin\nget who.txt\n\
             delete story/moved.bin\nrmdir story\n",
        );
        tnftp.finish(LIMIT)
    }

    fn ftplib(&self, task: &str) -> Finished {
        ftplib(&self.place, self.address, self.mode, self.path(), task)
    }
}

/// curl with these options and a login, ready for its addresses.
pub(crate) fn curl(place: &Place, options: &[&str]) -> Command {
    let mut command = place.command("curl");
    command.args([
        "-v",
        "-sS",
        "--max-time",
        "30",
        "-u",
        &format!("{USER}:{PASSWORD}"),
    ]);
    command.args(options);
    command
}

/// lftp with a script; `mode` is forced, and its first failure ends it.
pub(crate) fn lftp(place: &Place, address: SocketAddr, mode: Mode, script: &str) -> Command {
    let yes = |value: bool| if value { "yes" } else { "no" };
    let script = format!(
        "set net:max-retries 1\nset net:timeout 15\nset ftp:ssl-allow no\nset xfer:clobber yes\n\
         set ftp:passive-mode {}\nset ftp:prefer-epsv {}\nset cmd:fail-exit yes\n\
         open -u {USER},{PASSWORD} -p {} {}\ncd pub\n{script}",
        yes(mode.is_passive()),
        yes(mode == Mode::Epsv),
        address.port(),
        address.ip(),
    );
    let mut command = place.command("lftp");
    command.args(["--norc", "-d", "-c", &script]);
    // Its own settings and history stay out of the home directory.
    command.env("LFTP_HOME", "/nonexistent");
    command
}

/// tnftp fed with `script` after a login. Its exit status says nothing; the files do.
pub(crate) fn tnftp(
    place: &Place,
    address: SocketAddr,
    mode: Mode,
    directory: &Path,
    script: &str,
) -> Process {
    let extended = matches!(mode, Mode::Epsv | Mode::Eprt);
    let input = directory.join("tnftp.script");
    let script = format!(
        "open {} {}\nuser {USER} {PASSWORD}\nbinary\n{}passive {}\ncd pub\n{script}quit\n",
        address.ip(),
        address.port(),
        if extended { "" } else { "epsv4 off\n" },
        if mode.is_passive() { "on" } else { "off" },
    );
    let mut file = fs::File::create(&input).unwrap();
    file.write_all(script.as_bytes()).unwrap();
    let mut command = place.command("tnftp");
    command
        .args(["-n", "-i", "-v", "-d"])
        .current_dir(directory)
        .env("HOME", directory);
    command
        .stdin(fs::File::open(&input).unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Process::start(&mut command)
}

/// Python's ftplib doing `task` of `ftplib_client.py`.
pub(crate) fn ftplib(
    place: &Place,
    address: SocketAddr,
    mode: Mode,
    directory: &Path,
    task: &str,
) -> Finished {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/ftplib_client.py");
    let mut command = place.command("/usr/bin/python3");
    command.args([
        script,
        task,
        &address.ip().to_string(),
        &address.port().to_string(),
    ]);
    command.args([
        USER,
        PASSWORD,
        if mode.is_passive() {
            "passive"
        } else {
            "active"
        },
    ]);
    run(command.arg(directory), LIMIT)
}

/// Bytes that compress badly and differ by `seed` (xorshift).
pub(crate) fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..size).map(|_| next()).collect()
}
