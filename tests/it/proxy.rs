//! ftplb as a program: started with a configuration, watched, stopped.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::netns::Place;
use crate::process::{Finished, Process, SOON, eventually, own_address, run};

/// What ftplb is started with. Health checks and ejection are off: a test that wants them says so.
pub(crate) struct Setup {
    address: SocketAddr,
    admin: SocketAddr,
    backends: Vec<SocketAddr>,
    place: Place,
    listener: String,
    pool: String,
    each_backend: String,
    api: Option<String>,
    shell: Option<String>,
    in_admin: String,
    more: String,
}

/// A running ftplb.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    place: Place,
    process: Process,
    home: TempDir,
}

impl Setup {
    /// A balancer on a loopback address of its own before `backends`.
    pub(crate) fn new(backends: &[SocketAddr]) -> Self {
        let address = own_address(false, 2121);
        Self {
            address,
            admin: SocketAddr::new(address.ip(), 9121),
            backends: backends.to_vec(),
            place: Place::Host,
            listener: String::new(),
            pool: "algorithm = \"rr\"\nhealth = false\nejection = false\n".into(),
            each_backend: String::new(),
            api: None,
            shell: None,
            in_admin: String::new(),
            more: String::new(),
        }
    }

    /// The same on `::1`.
    pub(crate) fn new_v6(backends: &[SocketAddr]) -> Self {
        Self {
            address: own_address(true, 2121),
            ..Self::new(backends)
        }
    }

    /// Listens on `address`, in `place`.
    pub(crate) fn at(mut self, address: SocketAddr, place: &Place) -> Self {
        self.address = address;
        self.place = place.clone();
        self
    }

    /// Serves the admin address elsewhere than beside the listener.
    pub(crate) fn admin(mut self, admin: SocketAddr) -> Self {
        self.admin = admin;
        self
    }

    /// Adds lines to `[[listener]]`.
    pub(crate) fn listener(mut self, lines: &str) -> Self {
        self.listener += lines;
        self
    }

    /// Replaces the lines of `[[pool]]` about health and ejection.
    pub(crate) fn pool(mut self, lines: &str) -> Self {
        self.pool = lines.into();
        self
    }

    /// Adds lines to each `[[pool.backend]]`.
    pub(crate) fn each_backend(mut self, lines: &str) -> Self {
        self.each_backend += lines;
        self
    }

    /// Takes orders there: a path or an address.
    pub(crate) fn api(mut self, place: &str) -> Self {
        self.api = Some(place.into());
        self
    }

    /// Adds lines to `[admin]`.
    pub(crate) fn in_admin(mut self, lines: &str) -> Self {
        self.in_admin += lines;
        self
    }

    /// Has a shell do this before it becomes ftplb: `ulimit -n 50`.
    pub(crate) fn after(mut self, words: &str) -> Self {
        self.shell = Some(words.into());
        self
    }

    /// Adds tables: `[timeouts]`, `[limits]`.
    pub(crate) fn tables(mut self, lines: &str) -> Self {
        self.more += lines;
        self
    }

    /// Starts ftplb and waits until it is ready.
    pub(crate) fn start(self) -> Proxy {
        let proxy = self.start_unready();
        proxy.wait_until_ready();
        proxy
    }

    /// Starts ftplb and waits until it serves its admin address.
    pub(crate) fn start_unready(self) -> Proxy {
        let home = tempfile::tempdir().unwrap();
        let command = self.command(&home);
        Proxy::start(command, self.address, self.admin, &self.place, home)
    }

    /// Starts ftplb with its log going elsewhere, and waits until it is ready.
    pub(crate) fn start_logging_to(self, log: impl Into<Stdio>) -> Proxy {
        let home = tempfile::tempdir().unwrap();
        let mut command = self.command(&home);
        command.stdout(Stdio::null()).stderr(log);
        let proxy = Proxy::spawn(command, self.address, self.admin, &self.place, home);
        proxy.wait_until_ready();
        proxy
    }

    /// Starts an ftplb that is expected to end by itself, and to log why.
    pub(crate) fn run_to_end(self) -> Finished {
        let home = tempfile::tempdir().unwrap();
        run(&mut self.command(&home), SOON)
    }

    fn command(&self, home: &TempDir) -> Command {
        let config = home.path().join("ftplb.toml");
        fs::write(&config, self.toml()).unwrap();
        let mut command = match &self.shell {
            Some(before) => {
                let mut shell = self.place.command("sh");
                let words = format!("{before} && exec \"$0\" \"$@\"");
                shell.args(["-c", &words, PROGRAM]);
                shell
            }
            None => self.place.command(PROGRAM),
        };
        command.args(["run", "-c"]).arg(config);
        command
    }

    fn toml(&self) -> String {
        let Self {
            address,
            admin,
            listener,
            pool,
            each_backend,
            api,
            in_admin,
            more,
            ..
        } = self;
        let mut text = format!("[[listener]]\naddress = \"{address}\"\n{listener}\n");
        write!(text, "[[pool]]\nname = \"p\"\n{pool}\n").unwrap();
        for (index, backend) in self.backends.iter().enumerate() {
            let table = "[[pool.backend]]";
            writeln!(
                text,
                "{table}\nname = \"b{index}\"\naddress = \"{backend}\"\n{each_backend}"
            )
            .unwrap();
        }
        write!(text, "[admin]\naddress = \"{admin}\"\n{in_admin}").unwrap();
        if let Some(api) = api {
            writeln!(text, "api = \"{api}\"").unwrap();
        }
        write!(
            text,
            "[log]\nformat = \"json\"\nfilter = \"ftplb=trace\"\n{more}\n"
        )
        .unwrap();
        text
    }
}

impl Proxy {
    /// A balancer on a loopback address of its own before `backends`, ready.
    pub(crate) fn before(backends: &[SocketAddr]) -> Self {
        Setup::new(backends).start()
    }

    /// A balancer with this configuration, which makes it listen at `address` and `admin`.
    pub(crate) fn with(config: &str, address: SocketAddr, admin: SocketAddr) -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("ftplb.toml"), config).unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .args(["run", "-c"])
            .arg(home.path().join("ftplb.toml"));
        Self::start(command, address, admin, &Place::Host, home)
    }

    /// Writes another configuration and has it read. Whether it is in effect.
    pub(crate) fn reload(&mut self, config: &str) -> bool {
        let done = self.reloads();
        fs::write(self.home.path().join("ftplb.toml"), config).unwrap();
        self.signal(Signal::SIGHUP);
        eventually("the configuration is read", || {
            self.reloads().len() > done.len()
        });
        !self.reloads().last().unwrap().contains("reload failed")
    }

    /// The last log line of each reload.
    fn reloads(&self) -> Vec<String> {
        let log = self.log();
        let is_last = |line: &&str| {
            let said = field(line, "message");
            said.starts_with("reload failed")
                || said.starts_with("reload: nothing has changed")
                || said.starts_with("reload: the new configuration is in effect")
        };
        log.lines().filter(is_last).map(String::from).collect()
    }

    /// Runs `command`, which makes ftplb listen at `address` and `admin`.
    pub(crate) fn start(
        mut command: Command,
        address: SocketAddr,
        admin: SocketAddr,
        place: &Place,
        home: TempDir,
    ) -> Self {
        let log = fs::File::create(home.path().join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Self::spawn(command, address, admin, place, home)
    }

    fn spawn(
        mut command: Command,
        address: SocketAddr,
        admin: SocketAddr,
        place: &Place,
        home: TempDir,
    ) -> Self {
        let process = Process::start(&mut command);
        let mut proxy = Self {
            address,
            admin,
            place: place.clone(),
            process,
            home,
        };
        let log = proxy.home.path().join("log");
        proxy.place.wait_for_port(admin, || {
            if let Some(status) = proxy.process.ended() {
                panic!("ftplb ended at its start with {status}: {}", read(&log));
            }
        });
        proxy
    }

    /// Waits until `/readyz` says yes.
    pub(crate) fn wait_until_ready(&self) {
        eventually("/readyz answers 200", || self.get("/readyz").0 == 200);
    }

    /// Status and body of an admin page; status 0 when it cannot be had.
    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.place
            .within(|| http_get(self.admin, path))
            .unwrap_or_default()
    }

    /// The sum of all samples of a metric that carry all of these labels, written `key="value"`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (status, body) = self.get("/metrics");
        assert_eq!(status, 200, "{body}");
        let is_sample = |line: &&str| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
        };
        let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        body.lines().filter(is_sample).map(value).sum()
    }

    /// Waits until the metric has this value.
    pub(crate) fn wait_for_metric(&self, name: &str, labels: &[&str], expected: f64) {
        let what = format!("{name}{labels:?} is {expected}");
        eventually(&what, || (self.metric(name, labels) - expected).abs() < 0.1);
    }

    /// All that ftplb has written.
    pub(crate) fn log(&self) -> String {
        read(&self.home.path().join("log"))
    }

    /// Waits for `count` log lines with this message, and gives them.
    pub(crate) fn wait_for_log(&self, message: &str, count: usize) -> Vec<String> {
        let lines = || {
            let log = self.log();
            log.lines()
                .filter(|line| line.contains(message))
                .map(String::from)
                .collect()
        };
        let what = format!("{count} log lines with {message:?}");
        eventually(&what, || Vec::len(&lines()) >= count);
        lines()
    }

    /// The number of its process.
    pub(crate) fn pid(&self) -> Pid {
        self.process.pid()
    }

    /// The file that it was configured with.
    pub(crate) fn config(&self) -> PathBuf {
        self.home.path().join("ftplb.toml")
    }

    /// Of its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Whether ftplb still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Waits for the end of ftplb.
    pub(crate) fn finish(&mut self) -> Finished {
        self.process.finish(SOON)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- ftplb said:\n{}---", self.log());
        }
    }
}

/// The value of a field of a JSON log line, without quotes; empty if it is not there.
pub(crate) fn field<'a>(line: &'a str, name: &str) -> &'a str {
    let Some((_, rest)) = line.split_once(&format!("\"{name}\":")) else {
        return "";
    };
    match rest.strip_prefix('"') {
        Some(text) => text.split('"').next().unwrap_or_default(),
        None => rest.split([',', '}']).next().unwrap_or_default(),
    }
}

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ftplb");

fn http_get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, SOON).ok()?;
    stream.set_read_timeout(Some(SOON)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.into()))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
