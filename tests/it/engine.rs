//! Containers by podman and runc, with storage, settings and a network namespace of their own: nothing of the
//! host's podman, bridges and filters is touched, and none of those is in the way. Nothing is pulled: images
//! are built from nothing.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use nix::unistd::Pid;
use tempfile::TempDir;

use crate::netns::Place;
use crate::process::{Finished, SOON, eventually, run};

/// A podman of this test. Its containers, networks and images go when it is dropped.
///
/// ```text
/// clients ── 127.0.0.0/8, 10.89.0.1 ── bridge ── 10.89.0.2, .3 … containers
/// └────────── the namespace: the host, for podman ───┘
/// ```
pub(crate) struct Engine {
    /// What podman takes for the host.
    pub(crate) host: Place,
    home: TempDir,
    /// Of the namespace, the bridge's network, and the containers by their beginning.
    name: String,
}

/// A running container.
pub(crate) struct Container {
    /// A command up to the words of podman.
    podman: Vec<String>,
    name: String,
    /// On the bridge; unspecified on the host's network.
    pub(crate) ip: Ipv4Addr,
}

impl Engine {
    /// Makes the namespace and the bridge.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ftplb-e-{}-{number}", std::process::id());
        let engine = Self {
            host: Place::Namespace(name.clone()),
            home: tempfile::tempdir().unwrap(),
            name,
        };
        for words in [
            &["netns", "add", &engine.name][..],
            &["-n", &engine.name, "link", "set", "lo", "up"],
        ] {
            run(Command::new("ip").args(words), SOON).expect_success("ip (needs root)");
        }
        let networks = engine.home().join("networks");
        fs::create_dir(&networks).unwrap();
        // No systemd is needed, and no limit is raised: where tests run there may not be the one nor the right to
        // the other.
        let settings = format!(
            "[containers]\ndefault_ulimits = [\"nofile=20000:20000\", \"nproc=1000:1000\"]\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n\
             [network]\nnetwork_config_dir = \"{}\"\n",
            networks.display()
        );
        fs::write(engine.home().join("containers.conf"), settings).unwrap();
        let subnet = ["--disable-dns", "--subnet", "10.89.0.0/24"];
        engine.ok(&[&["network", "create"], &subnet[..], &[&engine.name]].concat());
        engine
    }

    /// Where its files are.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// What has to stand for `podman` in a shell.
    pub(crate) fn words(&self) -> String {
        self.podman().join(" ")
    }

    fn podman(&self) -> Vec<String> {
        let home = self.home().display();
        let name = &self.name;
        // Not by `ip netns exec`, which hides the control groups. And copies in place of overlays: nothing is
        // mounted that would outlive a test that is killed.
        let words = format!(
            "env CONTAINERS_CONF={home}/containers.conf nsenter --net=/run/netns/{name} podman \
             --root {home}/root --runroot {home}/run --storage-driver vfs --runtime runc"
        );
        words.split(' ').map(str::to_owned).collect()
    }

    /// podman with these words.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        command(&self.podman(), words)
    }

    /// What podman prints, which it does with success.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let done = run(&mut self.command(words), LIMIT);
        done.expect_success(&format!("podman {}", words.join(" ")))
            .stdout
    }

    /// A name of which the host has no other.
    pub(crate) fn name(&self, role: &str) -> String {
        format!("{}-{role}", self.name)
    }

    /// Starts a container: `words` are options, the image and its arguments.
    #[track_caller]
    pub(crate) fn start(&self, role: &str, words: &[&str]) -> Container {
        let name = self.name(role);
        let mut first = vec!["run", "-d", "--name", &name];
        if !words.contains(&"--network") {
            first.extend(["--network", &self.name]);
        }
        self.ok(&[&first, words].concat());
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let ip = self.ok(&["inspect", "-f", format, &name]);
        Container {
            podman: self.podman(),
            name,
            ip: ip.trim().parse().unwrap_or(Ipv4Addr::UNSPECIFIED),
        }
    }

    /// An image `vsftpd`, of the host's own one and its libraries: it serves `/srv`, of which nothing but
    /// `/srv/pub` may be written, to anybody.
    pub(crate) fn build_vsftpd(&self) {
        let context = self.home().join("vsftpd");
        let libraries =
            run(Command::new("ldd").args([VSFTPD, "/bin/sh"]), LIMIT).expect_success("ldd");
        let words = libraries.stdout.split_whitespace();
        let files = { words.filter(|word| word.starts_with('/') && !word.ends_with(':')) }
            .chain([VSFTPD, "/bin/sh"]);
        for file in files {
            let copy = context.join(file.trim_start_matches('/'));
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(file, copy).unwrap();
        }
        fs::create_dir_all(context.join("empty")).unwrap();
        fs::create_dir_all(context.join("etc")).unwrap();
        for (name, text) in [
            (
                "etc/passwd",
                "root:x:0:0::/:\nnobody:x:65534:65534::/:\nftp:x:99:99::/srv:\n",
            ),
            ("etc/group", "root:x:0:\nnogroup:x:65534:\nftp:x:99:\n"),
            ("etc/vsftpd.conf", CONFIG),
            ("Containerfile", CONTAINERFILE),
        ] {
            fs::write(context.join(name), text).unwrap();
        }
        let context = context.display().to_string();
        self.ok(&["build", "--layers=false", "-t", "vsftpd", &context]);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // All of them: there are none but of this test.
        for words in [
            &["rm", "-fa", "-t", "0"][..],
            &["network", "rm", "-f", &self.name],
        ] {
            drop(self.command(words).output());
        }
    }
}

impl Container {
    /// Any command of podman that has a container's name at its end.
    pub(crate) fn run(&self, words: &[&str]) -> Finished {
        run(
            &mut command(&self.podman, &[words, &[&self.name]].concat()),
            LIMIT,
        )
    }

    /// Runs ftplb in the container, beside the one that is there.
    pub(crate) fn exec(&self, words: &[&str]) -> Finished {
        let first = ["exec", &self.name, "/usr/bin/ftplb"];
        run(&mut command(&self.podman, &[&first, words].concat()), LIMIT)
    }

    /// Waits until ftplb would serve a new session.
    pub(crate) fn wait_until_ready(&self) {
        eventually("`ftplb health --ready` in the container", || {
            let done = self.exec(&["health", "--ready"]);
            let state = self.run(&["inspect", "-f", "{{.State.Status}}"]).stdout;
            assert_eq!(state.trim(), "running", "{done:?}\n{}", self.log());
            done.code() == 0
        });
    }

    /// What it has written, to standard output and error.
    pub(crate) fn log(&self) -> String {
        let logs = self.run(&["logs"]);
        logs.stdout + &logs.stderr
    }

    /// The number of its first process, as the host has it.
    pub(crate) fn pid(&self) -> Pid {
        let state = self.run(&["inspect", "-f", "{{.State.Pid}}"]);
        Pid::from_raw(state.stdout.trim().parse().unwrap())
    }
}

fn command(podman: &[String], words: &[&str]) -> Command {
    let mut command = Command::new(&podman[0]);
    command.args(&podman[1..]).args(words);
    command
}

/// Of one command of podman. Two cores run all tests.
const LIMIT: Duration = Duration::from_mins(2);

const VSFTPD: &str = "/usr/sbin/vsftpd";

const CONFIG: &str = "listen=YES\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\nwrite_enable=YES\n\
     anon_upload_enable=YES\nanon_mkdir_write_enable=YES\nanon_other_write_enable=YES\n\
     anon_world_readable_only=NO\nanon_umask=022\nanon_root=/srv\nsecure_chroot_dir=/empty\n\
     seccomp_sandbox=NO\nisolate=NO\nisolate_network=NO\nconnect_from_port_20=NO\n";

/// As the first process it would be given orphans to bury, of which it has never heard, and would crash.
const CONTAINERFILE: &str = "FROM scratch\nCOPY . /\n\
     CMD [\"/bin/sh\", \"-c\", \"/usr/sbin/vsftpd /etc/vsftpd.conf & wait\"]\n";
