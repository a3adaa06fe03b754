//! A real browser, Debian's Chromium without a window, driven over WebDriver.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::{Process, SOON, eventually};

/// A browser with one page.
pub(crate) struct Browser {
    driver: SocketAddr,
    session: String,
    _process: Process,
    _home: TempDir,
}

impl Browser {
    /// Starts Chromium with a profile that nobody has used, and which asks nobody but what it is told to.
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("log");
        let mut command = Command::new("chromedriver");
        // The system chooses the port, and the driver says which.
        command.arg("--port=0").env("HOME", home.path());
        command
            .stdout(File::create(&log).unwrap())
            .stderr(Stdio::null());
        let process = Process::start(&mut command);
        let mut port = None;
        eventually("chromedriver says where it listens", || {
            let said = fs::read_to_string(&log).unwrap();
            let rest = said.split_once("successfully on port ");
            port = rest.and_then(|(_, rest)| rest.split('.').next()?.parse::<u16>().ok());
            port.is_some()
        });
        let profile = format!("--user-data-dir={}", home.path().join("profile").display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            &profile,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        } } });
        let driver = SocketAddr::from(([127, 0, 0, 1], port.unwrap()));
        let begun = order(driver, "POST", "/session", &wanted);
        let session = begun["sessionId"].as_str().expect("a session").to_owned();
        Self {
            driver,
            session,
            _process: process,
            _home: home,
        }
    }

    /// Opens a page.
    pub(crate) fn open(&self, url: &str) {
        self.order("POST", "/url", &json!({ "url": url }));
    }

    /// What a function body returns in the page.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) -> Value {
        self.order(
            "POST",
            "/execute/sync",
            &json!({ "script": script, "args": [] }),
        )
    }

    /// What an expression is in the page, as text.
    #[track_caller]
    pub(crate) fn text(&self, expression: &str) -> String {
        let value = self.run(&format!("return String({expression})"));
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression is true in the page. A page that does not get there is shown.
    #[track_caller]
    pub(crate) fn wait(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.text(expression) != "true" {
            assert!(
                Instant::now() < deadline,
                "never true: {expression}\n{}\n{:?}",
                self.text("document.body.innerText"),
                self.complaints()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Has the page believe that it is shown on a screen of this size, in a light or dark scheme.
    pub(crate) fn shown(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        self.devtools(
            "Emulation.setEmulatedMedia",
            &json!({ "features": [feature] }),
        );
    }

    /// What the browser found wrong with the page: errors of its script, breaches of its policy.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.order("POST", "/se/log", &json!({ "type": "browser" }));
        let lines = log.as_array().into_iter().flatten();
        lines.map(|line| line["message"].to_string()).collect()
    }

    fn devtools(&self, command: &str, parameters: &Value) {
        let order = json!({ "cmd": command, "params": parameters });
        self.order("POST", "/goog/cdp/execute", &order);
    }

    #[track_caller]
    fn order(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        order(self.driver, method, &path, body)
    }
}

/// What the driver answers, which must be no error.
#[track_caller]
fn order(driver: SocketAddr, method: &str, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let mut stream = TcpStream::connect_timeout(&driver, SOON).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {driver}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let body = body_of(&mut BufReader::new(stream));
    let mut answer: Value = serde_json::from_str(&body).unwrap_or_else(|error| {
        panic!("{path}: {error} in {body}");
    });
    let value = answer["value"].take();
    assert!(value["error"].is_null(), "{path}: {value}");
    value
}

/// The body of an answer, whose length is told; the driver closes no connection.
fn body_of(answer: &mut impl BufRead) -> String {
    let mut length = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line).unwrap();
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    answer.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

/// A browser starts in seconds where nothing else runs.
const PATIENCE: Duration = Duration::from_secs(60);
