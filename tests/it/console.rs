//! The operator of a running ftplb: its command line and its API.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Finished, Process, SOON, eventually, run};
use crate::proxy::{PROGRAM, Proxy, Setup};

/// A running ftplb that takes orders.
pub(crate) struct Console {
    pub(crate) proxy: Proxy,
    pub(crate) socket: PathBuf,
    _home: TempDir,
}

impl Console {
    /// Starts ftplb with a Unix socket for orders.
    pub(crate) fn start(setup: Setup) -> Self {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("api.sock");
        let proxy = setup.api(&socket.display().to_string()).start();
        Self {
            proxy,
            socket,
            _home: home,
        }
    }

    /// What `ftplb` with these words comes to.
    pub(crate) fn run(&self, words: &str) -> Finished {
        run(&mut self.command(words), SOON)
    }

    /// What it prints, which it does without complaint.
    #[track_caller]
    pub(crate) fn ok(&self, words: &str) -> String {
        let done = self.run(words).expect_success(words);
        assert_eq!(done.stderr, "", "{words}");
        done.stdout
    }

    /// Starts it, for a test that has something else to do meanwhile.
    pub(crate) fn begin(&self, words: &str) -> Process {
        let mut command = self.command(words);
        command.stdin(Stdio::null());
        Process::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .args(words.split(' '))
            .env("FTPLB_API", &self.socket);
        command
    }

    /// `GET` of this path, as JSON.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, value) = self.ask("GET", path, "", "");
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    /// Any request: `headers` are whole lines. Gives the status and the answer.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        exchange(stream, method, path, &format!("Host: x\r\n{headers}"), body)
    }

    /// The backend called so, as `GET /v1/status` shows it.
    #[track_caller]
    pub(crate) fn backend(&self, name: &str) -> Value {
        let status = self.get("/v1/status");
        let mut backends = status["pools"][0]["backends"].as_array().unwrap().iter();
        let backend = backends.find(|backend| backend["name"] == name);
        backend
            .unwrap_or_else(|| panic!("no {name}: {status:#}"))
            .clone()
    }

    /// Waits until this field of the backend has this value.
    #[track_caller]
    pub(crate) fn wait_for(&self, backend: &str, field: &str, expected: impl Into<Value>) {
        let expected = expected.into();
        let what = format!("{field} of {backend} is {expected}");
        eventually(&what, || self.backend(backend)[field] == expected);
    }

    /// The row of the backend in `ftplb status`, its columns parted by single spaces.
    #[track_caller]
    pub(crate) fn row(&self, backend: SocketAddr) -> String {
        let listing = self.ok("status");
        let mut lines = listing.lines();
        let address = format!("  -> {backend} ");
        let row = lines.find(|line| line.starts_with(&address));
        let words = row.unwrap_or_else(|| panic!("no {backend} in {listing}"));
        words
            .split_whitespace()
            .skip(2)
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// Waits until `ftplb status` has this row for the backend.
    #[track_caller]
    pub(crate) fn wait_for_row(&self, backend: SocketAddr, expected: &str) {
        let what = format!("{backend} has the row {expected:?}");
        eventually(&what, || self.row(backend) == expected);
    }

    /// The live sessions, as `GET /v1/sessions` with this query shows them.
    #[track_caller]
    pub(crate) fn sessions(&self, query: &str) -> Vec<Value> {
        let list = self.get(&format!("/v1/sessions{query}"));
        list["sessions"].as_array().unwrap().clone()
    }

    /// Says which lines of the log an order has left.
    pub(crate) fn orders(&self) -> Vec<String> {
        self.proxy.wait_for_log("\"message\":\"order taken\"", 1)
    }
}

/// Any request over TCP.
pub(crate) fn ask_tcp(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, Value) {
    let stream = TcpStream::connect_timeout(&address, SOON).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    exchange(stream, method, path, headers, body)
}

/// Whether somebody listens at a Unix socket.
pub(crate) fn is_served(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, Value) {
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let head = format!("{method} {path} HTTP/1.1\r\n{headers}{length}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // A server that refuses early need not read all of it.
    drop(stream.write_all(body.as_bytes()));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}
