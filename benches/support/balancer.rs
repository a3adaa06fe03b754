//! The programs under test, as their users run them: a configuration file, one log line for each session
//! and transfer into a file, no health checks.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

use super::ftplb;
use super::group::MemoryGroup;
use super::process::{self, Process};
use super::system::{self, System};

pub(crate) struct Balancer {
    process: Process,
    /// After the process, which is in it.
    group: Option<MemoryGroup>,
    system: System,
    folder: TempDir,
}

impl Balancer {
    /// Starts `system` in front of its servers, and waits until it takes clients. None when it is not
    /// installed, or nothing is to be started.
    pub(crate) fn start(system: System) -> anyhow::Result<Option<Self>> {
        let Some(program) = program(system) else {
            return Ok(None);
        };
        let user = USER + u32::from(system.number());
        let folder = tempfile::tempdir()?;
        process::give(folder.path(), user)?;
        let file = folder.path().join("configuration");
        fs::write(&file, configuration(system, folder.path())?)?;
        let arguments: &[&OsStr] = match system {
            System::Nginx => &["-e".as_ref(), "stderr".as_ref(), "-c".as_ref()],
            System::Haproxy | System::HaproxySplice => &["-db".as_ref(), "-f".as_ref()],
            System::Direct | System::Ftplb | System::Nat => &["run".as_ref(), "--config".as_ref()],
        };
        let arguments = [arguments, &[file.as_os_str()]].concat();
        // A user of its own may not be let into the folder of the build.
        let program = if system == System::Ftplb {
            let copy = folder.path().join("ftplb");
            fs::copy(program, &copy)?;
            copy
        } else {
            program
        };
        let output = folder.path().join(OUTPUT);
        let group = MemoryGroup::new(system.name());
        let process = Process::start(user, group.as_ref(), &program, &arguments, &output)?;
        let mut balancer = Self {
            process,
            group,
            system,
            folder,
        };
        balancer.wait_until_ready()?;
        Ok(Some(balancer))
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Bytes that the kernel has for it. None where that is not counted.
    pub(crate) fn kernel_bytes(&self) -> anyhow::Result<Option<u64>> {
        self.group
            .as_ref()
            .map(MemoryGroup::kernel_bytes)
            .transpose()
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let address = system::control(self.system.virtual_ip());
        let name = self.system.name();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = self.process.ended()? {
                bail!("{name} ended with {status}: {}", self.output());
            }
            if Instant::now() > deadline {
                bail!("{name} does not accept connections: {}", self.output());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// What it said, wherever it did.
    fn output(&self) -> String {
        [OUTPUT, LOG]
            .map(|name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
            .concat()
    }
}

/// The version of `system`, in its own words. Nothing when it is not installed.
pub(crate) fn version(system: System) -> Option<String> {
    let output = std::process::Command::new(program(system)?)
        .arg(if system == System::Ftplb { "-V" } else { "-v" })
        .output()
        .ok()?;
    // nginx says it on the other stream.
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    text.lines().next().map(str::to_owned)
}

fn program(system: System) -> Option<PathBuf> {
    let name = match system {
        System::Direct | System::Nat => return None,
        System::Ftplb => return Some(ftplb::program()),
        System::Haproxy | System::HaproxySplice => "haproxy",
        System::Nginx => "nginx",
    };
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

fn configuration(system: System, folder: &Path) -> anyhow::Result<String> {
    let folder = folder.to_str().context("a path that is not UTF-8")?;
    match system {
        System::Direct | System::Nat => Ok(String::new()),
        System::Ftplb => for_ftplb(&format!("{folder}/{LOG}")),
        System::Haproxy => for_haproxy(system, "", ""),
        System::HaproxySplice => for_haproxy(
            system,
            "    tune.pipesize 1048576\n",
            "    option splice-request\n    option splice-response\n",
        ),
        System::Nginx => for_nginx(folder),
    }
}

/// Defaults but for what a bench needs: room for all clients, no checks in between.
fn for_ftplb(log: &str) -> anyhow::Result<String> {
    let mut text = format!(
        "[[listener]]\naddress = \"{}\"\n\
         [limits]\nsessions = 100_000\nsessions_per_client = 100_000\n\
         [log]\nfile = '{log}'\n\
         [[pool]]\nhealth = false\n",
        system::control(System::Ftplb.virtual_ip())
    );
    for server in System::Ftplb.servers() {
        let address = system::control(server);
        writeln!(text, "[[pool.backend]]\naddress = \"{address}\"")?;
    }
    Ok(text)
}

/// `splice-auto` is of no use here: it waits for streams that fill a buffer again and again, and never
/// splices. Control connections are not spliced, lines are too small for that. TCP_NODELAY is the default.
fn for_haproxy(system: System, global: &str, data: &str) -> anyhow::Result<String> {
    let ip = system.virtual_ip();
    let control = system::control(ip);
    let mut text = format!(
        "global\n    nbthread {threads}\n    log stdout format raw local0 info\n{global}\
         defaults\n    mode tcp\n    log global\n    option tcplog\n    \
         timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n\
         listen control\n    bind {control}\n    balance leastconn\n",
        threads = thread::available_parallelism()?,
    );
    for (number, server) in system.servers().enumerate() {
        let address = system::control(server);
        writeln!(text, "    server s{number} {address}")?;
    }
    for (number, server) in (0..).zip(system.servers()) {
        let ports = system::slice(number);
        let (first, last) = (ports.start(), ports.end());
        // Without a port of its own the server is connected at the port that the client chose.
        write!(
            text,
            "listen data{number}\n    bind {ip}:{first}-{last}\n{data}    server s {server}\n"
        )?;
    }
    Ok(text)
}

/// TCP_NODELAY is the default. The user is for the root of a network of its own, who has no other; who is not
/// root has no use for it.
fn for_nginx(folder: &str) -> anyhow::Result<String> {
    let ip = System::Nginx.virtual_ip();
    let control = system::control(ip);
    let mut text = format!(
        "load_module {NGINX_STREAM};\n\
         user root root;\ndaemon off;\nworker_processes {workers};\npid {folder}/nginx.pid;\nerror_log stderr;\n\
         events {{ worker_connections 10000; }}\n\
         stream {{\n\
         log_format line '$remote_addr [$time_local] $protocol $status $bytes_sent $bytes_received \
         $session_time $upstream_addr';\n\
         access_log {folder}/{LOG} line;\nproxy_timeout 1h;\n\
         upstream control {{\nleast_conn;\n",
        workers = thread::available_parallelism()?,
    );
    for server in System::Nginx.servers() {
        writeln!(text, "server {};", system::control(server))?;
    }
    writeln!(
        text,
        "}}\nserver {{ listen {control}; proxy_pass control; }}"
    )?;
    for (number, server) in (0..).zip(System::Nginx.servers()) {
        let ports = system::slice(number);
        let (first, last) = (ports.start(), ports.end());
        writeln!(
            text,
            "server {{ listen {ip}:{first}-{last}; proxy_pass {server}:$server_port; }}"
        )?;
    }
    writeln!(text, "}}")?;
    Ok(text)
}

/// The first of the users that programs are started as. They need no name.
const USER: u32 = 63_000;

/// Where Debian has it.
const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// What a program prints.
const OUTPUT: &str = "output";

/// Of sessions and transfers.
const LOG: &str = "log";
